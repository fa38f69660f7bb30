"""Damaged files are read as far as they go, or raise InputError: never anything else."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refvid.errors import InputError, OutputError
from refvid.media.image import encode_image, read_image
from refvid.media.reader import open_video
from refvid.media.writer import create_video

KINDS = {
    "h264.mp4": ("libx264", {"preset": "ultrafast"}, True),
    "h264.mkv": ("libx264", {"preset": "ultrafast"}, True),
    "vp9.webm": ("libvpx-vp9", {"cpu-used": "8", "deadline": "realtime"}, False),
    "mpeg4.avi": ("mpeg4", {}, False),
    "ffv1.mkv": ("ffv1", {}, False),
    "hevc.mov": ("libx265", {"preset": "ultrafast", "x265-params": "log-level=none"}, False),
}
RELAXED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def whole_files() -> Iterator[dict[str, bytes]]:
    with tempfile.TemporaryDirectory() as folder:
        yield {name: _encode(Path(folder) / name, *kind) for name, kind in KINDS.items()}


def _encode(path: Path, codec: str, options: dict[str, str], has_audio: bool) -> bytes:
    formats = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".avi": "avi"}
    with av.open(str(path), "w", format=formats[path.suffix]) as container:
        stream: Any = container.add_stream(codec, rate=25, width=96, height=64, options=options)
        sound = container.add_stream("aac", rate=48000) if has_audio else None
        for index in range(6):
            frame = av.VideoFrame.from_ndarray(
                np.full((64, 96, 3), index * 40, np.uint8), format="rgb24"
            ).reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp")
            silence.sample_rate = 48000
            container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
    return path.read_bytes()


def read_back(path: Path) -> None:
    """Read a file and write what can be read: only the two known errors may come."""
    output = path.with_name("out.mkv")
    # An output error: the encoder cannot take the size that a damaged header claims.
    with (
        suppress(InputError, OutputError),
        open_video(path) as video,
        create_video(output, like=video.info, overwrite=True) as writer,
    ):
        for frame in video:
            if frame.pixels.size > 10_000_000:
                break
            writer.write(frame.pixels, frame)
    assert [name for name in os.listdir(path.parent) if "partial" in name] == []  # noqa: PTH208


@RELAXED
@given(name=st.sampled_from(sorted(KINDS)), data=st.binary(max_size=400))
def test_random_bytes(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    read_back(path)


@RELAXED
@given(name=st.sampled_from(sorted(KINDS)), part=st.floats(0, 1))
def test_truncated_files(tmp_path, whole_files, name, part):
    path = tmp_path / name
    data = whole_files[name]
    path.write_bytes(data[: int(len(data) * part)])
    read_back(path)


@settings(RELAXED, max_examples=250)
@given(
    name=st.sampled_from(sorted(KINDS)),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=20),
)
def test_flipped_bytes(tmp_path, whole_files, name, changes):
    data = bytearray(whole_files[name])
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    path = tmp_path / name
    path.write_bytes(data)
    read_back(path)


@RELAXED
@given(
    suffix=st.sampled_from([".png", ".jpg", ".webp", ".tif", ".bmp", ".avif", ".jp2", ".tga"]),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=10),
    part=st.floats(0, 1),
    is_deep=st.booleans(),
)
def test_damaged_images(tmp_path, suffix, changes, part, is_deep):
    pixels = np.arange(16 * 12 * 3, dtype=np.uint16).reshape(12, 16, 3) * 100
    path = tmp_path / f"a{suffix}"
    data = bytearray(encode_image(pixels if is_deep else (pixels // 257).astype(np.uint8), path))
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    path.write_bytes(data[: int(len(data) * part)] if part < 0.5 else data)
    with suppress(InputError):
        assert read_image(path).ndim == 3
