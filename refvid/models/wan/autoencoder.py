"""The Wan 2.1 backbone: encoder, decoder and reference attention put together."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from refvid.models.backbone import Decoded, Encoded, Memory
from refvid.models.placement import place
from refvid.models.reference_attention import ReferenceAttention
from refvid.models.registry import WAN, Chunking
from refvid.models.tiles import Blend, Windows, crop, plan_windows
from refvid.models.wan.blocks import PointwiseConv3d
from refvid.models.wan.config import WanConfig
from refvid.models.wan.decoder import WanDecoder
from refvid.models.wan.encoder import WanEncoder
from refvid.models.wan.limits import LIMITS, measure_memory
from refvid.models.wan.past import Past, fetch
from refvid.models.wan.tiles import recut
from refvid.models.wan.working_memory import (
    ClipSizes,
    bytes_with_states,
    bytes_without_states,
)

_PIXELS_PER_STEP = 1_000_000
"""Full-size layers work on about so many pixels at once; more is hardly faster."""

_LONGEST_STEP = 4


class Posterior(NamedTuple):
    """What the encoder makes of a clip, (B, C, t, h, w) each; the mode is the mean."""

    mean: Tensor
    log_variance: Tensor


class WanState(NamedTuple):
    """What the next chunk of a shot needs to be decoded."""

    head: Past
    windows: Windows
    bodies: tuple[Past, ...]
    """One for each window."""


class _Vae(nn.Module):
    """Gives the parts of the VAE the names that they have in checkpoints: `ae.*`."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        self.encoder = WanEncoder(config)
        self.quant_conv = PointwiseConv3d(2 * config.latent_channels, 2 * config.latent_channels)
        self.post_quant_conv = PointwiseConv3d(config.latent_channels, config.latent_channels)
        self.decoder = WanDecoder(config)


class WanAutoencoder(nn.Module):
    """All networks under the names of the published checkpoints: `ae.*` and `transformer.*`.

    Can be built on the meta device and filled with `load_state_dict(..., assign=True)`. There are
    no buffers.
    """

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        self.config = config
        self.ae = _Vae(config)
        self.transformer = ReferenceAttention(
            config.stages,
            config.transformer_blocks,
            config.heads,
            config.head_channels,
            config.feed_forward_channels,
        )

    def encode(
        self, clip: Tensor, state: Past | None = None, home: torch.device | None = None
    ) -> tuple[Posterior, Past]:
        """Encode frames that make whole latent frames.

        Args:
            clip: (B, 3, T, H, W) in [-1, 1]; H and W multiples of 8. T is 4k + 1 at the start of
                a shot, else 4k.
            state: None at the start of a shot, else what the chunk before gave back.
            home: Where what the next chunk needs is kept; None: it is not.
        """
        past = dict(state or {})
        moments = self.ae.quant_conv(self.ae.encoder(clip.movedim(1, -1).contiguous(), past, home))
        mean, log_variance = moments.movedim(-1, 1).chunk(2, 1)
        return Posterior(mean.contiguous(), log_variance.clamp(-30.0, 20.0)), past

    def embed_reference(self, reference: Tensor) -> Tensor:
        """Reference (B, 3, H, W) in [-1, 1] -> features (B, 1, H / 8, W / 8, C)."""
        embedded: Tensor = self.ae.decoder.ref_conv_in(reference)
        return embedded

    def decode(
        self,
        latents: Tensor,
        reference: Tensor | None = None,
        state: WanState | None = None,
        *,
        attention: bool = True,
        tile: int | None = None,
        park: bool = False,
    ) -> tuple[Tensor, WanState]:
        """Decode one chunk.

        Args:
            latents: (B, C, t, h, w), raw: not normalised.
            reference: From `embed_reference`, or None: attention among video tokens alone.
            state: None at the start of a shot, else what the chunk before gave back.
            attention: False skips the transformer: the plain Wan decoder.
            tile: Work in windows of about this many pixels a side; None: whole frames.
            park: Move what the next chunk needs to main memory.

        Returns:
            (B, 3, T, H, W) float32 in [-1, 1] with T = 4t, or 4t - 3 at the start of a shot, and
            the new state.
        """
        height, width = latents.shape[3:]
        scale = self.config.spatial_stride
        decoder = self.ae.decoder
        device = latents.device

        x = self.ae.post_quant_conv(latents.movedim(1, -1).contiguous())
        head = fetch(state.head if state else None, device)
        x = decoder.head(x, head)
        windows = plan_windows(height, width, None if tile is None else -(-tile // scale))
        pasts: list[Past | None] = [None] * len(windows.pairs)
        if state is not None:
            same = state.windows == windows
            pasts = [*(state.bodies if same else recut(state.bodies, state.windows, windows))]
        blend = Blend(windows, scale)
        clip = None
        bodies = []
        for index, window in enumerate(windows.pairs):
            past = fetch(pasts[index], device)
            pixels = decoder.body(
                crop(x, window).contiguous(),
                None if reference is None else crop(reference, window).contiguous(),
                self.transformer if attention else None,
                past,
                _frames_per_step(scale**2 * window[0].length * window[1].length),
            )
            bodies.append(fetch(past, torch.device("cpu")) if park else past)
            del past
            if len(windows.pairs) == 1:
                clip = pixels.float()
                break
            if clip is None:
                batch, frames = pixels.shape[:2]
                clip = pixels.new_zeros(
                    batch, frames, height * scale, width * scale, 3, dtype=torch.float32
                )
            blend.add(clip, index, pixels)
        assert clip is not None, "there is at least one window"
        return clip.movedim(-1, 1).contiguous(), WanState(head, windows, tuple(bodies))


class WanBackbone:
    """`Backbone` on a device; see `refvid.models.backbone` for the contract.

    The encoder computes in float32 (small shifts of latents show), the decoder in `dtype`. Weights
    of 16 bits stay as they are where `dtype` is float32: that is exact and half the memory.

    Args:
        model: With its weights; it is moved to the device.
        device: Where it computes.
        dtype: Precision of the decoder.
        chunking: "independent" decodes every chunk as a shot of its own.
        attention: False skips the reference attention: the plain Wan decoder.
        park_state: Keep what goes from chunk to chunk in main memory, off the device. None: where
            a GPU is short of memory.
    """

    name = WAN

    def __init__(
        self,
        model: WanAutoencoder,
        device: torch.device,
        dtype: torch.dtype,
        *,
        chunking: Chunking = "carry",
        attention: bool = True,
        park_state: bool | None = None,
    ) -> None:
        self.device, self.dtype = device, dtype
        self.attention = attention
        self.chunking: Chunking = chunking
        self.limits = (
            replace(LIMITS, independent_chunks=True, memory=Memory())
            if chunking == "independent"
            else replace(LIMITS, memory=measure_memory(model.config))
        )
        self.model = model.eval().requires_grad_(False)
        place(model.ae.encoder, device, torch.float32)
        place(model.ae.quant_conv, device, torch.float32)
        place(model.ae.post_quant_conv, device, dtype)
        place(model.ae.decoder, device, dtype)
        place(model.transformer, device, dtype)
        self.park_state = park_state

    @property
    def config(self) -> WanConfig:
        return self.model.config

    def plain(self) -> WanBackbone:
        """Give the plain Wan decoder, with the same weights in memory."""
        plain = copy.copy(self)
        plain.attention = False
        return plain

    @torch.inference_mode()
    def encode(self, clip: Tensor, state: Past | None = None) -> Encoded:
        """(B, 3, T, H, W) in [-1, 1] -> raw latents (B, 16, t, H/8, W/8), float32.

        T is 4k + 1 at the start of a shot, else 4k; t is k + 1 or k.
        """
        frames, height, width = clip.shape[2:]
        home = self.device
        if self._must_park(height, width, frames, None):
            home = torch.device("cpu")
        carries = self.chunking == "carry"
        clip = clip.to(self.device, torch.float32)
        posterior, past = self.model.encode(clip, state, home if carries else None)
        return Encoded(posterior.mean, past if carries else None)

    @torch.inference_mode()
    def prepare_reference(self, reference: Tensor) -> Tensor:
        """Embed a reference (B, 3, H, W) in [-1, 1]; H and W multiples of 8."""
        return self.model.embed_reference(reference.to(self.device, self.dtype))

    def join_references(self, prepared: Sequence[Tensor]) -> Tensor:
        """Let the attention see all of these at once, which it has not learned."""
        return torch.cat(tuple(prepared), 1)

    @torch.inference_mode()
    def decode(
        self,
        latents: Tensor,
        reference: Tensor | None = None,
        state: WanState | None = None,
        *,
        tile: int | None = None,
    ) -> Decoded:
        """Raw latents (B, 16, t, h, w) -> clip (B, 3, T, 8h, 8w) float32 in [-1, 1].

        T is 4t - 3 at the start of a shot, else 4t. Attention sees the reference and these
        latents. In windows, each sees the reference's part in it.
        """
        frames, height, width = (
            stride * length for stride, length in zip((4, 8, 8), latents.shape[2:], strict=True)
        )
        clip, new_state = self.model.decode(
            latents.to(self.device, self.dtype),
            reference,
            state,
            attention=self.attention,
            tile=tile,
            park=self._must_park(height, width, frames, tile),
        )
        return Decoded(clip, None if self.chunking == "independent" else new_state)

    def working_bytes(self, height: int, width: int, frames: int, tile: int | None) -> int:
        """Peak memory beside the weights of one `encode` and `decode` of such a chunk [bytes].

        A GPU that is short of memory does without the states, which then wait in main memory: its
        figure is the one without them.
        """
        scale = self.config.spatial_stride
        side = None if tile is None else -(-tile // scale)
        windows = [
            scale**2 * rows.length * columns.length
            for rows, columns in plan_windows(height // scale, width // scale, side).pairs
        ]
        step = _frames_per_step(max(windows))
        sizes = ClipSizes(height, width, frames, windows, step, self.dtype.itemsize)
        if self.chunking == "independent" or self._may_park():
            return bytes_without_states(self.config, sizes)
        return bytes_with_states(self.config, sizes)

    def bound_memory(self) -> None:
        """Park states, though there may be room for them."""
        if self.device.type != "cpu":
            self.park_state = True

    def _may_park(self) -> bool:
        return self.device.type == "cuda" if self.park_state is None else self.park_state

    def _must_park(self, height: int, width: int, frames: int, tile: int | None) -> bool:
        """Whether the states of such a chunk should leave the device now."""
        if self.park_state is not None or self.device.type != "cuda":
            return bool(self.park_state)
        free, _ = torch.cuda.mem_get_info(self.device)
        reserve = torch.cuda.memory_reserved(self.device)
        free += reserve - torch.cuda.memory_allocated(self.device)
        # Old and new states at once, beside what a call needs without them.
        return free < 2 * self.working_bytes(height, width, frames, tile)


def _frames_per_step(pixels: int) -> int:
    return min(max(_PIXELS_PER_STEP // pixels, 1), _LONGEST_STEP)
