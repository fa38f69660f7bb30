"""RefTok as a tokenizer: a token is how the reference moves, and what is learned besides."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from refvid.models.mini_tokens.config import (
    MOTION_LEVELS,
    MiniReftok16Config,
    MiniReftokConfig,
    MiniReftokTwinConfig,
)
from refvid.models.mini_tokens.motion import find_motion, move_reference
from refvid.models.mini_tokens.network import MiniReftok, half_precision
from refvid.models.registry import MINI_REFTOK, MINI_REFTOK_16, MINI_REFTOK_TWIN
from refvid.models.tokenizer import TokenizerFacts, Tokens, weights_hash

_NAMES = {
    MiniReftokConfig: MINI_REFTOK,
    MiniReftok16Config: MINI_REFTOK_16,
    MiniReftokTwinConfig: MINI_REFTOK_TWIN,
}

_BYTES_PER_PIXEL = 300
"""Of a frame that a block needs, measured at 4K: four frames and what they are moved from."""

_BYTES = 400 * 2**20
"""More than that: features of a strip."""


class Reftok:
    """`Tokenizer` on a device; see `refvid.models.tokenizer` for the contract."""

    def __init__(
        self, network: MiniReftok, config: MiniReftokConfig, device: torch.device,
        dtype: torch.dtype,
    ) -> None:  # fmt: skip
        self.name = _NAMES[type(config)]
        self.config, self.device, self.dtype = config, device, dtype
        motion = (MOTION_LEVELS,) if config.reference else ()
        self.facts = TokenizerFacts(
            name=self.name,
            sha256=weights_hash(self.name, asdict(config), network.state_dict()),
            side=config.side,
            block=config.frames,
            levels=(*motion, *config.levels),
            uses_reference=config.reference,
            size_multiple=2 * config.side,
        )
        self.network = network.eval().requires_grad_(False).to(device)

    @torch.inference_mode()
    def encode(
        self, frames: Tensor, reference: Tensor | None, state: Any = None
    ) -> tuple[Tokens, Any]:
        """The state is where the last frame lies in the reference."""
        block = _whole(frames.to(self.device), self.config.frames)
        motion = moved = None
        if self.config.reference:
            assert reference is not None, "its facts say that it uses one"
            reference = reference.to(self.device)
            motion, state = find_motion(block, reference, self.config.side, state)
            motion = motion.to(self.device)
            moved = move_reference(reference[None], motion, self.config.side)
        with half_precision(self.device, self.dtype):
            numbers = self.network.encoder(block[None], moved)
        quantiser = self.network.quantiser
        grid = quantiser.to_indices(quantiser.quantise(numbers))
        if motion is not None:
            grid = motion + MOTION_LEVELS * grid
        return Tokens(grid, grid.new_empty(0, 0)), state

    @torch.inference_mode()
    def decode(
        self, tokens: Tokens, frames: int, reference: Tensor | None, state: Any = None
    ) -> tuple[Tensor, Any]:
        """There is no state."""
        grid, moved = tokens.grid.to(self.device), None
        if self.config.reference:
            assert reference is not None, "its facts say that it uses one"
            reference = reference.to(self.device)
            moved = move_reference(reference[None], grid % MOTION_LEVELS, self.config.side)
            grid = grid // MOTION_LEVELS
        codes = self.network.quantiser.from_indices(grid)
        told = None if reference is None or moved is None else reference[None]
        with half_precision(self.device, self.dtype):
            block: Tensor = self.network.decoder(codes, moved, told)
        return block[0, :frames], state

    def working_bytes(self, height: int, width: int) -> int:
        """Estimate of the memory that a block of such frames needs [bytes]."""
        return _BYTES + _BYTES_PER_PIXEL * height * width


def _whole(frames: Tensor, length: int) -> Tensor:
    """Repeat the last frame until the block is whole."""
    missing = length - len(frames)
    return torch.cat((frames, frames[-1:].expand(missing, -1, -1, -1))) if missing else frames
