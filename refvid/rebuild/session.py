"""One video's way through a backbone, chunk by chunk, in as much memory as there is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from refvid.errors import CheckpointError, DeviceError, is_out_of_memory
from refvid.models.backbone import Backbone, ClipRebuilder, Decoded, PackedState, StatePacker
from refvid.rebuild.chunks import Chunk, count_frames, count_latents, next_length, pad_length
from refvid.rebuild.findings import ReferenceTally
from refvid.rebuild.memory import Budget, pack_budget, unpack_budget
from refvid.rebuild.out_of_memory import ShrinkingBudget, first_words
from refvid.rebuild.overlap import ChunkJoiner, cross_fade, fade
from refvid.rebuild.pixels import pad_clip, padded_size
from refvid.rebuild.reference_feed import Fed


@dataclass(frozen=True, slots=True)
class ShotState:
    """What a model carries from one chunk of a shot to the next."""

    encoder: Any = None
    decoder: Any = None


@dataclass(frozen=True, slots=True)
class Made:
    """What a model makes of some frames."""

    result: Tensor
    """(1, C, revised + T, H, W) float32."""

    state: ShotState
    """After them."""

    revised: int = 0
    """See `Decoded.revised`."""


Step = Callable[[int, int, ShotState | None], Made]
"""Does so many frames from a position on, with the state before them."""


class Session:
    """Takes the chunks of one video through a backbone, in order.

    When memory runs out, the same frames are tried again in shorter chunks and then in tiles; what
    was finished before is kept.

    Args:
        backbone: The model.
        device: Where it computes.
        budget: Chunk lengths and tile to start with.
        reference: What `Backbone.decode` takes as `reference`; see the attribute.

    Every method raises:
        OutOfMemory: Not even the smallest budget fits.
        DeviceError: The result has values that are no numbers, in low precision.
        CheckpointError: It has them in full precision, too.
    """

    def __init__(
        self, backbone: Backbone, device: torch.device, budget: Budget, reference: Any = None
    ) -> None:
        self.backbone = backbone
        self.device = device
        self.budget = ShrinkingBudget(backbone, device, budget)
        """Chunk lengths and tile, as they have fitted into memory."""

        self.state: ShotState | None = None
        """After the chunk before; None at the start of a shot."""

        self.reference = reference
        """What `Backbone.decode` takes; it may change from chunk to chunk."""

        self.fade_from: Any = None
        """Another one, over from which the next frames fade within a shot; then it is None."""

        self.uses = ReferenceTally()
        """What chunks found in their references."""

        self._shot = self._start = 0
        self._video: int | None = None
        """References with this number and higher ones are frames of one video."""
        self._joiner = ChunkJoiner()
        self._packed: PackedState | None = None
        """Of an interrupted run; made a state of with the next chunk's reference."""

    def take_reference(self, fed: Fed, index: int, frames: int) -> None:
        """Decode the next chunk, so many frames from an index on, with what a feed chose."""
        self.reference, self.fade_from, self._video = fed.reference, fed.fade_from, fed.video
        for number in sorted({self._told(number) for number in fed.numbers}):
            self.uses.serve(number, index, frames)

    def snapshot(self, *, with_state: bool) -> tuple[Mapping[str, Tensor], dict[str, Any]]:
        """What the next chunk needs, as it can be kept: tensors, and plain JSON types.

        Args:
            with_state: Whether the next chunk goes on with the state, and the backbone can write it
                down.
        """
        model: dict[str, Any] = {"budget": pack_budget(self.budget.now)}
        packed = self._pack() if with_state else None
        if packed is not None:
            model["state"] = packed.facts
        return {} if packed is None else packed.tensors, {"shot": self._shot, "model": model}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Go on from a snapshot, with the reference that comes next."""
        model = facts["model"]
        self._shot, self.budget.now = facts["shot"], unpack_budget(model["budget"])
        if "state" in model:
            self._packed = PackedState(tensors, model["state"])
            self.state = ShotState()

    @contextmanager
    def untold(self) -> Iterator[None]:
        """Take chunks through once more whose uses are told already."""
        told, self.uses = self.uses, ReferenceTally()
        try:
            yield
        finally:
            self.uses = told

    def _pack(self) -> PackedState | None:
        decoder = None if self.state is None else self.state.decoder
        if decoder is None or not self.backbone.limits.packs_state:
            return self._packed
        return cast("StatePacker", self.backbone).pack_state(decoder)

    def _unpack(self, height: int, width: int) -> None:
        packed, self._packed = self._packed, None
        if packed is None or self.state is None:
            return  # at the start of a shot it is of no use
        size = padded_size(height, width, self.backbone.limits)
        packer = cast("StatePacker", self.backbone)
        self.state = ShotState(decoder=packer.unpack_state(packed, self.reference, size))

    @torch.inference_mode()
    def rebuild(self, clip: Tensor, chunk: Chunk[Any]) -> Tensor:
        """Encode and decode a chunk of frames.

        Args:
            clip: (1, 3, T, H, W) float32 in [-1, 1], any T, H and W. A T that the model does not
                accept is only right at the end of a shot: it is padded.
            chunk: Where it lies in its shot.

        Returns:
            (1, 3, T', H, W) float32, about [-1, 1]: its frames that are final. Those that the next
            chunk shares come with that one.
        """
        if chunk.starts_shot:
            self.state = None
            self._shot = chunk.index
        self._start = chunk.index
        self._unpack(*clip.shape[3:])
        if not self.backbone.limits.lookahead:
            return self._joiner.join(self.rebuild_whole(clip), chunk.shared, chunk.held_back)
        self._start += chunk.shared
        # What is shared comes back with what is new; not where an interrupted run begins once more.
        rebuilt = self.rebuild_whole(clip[:, :, chunk.shared :])
        return rebuilt[:, :, : rebuilt.shape[2] - chunk.held_back]

    @torch.inference_mode()
    def rebuild_whole(self, clip: Tensor) -> Tensor:
        """Do the same with frames of which none is shared with other chunks.

        A model that looks ahead gives those before, too, whose results are final only now.
        """
        height, width = clip.shape[3:]

        def step(start: int, length: int, state: ShotState | None) -> Made:
            padded = self._pad(clip[:, :, start : start + length], state)
            decoded, encoder = self._rebuild(padded, state, start)
            revised, frames = decoded.revised, padded.shape[2]
            assert decoded.clip.shape[2:] == (revised + frames, *padded.shape[3:]), "as it got"
            rebuilt = decoded.clip[:, :, : revised + length, :height, :width].to(torch.float32)
            return Made(rebuilt, ShotState(encoder, decoded.state), revised)

        return self._work(step, clip.shape[2], (height, width))

    @torch.inference_mode()
    def encode(self, clip: Tensor, *, index: int = 0) -> Tensor:
        """Encode a chunk of frames from an index on, as for `rebuild`: (1, C, t, h, w) float32."""
        self._start = index

        def step(start: int, length: int, state: ShotState | None) -> Made:
            padded = self._pad(clip[:, :, start : start + length], state)
            encoded = self.backbone.encode(padded, state.encoder if state else None)
            return Made(encoded.latents.to(torch.float32), ShotState(encoder=encoded.state))

        height, width = clip.shape[3:]
        stride = self.backbone.limits.temporal_stride
        return self._work(step, clip.shape[2], (height, width), stride)

    @torch.inference_mode()
    def decode(
        self,
        latents: Tensor,
        size: tuple[int, int],
        *,
        index: int = 0,
        shared: int = 0,
        held_back: int = 0,
        is_last: bool = True,
    ) -> Tensor:
        """Decode a chunk of latents.

        Args:
            latents: (1, C, t, h, w), raw, where the backbone computes.
            size: Height and width that they decode to [pixels].
            index: Position of their first frame.
            shared: Latents at their start that the chunk before had too.
            held_back: Latents at their end that the next chunk has too.
            is_last: Whether no more of the shot come; a model that looks ahead waits for them.

        Returns:
            (1, 3, T, H, W) float32, about [-1, 1]: the frames that are final.
        """
        limits, starts_shot = self.backbone.limits, self.state is None
        self._start = index
        self._unpack(*size)

        def step(start: int, length: int, state: ShotState | None) -> Made:
            first = count_latents(start, limits, starts_shot=starts_shot)
            stop = count_latents(start + length, limits, starts_shot=starts_shot)
            decoded = self._decode(latents[:, :, first:stop], state, start)
            result, revised = decoded.clip.to(torch.float32), decoded.revised
            assert result.shape[2:] == (revised + length, *size), "as large as the limits say"
            return Made(result, ShotState(decoder=decoded.state), revised)

        frames = count_frames(latents.shape[2], limits, starts_shot=starts_shot)
        stride = limits.temporal_stride
        clip = self._work(step, frames, size)
        if limits.lookahead:
            return clip if is_last else clip[:, :, : max(0, clip.shape[2] - limits.lookahead)]
        return self._joiner.join(clip, shared * stride, held_back * stride)

    def _rebuild(self, clip: Tensor, state: ShotState | None, start: int) -> tuple[Decoded, Any]:
        """The clip rebuilt, and the encoder's state after it."""
        if self.backbone.limits.rebuilds_clips:
            rebuilder = cast("ClipRebuilder", self.backbone)
            return self._condition(rebuilder.rebuild, clip, state, start), None
        encoded = self.backbone.encode(clip, state.encoder if state else None)
        return self._decode(encoded.latents, state, start), encoded.state

    def _decode(self, latents: Tensor, state: ShotState | None, start: int) -> Decoded:
        return self._condition(self.backbone.decode, latents, state, start)

    def _condition(
        self, decode: Callable[..., Decoded], given: Tensor, state: ShotState | None, start: int
    ) -> Decoded:
        """Decode with the reference, and tell what was found in it."""
        past = state.decoder if state else None
        decoded = decode(given, self.reference, past, tile=self.budget.now.tile)
        told = [replace(use, reference=self._told(use.reference)) for use in decoded.uses]
        self.uses.add(self._shot, self._start + start, told)
        if self.fade_from is None or state is None:
            return decoded
        before = decode(given, self.fade_from, past, tile=self.budget.now.tile)
        new = fade(before.clip[:, :, before.revised :], decoded.clip[:, :, decoded.revised :])
        return replace(decoded, clip=torch.cat((decoded.clip[:, :, : decoded.revised], new), 2))

    def _told(self, reference: int) -> int:
        """The number under which a reference is told of."""
        return reference if self._video is None else min(reference, self._video)

    def _pad(self, clip: Tensor, state: ShotState | None) -> Tensor:
        limits = self.backbone.limits
        return pad_clip(clip, limits, pad_length(clip.shape[2], state is None, limits))

    def _work(self, step: Step, frames: int, size: tuple[int, int], stride: int = 1) -> Tensor:
        """Take consecutive frames of one shot through the model, in smaller pieces if need be.

        Pieces overlap where the budget's chunks do, and what they share is cross-faded.

        Args:
            step: What is done with each piece.
            frames: How many there are.
            size: Height and width of the clip [pixels].
            stride: Frames for each frame of what `step` gives.
        """
        done: list[Tensor] = []
        position = 0
        while position < frames:
            self.budget.shrink_as_before(self._start, position, size)
            lengths = self.budget.now.lengths
            shared = min(lengths.overlap, position)
            start = position - shared
            length = next_length(frames - start, self.state is None, lengths)
            try:
                made = step(start, length, self.state)
                self._check_numbers(made.result)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                failure = first_words(error)
            else:
                self.state, self.fade_from = made.state, None
                result = made.result
                done = _without_last(done, made.revised)
                if shared:
                    done[-1], result = cross_fade(done[-1], result, shared // stride)
                done.append(result)
                position = start + length
                continue
            self.budget.shrink(self._start, position, size, failure)
        return done[0] if len(done) == 1 else torch.cat(done, dim=2)

    def _check_numbers(self, result: Tensor) -> None:
        # One pass: what is no number makes none of the sum. Values are about in [-1, 1].
        if math.isfinite(result.sum(dtype=torch.float32).item()):
            return
        what = f"The model {self.backbone.name} gave values that are no numbers"
        if getattr(self.backbone, "dtype", torch.float32).itemsize < torch.float32.itemsize:
            raise DeviceError(f"{what}; compute in full precision with --dtype fp32.")
        raise CheckpointError(
            f"{what}, in full precision: its weights are damaged, or their training failed. "
            "Choose other weights."
        )


def _without_last(done: list[Tensor], frames: int) -> list[Tensor]:
    """Leave out the last frames, of which those of a chunk before this one are not there."""
    kept = [*done]
    while frames and kept:
        last = kept.pop()
        if frames < last.shape[2]:
            kept.append(last[:, :, : last.shape[2] - frames])
        frames = max(0, frames - last.shape[2])
    return kept
