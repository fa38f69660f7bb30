"""What every tokenizer offers: frames of a shot -> whole numbers, and back.

As with backbones, what goes from one block of a shot to the next is passed in and handed back.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerFacts:
    """What a file of tokens says of the tokenizer that made it."""

    name: str
    sha256: str
    """Of its weights and sizes: tokens mean nothing to another one."""

    side: int
    """Height and width of what a token stands for [pixels]."""

    block: int
    """Frames that are worked on together. Of a grid model, all that a token stands for."""

    levels: tuple[int, ...]
    """Of the numbers in a token; the first one changes fastest with the index."""

    vector: int = 0
    """Codes of a later frame's vector; 0: all frames are in grids."""

    vector_levels: tuple[int, ...] = ()
    """Of the numbers in such a code."""

    uses_reference: bool
    size_multiple: int
    """Height and width of padded frames are multiples of this."""


class Tokens(NamedTuple):
    """Of the frames of one block."""

    grid: Tensor
    """(n, h, w) int64: blocks, or key frames."""

    vectors: Tensor
    """(m, K) int64: one for each later frame."""


class Tokenizer(Protocol):
    """A ready tokenizer on its device. All methods run without gradients."""

    @property
    def name(self) -> str: ...

    @property
    def facts(self) -> TokenizerFacts: ...

    def encode(
        self, frames: Tensor, reference: Tensor | None, state: Any = None
    ) -> tuple[Tokens, Any]:
        """Encode a block of a shot.

        Args:
            frames: (T, 3, H, W) in [-1, 1], padded; no more than a block, fewer at the shot's end.
            reference: (3, H, W) in [-1, 1], padded as they are; None where it uses none.
            state: None at the start of a shot, else what the last call gave.
        """
        ...

    def decode(
        self, tokens: Tokens, frames: int, reference: Tensor | None, state: Any = None
    ) -> tuple[Tensor, Any]:
        """Decode what `encode` made of so many frames: (T, 3, H, W), near [-1, 1]."""
        ...

    def working_bytes(self, height: int, width: int) -> int:
        """Estimate of the memory that a block of such frames needs [bytes]."""
        ...


def weights_hash(name: str, sizes: Mapping[str, Any], weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of a tokenizer: its name, its sizes and its weights."""
    digest = hashlib.sha256(json.dumps([name, sizes], sort_keys=True).encode())
    for key in sorted(weights):
        value = weights[key].detach().float().cpu().contiguous()
        digest.update(f"\n{key} {tuple(value.shape)}\n".encode())
        digest.update(value.numpy().astype("<f4", copy=False).tobytes())
    return digest.hexdigest()
