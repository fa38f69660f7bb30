"""VTok's principle in a small network: one key frame in tokens, and one token per later frame.

VTok, arXiv:2602.04202. The token of a later frame is a vector of codes, one for each square of a
4x4 grid over the whole frame, whatever its size: where the key frame has moved there, and two
learned numbers that say what else has changed. The decoder moves the decoded key frame and mends
it. That keeps the motion of camera and subject; it is no faithful copy of the pixels.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from refvid.models.mini.alignment import Flow
from refvid.models.mini.fusion import start_at_zero
from refvid.models.mini_tokens.config import (
    MOTION_GRID,
    MOTION_LEVELS,
    KeyFrameConfig,
    MiniVtokConfig,
)
from refvid.models.mini_tokens.motion import (
    code_frame_motion,
    decode_frame_motion,
    search_motion,
)
from refvid.models.mini_tokens.network import (
    CELL,
    CELL_VALUES,
    MiniReftok,
    ResidualBlock,
    change_basis,
    half_precision,
)
from refvid.models.mini_tokens.warp import warp
from refvid.models.patch_codec import patch_basis
from refvid.models.quantiser import Quantiser
from refvid.models.registry import MINI_VTOK
from refvid.models.tokenizer import TokenizerFacts, Tokens, weights_hash

_POOLED = 4 * MOTION_GRID
"""The encoder sees differences as a picture of so many squares a side."""

_BLOCK = 4
_BYTES_PER_PIXEL = 400
"""Of a frame that a block needs, measured at 4K: its frames, and the features of one."""

_BYTES = 400 * 2**20
"""More than that: features of a strip of a key frame."""

_KEEP_START = 4.0
"""A gate starts at sigmoid(4): nearly all of the moved key frame is kept."""


class MiniVtok(nn.Module):
    """A codec for key frames, and what later frames add to them."""

    basis: Tensor

    def __init__(self, config: MiniVtokConfig) -> None:
        super().__init__()
        self.config = config
        self.quantiser = Quantiser(config.levels)
        self.key = MiniReftok(KeyFrameConfig())
        width, numbers = config.width, len(config.levels)
        self.see = nn.Sequential(
            nn.Conv2d(9, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 2, stride=2),
            nn.SiLU(),
            nn.Conv2d(width, numbers, 2, stride=2),
        )
        self.told = nn.Conv2d(numbers, width, 1)
        self.moved = nn.Conv2d(CELL_VALUES, width, 3, padding=1)
        self.mend = nn.Sequential(ResidualBlock(width), ResidualBlock(width))
        self.out = nn.Conv2d(width, 2 * CELL_VALUES, 3, padding=1)
        self.register_buffer("basis", patch_basis(CELL, CELL), persistent=False)
        if next(self.parameters()).is_meta:
            return
        with torch.no_grad():
            for block in self.mend.modules():
                if isinstance(block, ResidualBlock):
                    start_at_zero(block.second)
            start_at_zero(self.out)
            self.out.bias[CELL_VALUES:] = _KEEP_START  # type: ignore[index]  # it has a bias

    def numbers(self, frames: Tensor, moved: Tensor) -> Tensor:
        """Sum up what has changed besides motion.

        Args:
            frames: (N, 3, H, W) in [-1, 1].
            moved: The key frame as motion alone would have it, of the same shape.

        Returns:
            (N, D, 4, 4), for the quantiser.
        """
        difference = frames - moved
        sums = [
            functional.adaptive_avg_pool2d(part, _POOLED)
            for part in (difference, difference.abs(), moved)
        ]
        found: Tensor = self.see(torch.cat(sums, 1))
        return found

    def mended(self, moved: Tensor, codes: Tensor) -> Tensor:
        """Mend a moved key frame.

        Args:
            moved: (N, 3, H, W) in [-1, 1], H and W multiples of 4.
            codes: (N, D, 4, 4) in [-1, 1].

        Returns:
            (N, 3, H, W), near [-1, 1], float32.
        """
        cells = functional.pixel_unshuffle(moved, CELL)
        told = functional.interpolate(self.told(codes), cells.shape[-2:], mode="bilinear")
        x = self.mend(self.moved(cells) + told)
        made, gates = self.out(x).float().chunk(2, 1)
        kept = torch.sigmoid(gates) * change_basis(cells, self.basis)
        return functional.pixel_shuffle(change_basis(kept + made, self.basis.T), CELL)


@dataclass(frozen=True, slots=True)
class _Shot:
    """What later frames of a shot need."""

    key: Tensor
    """(3, H, W) in [-1, 1], as decoded."""

    found: Flow | None = None
    """Where the last frame lies in the shot's first one."""

    first: Tensor | None = None
    """(3, H, W): the shot's first frame itself, which later ones are searched in."""


class Vtok:
    """`Tokenizer` on a device; see `refvid.models.tokenizer` for the contract."""

    name = MINI_VTOK

    def __init__(
        self, network: MiniVtok, config: MiniVtokConfig, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.device, self.dtype = device, dtype
        key = network.key.config
        self.facts = TokenizerFacts(
            name=self.name,
            sha256=weights_hash(self.name, asdict(config), network.state_dict()),
            side=key.side,
            block=_BLOCK,
            levels=key.levels,
            vector=MOTION_GRID**2,
            vector_levels=(MOTION_LEVELS, MOTION_LEVELS, *config.levels),
            uses_reference=False,
            size_multiple=2 * key.side,
        )
        self.network = network.eval().requires_grad_(False).to(device)

    @torch.inference_mode()
    def encode(
        self, frames: Tensor, reference: Tensor | None, state: _Shot | None = None
    ) -> tuple[Tokens, _Shot]:
        """Encode up to a block; the first frame of a shot is its key frame."""
        del reference
        frames = frames.to(self.device)
        grid = torch.empty(0, *(side // self.facts.side for side in frames.shape[-2:])).long()
        if state is None:
            key, quantiser = self.network.key, self.network.key.quantiser
            with half_precision(self.device, self.dtype):
                numbers = key.encoder(frames[:1, None], None)
            grid = quantiser.to_indices(quantiser.quantise(numbers))
            state = _Shot(self._key_frame(grid), first=frames[0])
            frames = frames[1:]
        if not len(frames):
            return Tokens(grid, torch.empty(0, self.facts.vector).long()), state
        assert state.first is not None, "the state comes from this method"
        found, begin = search_motion(frames, state.first, (MOTION_GRID, MOTION_GRID), state.found)
        motion = code_frame_motion(found).to(self.device)
        with half_precision(self.device, self.dtype):
            numbers = torch.cat(
                [
                    self.network.numbers(frame[None], self._moved(state.key, codes[None]))
                    for frame, codes in zip(frames, motion, strict=True)
                ]
            )
        quantiser = self.network.quantiser
        learned = quantiser.to_indices(quantiser.quantise(numbers))
        codes = motion[:, 0] + MOTION_LEVELS * (motion[:, 1] + MOTION_LEVELS * learned)
        return Tokens(grid, codes.flatten(1)), replace(state, found=begin)

    @torch.inference_mode()
    def decode(
        self, tokens: Tokens, frames: int, reference: Tensor | None, state: _Shot | None = None
    ) -> tuple[Tensor, _Shot]:
        """Decode what `encode` made of so many frames."""
        del reference
        is_first = state is None
        if state is None:
            state = _Shot(self._key_frame(tokens.grid.to(self.device)))
        made = state.key.new_empty(frames, *state.key.shape)
        made[0] = state.key  # where the shot went on before, that is overwritten
        codes = tokens.vectors.to(self.device)
        codes = codes.view(len(codes), MOTION_GRID, MOTION_GRID)
        x, rest = codes % MOTION_LEVELS, codes // MOTION_LEVELS
        motion = torch.stack((x, rest % MOTION_LEVELS), 1)
        learned = self.network.quantiser.from_indices(rest // MOTION_LEVELS)
        with half_precision(self.device, self.dtype):
            for number in range(len(codes)):
                one = slice(number, number + 1)
                moved = self._moved(state.key, motion[one])
                made[number + is_first] = self.network.mended(moved, learned[one])[0]
        return made, state

    def working_bytes(self, height: int, width: int) -> int:
        """Estimate of the memory that a block of such frames needs [bytes]."""
        return _BYTES + _BYTES_PER_PIXEL * height * width

    def _key_frame(self, grid: Tensor) -> Tensor:
        key = self.network.key
        with half_precision(self.device, self.dtype):
            frames: Tensor = key.decoder(key.quantiser.from_indices(grid), None, None)
        return frames[0, 0].clamp(-1, 1)

    def _moved(self, key: Tensor, motion: Tensor) -> Tensor:
        size = (key.shape[-2], key.shape[-1])
        return warp(key[None], decode_frame_motion(motion, size))
