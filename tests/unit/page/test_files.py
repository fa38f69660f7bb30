import pytest
from PIL import Image

from refvid.errors import InputError, OptionError
from refvid.media.video_info import read_video_info
from refvid.page.files import choose_source, name_pictures, name_result


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    (root / "below").mkdir(parents=True)
    (tmp_path / "secret.png").touch()
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "below" / "a.png").touch()
    (root / "odd@2.png").touch()
    return root.resolve()


def test_a_path_in_the_folder(root):
    assert choose_source(None, " below/a.png ", root) == root / "below" / "a.png"
    assert choose_source(str(root / "odd@2.png"), "", root) == root / "odd@2.png"


@pytest.mark.parametrize(
    "words", ["../secret.png", "/etc/passwd", "link.png", "below/../../secret.png"]
)
def test_what_lies_outside(root, words):
    for read in (
        lambda: choose_source(None, words, root),
        lambda: name_pictures([], "", f"{words}@3", root, has_frames=True),
        lambda: name_pictures([], "", f"{words}:2", root, has_frames=False),
    ):
        with pytest.raises(InputError, match="outside of"):
            read()


@pytest.mark.parametrize("words", ["none.png", "a\0b", "x" * 3000])
def test_what_is_not_there(root, words):
    with pytest.raises(InputError, match="There is no file"):
        choose_source(None, words, root)


def test_images_in_a_row(root):
    assert choose_source(None, "below", root) == root / "below"
    assert choose_source(None, "below/", root) == root / "below"
    (root / "below" / "f_1.png").touch()
    assert choose_source(None, "below/f_%d.png", root) == root / "below" / "f_%d.png"
    (root / "here").symlink_to(root / "below")
    assert choose_source(None, "here/f_%d.png", root) == root / "below" / "f_%d.png"
    (root / "empty").mkdir()
    for words in ("empty", "below/g_%d.png"):
        with pytest.raises(InputError, match=r"holds no images|No file matches"):
            choose_source(None, words, root)


def test_images_in_a_row_that_lie_outside(root, tmp_path):
    away = tmp_path / "away"
    away.mkdir()
    (away / "f_1.png").touch()
    (root / "away").symlink_to(away)
    (root / "below" / "f_2.png").symlink_to(away / "f_1.png")
    words = (
        "..",
        "../away",
        "away",
        "away/f_%d.png",
        "../away/f_%d.png",
        "below",
        "below/f_%d.png",
    )
    for each in words:
        with pytest.raises(InputError, match="outside of"):
            choose_source(None, each, root)


def test_nothing_or_too_much_is_given(root):
    with pytest.raises(InputError, match="nothing to work on"):
        choose_source(None, "  ", root)
    with pytest.raises(OptionError, match="not both"):
        choose_source(str(root / "odd@2.png"), "below/a.png", root)
    with pytest.raises(InputError, match="did not arrive"):
        choose_source(str(root / "gone.mp4"), "", root)


def test_pictures_and_their_places(root):
    def name(uploads, places, typed, *, has_frames=True):
        return name_pictures(uploads, places, typed, root, has_frames=has_frames)

    assert name(["/u/a.png", "/u/b.png"], "", "") == ["/u/a.png", "/u/b.png"]
    assert name(["/u/a.png", "/u/b.png"], "0, 1:30", "") == ["/u/a.png@0", "/u/b.png@1:30"]
    assert name(["/u/a.png"], None, None) == ["/u/a.png"]  # fields that are not shown
    assert name(None, "", "frame:0, time:1:30") == ["frame:0", "time:1:30"]
    assert name(None, "", "below/a.png@40,odd@2.png") == [
        f"{root}/below/a.png@40",
        f"{root}/odd@2.png",
    ]
    with pytest.raises(OptionError, match="1 places for 2"):
        name(["/u/a.png", "/u/b.png"], "4", "")
    with pytest.raises(InputError, match="no file"):
        name(None, "", "frame:0", has_frames=False)


def test_a_result_replaces_nothing(root, make_video, tmp_path):
    source = make_video(2, "clip.mp4")
    info = read_video_info(source)
    waiting = {root / "clip_refvid_3.mp4"}

    def name(**other):
        values = {"info": info, "codec": None, "is_taken": waiting.__contains__, **other}
        return name_result(source, "_refvid", root, **values)

    assert name() == root / "clip_refvid.mp4"
    name().touch()
    (root / "clip_refvid_2.mp4").symlink_to(tmp_path / "nowhere")
    assert name() == root / "clip_refvid_4.mp4"
    assert name(codec="prores").suffix == ".mov"
    assert name(codec="ffv1").suffix == ".mkv"
    assert name(info=None).suffix == ".mp4"


def test_images_in_a_row_get_a_folder_or_a_video(root, tmp_path):
    shots = tmp_path / "shots"
    shots.mkdir()
    for number in range(3):
        Image.new("RGB", (32, 32)).save(shots / f"shot_{number:03}.png")
    waiting = {root / "shots_refvid_2" / "shot_%03d.png"}

    def name(source, **other):
        values = {"codec": None, "is_taken": waiting.__contains__, **other}
        return name_result(source, "_refvid", root, info=read_video_info(source), **values)

    assert name(shots) == root / "shots_refvid" / "shot_%03d.png"
    assert name(shots / "shot_%03d.png") == root / "shot_refvid" / "shot_%03d.png"
    (root / "shots_refvid").mkdir()  # whatever is in it
    assert name(shots) == root / "shots_refvid_3" / "shot_%03d.png"
    assert name(shots, as_video=True) == root / "shots_refvid.mp4"
    assert name(shots, as_video=True, codec="ffv1") == root / "shots_refvid.mkv"
    assert name(shots / "shot_%03d.png", as_video=True) == root / "shot_refvid.mp4"
