"""A cut file of a format that never says how long it is is used up to there, which is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from refvid.errors import InputError
from refvid.media.reader import open_video

FRAMES = 12

RECIPES: dict[str, dict[str, Any]] = {
    "a.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "a.apng": {"codec": "apng", "pix_fmt": "rgb24"},
    "a.ogv": {"codec": "libvpx", "audio": ["flac"]},
    "a.flv": {"codec": "libx264", "audio": ["aac"]},
    "a.ts": {"codec": "mpeg2video", "audio": ["mp2"]},
    "a.mpg": {"codec": "mpeg2video", "audio": ["mp2"]},
    "a.dv": {"codec": "dvvideo", "size": (720, 576)},
}


def read(path: Path) -> int:
    with open_video(path) as video:
        return sum(1 for _ in video)


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize("name", RECIPES)
def test_a_file_that_breaks_off_is_used_and_said(samples, caplog, name):
    path = samples.make(name, frames=FRAMES, **RECIPES[name])
    assert read(path) == FRAMES
    assert not caplog.text
    assert 0 < read(cut(path, 0.85)) <= FRAMES
    assert caplog.text.count("breaks off within a frame") == 1


@pytest.mark.parametrize(("before", "behind"), [(4, 0), (0, 16)])
def test_a_stream_of_packets_with_more_around_them_breaks_off_as_well(
    samples, tmp_path, caplog, before, behind
):
    """As Blu-ray discs and some receivers have it."""
    plain = samples.make("a.ts", codec="mpeg2video", frames=FRAMES).read_bytes()
    packets = [plain[at : at + 188] for at in range(0, len(plain), 188)]
    whole = b"".join(bytes(before) + packet + bytes(behind) for packet in packets)
    path = tmp_path / "b.ts"
    path.write_bytes(whole)
    assert read(path) == FRAMES
    assert not caplog.text
    path.write_bytes(whole[:-100])
    read(path)
    assert "breaks off within a frame" in caplog.text


@pytest.mark.parametrize("name", ["a.gif", "a.apng", "a.ogv", "a.nut"])
def test_a_file_without_the_mark_of_its_end_is_used_and_said(samples, caplog, name):
    recipe = RECIPES.get(name, {"codec": "mpeg4"})
    path = samples.make(name, frames=FRAMES, **recipe | {"audio": []})
    data = path.read_bytes()
    assert read(path) == FRAMES
    assert not caplog.text
    index = bytes.fromhex("4e58dd672f23e64e")
    last = {".gif": b";", ".apng": b"\0\0\0\0IEND", ".ogv": b"OggS", ".nut": index}
    path.write_bytes(data[: data.rindex(last[path.suffix])])
    assert 0 < read(path) <= FRAMES
    assert "has no mark of its end" in caplog.text
    assert "breaks off" not in caplog.text


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("a.mxf", {"codec": "mpeg2video", "audio": ["pcm_s16le"]}),
        ("a.wmv", {"codec": "wmv2"}),
    ],
)
def test_a_file_that_says_where_its_end_is_lacks_it(samples, name, recipe):
    path = samples.make(name, frames=FRAMES, **recipe)
    assert read(path) == FRAMES
    with pytest.raises(InputError, match="is cut off: it lacks"):
        read(cut(path, 0.7))


def test_an_mxf_that_was_never_finished_is_used(samples, caplog):
    path = samples.make("a.mxf", frames=FRAMES, codec="mpeg2video")
    data = bytearray(path.read_bytes())
    data[44:52] = bytes(8)  # where its last partition is
    path.write_bytes(data[: len(data) * 7 // 10])
    assert 0 < read(path) < FRAMES
    assert "breaks off within a frame" in caplog.text


def test_bytes_behind_the_end_do_no_harm(samples, caplog):
    for name in ("a.gif", "a.apng"):
        path = samples.make(name, frames=FRAMES, **RECIPES[name])
        with path.open("ab") as file:
            file.write(bytes(100))
        assert read(path) == FRAMES
    assert not caplog.text
