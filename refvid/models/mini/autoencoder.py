"""The mini backbone: codec, matching, reference attention and fusion put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from refvid.models.backbone import BackboneLimits, Decoded, Encoded
from refvid.models.mini.attention import Attended, KeyMap
from refvid.models.mini.codec import PatchCodec
from refvid.models.mini.config import MiniConfig
from refvid.models.mini.decoder import MiniDecoder, spectrum_of
from refvid.models.mini.frame_workers import count_workers, frame_workers
from refvid.models.mini.matching import (
    TOKEN,
    Matches,
    MatchIndex,
    index_reference,
    match_tokens,
)
from refvid.models.mini.windows import HALO_PX, rebuild_in_windows
from refvid.models.registry import MINI


@dataclass(frozen=True, slots=True)
class MiniReference:
    """A reference made ready: what matching and attention need of it."""

    index: MatchIndex
    keys: KeyMap


@dataclass(frozen=True, slots=True)
class MiniState:
    """What the next chunk of a shot needs: where each token of the last frame was found."""

    position: Tensor
    """(B, M, 2) places in the reference [pixels]."""


class MiniBackbone:
    """`Backbone` on a device; see `refvid.models.backbone` for the contract."""

    name = MINI
    limits = BackboneLimits(
        size_multiple=TOKEN,
        min_size=32,
        temporal_stride=1,
        first_chunk_extra=0,
        default_chunk=8,
        max_chunk=64,
    )

    def __init__(
        self, decoder: MiniDecoder, config: MiniConfig, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.config, self.device, self.dtype = config, device, dtype
        self.codec = PatchCodec(config).to(device)
        decoder = decoder.eval().requires_grad_(False).to(device, dtype)
        self.decoder: MiniDecoder = decoder.to(
            memory_format=torch.channels_last  # type: ignore[call-overload]  # not in torch's stubs
        )

    @torch.inference_mode()
    def encode(self, clip: Tensor, state: Any = None) -> Encoded:  # noqa: ARG002  # the protocol's
        """(B, 3, T, H, W) in [-1, 1] -> latents (B, 96, T, H/8, W/8); frames are independent."""
        batch, _, length = clip.shape[:3]
        frames = clip.to(self.device).transpose(1, 2).flatten(0, 1)
        latents = self.codec.encode(frames)
        return Encoded(latents.view(batch, length, *latents.shape[1:]).transpose(1, 2), None)

    @torch.inference_mode()
    def prepare_reference(self, reference: Tensor) -> MiniReference:
        """Index a reference (B, 3, H, W) in [-1, 1]; H and W multiples of 8."""
        reference = reference.to(self.device, torch.float32)
        keys = self.decoder.attention.map_reference(reference.to(self.dtype))
        return MiniReference(index_reference(reference), keys)

    @torch.inference_mode()
    def decode(
        self,
        latents: Tensor,
        reference: MiniReference | None = None,
        state: MiniState | None = None,
        *,
        tile: int | None = None,
    ) -> Decoded:
        """Latents (B, 96, T, h, w) -> clip (B, 3, T, 8h, 8w).

        Matching goes from frame to frame; what follows it does not, and on a CPU runs on several
        frames at a time with one thread each: small convolutions use many threads badly.
        """
        tokens = latents.to(self.device).transpose(1, 2).flatten(0, 1)
        grid = latents.shape[0], latents.shape[2]
        frames, spectra = self.codec.decode(tokens), spectrum_of(tokens)
        frames, spectra = frames.view(*grid, *frames.shape[1:]), spectra.view(*grid, -1)
        with frame_workers(self.device, frames[0, 0, 0].numel()) as submit:
            pending = []
            for frame, spectrum in zip(frames.unbind(1), spectra.unbind(1), strict=True):
                matches = None
                if reference is not None:
                    prior = state.position if state else None
                    matches = match_tokens(frame, reference.index, prior)
                    state = MiniState(matches.position)
                pending.append(submit(self._rebuild, frame, spectrum, reference, matches, tile))
            return Decoded(torch.stack([result.result() for result in pending], 2), state)

    @torch.inference_mode()
    def _rebuild(
        self,
        frame: Tensor,
        spectrum: Tensor,
        reference: MiniReference | None,
        matches: Matches | None,
        tile: int | None,
    ) -> Tensor:
        attended = None
        if reference is not None and matches is not None:
            attended = self.decoder.attention(frame.to(self.dtype), reference.keys, matches)

        def restore(rows: slice, columns: slice) -> Tensor:
            window: Tensor = self.decoder(
                frame[..., rows, columns], spectrum, _crop_attended(attended, rows, columns)
            )
            return window

        return rebuild_in_windows(frame, tile, restore).clamp_(-1, 1)

    def plain(self) -> None:
        """No decoder of its own was trained without the reference attention."""

    def bound_memory(self) -> None:
        """Nothing that goes from chunk to chunk is worth moving."""

    def working_bytes(self, height: int, width: int, frames: int, tile: int | None) -> int:
        """Peak memory of one chunk [bytes]; at or above what 480p to 2160p frames took."""
        element = torch.tensor([], dtype=self.dtype).element_size()
        area = height * width
        window = area if tile is None else min(area, (tile + 2 * HALO_PX) ** 2)
        clip = area * frames * _CLIP_BYTES
        reference = area * (_KEY_VALUES * element + _MATCH_BYTES)
        fusion = window * min(frames, count_workers(self.device, area)) * _FUSION_VALUES * element
        return round(_BASE_BYTES + clip + reference + fusion)


_BASE_BYTES = 64 << 20
"""Scratch of libraries and of matching, whatever the size."""

_CLIP_BYTES = 30
"""Bytes per pixel and frame: clip, latents, decoded and rebuilt frames."""

_KEY_VALUES = 40
"""Values per pixel in the key map."""

_MATCH_BYTES = 120
"""Bytes per pixel of the patches and scores that matching keeps."""

_FUSION_VALUES = 70
"""Values per pixel alive at the fusion network's peak."""


def _crop_attended(attended: Attended | None, rows: slice, columns: slice) -> Attended | None:
    if attended is None:
        return None
    half = (
        ...,
        slice(rows.start // 2, rows.stop // 2),
        slice(columns.start // 2, columns.stop // 2),
    )
    return Attended(attended.values[half], attended.statistics[half])
