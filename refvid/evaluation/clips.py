"""What the evaluations share: clips to measure on, and the report's file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from refvid.errors import InputError
from refvid.evaluation.rebuilding import Frames
from refvid.media.folders import is_folder, list_files
from refvid.media.partial_file import partial_file
from refvid.media.pixel_conversion import to_uint8
from refvid.media.reader import open_video
from refvid.training.clips import CLIP_SUFFIXES
from refvid.wording import counted

_SMALLEST = 16
"""Sides [pixels]: cropped to a multiple of 8, they hold a window of SSIM's, which has 11."""


class Report(Protocol):
    """What an evaluation gives."""

    def to_json(self) -> dict[str, Any]: ...

    def to_markdown(self) -> str: ...


def find_clips(folder: Path, most: int | None = None) -> list[Path]:
    """Videos in a folder, by name, at most so many.

    Raises:
        InputError: It is no folder, or may not be listed.
    """
    if not is_folder(folder):
        raise InputError(f"{folder} is no folder: give one with clean clips.")
    paths = [path for path in list_files(folder) if path.suffix.lower() in CLIP_SUFFIXES]
    return paths[:most]


def read_clip(path: Path, frames: int, *, fewest: int = 1) -> Frames:
    """The first frames of a video, cropped to multiples of 8.

    Args:
        path: The video.
        frames: At most so many.
        fewest: How many it must have.

    Raises:
        InputError: It cannot be read, has fewer frames, or is too small to be measured.
    """
    with open_video(path, frames=frames) as video:
        if min(video.info.size) < _SMALLEST:
            width, height = video.info.size
            raise InputError(
                f"{path} is too small to be measured: {width}x{height}. Clips have at least "
                f"{_SMALLEST}x{_SMALLEST} pixels."
            )
        clip: Frames = np.stack([to_uint8(frame.pixels) for frame in video])
    if len(clip) < fewest:
        raise InputError(
            f"{path} has only {counted(len(clip), 'frame')}: at least {fewest} are needed. Leave "
            "it out, or give a longer clip."
        )
    # H.264 in 4:2:0 and the block measures want multiples of 8.
    return np.ascontiguousarray(clip[:, : clip.shape[1] // 8 * 8, : clip.shape[2] // 8 * 8])


def write_report(report: Report, output: Path | None) -> None:
    """Write a report where it is wanted: JSON if the name ends so, else Markdown."""
    if output is not None:
        as_json = output.suffix == ".json"
        text = json.dumps(report.to_json(), indent=2) if as_json else report.to_markdown()
        with partial_file(output, overwrite=True) as partial:
            partial.write_text(text + "\n", encoding="utf-8")
