"""The mini backbone: codec, alignment and fusion put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refvid.models.backbone import BackboneLimits, Decoded, Encoded, PackedState, Reference
from refvid.models.frame_workers import Submit, count_workers, frame_workers
from refvid.models.mini.alignment import Picture
from refvid.models.mini.condition import (
    MEASURED_CHANNELS,
    doubt,
    measure_losses,
    measure_naturalness,
    smooth_over_time,
)
from refvid.models.mini.config import MiniConfig
from refvid.models.mini.decoder import MiniDecoder
from refvid.models.mini.fusion import CELL, Aligned, take_colors
from refvid.models.mini.mixing import Followed, Mixed, mix
from refvid.models.mini.neighbours import (
    REACH,
    Rebuilt,
    around,
    needed_later,
    see,
    with_neighbours,
)
from refvid.models.mini.shot import References, Shot, ShotFrames
from refvid.models.mini.state import MiniState, pack, unpack
from refvid.models.patch_codec import PatchCodec
from refvid.models.registry import MINI
from refvid.models.windows import rebuild_in_windows

TOKEN = 8
"""Side of a latent position [pixels]."""

HALO_PX = 104
"""Context around a window; the network sees at most 100 pixels to each side."""

_NO_PIXELS = np.empty((0, 0, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class _Plain:
    """A frame as the codec decodes it."""

    pixels: Tensor
    """(1, 3, H, W) in [-1, 1]."""

    losses: Tensor
    """(1, C), see `measure_losses`."""

    natural: float
    """How far they can be believed, in [0, 1]; see `measure_naturalness`."""

    shades: NDArray[np.uint8]
    """(H, W) gray."""


class MiniBackbone:
    """`Backbone` on a device; see `refvid.models.backbone` for the contract."""

    name = MINI

    def __init__(
        self, decoder: MiniDecoder, config: MiniConfig, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.config, self.device, self.dtype = config, device, dtype
        self.limits = BackboneLimits(
            size_multiple=TOKEN,
            min_size=32,
            temporal_stride=1,
            first_chunk_extra=0,
            default_chunk=8,
            max_chunk=64,
            lookahead=REACH if config.weighs_neighbours else 0,
            finds_references=True,
            packs_state=True,
            recomputed=2 * REACH if config.weighs_neighbours else 0,
            rebuilds_clips=True,
        )
        self.codec = PatchCodec().to(device)
        decoder = decoder.eval().requires_grad_(False).to(device, dtype)
        self.decoder: MiniDecoder = decoder.to(
            memory_format=torch.channels_last  # type: ignore[call-overload]  # not in torch's stubs
        )

    @torch.inference_mode()
    def encode(self, clip: Tensor, state: Any = None) -> Encoded:  # noqa: ARG002  # the protocol's
        """(B, 3, T, H, W) in [-1, 1] -> latents (B, 192, T, H/8, W/8); frames are independent."""
        batch, _, length = clip.shape[:3]
        frames = clip.to(self.device).transpose(1, 2).flatten(0, 1)
        latents = torch.cat([self.codec.encode(frame) for frame in torch.split(frames, 1)])
        return Encoded(latents.view(batch, length, *latents.shape[1:]).transpose(1, 2), None)

    def prepare_references(self, references: Mapping[int, Reference]) -> tuple[References, ...]:
        """Take references of one clip by number; each is read when a shot first uses it."""
        return (dict(references),)

    def prepare_reference(self, reference: Tensor) -> tuple[References, ...]:
        """Take references (B, 3, H, W) in [-1, 1], which lie on the frames of each clip."""
        return tuple({0: _placed(picture)} for picture in to_pictures(reference))

    @torch.inference_mode()
    def decode(
        self,
        latents: Tensor,
        reference: tuple[References, ...] | None = None,
        state: tuple[MiniState, ...] | None = None,
        *,
        tile: int | None = None,
    ) -> Decoded:
        """Latents (B, 192, T, h, w) -> clip (B, 3, T, 8h, 8w).

        Clips are decoded one after the other, frames of one side by side.
        """
        area = TOKEN**2 * latents[0, 0, 0].numel()
        return self._decode_all(self._decode_plain, latents, area, reference, state, tile)

    @torch.inference_mode()
    def rebuild(
        self,
        clip: Tensor,
        reference: tuple[References, ...] | None = None,
        state: tuple[MiniState, ...] | None = None,
        *,
        tile: int | None = None,
    ) -> Decoded:
        """See `ClipRebuilder`: the codec is exact, and would give back what it is given."""
        area = clip[0, 0, 0].numel()
        return self._decode_all(self._look_at, clip, area, reference, state, tile)

    def _decode_all(
        self,
        to_plain: Callable[[Tensor], _Plain],
        given: Tensor,
        area: int,
        reference: tuple[References, ...] | None,
        state: tuple[MiniState, ...] | None,
        tile: int | None,
    ) -> Decoded:
        """Clips (B, C, T, h, w) of what `to_plain` takes -> (B, 3, T, H, W), frames of `area`."""
        done = []
        for n, one in enumerate(given):
            references, before = reference[n] if reference else None, state[n] if state else None
            frames = one.to(self.device).transpose(0, 1).split(1)
            with frame_workers(self.device, area) as submit:
                plain = [submit(to_plain, frame) for frame in frames]
                done.append(self._decode_one(submit, plain, references, before, tile))
        uses = tuple(use for decoded in done for use in decoded.uses)
        clips = [decoded.clip for decoded in done]
        return Decoded(
            clips[0] if len(clips) == 1 else torch.cat(clips),  # which copies even one
            tuple(decoded.state for decoded in done),
            uses,
            done[0].revised,
        )

    def _decode_one(
        self,
        submit: Submit,
        plain: Sequence[Future[_Plain]],
        reference: References | None,
        state: MiniState | None,
        tile: int | None,
    ) -> Decoded:
        """Frames of one clip -> clip (1, 3, T, H, W).

        References are followed from frame to frame, at half size; what comes after that does not,
        and on a CPU runs on several frames at a time with one thread each: small convolutions use
        many threads badly.
        """
        shot = Shot(state.references if state else None)
        condition = state.condition if state else None
        pending: list[Future[tuple[Rebuilt, Mixed | None]]] = []
        start = state.frames if state else 0
        if reference:

            def picture(n: int) -> Picture:
                return to_pictures(plain[n].result().pixels)[0]

            shot.place(reference, ShotFrames(start, len(plain), picture))
        # One by one: in batches of other sizes, sums are rounded in other ways, and alignment
        # would make a difference of it. Chunks of any length give the same.
        for one in plain:
            seen = one.result()
            condition = smooth_over_time(seen.losses, condition)
            followed = shot.follow(seen.shades) if reference else []
            pending.append(submit(self._align_and_fuse, seen, condition, followed, tile))
        rebuilt = [*state.frames_before] if state else []
        # Those at the end of the chunk before are final now.
        revised = min(self.limits.lookahead, len(rebuilt))
        first = len(rebuilt) - revised
        used: list[Mixed | None] = []
        final: list[Future[None]] = []
        size = plain[0].result().pixels.shape[2:]
        clip = torch.empty(1, 3, revised + len(plain), *size, device=self.device)

        def finish_next() -> None:
            number = len(final)
            near = around(rebuilt, first + number)
            final.append(submit(_finish, clip[:, :, number], *near))

        for result in pending:
            frame, mixed = result.result()
            rebuilt.append(frame)
            used.append(mixed)
            if len(rebuilt) > first + len(final) + REACH:
                finish_next()  # Not when all are there: workers would have nothing to do by then.
        while len(final) < clip.shape[2]:
            finish_next()
        for written in final:
            written.result()
        assert condition is not None, "a chunk has at least one frame"
        uses = shot.finish(used) if reference else ()
        after = MiniState(
            shot.references,
            condition,
            start + len(plain),
            needed_later(rebuilt) if self.limits.lookahead else (),
        )
        return Decoded(clip, after, uses, revised)

    @torch.inference_mode()
    def _decode_plain(self, token: Tensor) -> _Plain:
        """Of latents (1, C, h, w)."""
        return self._measure(token, self.codec.decode(token))

    @torch.inference_mode()
    def _look_at(self, frame: Tensor) -> _Plain:
        """Of a frame (1, 3, H, W) in [-1, 1]."""
        return self._measure(self.codec.encode(frame, MEASURED_CHANNELS), frame)

    def _measure(self, token: Tensor, pixels: Tensor) -> _Plain:
        natural = measure_naturalness(token)
        return _Plain(pixels, measure_losses(token, pixels), natural, to_shades(pixels))

    def _align_and_fuse(
        self, frame: _Plain, condition: Tensor, followed: Sequence[Followed], tile: int | None
    ) -> tuple[Rebuilt, Mixed | None]:
        mixed = mix(frame.shades, followed)
        # A reference shows what was lost, whatever the spectrum says.
        worth = mixed.worth if mixed else 0.0
        of_change, of_neighbours = self.decoder.shares(condition)
        counts = max(frame.natural * of_change, worth)
        told = doubt(condition, max(frame.natural, worth))
        fused = self._fuse_in_part(frame.pixels, told, mixed, tile, counts)
        share = min(frame.natural, counts) * of_neighbours
        weighs = self.decoder.neighbours is not None
        seen = see(fused, to_shades(fused), frame.shades) if weighs else None
        # Its pixels are not needed any more: a chunk's would add up.
        used = None if mixed is None else replace(mixed, pixels=_NO_PIXELS)
        return Rebuilt(fused, share, seen), used

    def _fuse_in_part(
        self, frame: Tensor, condition: Tensor, mixed: Mixed | None, tile: int | None, share: float
    ) -> Tensor:
        """`fuse`, of whose change only a share counts, in [0, 1]."""
        if share == 0:
            return frame.clamp(-1, 1)
        fused = self.fuse(frame, condition, mixed, tile)
        return fused if share == 1 else torch.lerp(frame, fused, share).clamp_(-1, 1)

    @torch.inference_mode()
    def fuse(
        self, frame: Tensor, condition: Tensor, mixed: Mixed | None, tile: int | None = None
    ) -> Tensor:
        """Rebuild a decoded frame (1, 3, H, W) with what references give to it."""
        aligned = None if mixed is None else to_aligned(mixed, frame)

        def restore(rows: slice, columns: slice) -> Tensor:
            part = _crop(aligned, rows, columns)
            window: Tensor = self.decoder(frame[..., rows, columns], condition, part)
            return window

        return rebuild_in_windows(frame, tile, restore, HALO_PX).clamp_(-1, 1)

    def pack_state(self, state: tuple[MiniState, ...]) -> PackedState:
        """See `StatePacker`."""
        (one,) = state
        return pack(one)

    def unpack_state(
        self,
        packed: PackedState,
        reference: tuple[References, ...] | None,
        size: tuple[int, int],
    ) -> tuple[MiniState, ...]:
        """See `StatePacker`."""
        given = reference[0] if reference else {}
        return (unpack(packed, given, size, self.device),)

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
        fusion = window * min(frames, count_workers(self.device, area)) * _FUSION_VALUES * element
        return round(_BASE_BYTES + clip + area * _REFERENCE_BYTES + fusion)


_BASE_BYTES = 64 << 20
"""Scratch of libraries, whatever the size."""

_CLIP_BYTES = 58
"""Bytes per pixel and frame: clip, latents, decoded, rebuilt and final frames."""

_REFERENCE_BYTES = 120
"""Bytes per pixel of the references that are placed at once, their views and flows."""

_FUSION_VALUES = 60
"""Values per pixel alive at the fusion network's peak."""


@torch.inference_mode()
def _finish(into: Tensor, frames: Sequence[Rebuilt], position: int) -> None:
    """Ask a frame's neighbours; where it goes is memory that is new, and slow to touch at first."""
    into.copy_(with_neighbours(frames, position))


def _placed(picture: NDArray[np.uint8]) -> Reference:
    return Reference(read=lambda: picture, is_placed=True)


def to_pictures(frames: Tensor) -> Sequence[NDArray[np.uint8]]:
    """(N, 3, H, W) in [-1, 1] -> N pictures (H, W, 3)."""
    levels = frames.clamp(-1, 1).add_(1).mul_(127.5).round_().to(torch.uint8)
    return [np.ascontiguousarray(one) for one in levels.movedim(1, -1).cpu().numpy()]


def to_shades(frame: Tensor) -> NDArray[np.uint8]:
    """(1, 3, H, W) in [-1, 1] -> (H, W) gray, with the weights that OpenCV has for it."""
    red, green, blue = frame[0].unbind(0)
    luma = (red * 0.299).add_(green, alpha=0.587).add_(blue, alpha=0.114)
    levels = luma.add_(1).mul_(127.5).clamp_(0, 255).round_()
    return np.asarray(levels.to("cpu", torch.uint8).numpy())


def to_aligned(mixed: Mixed, frame: Tensor) -> Aligned:
    """What references give to a frame (1, 3, H, W), for the network."""
    # In planes, as the frame is: where the two are met in different orders, all takes longer.
    pixels = torch.from_numpy(mixed.pixels).to(frame.device).movedim(-1, 0)[None].contiguous()
    pixels = take_colors(pixels.float().div_(127.5).sub_(1), frame)
    trust = torch.from_numpy(mixed.trust).to(frame.device)[None]
    if mixed.worth < 1:
        pixels, trust = torch.lerp(frame, pixels, mixed.worth), trust * mixed.worth
    return Aligned(pixels, trust)


def _crop(aligned: Aligned | None, rows: slice, columns: slice) -> Aligned | None:
    if aligned is None:
        return None
    cells = (
        ...,
        slice(rows.start // CELL, rows.stop // CELL),
        slice(columns.start // CELL, columns.stop // CELL),
    )
    return Aligned(aligned.pixels[..., rows, columns], aligned.trust[cells])
