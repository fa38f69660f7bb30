"""The style backbone: fixed codec, a painting of every frame, and the decoder that joins both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from refvid.models.backbone import BackboneLimits, Decoded, Encoded, Keyframe, PackedState
from refvid.models.frame_workers import count_workers, frame_workers
from refvid.models.mini_style.config import MiniStyleConfig
from refvid.models.mini_style.decoder import MiniStyleDecoder
from refvid.models.mini_style.keyframes import KeyframeIndex
from refvid.models.mini_style.painting import Painting, PaintState, paint
from refvid.models.mini_style.state import pack, unpack
from refvid.models.mini_style.style_index import TURNS, StyleIndex, index_styles
from refvid.models.patch_codec import PatchCodec
from refvid.models.registry import MINI_STYLE
from refvid.models.windows import rebuild_in_windows

MAX_STYLE_PIXELS = 1 << 20
"""Larger style images are shrunk to this area: all their turns lie in memory."""

_MULTIPLE = 8
_SMALLEST_STYLE = 32


@dataclass(frozen=True, slots=True)
class StyleReference:
    """Styles and keyframes made ready; opaque to callers."""

    style: StyleIndex
    keyframes: tuple[KeyframeIndex, ...]


class MiniStyleBackbone:
    """`StyleBackbone` on a device; see `refvid.models.backbone` for the contract.

    One clip at a time: B is 1 everywhere.
    """

    name = MINI_STYLE
    limits = BackboneLimits(
        size_multiple=8,
        min_size=32,
        temporal_stride=1,
        first_chunk_extra=0,
        default_chunk=8,
        max_chunk=64,
        packs_state=True,
    )

    def __init__(
        self,
        decoder: MiniStyleDecoder,
        config: MiniStyleConfig,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.config, self.device, self.dtype = config, device, dtype
        self.codec = PatchCodec(chroma=4).to(device)
        decoder = decoder.eval().requires_grad_(False).to(device, dtype)
        self.decoder: MiniStyleDecoder = decoder.to(
            memory_format=torch.channels_last  # type: ignore[call-overload]  # not in torch's stubs
        )

    @torch.inference_mode()
    def encode(self, clip: Tensor, state: Any = None) -> Encoded:  # noqa: ARG002  # the protocol's
        """(1, 3, T, H, W) in [-1, 1] -> latents (1, 96, T, H/8, W/8); frames are independent."""
        latents = self.codec.encode(clip[0].to(self.device).transpose(0, 1))
        return Encoded(latents.transpose(0, 1)[None], None)

    def prepare_reference(self, reference: Tensor) -> StyleReference:
        """One style image (1, 3, h, w) in [-1, 1] of any size that is a multiple of 8."""
        return self.prepare_styles([(reference, 1.0)])

    @torch.inference_mode()
    def prepare_styles(
        self, styles: Sequence[tuple[Tensor, float]], keyframes: Sequence[Keyframe] = ()
    ) -> StyleReference:
        """See `StyleBackbone`; images of more than `MAX_STYLE_PIXELS` are shrunk."""
        known = tuple(
            KeyframeIndex(self._picture(key.painted), self._picture(key.frame)) for key in keyframes
        )
        given = [(self._picture(style), weight) for style, weight in styles]
        given = given or [(key.painted, 1.0) for key in known]
        return StyleReference(
            index_styles([(_shrink(picture), weight) for picture, weight in given]), known
        )

    @torch.inference_mode()
    def decode(
        self,
        latents: Tensor,
        reference: StyleReference | None = None,
        state: PaintState | None = None,
        *,
        tile: int | None = None,
    ) -> Decoded:
        """Latents (1, 96, T, h, w) -> clip (1, 3, T, 8h, 8w) in the reference's style.

        Painting goes from frame to frame; the network that follows it runs on several frames at a
        time on a CPU. Without a reference the frames come out as the codec decodes them.
        """
        frames = self.codec.decode(latents[0].to(self.device).transpose(0, 1))
        if reference is None:
            return Decoded(frames.clamp(-1, 1).transpose(0, 1)[None], state)
        pending = []
        with frame_workers(self.device, frames[0, 0].numel()) as submit:
            for frame in frames.clamp(-1, 1).unbind(0):
                made, state = paint(frame, reference.style, state, reference.keyframes)
                pending.append(submit(self._finish, made, reference.style, tile))
            clip = torch.stack([result.result() for result in pending], 1)
        return Decoded(clip[None], state)

    @torch.inference_mode()
    def _finish(self, made: Painting, style: StyleIndex, tile: int | None) -> Tensor:
        """Join frame and painting: (3, H, W) in [-1, 1]."""
        recoloured, painted = made.recoloured[None], made.painted[None]

        def join(rows: slice, columns: slice) -> Tensor:
            window: Tensor = self.decoder(
                recoloured[..., rows, columns], painted[..., rows, columns], style.statistics[None]
            )
            return window

        joined = rebuild_in_windows(recoloured, tile, join, HALO_PX)[0]
        if made.finished is not None:
            joined = torch.lerp(joined, made.painted, made.finished)
        return joined.clamp_(-1, 1)

    def pack_state(self, state: PaintState | None) -> PackedState:
        """See `StatePacker`; without a style there is none."""
        return PackedState({}, {}) if state is None else pack(state)

    def unpack_state(
        self,
        packed: PackedState,
        reference: StyleReference | None,  # noqa: ARG002 -- the protocol's, as the size
        size: tuple[int, int],  # noqa: ARG002
    ) -> PaintState | None:
        """See `StatePacker`."""
        return unpack(packed, self.device) if packed.tensors else None

    def plain(self) -> None:
        """No decoder of its own was trained without the reference attention."""

    def bound_memory(self) -> None:
        """Nothing that goes from chunk to chunk is worth moving."""

    def working_bytes(self, height: int, width: int, frames: int, tile: int | None) -> int:
        """Peak memory of one chunk [bytes], the styles included."""
        element = torch.tensor([], dtype=self.dtype).element_size()
        area = height * width
        window = area if tile is None else min(area, (tile + 2 * HALO_PX) ** 2)
        workers = min(frames, count_workers(self.device, area))
        styles = 2 * min(area, MAX_STYLE_PIXELS) * TURNS * _STYLE_BYTES
        decoder = window * workers * _DECODER_VALUES * element
        return round(_BASE_BYTES + styles + area * (frames * _FRAME_BYTES + _PAINT_BYTES) + decoder)

    def _picture(self, picture: Tensor) -> Tensor:
        return picture[0].to(self.device, torch.float32)


HALO_PX = 96
"""Context around a window; the network sees at most 84 pixels to each side."""

_BASE_BYTES = 96 << 20
"""Scratch of libraries and of the search, whatever the size."""

_STYLE_BYTES = 9
"""Bytes per pixel and turn of a style: its pixels, and the descriptors of its patches."""

_FRAME_BYTES = 54
"""Bytes per pixel and frame: clip, latents, decoded, painted and finished frames."""

_PAINT_BYTES = 160
"""Bytes per pixel of what matching and painting keep."""

_DECODER_VALUES = 70
"""Values per pixel alive at the network's peak."""


def _shrink(picture: Tensor) -> Tensor:
    """Bring (3, h, w) to `MAX_STYLE_PIXELS`, if it has more."""
    height, width = picture.shape[1:]
    if height * width <= MAX_STYLE_PIXELS:
        return picture
    scale = (MAX_STYLE_PIXELS / (height * width)) ** 0.5
    size = [
        max(int(side * scale) // _MULTIPLE * _MULTIPLE, _SMALLEST_STYLE) for side in (height, width)
    ]
    shrunk = functional.interpolate(picture[None], size=size, mode="bilinear", antialias=True)
    return shrunk[0]
