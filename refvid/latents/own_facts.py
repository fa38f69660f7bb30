"""What refvid notes in its own files of latents; see `write`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from refvid.errors import InputError
from refvid.latents.tensor_file import TensorFile

_NUMBERS: Final = (
    "channels",
    "width",
    "height",
    "padded_width",
    "padded_height",
    "frames",
    "temporal_stride",
    "first_chunk_extra",
)
_MOST_CHANNELS: Final = 4096
_CHUNK_NUMBERS: Final = ("chunk_latents", "overlap_latents")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFacts:
    """What the metadata says, checked against the tensor."""

    backbone: str
    channels: int
    width: int
    height: int
    padded_width: int
    padded_height: int
    frames: int
    temporal_stride: int
    first_chunk_extra: int
    chunk_latents: int = 0
    """Latent frames of each chunk, where chunks stand alone; 0: they are one sequence."""

    overlap_latents: int = 0
    """Latent frames of a chunk that stand for the same frames as the last ones before it."""

    @classmethod
    def of(cls, file: TensorFile) -> OwnFacts:
        """Read a file that `refvid encode` wrote.

        Raises:
            InputError: The metadata is not whole, or contradicts the tensor.
        """
        numbers = {}
        for name in (*_NUMBERS, *(name for name in _CHUNK_NUMBERS if name in file.metadata)):
            text = file.metadata.get(name)
            if not isinstance(text, str) or not text.isascii() or not text.isdigit():
                raise InputError(f"{file.path}: its metadata has no valid {name!r}. Encode again.")
            numbers[name] = min(int(text[:12]), 2**31)
        backbone = file.metadata.get("backbone")
        if not isinstance(backbone, str) or not backbone:
            raise InputError(f"{file.path}: its metadata names no backbone. Encode again.")
        facts = cls(backbone=backbone, **numbers)
        tensor = file.entries.get("latents")
        extra, stride = facts.first_chunk_extra, facts.temporal_stride
        whole = (
            tensor is not None
            and len(tensor.shape) == 5
            and facts._has_whole_chunks(tensor.shape[2])
            and stride > 0
            and extra <= 1
            and 0 < facts.width <= facts.padded_width <= 2**15
            and 0 < facts.height <= facts.padded_height <= 2**15
            and 0 < facts.frames <= extra + (facts.distinct(tensor.shape[2]) - extra) * stride
            and tensor.shape[1] == facts.channels <= _MOST_CHANNELS
            and all(side > 0 for side in tensor.shape)
            and facts.padded_height % tensor.shape[3] == 0
            and facts.padded_width % tensor.shape[4] == 0
        )
        if not whole:
            raise InputError(f"{file.path}: its metadata contradicts its tensor. Encode again.")
        return facts

    def distinct(self, length: int) -> int:
        """Latent frames of a tensor that stand for frames of their own."""
        chunks = -(-length // self.chunk_latents) if self.chunk_latents else 1
        return length - (chunks - 1) * self.overlap_latents

    def _has_whole_chunks(self, length: int) -> bool:
        if not self.chunk_latents:
            return self.overlap_latents == 0
        last = (length - 1) % self.chunk_latents + 1
        return self.first_chunk_extra == 0 and self.overlap_latents < (
            last if length > last else self.chunk_latents
        )
