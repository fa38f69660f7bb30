"""What the evaluations share: clips to measure on, the model without files, the report's file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from refvid.errors import InputError
from refvid.inference.chunks import split_into_chunks
from refvid.inference.memory import choose_budget
from refvid.inference.overlap import ChunkJoiner
from refvid.inference.pixels import clip_to_frames, frames_to_clip
from refvid.inference.reconstruct import ShotState, reconstruct
from refvid.media.pixel_conversion import to_uint8
from refvid.media.reader import open_video
from refvid.workflows.choose_model import LoadedBackbone

Frames = NDArray[np.uint8]
"""(T, H, W, 3) RGB."""

VIDEO_SUFFIXES = {".mp4", ".mkv", ".webm", ".mov", ".avi"}


class Report(Protocol):
    """What an evaluation gives."""

    def to_json(self) -> dict[str, Any]: ...

    def to_markdown(self) -> str: ...


def find_clips(folder: Path, most: int | None = None) -> list[Path]:
    """Videos in a folder, by name, at most so many.

    Raises:
        InputError: It is no folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: give one with clean clips.")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)
    return paths[:most]


def read_clip(path: Path, frames: int) -> Frames:
    """The first frames of a video, cropped to multiples of 8."""
    with open_video(path, frames=frames) as video:
        clip: Frames = np.stack([to_uint8(frame.pixels) for frame in video])
    # H.264 in 4:2:0 and the block measures want multiples of 8.
    return np.ascontiguousarray(clip[:, : clip.shape[1] // 8 * 8, : clip.shape[2] // 8 * 8])


def rebuild_frames(loaded: LoadedBackbone, frames: Frames, prepared: Any) -> Frames:
    """Run a clip through the model as a command does, without files.

    Args:
        loaded: The model.
        frames: (T, H, W, 3), one shot.
        prepared: What `Backbone.decode` takes as `reference`.
    """
    backbone, device = loaded.backbone, loaded.device
    budget = choose_budget(backbone.limits, *frames.shape[1:3])
    state: ShotState | None = None
    joiner = ChunkJoiner()
    rebuilt: list[Frames] = []
    for chunk in split_into_chunks(((frame, False) for frame in frames), budget.lengths):
        clip = frames_to_clip(list(chunk.frames), device)
        result = reconstruct(backbone, clip, prepared, state, budget)
        state, budget = result.state, result.budget
        joined = joiner.join(result.clip, chunk.shared, chunk.held_back)
        rebuilt.append(clip_to_frames(joined, np.uint8))
    return np.concatenate(rebuilt)


def write_report(report: Report, output: Path | None) -> None:
    """Write a report where it is wanted: JSON if the name ends so, else Markdown."""
    if output is not None:
        as_json = output.suffix == ".json"
        text = json.dumps(report.to_json(), indent=2) if as_json else report.to_markdown()
        output.write_text(text + "\n", encoding="utf-8")
