"""Triplets are found, their faults are told, and their samples stay aligned."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from refvid.errors import InputError
from refvid.training import triplets as module
from refvid.training.degradations import write_h264
from refvid.training.sample_options import SampleOptions, StyleSampleOptions
from refvid.training.triplet_samples import TripletDrawer
from refvid.training.triplets import Triplet, check_triplets, find_triplets


def smooth_picture(height: int, width: int, seed: int) -> np.ndarray:
    """Soft enough for a codec and for resampling: (height, width, 3)."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 64
    waves = random.uniform(1, 3, (3, 2)), random.uniform(0, 6, 3)
    channels = [128 + 90 * np.sin(a * y + b * x + c) for (a, b), c in zip(*waves, strict=True)]
    return np.stack(channels, -1).astype(np.uint8)


def save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, lossless=True)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pairs of pictures and one of videos; what is stylised is the negative."""
    folder = tmp_path_factory.mktemp("triplets")
    for seed, name in enumerate(("one", "more/two")):
        content = smooth_picture(80, 96, seed)
        save(content, folder / "content" / f"{name}.png")
        save(255 - content, folder / "stylised" / f"{name}.webp")
        save(smooth_picture(40, 64, 10), folder / "style" / f"{name}.png")
    (folder / "style" / "more" / "two.png").unlink()
    shutil.copy(folder / "style" / "one.png", folder / "style" / "more" / "two.png")
    pan = [smooth_picture(80, 120, 5)[:, 2 * t : 96 + 2 * t] for t in range(5)]
    write_h264(pan, folder / "content" / "clip.mp4", crf=1)
    write_h264([255 - frame for frame in pan], folder / "stylised" / "clip.mp4", crf=1)
    save(smooth_picture(40, 64, 20), folder / "style" / "clip.png")
    return folder


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    """A copy, to break."""
    return Path(shutil.copytree(prepared, tmp_path / "triplets"))


def names(found: list[Triplet]) -> list[str]:
    return [Path(triplet.content).stem for triplet in found]


def test_members_of_one_name_belong_together(folder: Path, tmp_path: Path) -> None:
    found = check_triplets(find_triplets(folder), tmp_path / "record.json", 0)
    assert names(found) == ["clip", "two", "one"]
    assert [(triplet.frames, triplet.size) for triplet in found] == [
        (5, (80, 96)), (1, (80, 96)), (1, (80, 96)),
    ]  # fmt: skip
    assert found[1].style_digest == found[2].style_digest != found[0].style_digest


def test_a_table_says_what_belongs_together(folder: Path) -> None:
    (folder / "triplets.csv").write_text(
        "id,stylised,content,style\n"
        "0,stylised/one.webp,content/one.png,style/clip.png\n"
        "1,stylised/gone.webp,content/one.png,style/one.png\n"
        "2,stylised/one.webp,content/one.png\n",
        encoding="utf-8",
    )
    (found,) = find_triplets(folder)
    assert found.style == str(folder / "style" / "clip.png")


@pytest.mark.parametrize("head", [b"content,style\na,b\n", b"", b"\xff\xfe\xff"], ids=str)
def test_a_table_that_cannot_be_used_is_named(folder: Path, head: bytes) -> None:
    (folder / "triplets.csv").write_bytes(head)
    with pytest.raises(InputError, match=r"triplets\.csv"):
        find_triplets(folder)


def test_missing_members_are_counted(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "stylised" / "one.webp").unlink()
    (folder / "style" / "clip.png").unlink()
    assert names(find_triplets(folder)) == ["two"]
    assert "2 of 3 triplets lack a file" in caplog.text


@pytest.mark.parametrize("member", ["content/one.png", "style/one.png", "stylised/one.webp"])
@pytest.mark.parametrize("whole", [0, 0.5])
def test_broken_members_are_skipped_and_counted(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, member: str, whole: float
) -> None:
    path = folder / member
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * whole)])
    found = check_triplets(find_triplets(folder), tmp_path / "record.json", 0)
    assert names(found) == ["clip", "two"]
    assert "1 of 3 triplets cannot be used" in caplog.text
    assert member in caplog.text


def test_contents_and_results_must_fit(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pan = [smooth_picture(80, 96, 1)] * 4
    write_h264(pan, folder / "stylised" / "clip.mp4", crf=10)
    save(smooth_picture(80, 80, 1), folder / "stylised" / "one.webp")
    save(smooth_picture(160, 192, 1), folder / "stylised" / "more" / "two.webp")
    found = check_triplets(find_triplets(folder), tmp_path / "record.json", 0)
    assert names(found) == ["two"], "a larger result of the same proportions will do"
    assert "it has 4 frames, the content 5" in caplog.text
    assert "it is 80x80, the content 96x80" in caplog.text


def test_files_are_read_again_only_when_they_change(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "content" / "one.png").write_bytes(b"broken")
    record = tmp_path / "record.json"
    first = check_triplets(find_triplets(folder), record, 0)
    examined: list[Triplet] = []
    examine = module._examine

    def noting(triplet: Triplet) -> Triplet | str:
        examined.append(triplet)
        return examine(triplet)

    monkeypatch.setattr(module, "_examine", noting)
    assert check_triplets(find_triplets(folder), record, 0) == first
    assert examined == []
    save(smooth_picture(80, 96, 0), folder / "content" / "one.png")
    again = check_triplets(find_triplets(folder), record, 0)
    assert names(examined) == ["one"]
    assert names(again) == ["clip", "two", "one"]
    record.write_text('{"a": {"unknown": 1}}', encoding="utf-8")
    assert check_triplets(find_triplets(folder), record, 0) == again


def test_other_processes_find_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 1)
    found = find_triplets(folder)
    alone = check_triplets(found, tmp_path / "a.json", 0)
    assert check_triplets(found, tmp_path / "b.json", 1) == alone


def paint(frames: Tensor, style: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return frames, frames, style.mean((1, 2)).expand(len(frames), 3)


def drawer(prepared: Path, tmp_path: Path, **changes: Any) -> TripletDrawer:
    found = check_triplets(find_triplets(prepared), tmp_path / "record.json", 0)
    sizes: dict[str, Any] = {"clips": 2, "frames": 3, "crop": 48, "reference_crop": 48}
    options = SampleOptions(**{**sizes, **changes}, consecutive=True)
    return TripletDrawer(found, options, StyleSampleOptions(lead=2), paint)


@pytest.fixture(scope="module")
def source(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> TripletDrawer:
    return drawer(prepared, tmp_path_factory.mktemp("record"))


@settings(max_examples=20, deadline=None)
@given(index=st.integers(0, 10_000))
def test_targets_lie_on_their_contents(source: TripletDrawer, index: int) -> None:
    batch = source.draw(index)
    assert batch.clip is not None
    assert batch.clip.shape == batch.target.shape == (2, 3, 3, 48, 48)
    # Negatives stay negatives wherever they are cut and however they are moved; chroma
    # subsampling of the videos costs a little.
    assert (batch.clip + batch.target).abs().mean() < 0.02
    again = source.draw(index)
    assert again.clip is not None
    assert torch.equal(batch.clip, again.clip)
    assert torch.equal(batch.target, again.target)


def test_pictures_move_and_videos_follow_each_other(source: TripletDrawer) -> None:
    for index in range(12):
        batch = source.draw(index)
        assert batch.clip is not None
        for content in batch.clip:
            moved = content.diff(dim=1).abs().mean((0, 2, 3))
            assert (moved > 1e-3).all(), "no frame is the one before"


def test_all_styles_weigh_the_same(source: TripletDrawer) -> None:
    digests = [[triplet.style_digest for triplet in group] for group in source.groups]
    assert sorted(map(len, digests)) == [1, 2]
    assert all(len(set(group)) == 1 for group in digests)


def test_small_and_short_ones_are_left_out(prepared: Path, tmp_path: Path) -> None:
    assert drawer(prepared, tmp_path, crop=88, reference_crop=88).groups == []
    longer = drawer(prepared, tmp_path, frames=9)
    assert sorted(names([t for group in longer.groups for t in group])) == ["one", "two"]


def test_a_file_that_changed_is_told(folder: Path, tmp_path: Path) -> None:
    made = drawer(folder, tmp_path, clips=1)
    for path in (folder / "content" / "one.png", folder / "content" / "more" / "two.png"):
        save(smooth_picture(64, 64, 1), path)
    with pytest.raises(InputError, match="is not what it was"):
        [made.draw(index) for index in range(20)]
