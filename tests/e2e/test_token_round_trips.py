"""Videos of every kind become tokens and videos again, with as many frames at the same times.

And what hostile hands make of a file of tokens is an error that says what is wrong, by the real
command, and no result.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refvid
from refvid.media.image import write_image
from refvid.media.reader import open_video
from tests.commands import done, run
from tests.conftest import moving_pattern
from tests.unit.media.conftest import build_video

Pictures = Callable[[int, int, int], np.ndarray]


def drifting(index: int, width: int, height: int) -> np.ndarray:
    return moving_pattern(index + 1, height, width)[index]


def two_shots(index: int, width: int, height: int) -> np.ndarray:
    picture = moving_pattern(index + 1, height, width, seed=1 if index < 7 else 5)[index] // 4
    return picture if index < 7 else 255 - picture


def in_a_letterbox(index: int, width: int, height: int) -> np.ndarray:
    picture = drifting(index, width, height)
    picture[: height // 5] = picture[-(height // 5) :] = 0
    return picture


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "variable rate": {
        "timestamps": (0, 40, 60, 200, 210, 300, 301, 900), "time_base": Fraction(1, 1000),
    },
    "late start": {"timestamps": range(50, 58)},
    "a rate that is no whole number": {"rate": Fraction(30000, 1001)},
    "odd size": {"size": (51, 37), "pix_fmt": "yuv444p"},
    "rotated": {"rotation": 90},
    "one frame": {"frames": 1},
    "sound": {"audio": ["aac"]},
    "still": {"pixels": lambda _index, width, height: drifting(0, width, height)},
    "10 bit": {"pix_fmt": "yuv420p10le"},
    "letterbox": {"pixels": in_a_letterbox},
    "long": {"frames": 103, "size": (32, 32), "pixels": lambda *it: drifting(it[0] % 9, *it[1:])},
    "cuts": {"frames": 13, "pixels": two_shots},
    "pixels that are not square": {"aspect": Fraction(4, 3)},
    "smaller than a token": {"size": (8, 6)},
}  # fmt: skip


def shown(path: Path) -> tuple[list[Fraction], tuple[int, int], int]:
    """Times of frames from the first one on, and size and depth as they are seen."""
    with open_video(path) as video:
        times = [frame.pts * frame.time_base for frame in video]
        info = video.info
        return [time - times[0] for time in times], (info.width, info.height), info.bit_depth


@pytest.mark.parametrize("model", ["mini-reftok", "mini-vtok"])
@pytest.mark.parametrize("kind", KINDS)
def test_frames_times_and_size_come_back(kind: str, model: str, tmp_path: Path) -> None:
    wishes = {"pixels": drifting, "frames": 8, **KINDS[kind]}
    clip = build_video(tmp_path / "clip.mp4", **wishes)
    tokens, back = tmp_path / "clip.tokens", tmp_path / "back.mp4"
    done("tokenize", clip, "-o", tokens, "--model", model)
    done("detokenize", tokens, "-o", back)
    before, after = shown(clip), shown(back)
    assert after[0] == before[0]
    assert after[2] == before[2]
    # Of H.264 with halved chroma, sides are even: the writer says so.
    assert [side - side % 2 for side in before[1]] == [side - side % 2 for side in after[1]]
    assert len(refvid.load_tokens(tokens).shots) == (2 if kind == "cuts" else 1)


def test_a_photo_is_a_video_of_one_frame(tmp_path: Path) -> None:
    photo, tokens, back = (tmp_path / name for name in ("a.png", "a.tokens", "b.mkv"))
    write_image(photo, drifting(0, 60, 40))
    done("tokenize", photo, "-o", tokens, "--model", "mini-reftok-twin")
    done("detokenize", tokens, "-o", back)
    times, size, _ = shown(back)
    assert (len(times), size) == (1, (60, 40))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokens")
    clip = build_video(folder / "clip.mp4", pixels=two_shots, frames=11)
    done("tokenize", clip, "-o", folder / "clip.tokens")
    return folder / "clip.tokens"


def changed_header(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def told(name: str, value: str) -> Callable[[bytes], bytes]:
    return lambda data: changed_header(
        data, lambda header: header["__metadata__"].__setitem__(name, value)
    )


def placed(name: str, key: str, value: Any) -> Callable[[bytes], bytes]:
    return lambda data: changed_header(data, lambda header: header[name].__setitem__(key, value))


def with_bytes(name: str, value: int) -> Callable[[bytes], bytes]:
    """Every byte of a tensor is the same."""

    def change(data: bytes) -> bytes:
        length = int.from_bytes(data[:8], "little")
        begin, end = json.loads(data[8 : 8 + length])[name]["data_offsets"]
        begin, end = begin + 8 + length, end + 8 + length
        return data[:begin] + bytes([value]) * (end - begin) + data[end:]

    return change


HOSTILE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "nothing": (lambda _data: b"", "holds no tokens"),
    "cut short": (lambda data: data[:-100], "no whole file of tokens"),
    "cut in the header": (lambda data: data[:200], "no whole file of tokens"),
    "a header of terabytes": (lambda data: b"\xff" * 7 + b"\x7f" + data[8:], "no whole file"),
    "a header that is no JSON": (lambda data: data[:8] + b"[" + data[9:], "holds no tokens"),
    "something else": (lambda _data: b"\x89PNG\r\n\x1a\n" * 100, "holds no tokens"),
    "other safetensors": (told("format", "pt"), "no file of tokens"),
    "a later version": (told("format_version", "2"), "newer refvid"),
    "another tokenizer": (told("sha256", "0" * 64), "--model PATH"),
    "an unknown tokenizer": (told("tokenizer", "../../etc/passwd"), "does not know"),
    "a frame of a gigapixel": (told("width", "1000000000"), "sizes"),
    "more frames than tokens": (told("frames", "1000"), "shape"),
    "tensors on each other": (placed("indices", "data_offsets", [0, 8]), "no whole file"),
    "floating-point indices": (placed("indices", "dtype", "F16"), "F16"),
    "an endless shape": (placed("indices", "shape", [2**40, 8, 12]), "no whole file"),
    "levels of another": (told("levels", "2,2,2,2,2"), "Make it again"),
    "numbers beyond the codes": (with_bytes("indices", 255), "64000 codes"),
    "times that stand still": (with_bytes("times", 0), "rise"),
    "shots from nowhere": (with_bytes("shots", 255), "shots"),
    "a picture that is none": (with_bytes("references", 7), "a reference in it cannot be used"),
    "references in disorder": (with_bytes("reference_ends", 255), "references"),
    "another picture": (told("reference_hashes", f"{'1' * 64},{'2' * 64}"), "not the picture"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused(kind: str, written: Path, tmp_path: Path) -> None:
    change, words = HOSTILE[kind]
    path = tmp_path / "a.tokens"
    path.write_bytes(change(written.read_bytes()))
    result = run("detokenize", path, "-o", tmp_path / "b.mp4")
    assert result.exit_code == 3, result.output
    message = " ".join(result.stderr.split())
    assert words in message
    assert "Traceback" not in message
    assert len(message) < 700
    assert list(tmp_path.iterdir()) == [path], "no result, and nothing half-made"
