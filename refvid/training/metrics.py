"""What a run tells of itself: lines of JSON, and sheets of pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from refvid.training.batch import Batch

_MOST_ROWS = 4


class MetricsFile:
    """`metrics.jsonl`: one object per line, each with its step."""

    def __init__(self, path: Path, step: int) -> None:
        """Lines after this step are of a run that was lost, and go."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = []
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    if json.loads(line)["step"] <= step:
                        kept.append(line)
                except (ValueError, TypeError, LookupError, RecursionError):
                    continue  # the last line of a run that was killed
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def write(self, **values: Any) -> None:
        """Add a line."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")


def write_pictures(path: Path, batch: Batch, output: Tensor) -> None:
    """Write a sheet of one frame per clip: input, output, clean, reference (as it is
    aligned with the frame, if so). Of the task style:
    input, painted, output, stylised if that is known, style.

    Args:
        path: A PNG file.
        batch: With a clip.
        output: (B, 3, T, H, W) in [-1, 1].
    """
    middle = output.shape[2] // 2
    columns = [output[:, :, middle]]
    if batch.clip is None or batch.painted is None or not torch.equal(batch.target, batch.clip):
        columns.append(batch.target[:, :, middle])
    if batch.painted is not None:
        columns.insert(0, batch.painted.painted[:, :, middle])
    if batch.clip is not None:
        columns.insert(0, batch.clip[:, :, middle])
    if batch.aligned is not None:
        columns.append(batch.aligned.pixels[:, :, middle])
    elif batch.reference is not None:
        columns.append(_reference_column(batch, output.shape[-2:]))
    rows = [torch.cat([c[i].float() for c in columns], -1) for i in range(len(output))]
    sheet = torch.cat(rows[:_MOST_ROWS], -2).clamp(-1, 1).add(1).mul(127.5).round().byte()
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet.permute(1, 2, 0).cpu().numpy()).save(path)


def _reference_column(batch: Batch, size: torch.Size) -> Tensor:
    """The part of each reference where its clip's frames lie; of styles, all."""
    assert batch.reference is not None
    if batch.painted is not None:
        return functional.adaptive_avg_pool2d(batch.reference, (size[0], size[1]))
    parts = []
    for reference, (top, left) in zip(batch.reference, batch.origin.tolist(), strict=True):
        parts.append(reference[:, top : top + size[0], left : left + size[1]])
    return torch.stack(parts)
