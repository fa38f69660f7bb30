"""The VideoVAE+ backbone: encoder, temporal codec, decoder and reference attention together."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from refvid.models.backbone import BackboneLimits, Decoded, Encoded, Memory
from refvid.models.placement import place
from refvid.models.reference_attention import ReferenceAttention
from refvid.models.reference_tokens import ReferenceTokens
from refvid.models.registry import VIDEOVAE_PLUS
from refvid.models.tiles import Blend, Span, Windows, crop, plan_windows
from refvid.models.videovaeplus.blocks import VALUES_PER_STEP
from refvid.models.videovaeplus.config import VideoVaePlusConfig
from refvid.models.videovaeplus.decoder import VideoVaePlusDecoder
from refvid.models.videovaeplus.encoder import VideoVaePlusEncoder
from refvid.models.videovaeplus.temporal import TemporalDecoder, TemporalEncoder

TRAINED_PIXELS = 1620 * 256
"""Area of the largest frames that the published inference takes: 1620 tokens."""


class Posterior(NamedTuple):
    """What the encoders make of a clip; the mode is the mean."""

    frame_mean: Tensor
    """(B, C, T, h, w), before the temporal encoder."""

    mean: Tensor
    """(B, C, t, h, w)."""

    log_variance: Tensor
    """(B, C, t, h, w)."""


class VideoVaePlusAutoencoder(nn.Module):
    """All networks under the names of the published checkpoints, which have no common prefix.

    Can be built on the meta device and filled with `load_state_dict(..., assign=True)`. There are
    no buffers.
    """

    def __init__(self, config: VideoVaePlusConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = VideoVaePlusEncoder(config)
        self.encoder_temporal = TemporalEncoder(config)
        self.decoder_temporal = TemporalDecoder(config)
        self.decoder = VideoVaePlusDecoder(config)
        self.ref_conv_in = ReferenceTokens(
            config.reference_patch, config.stages[0][0], None, frames_axis=True
        )
        self.transformer = ReferenceAttention(
            config.stages,
            config.transformer_blocks,
            config.heads,
            config.head_channels,
            config.feed_forward_channels,
        )

    def encode(self, clip: Tensor) -> Posterior:
        """Encode a clip (B, 3, T, H, W) in [-1, 1]; T a multiple of 4, H and W of 8."""
        frame_mean, _ = self.encoder(clip.movedim(1, -1).contiguous()).chunk(2, -1)
        moments = self.encoder_temporal(frame_mean)
        mean, log_variance = moments.movedim(-1, 1).chunk(2, 1)
        return Posterior(
            frame_mean.movedim(-1, 1), mean.contiguous(), log_variance.clamp(-30.0, 20.0)
        )

    def embed_reference(self, reference: Tensor) -> Tensor:
        """Reference (B, 3, H, W) in [-1, 1] -> features (B, 1, H / 2, W / 2, C)."""
        embedded: Tensor = self.ref_conv_in(reference)
        return embedded

    def decode(
        self,
        latents: Tensor,
        reference: Tensor | None = None,
        *,
        attention: bool = True,
        windows: Windows | None = None,
    ) -> Tensor:
        """Decode one chunk.

        Args:
            latents: (B, C, t, h, w).
            reference: From `embed_reference`, or None: attention among video tokens alone.
            attention: False skips the transformer: the plain VideoVAE+ decoder.
            windows: Of the latent grid, to bound memory; the group norms then see one window.
                None: the whole frame.

        Returns:
            (B, 3, 4t, 8h, 8w) float32, about [-1, 1]: not clamped.
        """
        height, width = latents.shape[3:]
        scale = self.config.spatial_stride
        reference_scale = scale // self.config.reference_patch
        head = self.decoder.head(self.decoder_temporal(latents.movedim(1, -1).contiguous()))
        windows = windows or plan_windows(height, width, None)
        blend = Blend(windows, scale)
        batch, frames = head.shape[:2]
        clip = latents.new_zeros(
            batch, frames, height * scale, width * scale, 3, dtype=torch.float32
        )
        for index, window in enumerate(windows.pairs):
            pixels = self.decoder.body(
                crop(head, window).contiguous(),
                None
                if reference is None
                else crop(reference, _enlarge(window, reference_scale)).contiguous(),
                self.transformer if attention else None,
            )
            blend.add(clip, index, pixels)
        return clip.movedim(-1, 1).contiguous()


class VideoVaePlusBackbone:
    """`Backbone` on a device; see `refvid.models.backbone` for the contract.

    Nothing is carried from chunk to chunk: neighbouring chunks overlap instead (see
    `BackboneLimits.overlap`). The encoder computes in float32, the decoder in `dtype`. Weights of
    16 bits stay as they are where `dtype` is float32: that is exact and half the memory.

    Args:
        model: With its weights; it is moved to the device.
        device: Where it computes.
        dtype: Precision of the decoder.
        overlapping: False decodes chunks without overlap, as the published script does.
    """

    name = VIDEOVAE_PLUS

    def __init__(
        self,
        model: VideoVaePlusAutoencoder,
        device: torch.device,
        dtype: torch.dtype,
        *,
        overlapping: bool = True,
    ) -> None:
        self.device, self.dtype = device, dtype
        self.attention = True
        self.limits = LIMITS if overlapping else replace(LIMITS, overlap=0, independent_chunks=True)
        self.model = model.eval().requires_grad_(False)
        for encoder in (model.encoder, model.encoder_temporal):
            place(encoder, device, torch.float32)
        for decoder in (
            model.decoder_temporal,
            model.decoder,
            model.ref_conv_in,
            model.transformer,
        ):
            place(decoder, device, dtype)

    @property
    def config(self) -> VideoVaePlusConfig:
        return self.model.config

    def plain(self) -> VideoVaePlusBackbone:
        """Give the plain VideoVAE+ decoder, with the same weights in memory."""
        plain = copy.copy(self)
        plain.attention = False
        return plain

    @torch.inference_mode()
    def encode(self, clip: Tensor, state: None = None) -> Encoded:  # noqa: ARG002
        """(B, 3, 4t, H, W) in [-1, 1] -> latents (B, 16, t, H/8, W/8), float32.

        Frames larger than the network was trained with go in windows, however much memory there
        is: latents do not depend on the machine.
        """
        clip = clip.to(self.device, torch.float32)
        batch, _, frames, height, width = clip.shape
        windows = self._encoder_windows(height, width)
        scale = self.config.spatial_stride
        blend = Blend(windows, scale=1)
        latents = clip.new_zeros(
            batch,
            frames // self.config.temporal_stride,
            height // scale,
            width // scale,
            self.config.latent_channels,
        )
        for index, window in enumerate(windows.pairs):
            part = crop(clip.movedim(1, -1), _enlarge(window, scale)).movedim(-1, 1)
            blend.add(latents, index, self.model.encode(part).mean.movedim(1, -1))
        return Encoded(latents.movedim(-1, 1).contiguous(), None)

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
        state: None = None,  # noqa: ARG002
        *,
        tile: int | None = None,
    ) -> Decoded:
        """Latents (B, 16, t, h, w) -> clip (B, 3, 4t, 8h, 8w) float32, about [-1, 1].

        In windows, each sees the reference's part in it.
        """
        clip = self.model.decode(
            latents.to(self.device, self.dtype),
            reference,
            attention=self.attention,
            windows=self._windows(latents.shape[3] * 8, latents.shape[4] * 8, tile),
        )
        return Decoded(clip, None)

    def working_bytes(self, height: int, width: int, frames: int, tile: int | None) -> int:
        """Peak memory beside the weights of one `encode` and `decode` of such a chunk [bytes].

        From live tensor bytes counted at several sizes.
        """
        element = self.dtype.itemsize
        channels = self.config.base_channels
        encoded = _largest(self._encoder_windows(height, width), self.config)
        encoder = 4 * channels * _in_layers(encoded, frames, channels, 2.0)
        window = _largest(self._windows(height, width, tile), self.config)
        # At the full size, twice as many channels come in as go out.
        decoder = element * channels * _in_layers(window, frames, 2 * channels, 4.0)
        clips = 4 * 3 * height * width * frames * 3
        return round(_MARGIN * (max(encoder, decoder) + clips)) + _WEIGHTS_CAST

    def bound_memory(self) -> None:
        """Nothing goes from chunk to chunk."""

    def _encoder_windows(self, height: int, width: int) -> Windows:
        is_large = height * width > TRAINED_PIXELS
        return self._windows(height, width, math.isqrt(TRAINED_PIXELS) if is_large else None)

    def _windows(self, height: int, width: int, tile: int | None) -> Windows:
        scale = self.config.spatial_stride
        side = None if tile is None else -(-tile // scale)
        return plan_windows(height // scale, width // scale, side)


def _largest(windows: Windows, config: VideoVaePlusConfig) -> int:
    """Area of the largest window [pixels]."""
    areas = [rows.length * columns.length for rows, columns in windows.pairs]
    return max(areas) * config.spatial_stride**2


def _in_layers(area: int, frames: int, channels: int, whole: float) -> float:
    """Values per full-size channel that a residual block holds at its peak.

    Args:
        area: Of a frame [pixels].
        frames: In the call.
        channels: Of the widest features.
        whole: Features of all frames, in units of the full size's channels.
    """
    step = min(frames, max(1, VALUES_PER_STEP // (area * channels)))
    return area * (whole * frames + 3.0 * step + 5.0)


_MARGIN = 1.1
"""For what is not counted: scratch memory of convolutions, fragments."""

_WEIGHTS_CAST = 900_000_000
"""The widest patch embedding's weights, in the precision and the order that they are used in."""


def _enlarge(window: tuple[Span, Span], scale: int) -> tuple[Span, Span]:
    rows, columns = (Span(span.start * scale, span.stop * scale) for span in window)
    return rows, columns


_OVERLAP = 8
"""The shortest overlap whose seams show no more than what chunks disagree about inside (measured
on the network in small: benchmarks/chunk_overlap.py); it doubles the work."""

LIMITS = BackboneLimits(
    size_multiple=8,
    min_size=16,
    temporal_stride=4,
    first_chunk_extra=0,
    default_chunk=16,
    max_chunk=16,
    trained_pixels=TRAINED_PIXELS,
    joins_references=True,
    overlap=_OVERLAP,
    memory=Memory(),
)
