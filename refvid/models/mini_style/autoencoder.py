"""The style backbone: fixed codec, a painting of every frame, and the decoder that joins both."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from refvid.models.backbone import BackboneLimits, Decoded, Encoded, Keyframe, PackedState
from refvid.models.frame_workers import Submit, count_workers, frame_workers
from refvid.models.mini_style.config import MiniStyleConfig
from refvid.models.mini_style.decoder import DEFAULT_STRUCTURE, MiniStyleDecoder
from refvid.models.mini_style.hues import strengthen_hues
from refvid.models.mini_style.keyframes import KeyframeIndex
from refvid.models.mini_style.optical_flow import Gray, gray_of
from refvid.models.mini_style.painting import Painting, PaintState, paint
from refvid.models.mini_style.sight import Sight, look
from refvid.models.mini_style.state import pack, unpack
from refvid.models.mini_style.style_index import MAX_STYLE_PIXELS, TURNS, StyleIndex, index_styles
from refvid.models.patch_codec import PatchCodec
from refvid.models.registry import MINI_STYLE


@dataclass(frozen=True, slots=True)
class StyleReference:
    """Styles and keyframes made ready; opaque to callers."""

    style: StyleIndex
    keyframes: tuple[KeyframeIndex, ...]
    structure: float


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
        # Its few numbers decide on pixels: they are not worth less than single precision.
        self.decoder = decoder.eval().requires_grad_(False).to(device, torch.float32)
        self.decoder.leave_out_untrained()

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
        self,
        styles: Sequence[tuple[Tensor, float]],
        keyframes: Sequence[Keyframe] = (),
        structure: float = DEFAULT_STRUCTURE,
    ) -> StyleReference:
        """See `StyleBackbone`."""
        known = tuple(
            KeyframeIndex(self._picture(key.painted), self._picture(key.frame)) for key in keyframes
        )
        given = [(self._picture(style), weight) for style, weight in styles]
        given = given or [(key.painted, 1.0) for key in known]
        return StyleReference(index_styles(given), known, structure)

    @torch.inference_mode()
    def decode(
        self,
        latents: Tensor,
        reference: StyleReference | None = None,
        state: PaintState | None = None,
        *,
        tile: int | None = None,  # noqa: ARG002 -- the protocol's
    ) -> Decoded:
        """Latents (1, 96, T, h, w) -> clip (1, 3, T, 8h, 8w) in the reference's style.

        Painting goes from frame to frame. On a CPU other threads look ahead of it, and join
         paintings with their frames. Without a reference frames come out as the codec decodes
        them.
        """
        frames = self.codec.decode(latents[0].to(self.device).transpose(0, 1))
        if reference is None:
            return Decoded(frames.clamp(-1, 1).transpose(0, 1)[None], state)
        pending = []
        shown = frames.clamp(-1, 1).contiguous().unbind(0)
        before = None if state is None else state.gray
        with frame_workers(self.device, frames[0, 0].numel()) as submit:
            for frame, sight in zip(shown, self._sights(shown, before, submit), strict=True):
                made, state = paint(frame, reference.style, state, reference.keyframes, sight)
                state = self._with_threshold(state, frame, made, reference.structure)
                pending.append(submit(self._finish, frame, made, reference, state.threshold))
            clip = torch.stack([result.result() for result in pending], 1)
        return Decoded(clip[None], state)

    def _sights(
        self, frames: Sequence[Tensor], before: Gray | None, submit: Submit
    ) -> Iterator[Sight]:
        """Of frames (3, H, W), in order: as many are looked at ahead as there are workers."""
        ahead = count_workers(self.device, frames[0][0].numel())
        coming: deque[Future[Sight]] = deque()
        for frame in frames:
            gray = gray_of(frame)
            coming.append(submit(look, gray, before, self.device))
            before = gray
            if len(coming) == ahead:
                yield coming.popleft().result()
        for sight in coming:
            yield sight.result()

    def _with_threshold(
        self, state: PaintState, frame: Tensor, made: Painting, structure: float
    ) -> PaintState:
        """Find what must stand out in a shot; slowly changing, as it may begin in black."""
        if (state.search_phase - 1) % _FIT_PERIOD:
            return state
        pictures = (frame[None], made.recoloured[None], made.painted[None])
        found = self.decoder.fit_threshold(*pictures, structure)
        if state.threshold is not None:
            found = state.threshold + _FIT_DRIFT * (found - state.threshold)
        return replace(state, threshold=found)

    @torch.inference_mode()
    def _finish(
        self,
        frame: Tensor,
        made: Painting,
        reference: StyleReference,
        threshold: Tensor | None = None,
    ) -> Tensor:
        """Join frame and painting: (3, H, W) in [-1, 1]."""
        joined: Tensor = self.decoder(
            made.recoloured[None],
            strengthen_hues(made.painted, reference.style.hue_strengths)[None],
            reference.style.statistics[None],
            reference.structure,
            threshold,
        )[0]
        if made.followed is not None:
            joined = torch.lerp(joined, made.followed.painted, made.followed.share)
        if made.graphics is not None:
            joined = torch.lerp(joined, frame, made.graphics)
        return joined.clamp(-1, 1)

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

    def working_bytes(self, height: int, width: int, frames: int, tile: int | None) -> int:  # noqa: ARG002 -- the protocol's
        """Peak memory of one chunk [bytes], the styles included."""
        area = height * width
        workers = min(frames, count_workers(self.device, area))
        # A style is at most as large as the canvas, but for its largest scale.
        styles = min(4 * area, MAX_STYLE_PIXELS) * TURNS * _STYLE_BYTES
        pixels = frames * _FRAME_BYTES + _PAINT_BYTES + workers * (_DECODER_BYTES + _SIGHT_BYTES)
        return _BASE_BYTES + styles + area * pixels

    def _picture(self, picture: Tensor) -> Tensor:
        return picture[0].to(self.device, torch.float32)


_FIT_PERIOD, _FIT_DRIFT = 4, 0.2
"""The threshold of a shot is found anew in every so manieth frame, and goes so far to that."""

_BASE_BYTES = 96 << 20
"""Scratch of libraries and of the search, whatever the size."""

_STYLE_BYTES = 11
"""Bytes per pixel and turn of a style: its pixels, and the descriptors of its patches."""

_FRAME_BYTES = 54
"""Bytes per pixel and frame: clip, latents, decoded, painted and finished frames."""

_PAINT_BYTES = 160
"""Bytes per pixel of what flow and painting keep."""

_SIGHT_BYTES = 140
"""Bytes per pixel of a search for motion and letters, and of what it finds."""

_DECODER_BYTES = 200
"""Bytes per pixel alive at the decoder's peak."""
