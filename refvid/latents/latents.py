"""One video's latents, as found in a file: what is known about them, and reading them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from refvid.errors import InputError
from refvid.latents.layout import Decision
from refvid.latents.measure import Measures
from refvid.latents.producers import FORMAT
from refvid.latents.wan import to_raw
from refvid.media.source_type import SourceType

_IMPOSSIBLE_VALUE: Final = 1e4


class LatentChunk(NamedTuple):
    """What goes through the decoder at once."""

    latents: Tensor
    """(1, C, t, h, w) float32, raw."""

    shared: int
    """Latent frames at its start that stand for the same frames as the last ones before it."""

    held_back: int
    """Latent frames at its end that the next chunk shares."""

    position: int
    """Of its first latent frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latents:
    """One video's latents in a file, still on the disk where the format allows."""

    path: Path
    container: str
    key: str
    saved_shape: tuple[int, ...]
    dtype: str
    backbone: str
    """Name of the backbone whose latents these are."""

    backbone_reason: str
    producer: str | None
    layout: Decision
    scale: Decision
    items: int
    measures: Measures
    tensor: Tensor = field(repr=False)
    """(C, T, h, w) of any float type, as saved; mapped from the disk."""

    width: int
    """Of the frames, as shown [pixels]."""

    height: int
    padded_width: int
    """Of what the decoder gives [pixels]."""

    padded_height: int
    frames: int
    temporal_stride: int
    chunk_latents: int
    """Latent frames of each stored chunk, where a model's chunks stand alone; 0: one sequence."""

    overlap_latents: int
    """Latent frames that a stored chunk shares with the one before it; both are stored."""

    frame_rate: Fraction | None
    image_name: str | None
    metadata: dict[str, str]
    warnings: tuple[str, ...]

    @property
    def source_type(self) -> SourceType:
        """What a video made of them is: generated, unless refvid encoded them from another."""
        if self.metadata.get("format") != FORMAT:
            return SourceType.GENERATED
        return SourceType.ENHANCED.of(self.metadata.get("source_type"))

    @property
    def length(self) -> int:
        """Number of latent frames."""
        return self.tensor.shape[1]

    def check(self) -> None:
        """Refuse what cannot be decoded.

        Raises:
            InputError: A decision is open, or values are no numbers.
        """
        if self.measures.bad_values:
            raise InputError(
                f"{self.path}: {self.measures.bad_values} values are NaN or infinite. The program "
                "that made these latents failed, often for want of precision: make them again, "
                "there in bf16 or fp32."
            )
        if max(abs(self.measures.lowest), abs(self.measures.highest)) > _IMPOSSIBLE_VALUE:
            raise InputError(
                f"{self.path}: the values go from {self.measures.lowest:.3g} to "
                f"{self.measures.highest:.3g}, which no latents do."
            )
        if self.layout.value is None:
            raise InputError(
                f"{self.path}: {self.layout.reason}. Say which with --layout bcthw or btchw."
            )
        if self.scale.value is None:
            raise InputError(
                f"{self.path}: whether these latents are raw or normalised is not clear "
                f"({self.scale.reason}; margin {_signed(self.scale.margin)}). Say it with "
                "--latent-scale: pipelines save normalized ones, ComfyUI's SaveLatent raw ones."
            )

    def read(self, start: int, stop: int) -> Tensor:
        """Load latent frames as raw latents.

        Returns:
            (1, C, stop - start, h, w) float32.
        """
        piece = self.tensor[None, :, start:stop].to(torch.float32)
        return to_raw(piece) if self.scale.value == "normalized" else piece.clone()

    def chunks(
        self,
        first: int,
        following: int,
        overlap: int = 0,
        *,
        start: int = 0,
        starts_shot: bool = True,
    ) -> Iterator[LatentChunk]:
        """Load latents, so many at a time; as they were encoded, where chunks stand alone.

        Args:
            first: Latent frames of the first chunk.
            following: Of every later one, what it shares included.
            overlap: What a later chunk shares with the one before it.
            start: Latent frame to begin with, at the start of a chunk.
            starts_shot: Whether the first chunk is one of so many as `first`.
        """
        stored = self.chunk_latents
        if stored:
            first, following, overlap = stored, stored, self.overlap_latents
        shared = 0
        length = first if starts_shot else following
        while start < self.length:
            stop = min(start + length, self.length)
            held_back = overlap if stop < self.length else 0
            yield LatentChunk(self.read(start, stop), shared, held_back, start)
            length = following
            # Stored chunks hold what they share themselves.
            start = stop if stored else stop - held_back
            shared = held_back

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "path": str(self.path),
            "kind": "latents",
            "container": self.container,
            "key": self.key,
            "shape": list(self.saved_shape),
            "dtype": self.dtype,
            "backbone": self.backbone,
            "backbone_reason": self.backbone_reason,
            "producer": self.producer,
            "layout": self.layout.value,
            "layout_reason": self.layout.reason,
            "layout_margin": _rounded(self.layout.margin),
            "scale": self.scale.value,
            "scale_reason": self.scale.reason,
            "scale_margin": _rounded(self.scale.margin),
            "videos": self.items,
            "latent_frames": self.length,
            "chunk_latents": self.chunk_latents or None,
            "overlap_latents": self.overlap_latents if self.chunk_latents else None,
            "frames": self.frames,
            "width": self.width,
            "height": self.height,
            "frame_rate": None if self.frame_rate is None else str(self.frame_rate),
            "image_name": self.image_name,
            "mean": _rounded(self.measures.mean),
            "std": _rounded(self.measures.std),
            "lowest": _rounded(self.measures.lowest),
            "highest": _rounded(self.measures.highest),
            "bad_values": self.measures.bad_values,
            "time_correlation": _rounded(self.measures.time_correlation),
            "warnings": list(self.warnings),
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4)


def _signed(value: float | None) -> str:
    return "unknown" if value is None else f"{value:+.3f}"
