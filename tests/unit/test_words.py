import re
from fractions import Fraction
from pathlib import Path

import pytest

from refvid import time_words
from refvid import words as opt
from refvid.errors import InputError, OptionError
from refvid.rebuild.reference_options import ReferenceSource


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("90", Fraction(90)),
        ("0", Fraction(0)),
        ("5s", Fraction(5)),
        ("0.1", Fraction(1, 10)),
        (".5s", Fraction(1, 2)),
        ("1:30", Fraction(90)),
        ("90:00", Fraction(5400)),
        ("00:01:30.5", Fraction(181, 2)),
        (" 2:05 ", Fraction(125)),
        ("1m", Fraction(60)),
        ("5min", Fraction(300)),
        ("1h", Fraction(3600)),
        ("1m30s", Fraction(90)),
        ("1h2m3.5s", Fraction(7447, 2)),
        ("90ms", Fraction(9, 100)),
        ("120f", 120),
        ("0f", 0),
    ],
)
def test_positions(text, value):
    found = time_words.parse_position(text, "--start")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "1:60",
        "1:75:00",
        "1:2:3:4",
        "1.5f",
        "f",
        "s",
        "nan",
        "1e3",
        "٣",
        "5 s",
        ":30",
        "m",
        "1m30",
    ],
)
def test_nonsense_positions(text):
    with pytest.raises(OptionError, match="--start"):
        time_words.parse_position(text, "--start")


NINES = "9" * 5000


@pytest.mark.parametrize("text", [NINES, f"{NINES}f", f"{NINES}:00", f"0.{NINES}", f"1:{NINES}s"])
def test_thousands_of_digits(text):
    for parse in (
        lambda: time_words.parse_position(text, "--start"),
        lambda: opt.parse_reference(f"frame:{text}"),
        lambda: opt.parse_reference(f"time:{text}"),
        lambda: opt.parse_tile(NINES),
        lambda: time_words.parse_rate(NINES),
        lambda: time_words.parse_rate(f"{NINES}/1001"),
        lambda: opt.parse_size(f"{NINES}G", "--memory"),
    ):
        with pytest.raises(OptionError):
            parse()


def part(*words):
    found = time_words.parse_range(*words)
    return found.start, found.end, found.frames


def test_range():
    assert part("10", "0:12", 5, None) == (10, 12, 5)
    assert part(None, None, None, None) == (None, None, None)


def test_preview_begins_at_start():
    assert part("1:00", None, None, "5s") == (60, 65, None)
    assert part(None, None, None, "5s") == (None, 5, None)
    assert part("48f", None, None, "24f") == (48, None, 24)


@pytest.mark.parametrize(
    ("start", "end", "frames", "preview"),
    [
        ("5", "5", None, None),
        ("9f", "3f", None, None),
        (None, "5", None, "2s"),
        (None, None, 5, "2s"),
        (None, None, None, "0s"),
        (None, None, None, "0f"),
        ("48f", None, None, "2s"),
    ],
)
def test_impossible_ranges(start, end, frames, preview):
    with pytest.raises(OptionError):
        time_words.parse_range(start, end, frames, preview)


def test_references(tmp_path):
    image = tmp_path / "frame.png"
    image.touch()
    assert opt.parse_reference(str(image)) == ReferenceSource(image=image)
    assert opt.parse_reference("frame:12") == ReferenceSource(frame=12)
    assert opt.parse_reference("time:1:30") == ReferenceSource(time=Fraction(90))


def test_references_with_a_place(files):
    files("b.png", "odd@5.png")
    image = Path("b.png")
    assert opt.parse_reference("b.png@40") == ReferenceSource(image=image, frame=40)
    assert opt.parse_reference("b.png@40f") == ReferenceSource(image=image, frame=40)
    assert opt.parse_reference("b.png@12s") == ReferenceSource(image=image, time=Fraction(12))
    assert opt.parse_reference("b.png@1:30") == ReferenceSource(image=image, time=Fraction(90))
    assert opt.parse_reference("odd@5.png") == ReferenceSource(image=Path("odd@5.png"))
    with pytest.raises(OptionError, match=r"'soon' is no place in a video; write b\.png@40"):
        opt.parse_reference("b.png@soon")
    with pytest.raises(InputError, match=r"missing\.png does not exist"):
        opt.parse_reference("missing.png@40")


def test_several_references(files):
    files("a.png", "b.png")
    Path("folder").mkdir()
    assert opt.parse_references().is_none
    assert opt.parse_references("a.png").images == (Path("a.png"),)
    found = opt.parse_references(["a.png", "b.png@3", "frame:9"], "folder", "cover")
    assert [source.frame for source in found.sources] == [None, 3, 9]
    assert found.images == (Path("a.png"), Path("b.png"), Path("folder"))
    assert found.fit == "cover"
    with pytest.raises(OptionError, match="Two references for frame 3"):
        opt.parse_references(["a.png@3", "b.png@3"])
    with pytest.raises(InputError, match="--refs: there is no folder nowhere"):
        opt.parse_references(refs="nowhere")


@pytest.mark.parametrize("text", ["frame:", "frame:-1", "frame:first", "time:", "time:12f"])
def test_nonsense_references(text):
    with pytest.raises(OptionError, match="--ref"):
        opt.parse_reference(text)


@pytest.mark.parametrize("name", ["missing.png", "."])
def test_reference_must_be_a_file(name):
    with pytest.raises(InputError, match="--ref"):
        opt.parse_reference(name)


def test_a_file_may_look_like_a_word(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("framed.png").touch()
    assert opt.parse_reference("framed.png") == ReferenceSource(image=Path("framed.png"))


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("24", 24),
        ("12.5", Fraction(25, 2)),
        ("23.976", Fraction(24000, 1001)),
        ("29.97", Fraction(30000, 1001)),
        ("30000/1001", Fraction(30000, 1001)),
    ],
)
def test_rates(text, rate):
    assert time_words.parse_rate(text) == rate


@pytest.mark.parametrize("text", ["0", "-24", "24/0", "0/1", "fast", "1001", ""])
def test_nonsense_rates(text):
    with pytest.raises(OptionError, match="--rate"):
        time_words.parse_rate(text)


def test_tiles():
    assert [opt.parse_tile(word) for word in ("auto", "off", "512")] == ["auto", "off", 512]
    for word in ("0", "-5", "big", "1.5"):
        with pytest.raises(OptionError, match="--tile"):
            opt.parse_tile(word)


def test_encoder_options():
    words = ["preset=slow", "x265-params=keyint=10:bframes=0", "tune="]
    assert opt.parse_encoder_options(words) == {
        "preset": "slow",
        "x265-params": "keyint=10:bframes=0",
        "tune": "",
    }
    for word in ("slow", "=slow", " =x"):
        with pytest.raises(OptionError, match="encoder-option"):
            opt.parse_encoder_options([word])


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Make empty files in the current folder."""
    monkeypatch.chdir(tmp_path)

    def make(*names: str) -> None:
        for name in names:
            (tmp_path / name).touch()

    return make


@pytest.mark.parametrize(
    ("word", "image", "weight"),
    [
        ("art.jpg", "art.jpg", 1),
        ("art.jpg:2", "art.jpg", 2),
        ("art.jpg:0.25", "art.jpg", 0.25),
        ("art.jpg:.5", "art.jpg", 0.5),
        ("a:b.jpg", "a:b.jpg", 1),
        ("a:b.jpg:3", "a:b.jpg", 3),
        ("plan:9", "plan:9", 1),  # a file of the whole name wins
        ("plan:9:2", "plan:9", 2),
        ("me@home.png", "me@home.png", 1),
        (":7", ":7", 1),
    ],
)
def test_styles(files, word, image, weight):
    files("art.jpg", "a:b.jpg", "plan:9", "plan", "me@home.png", ":7")
    style = opt.parse_style(word)
    assert (str(style.image), style.weight) == (image, weight)


@pytest.mark.parametrize(
    ("word", "error", "said"),
    [
        ("none.jpg", InputError, "none.jpg does not exist"),
        ("none.jpg:2", InputError, "none.jpg does not exist"),
        ("x" * 5000, InputError, "does not exist"),
        ("arts.jpg", InputError, "did you mean art.jpg?"),
        (".", InputError, "is a folder"),
        ("clip.MP4", InputError, "is a video"),
        ("art.jpg:x", OptionError, "'x' is no number; write art.jpg:2"),
        ("art.jpg:", OptionError, "'' is no number"),
        ("art.jpg:-1", OptionError, "'-1' is no number"),
        ("art.jpg,wave.jpg", OptionError, "--style art.jpg --style wave.jpg"),
    ],
)
def test_styles_that_are_none(files, word, error, said):
    files("art.jpg", "wave.jpg", "clip.MP4")
    with pytest.raises(error, match=re.escape(said)):
        opt.parse_style(word)


@pytest.mark.parametrize("weight", ["0", "0.0", "0.0000001", "9" * 400])
def test_weights_that_are_none(files, weight):
    files("art.jpg")
    with pytest.raises(OptionError, match="weight"):
        opt.parse_style(f"art.jpg:{weight}")


@pytest.mark.parametrize(
    ("word", "image", "frame", "time"),
    [
        ("k.png@0", "k.png", 0, None),
        ("k.png@12f", "k.png", 12, None),
        ("k.png@1.5s", "k.png", None, Fraction(3, 2)),
        ("k.png@2s", "k.png", None, Fraction(2)),
        ("k.png@1:30", "k.png", None, Fraction(90)),
        ("me@3@7", "me@3", 7, None),
        ("a:b.png@7", "a:b.png", 7, None),
    ],
)
def test_keyframes(files, word, image, frame, time):
    files("k.png", "me@3", "a:b.png")
    keyframe = opt.parse_keyframe(word)
    assert (str(keyframe.image), keyframe.frame, keyframe.time) == (image, frame, time)


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("k.png", OptionError),
        ("k.png@", OptionError),
        ("k.png@-1", OptionError),
        ("k.png@1.5", OptionError),  # a time has its unit
        ("k.png@lates", OptionError),
        ("@3", OptionError),
        ("other.png@3", InputError),
        ("other.png@3s", InputError),
    ],
)
def test_keyframes_that_are_none(files, word, error):
    files("k.png")
    with pytest.raises(error, match="--keyframe"):
        opt.parse_keyframe(word)


@pytest.mark.parametrize(
    ("word", "error", "said"),
    [
        ("0", OptionError, "write frame:0"),
        ("12f", OptionError, "write frame:12"),
        (".", InputError, "is a folder"),
        ("pictur.png", InputError, "did you mean picture.png?"),
        ("nothing.png", InputError, "does not exist; give an image file, frame:N"),
        ("clip.mkv", InputError, "is a video; give a picture, frame:N"),
        ("clip.mkv", InputError, "refvid enhance clip.mkv --strength 0"),
    ],
)
def test_references_that_are_none(files, word, error, said):
    files("picture.png", "clip.mkv", "moving.gif")
    with pytest.raises(error, match=re.escape(said)):
        opt.parse_reference(word)
    assert opt.parse_reference("moving.gif") == ReferenceSource(image=Path("moving.gif"))


def test_keyframes_written_like_styles(files):
    files("k.png")
    with pytest.raises(OptionError, match=r"write k\.png@7 for"):
        opt.parse_keyframe("k.png:7")


@pytest.mark.parametrize("parse", [opt.parse_size, time_words.parse_time, time_words.parse_rate])
def test_a_message_repeats_nothing_long(parse):
    with pytest.raises(OptionError) as caught:
        parse("[" * 20_000, "--option")
    assert len(str(caught.value)) < 300
