"""Which program wrote a file, told by its keys and metadata, and what follows from that."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from refvid.latents.tensor_file import TensorFile
from refvid.latents.workflow import scale_in_workflow

FORMAT: Final = "refvid-latents"
"""Value of the metadata entry `format` in refvid's own files."""

_OWN: Final = "refvid"
_VBENCH_KEYS: Final = {"latents", "height", "width", "image_name"}
_MUSUBI_CACHE: Final = re.compile(r"latents_[0-9]+x[0-9]+x[0-9]+_\w+")
_MUSUBI_METADATA: Final = {"video_length", "infer_steps", "guidance_scale"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Producer:
    """A program that writes latents."""

    name: str
    scale: str | None = None
    """raw or normalized, where it always writes the same."""

    scale_reason: str = ""
    is_certain: bool = True
    """Whether nothing but the numbers can speak against that."""

    is_channels_first: bool = True

    @property
    def is_own(self) -> bool:
        """Whether refvid wrote it, and knows."""
        return self.name == _OWN


def identify_producer(file: TensorFile, key: str) -> Producer | None:
    """Tell who wrote a file; None where it could be anyone."""
    metadata = file.metadata
    if metadata.get("format") == FORMAT:
        scale = str(metadata.get("scale", "raw"))
        return Producer(name=_OWN, scale=scale, scale_reason="refvid noted it in the file")
    names = {*file.entries, *metadata}
    if names >= _VBENCH_KEYS and key == "latents":
        return Producer(
            name="RefDecoder's VBench scripts",
            scale="normalized",
            scale_reason="RefDecoder's VBench scripts save normalised latents",
        )
    if key == "latent_tensor":
        found = scale_in_workflow(metadata.get("prompt"))
        return Producer(
            name="ComfyUI",
            scale=found.scale,
            scale_reason=found.reason,
            is_certain=found.is_certain,
        )
    is_cache = _MUSUBI_CACHE.fullmatch(key) is not None
    if is_cache or (key == "latent" and names & _MUSUBI_METADATA):
        return Producer(
            name="musubi-tuner",
            scale="normalized",
            scale_reason="musubi-tuner saves normalised latents",
        )
    return None
