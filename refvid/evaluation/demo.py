"""`refvid demo`: the main job on a clip made from the bundled picture.

A camera moves over a scene, something passes in front of it, and strong compression takes the
detail away; then `enhance` brings it back with a photo of the scene: by another camera, nearer,
turned, brighter and warmer, and without what passes in front.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from refvid.errors import OutputError
from refvid.media.image import write_image
from refvid.media.inputs import Job
from refvid.media.outputs import check_outputs
from refvid.media.partial_file import partial_file
from refvid.media.reader import open_video
from refvid.metrics.psnr import psnr
from refvid.progress import ProgressCallback
from refvid.rebuild.choose_backbone import choose_backbone
from refvid.rebuild.enhance import enhance
from refvid.rebuild.options import ModelOptions, RebuildOptions
from refvid.rebuild.reference_options import References, ReferenceSource
from refvid.training.degradations import write_h264
from refvid.training.synthetic import moving_photo

Frames = NDArray[np.uint8]

_SIZE = (448, 320)
_FRAMES = 33
_RATE = 24
_CRF = 36
_SEED = 41
_SHOWN_FRAME = 12
_PHOTO_TURN = 4
"""How far the photo is turned [degrees]."""

_PHOTO_MARGIN = 0.07
"""Share of the scene that the photo lacks at each side."""

_PHOTO_WIDTH = 620
_PHOTO_GAINS = (1.22, 1.12, 0.98)
"""Of red, green and blue: brighter and warmer."""

_ZOOM = 3
"""Enlargement of the details in the comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """One run of the demo."""

    output: Path
    """Folder for the files; made if it is missing."""

    overwrite: bool = False
    model: ModelOptions = field(default_factory=ModelOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """Where the files are, and what was gained."""

    input: Path
    reference: Path
    output: Path
    comparison: Path
    psnr_before: float
    """Input to original, mean over all frames [dB]."""

    psnr_after: float
    """Output file to original, likewise [dB]."""

    frames: int
    seconds: float
    """Spent in `enhance`."""

    def to_json(self) -> dict[str, Any]:
        return {
            "input": str(self.input),
            "reference": str(self.reference),
            "output": str(self.output),
            "comparison": str(self.comparison),
            "psnr_before": round(self.psnr_before, 3),
            "psnr_after": round(self.psnr_after, 3),
            "frames": self.frames,
            "seconds": round(self.seconds, 3),
        }


def run_demo(options: DemoOptions, on_progress: ProgressCallback) -> DemoReport:
    """Make a clip, degrade it, enhance it, and measure the gain.

    Raises:
        OutputError: The folder cannot be written, or holds results and `overwrite` is not set.
    """
    names = ("input.mp4", "reference.jpg", "output.mp4", "comparison.png")
    input_path, reference, output, comparison = (options.output / name for name in names)
    check_outputs(
        (input_path, reference, output, comparison),
        overwrite=options.overwrite,
        may_make_folder=True,
    )
    loaded = choose_backbone(options.model)
    original = sample_clip()
    try:
        options.output.mkdir(parents=True, exist_ok=True)
        with partial_file(input_path, overwrite=options.overwrite) as partial:
            write_h264(original, partial, crf=_CRF, rate=_RATE)
    except OSError as error:
        raise OutputError(
            f"Cannot write to {options.output}: {error.strerror or error}."
        ) from error
    write_image(reference, sample_photo())

    started = time.monotonic()
    report = enhance(
        Job(source=input_path, output=output),
        References(sources=(ReferenceSource(image=reference),)),
        RebuildOptions(overwrite=options.overwrite),
        loaded,
        on_progress,
    )
    seconds = time.monotonic() - started

    before, after = _read(input_path), _read(output)
    write_image(comparison, compare_frames(before, after, original, _SHOWN_FRAME))
    return DemoReport(
        input=input_path,
        reference=reference,
        output=output,
        comparison=comparison,
        psnr_before=_mean_psnr(before, original),
        psnr_after=_mean_psnr(after, original),
        frames=report.frames,
        seconds=seconds,
    )


def sample_clip() -> Frames:
    """The clean clip, (T, H, W, 3) uint8 RGB: always the same."""
    photo = _scene()
    rng = random.Random(_SEED)
    return moving_photo(photo, size=_SIZE, frames=_FRAMES, rng=rng, foreground=photo, speed=0.6)


def sample_photo() -> Frames:
    """What another camera saw of the clip's scene, (h, w, 3) uint8 RGB."""
    scene = _scene()
    turned = scene.rotate(_PHOTO_TURN, Image.Resampling.BICUBIC, expand=False)
    margin = round(scene.width * _PHOTO_MARGIN)
    seen = turned.crop((margin, margin, scene.width - margin, scene.height - margin))
    large = seen.resize((_PHOTO_WIDTH, _PHOTO_WIDTH), Image.Resampling.BICUBIC)
    exposed = np.asarray(large, np.float32) * np.array(_PHOTO_GAINS, np.float32)
    return exposed.round().clip(0, 255).astype(np.uint8)


def _scene() -> Image.Image:
    with (
        resources.as_file(resources.files("refvid.assets") / "astronaut.webp") as path,
        Image.open(path) as picture,
    ):
        return picture.convert("RGB")


def compare_frames(before: Frames, after: Frames, original: Frames, index: int) -> Frames:
    """Input, output and original side by side, with the most improved detail enlarged below."""
    pictures = [clip[index] for clip in (before, after, original)]
    height, width = pictures[0].shape[:2]
    side = (height // _ZOOM, width // _ZOOM)
    top, left = _most_improved(pictures[0], pictures[1], pictures[2], side)
    details = [
        np.asarray(
            Image.fromarray(picture[top : top + side[0], left : left + side[1]]).resize(
                (width, height), Image.Resampling.BICUBIC
            )
        )
        for picture in pictures
    ]
    sheet = Image.fromarray(np.concatenate([np.concatenate(row, 1) for row in (pictures, details)]))
    draw = ImageDraw.Draw(sheet)
    for column, label in enumerate(("input", "refvid", "original")):
        draw.text(
            (column * width + 10, 8),
            f"{label}, frame {index}",
            fill="white",
            stroke_fill="black",
            stroke_width=2,
            font=ImageFont.load_default(20),
        )
    return np.asarray(sheet)


def _most_improved(
    before: Frames, after: Frames, original: Frames, side: tuple[int, int]
) -> tuple[int, int]:
    """Corner of the window in which the squared error fell the most."""
    error = [np.square(p.astype(np.float32) - original).sum(-1) for p in (before, after)]
    total = np.pad((error[0] - error[1]).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    rows, columns = side
    windows = (
        total[rows:, columns:] - total[:-rows, columns:]
        - total[rows:, :-columns] + total[:-rows, :-columns]
    )  # fmt: skip
    row, column = np.unravel_index(int(windows.argmax()), windows.shape)
    return int(row), int(column)


def _mean_psnr(frames: Frames, original: Frames) -> float:
    return fmean(psnr(a, b) for a, b in zip(frames, original, strict=True))


def _read(path: Path) -> Frames:
    with open_video(path) as video:
        return np.stack([frame.pixels for frame in video])
