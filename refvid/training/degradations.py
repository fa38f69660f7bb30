"""How videos lose detail: real H.264, scaling, blur and noise, drawn once per clip.

The three fixed degradations are those of the evaluation protocol; random ones cover their
neighbourhood and what lies between, so that no single setting is learned by heart.
"""

from __future__ import annotations

import io
import random
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from platform import machine
from typing import BinaryIO

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Frames = NDArray[np.uint8]
"""(T, H, W, 3) RGB."""

# The same input must give the same bytes, but x264's AVX-512 code makes rate decisions that differ
# from run to run (seen with build 165: a few bytes per clip); one thread and SSE4 code do not.
_REPEATABLE = {"x264-params": "asm=SSE4.2"} if machine() in {"x86_64", "AMD64"} else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Degradation:
    """One way to lose detail, the same for every frame of a clip."""

    crf: int | None = None
    """H.264 quality (libx264, preset veryfast); None does not compress."""

    scale: float = 1.0
    """Frames are shrunk by this factor before compression and enlarged after it (bicubic)."""

    blur: float = 0.0
    """Standard deviation of a Gaussian blur before everything else [pixels]."""

    noise: float = 0.0
    """Standard deviation of Gaussian noise before compression [8-bit levels]."""


EVALUATION_DEGRADATIONS: dict[str, Degradation] = {
    "crf36": Degradation(crf=36),
    "half": Degradation(crf=28, scale=2.0),
    "blur": Degradation(crf=24, blur=1.5),
}
"""The evaluation protocol: strong compression, half size, blur."""


def random_degradation(rng: random.Random) -> Degradation:
    """Draw one degradation: compression, low resolution, blur, or a mixture."""
    kind = rng.random()
    if kind < 0.29:
        return Degradation(crf=rng.randint(28, 41))
    if kind < 0.55:
        return Degradation(crf=rng.randint(20, 34), scale=rng.uniform(1.3, 3.0))
    if kind < 0.78:
        return Degradation(crf=rng.randint(18, 32), blur=rng.uniform(0.6, 2.2))
    if kind < 0.88:
        return Degradation(
            crf=rng.randint(22, 34),
            scale=rng.uniform(1.0, 2.0),
            blur=rng.uniform(0.0, 1.2),
            noise=rng.uniform(0.0, 6.0),
        )
    # Nearly clean: a good video must come out as good as it went in.
    return Degradation(crf=rng.randint(2, 22))


def slight_degradation(rng: random.Random) -> Degradation:
    """Draw a degradation that leaves a clip nearly clean."""
    return Degradation(crf=rng.randint(2, 14))


def degrade(frames: Frames, degradation: Degradation, *, seed: int = 0) -> Frames:
    """Degrade a clip.

    Args:
        frames: (T, H, W, 3) uint8 RGB; H and W even.
        degradation: What to do.
        seed: Of the noise, if there is any.

    Returns:
        (T, H, W, 3) uint8 RGB, as many frames and of the same size.
    """
    height, width = frames.shape[1:3]
    small = (
        max(32, round(width / degradation.scale) // 2 * 2),
        max(32, round(height / degradation.scale) // 2 * 2),
    )
    generator = np.random.default_rng(seed)
    prepared = []
    for frame in frames:
        image = Image.fromarray(frame)
        if degradation.blur > 0:
            image = image.filter(ImageFilter.GaussianBlur(degradation.blur))
        if degradation.scale > 1:
            image = image.resize(small, Image.Resampling.BICUBIC)
        pixels = np.asarray(image)
        if degradation.noise > 0:
            noisy = pixels + generator.normal(0.0, degradation.noise, pixels.shape)
            pixels = noisy.round().clip(0, 255).astype(np.uint8)
        prepared.append(pixels)
    if degradation.crf is not None:
        prepared = h264_round_trip(prepared, crf=degradation.crf)
    if degradation.scale > 1:
        size = (width, height)
        prepared = [
            np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BICUBIC)) for p in prepared
        ]
    return np.stack(prepared)


def h264_round_trip(frames: list[NDArray[np.uint8]], *, crf: int) -> list[NDArray[np.uint8]]:
    """Compress with libx264 in memory and decode again."""
    buffer = io.BytesIO()
    write_h264(frames, buffer, crf=crf)
    buffer.seek(0)
    return decode_rgb(buffer)


def decode_rgb(source: Path | BinaryIO, max_frames: int | None = None) -> list[NDArray[np.uint8]]:
    """First frames of a video's first video stream: (H, W, 3) uint8 RGB each."""
    file = str(source) if isinstance(source, Path) else source
    with av.open(file, "r") as container:
        pictures = islice(container.decode(video=0), max_frames)
        return [picture.to_ndarray(format="rgb24").astype(np.uint8) for picture in pictures]


def write_h264(
    frames: Iterable[NDArray[np.uint8]], target: Path | BinaryIO, *, crf: int, rate: int = 25
) -> None:
    """Write an MP4 as cheap tools do: libx264, preset veryfast, 4:2:0, no colour tags.

    Args:
        frames: (H, W, 3) uint8 RGB each; H and W even.
        target: A path or an open binary file.
        crf: Quality, 0 to 51; more is worse.
        rate: Frames per second.
    """
    file = str(target) if isinstance(target, Path) else target
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(
            "libx264",
            rate=Fraction(rate),
            options={"crf": str(crf), "preset": "veryfast"} | _REPEATABLE,
        )
        stream.codec_context.thread_count = 1
        stream.pix_fmt = "yuv420p"
        for index, frame in enumerate(frames):
            if index == 0:
                stream.height, stream.width = frame.shape[:2]
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
