"""A folder of references: its pictures by the names of inputs, and what their own names say."""

from fractions import Fraction
from pathlib import Path

import pytest

from refvid.errors import InputError, OptionError
from refvid.rebuild.reference_folder import FoundPicture, pictures_for
from refvid.rebuild.reference_options import References, ReferenceSource


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def names(found: list[FoundPicture]) -> list[str]:
    return [one.path.name for one in found]


def test_a_picture_has_the_name_of_its_input(tmp_path: Path) -> None:
    folder = touch(tmp_path, "a dog.jpg", "Clip.PNG", "stored.webp", "notes.txt", "clip/x.png")

    def find(source: str, stored: str | None = None) -> list[str]:
        return names(pictures_for(folder, Path(source), stored, is_only_input=False))

    assert find("elsewhere/clip.mp4") == ["Clip.PNG"]
    assert find("clip_latents.pt") == ["Clip.PNG"]
    assert find("clip_latent_refvid.bin") == ["Clip.PNG"]
    assert find("clip.pt", "a dog.jpg") == ["a dog.jpg"]
    assert find("clip.pt", "/elsewhere/stored.png") == ["stored.webp"]
    assert find("clip.pt", "..\\..\\a dog.jpg") == ["a dog.jpg"]
    assert find("clip.pt", "unknown.png") == ["Clip.PNG"]
    assert find("clip.pt", "..") == ["Clip.PNG"]
    assert find("other.mp4") == []
    with pytest.raises(InputError):
        pictures_for(tmp_path / "missing", Path("clip.mp4"), is_only_input=True)


def test_or_a_folder_has_it(tmp_path: Path) -> None:
    folder = touch(tmp_path, "clip/10.png", "clip/2s.jpg", "other.png")
    found = pictures_for(folder, Path("clip.mp4"), is_only_input=False)
    assert found == [
        FoundPicture(path=folder / "clip/10.png", frame=10),
        FoundPicture(path=folder / "clip/2s.jpg", time=Fraction(2)),
    ]


def test_an_only_input_may_have_all_but_itself(tmp_path: Path) -> None:
    folder = touch(tmp_path, "one.png", "two.png", "shot.png")
    assert names(pictures_for(folder, Path("clip.mp4"), is_only_input=True)) == [
        "one.png",
        "shot.png",
        "two.png",
    ]
    assert names(pictures_for(folder, folder / "shot.png", is_only_input=True)) == [
        "one.png",
        "two.png",
    ]


@pytest.mark.parametrize(
    ("name", "frame", "time"),
    [
        ("48.png", 48, None),
        ("000048.png", 48, None),
        ("48f.png", 48, None),
        ("frame_0048.png", 48, None),
        ("Frame48.png", 48, None),
        ("sharp@48.png", 48, None),
        ("sharp@1m30s.png", None, Fraction(90)),
        ("12s.png", None, Fraction(12)),
        ("1.5s.png", None, Fraction(3, 2)),
        ("1h2m3.25s.png", None, Fraction(3723) + Fraction(1, 4)),
        ("IMG_1234.jpg", None, None),
        ("m.png", None, None),
        ("first.png", None, None),
    ],
)
def test_names_say_where_pictures_belong(tmp_path: Path, name, frame, time) -> None:
    touch(tmp_path, name)
    (found,) = pictures_for(tmp_path, Path("clip.mp4"), is_only_input=True)
    assert (found.frame, found.time) == (frame, time)


def test_references_of_an_input(tmp_path: Path) -> None:
    folder = touch(tmp_path, "a.png", "b/0.png", "b/7.png")
    wanted = References(folder=folder, sources=(ReferenceSource(frame=3),)).for_inputs(2)
    assert not wanted.is_none
    assert wanted.images == (folder,)
    assert wanted.of(Path("a.mp4")).images == (folder / "a.png",)
    found = wanted.of(Path("b.mp4"))
    assert found.describe().startswith("frame 3 of the input + ")
    assert [source.frame for source in found.sources] == [3, 0, 7]
    with pytest.raises(InputError, match=r"holds no picture for c\.mp4: name it c\.png"):
        wanted.of(Path("c.mp4"))
    touch(tmp_path, "b/frame_7.webp")
    with pytest.raises(OptionError, match="Two references for frame 7"):
        wanted.of(Path("b.mp4"))


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no picture"):
        References(folder=tmp_path).of(Path("clip.mp4"))
