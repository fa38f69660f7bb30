"""How long a run would take: the model is tried for some seconds, on frames made for that.

Reading and writing go on beside the model's work, and are not in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from refvid.media.fit import fit_image
from refvid.models.backbone import BackboneLimits
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.chunks import ChunkLengths, choose_chunk_lengths, count_latents
from refvid.rebuild.memory import Budget
from refvid.rebuild.pixels import Pixels, frames_to_clip, padded_size
from refvid.rebuild.plan import Plan, Prepared
from refvid.rebuild.session import Session
from refvid.wording import counted

_MOST_SECONDS: Final = 6.0
_WARM_UP_SECONDS: Final = 1.5
"""What took less than this first is tried again: part of it was making things ready."""

_HOPE: Final = 4.0
"""How much of an expected time may prove to have been overhead."""

_SIDES: Final = (1 / 8, 1 / 4, 1 / 2, 1)
"""Shares of a frame's sides that are tried, one after the other while there is time."""

_SMALLEST_SIDE: Final = 64
_COARSE: Final = 8
"""Side of what can be told apart in the frames [pixels]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a run does with each chunk."""

    condition: Callable[[Pixels], Any]
    """Makes a frame (H, W, 3), in place of what the user gave, what `Backbone.decode` takes as
    `reference`."""

    run: Callable[[Session, Tensor], object]
    """Takes a clip (1, 3, T, H, W), which continues the shot, through a session."""

    make_ready: Callable[[Session, Tensor], Tensor] = lambda _session, clip: clip
    """Gives what `run` takes, where that is no clip; not timed."""


def encoding() -> Work:
    """What `encode` does."""
    return Work(condition=lambda _frame: None, run=Session.encode)


def decoding(
    limits: BackboneLimits, channels: int, stride: int, condition: Callable[[Pixels], Any]
) -> Work:
    """What `decode` does, with latents of so many channels and so many pixels per position."""

    def blank(session: Session, clip: Tensor) -> Tensor:
        height, width = padded_size(clip.shape[3], clip.shape[4], limits)
        length = count_latents(clip.shape[2], limits, starts_shot=session.state is None)
        return clip.new_zeros(1, channels, length, height // stride, width // stride)

    def run(session: Session, latents: Tensor) -> Tensor:
        height, width = (stride * side for side in latents.shape[3:])
        return session.decode(latents, (height, width))

    return Work(condition=condition, run=run, make_ready=blank)


class _Chunks(NamedTuple):
    """The first chunk of a shot, and one that follows."""

    height: int
    width: int
    lengths: ChunkLengths

    @property
    def pixels(self) -> int:
        return self.height * self.width * (self.lengths.first + self.lengths.following)

    def __str__(self) -> str:
        return f"{counted(self.lengths.longest, 'frame')} of {self.width}x{self.height}"


class _Times(NamedTuple):
    """What they took [s]."""

    chunks: _Chunks
    first: float
    following: float

    @property
    def both(self) -> float:
        return self.first + self.following

    def expect(self, chunks: _Chunks) -> _Times:
        """Tell what others take: about as much for each pixel, though attention grows faster."""
        share = chunks.pixels / self.chunks.pixels
        return _Times(chunks, self.first * share, self.following * share)


class Trial:
    """Tells how long runs would take. The model is tried once, for the first run."""

    def __init__(self) -> None:
        self._tried: _Times | None = None
        self._how = ""

    def plan(self, prepared: Prepared, loaded: LoadedBackbone, work: Work) -> Plan:
        """Give the plan of a run, with how long it would take.

        Raises:
            OutOfMemory: Not even the smallest budget fits.
        """
        plan = prepared.plan
        if loaded.missing:
            return replace(plan, estimate_reason=loaded.missing)
        wanted = _Chunks(plan.height, plan.width, prepared.budget.lengths)
        if self._tried is None:
            self._tried, self._how = _try(loaded, prepared.budget, wanted, work)
        expected = self._tried.expect(wanted)
        if plan.chunks is None:
            how = f"{expected.following:.2g} s for {wanted}: {self._how}"
            return replace(plan, estimate_reason=how)
        seconds = expected.first + expected.following * max(plan.chunks - 1, 0)
        return replace(plan, estimated_seconds=round(seconds, 3), estimate_reason=self._how)


class _TooSlow(Exception):
    """There is no more time."""


class _Deadline(TorchFunctionMode):
    """Ends what torch does in this thread at a moment: a model may take minutes for a chunk."""

    def __init__(self, ends: float) -> None:
        super().__init__()
        self._ends = ends

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if time.monotonic() > self._ends:
            raise _TooSlow
        return func(*args, **(kwargs or {}))


def _try(loaded: LoadedBackbone, budget: Budget, wanted: _Chunks, work: Work) -> tuple[_Times, str]:
    """Time ever larger chunks, up to those that are wanted or as far as one gets within seconds.

    Returns:
        What the last ones took, and in words how much that says.
    """
    ladder = list(_ladder(wanted, loaded.backbone.limits))
    smallest = ladder[0]
    ends = time.monotonic() + _MOST_SECONDS
    tried: _Times | None = None
    with suppress(_TooSlow), _Deadline(ends):
        tried = _time(loaded, budget, smallest, work)
        if tried.both < _WARM_UP_SECONDS:
            tried = _time(loaded, budget, smallest, work)
        while (chunks := _choose(tried, ladder, ends - time.monotonic())) is not None:
            tried = _time(loaded, budget, chunks, work)
    if tried is None:
        half = _MOST_SECONDS / 2
        how = f"at least, as already {smallest} took the model more than {_MOST_SECONDS:g} s"
        return _Times(smallest, half, half), how
    word, verb = ("about", "tried on") if tried.chunks == wanted else ("roughly", "told from")
    return tried, f"{word}, the model alone, {verb} {tried.chunks}"


def _choose(tried: _Times, ladder: list[_Chunks], seconds: float) -> _Chunks | None:
    """The largest chunks that there is time for; else the next ones, if that is not hopeless."""
    larger = [chunks for chunks in ladder if chunks.pixels > tried.chunks.pixels]
    fitting = [chunks for chunks in larger if tried.expect(chunks).both <= seconds]
    if fitting:
        return fitting[-1]
    # Small ones are mostly overhead: they say too much of larger ones.
    if larger and tried.expect(larger[0]).both <= _HOPE * seconds:
        return larger[0]
    return None


def _ladder(wanted: _Chunks, limits: BackboneLimits) -> Iterator[_Chunks]:
    """Chunks from the shortest and smallest ones on up to those that are wanted."""
    shortest = choose_chunk_lengths(limits, 1)
    largest = 0
    for share, lengths in ((_SIDES[0], shortest), *((share, wanted.lengths) for share in _SIDES)):
        tall, wide = (
            min(side, max(_SMALLEST_SIDE, limits.min_size, round(side * share)))
            for side in wanted[:2]
        )
        chunks = _Chunks(tall, wide, lengths)
        if chunks.pixels > largest:
            yield chunks
        largest = max(largest, chunks.pixels)


def _time(loaded: LoadedBackbone, budget: Budget, chunks: _Chunks, work: Work) -> _Times:
    height, width, lengths = chunks
    frames = _made_frames(lengths.longest, height, width)
    tile = None if budget.tile is None or budget.tile >= max(height, width) else budget.tile
    budget = replace(budget, lengths=lengths, tile=tile)
    session = Session(loaded.backbone, loaded.device, budget, work.condition(frames[0]))
    clip = frames_to_clip(frames, loaded.device)
    seconds = []
    for length in (lengths.first, lengths.following):
        ready = work.make_ready(session, clip[:, :, :length])
        started = time.monotonic()
        with torch.inference_mode():
            work.run(session, ready)
        seconds.append(max(time.monotonic() - started, 1e-6))
    return _Times(chunks, *seconds)


def _made_frames(count: int, height: int, width: int) -> list[Pixels]:
    """Soft noise that drifts sideways: something to look at, and to follow."""
    generator = np.random.default_rng(0)
    tall, wide = (-(-side // _COARSE) + 1 for side in (height, width))
    coarse = generator.integers(0, 256, (tall, wide, 3), np.uint8)
    picture = fit_image(coarse, width + count, height, "stretch")
    return [np.ascontiguousarray(picture[:, index : index + width]) for index in range(count)]
