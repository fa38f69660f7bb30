"""Time: how the frames of a shot are cut into chunks that a backbone accepts. No tensors.

A backbone with temporal stride `s` takes a multiple of `s` frames, and `first_chunk_extra` more
in the first chunk of a shot, or in every chunk where chunks are independent. The frames of a shot
rarely end on such a length: the last chunk is padded by repeating its last frame, and what the
model makes of the repeats is thrown away.

Where a model carries no state from one chunk to the next, chunks overlap instead: a chunk begins
with the last frames of the one before, and the two results are cross-faded (`overlap.py`). Where a
model looks ahead, a chunk begins with those, too: it is not given them again, but their results are
final only then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from refvid.errors import OptionError
from refvid.models.backbone import BackboneLimits

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ChunkLengths:
    """Frames per chunk within one shot; both are lengths the backbone accepts."""

    first: int
    """The first chunk of a shot."""

    following: int
    """Every later chunk, the frames that it shares included."""

    overlap: int = 0
    """Frames that a later chunk shares with the one before it."""

    @property
    def longest(self) -> int:
        return max(self.first, self.following)


@dataclass(frozen=True, slots=True)
class Chunk(Generic[T]):
    """Consecutive frames of one shot, for one model call."""

    frames: tuple[T, ...]
    index: int
    """Position of the first frame in the stream."""

    starts_shot: bool
    """Whether the causal state starts anew here."""

    shared: int = 0
    """Frames at its start that the chunk before had too."""

    held_back: int = 0
    """Frames at its end that the next chunk has too."""

    @property
    def final(self) -> tuple[T, ...]:
        """The frames that are done with this chunk: it and those before hold all of them."""
        return self.frames[: len(self.frames) - self.held_back]


def choose_chunk_lengths(limits: BackboneLimits, asked: int | None = None) -> ChunkLengths:
    """Find the longest accepted chunk lengths that do not exceed the number asked for.

    A number below the smallest accepted length gives the smallest accepted length.

    Raises:
        OptionError: `asked` is below 1 or above what the backbone takes.
    """
    if asked is not None and asked < 1:
        raise OptionError(f"A chunk needs at least 1 frame, not {asked}.")
    if asked is not None and asked > limits.max_chunk:
        raise OptionError(
            f"A chunk of {asked} frames is too long: the model takes {limits.max_chunk} of this "
            "size per call."
        )
    stride, extra = limits.temporal_stride, limits.first_chunk_extra
    wanted = limits.default_chunk if asked is None else asked
    following = max(wanted // stride, 1) * stride
    first = following + extra
    if first > limits.max_chunk and following > stride:
        first -= stride
    elif first > limits.max_chunk and extra:
        first = extra
    # Where every chunk stands alone, every one is a first one.
    following = first if limits.independent_chunks else following
    return ChunkLengths(first, following, overlap=min(limits.overlap, following - stride))


def halve_chunk_lengths(lengths: ChunkLengths, limits: BackboneLimits) -> ChunkLengths | None:
    """Give about half as long chunks, or None where they are the shortest already."""
    if lengths.longest <= limits.temporal_stride:
        return None
    # Chunks of small frames may be longer than those of any.
    limits = replace(limits, max_chunk=max(limits.max_chunk, lengths.longest))
    half = choose_chunk_lengths(limits, max(lengths.longest // 2, 1))
    return half if half.longest < lengths.longest else None


def pad_length(frames: int, starts_shot: bool, limits: BackboneLimits) -> int:
    """Smallest accepted length that holds so many frames (at least 1)."""
    extra = limits.first_chunk_extra if starts_shot or limits.independent_chunks else 0
    rest = max(frames - extra, 0)
    strides = -(-rest // limits.temporal_stride)
    if extra == 0:
        strides = max(strides, 1)
    return extra + strides * limits.temporal_stride


def count_chunks(frames: int, lengths: ChunkLengths) -> int:
    """Number of chunks of a video with so many frames and no cuts."""
    if frames <= 0:
        return 0
    return 1 + -(-max(frames - lengths.first, 0) // (lengths.following - lengths.overlap))


def next_length(frames: int, starts_shot: bool, lengths: ChunkLengths) -> int:
    """Length of the next chunk of a shot of which so many frames are left."""
    return min(lengths.first if starts_shot else lengths.following, frames)


def count_frames(latents: int, limits: BackboneLimits, *, starts_shot: bool) -> int:
    """Frames that so many latents decode to."""
    extra = limits.first_chunk_extra if starts_shot else 0
    return extra + (latents - extra) * limits.temporal_stride


def count_latents(frames: int, limits: BackboneLimits, *, starts_shot: bool) -> int:
    """Latents that so many frames are encoded to; the reverse of `count_frames`."""
    extra = limits.first_chunk_extra if starts_shot and frames else 0
    return extra + (frames - extra) // limits.temporal_stride


def split_into_chunks(
    frames: Iterable[tuple[T, bool]],
    lengths: ChunkLengths,
    *,
    lookahead: int = 0,
    index: int = 0,
    starts_shot: bool = True,
    shared: int = 0,
) -> Iterator[Chunk[T]]:
    """Group a stream of frames into chunks that never cross a cut.

    Args:
        frames: Each frame with whether a shot starts at it.
        lengths: Frames per chunk; where the model looks ahead, of those that are new in it.
        lookahead: See `BackboneLimits`; without an overlap.
        index: Position of the first frame in the stream.
        starts_shot: Whether the first one starts a shot. Where it does not, it begins a chunk that
            follows others.
        shared: Frames at the start of this chunk that the one before has had, too.

    Yields:
        Chunks as soon as they are full, cut short at a cut and at the end. Every frame is in
        exactly one chunk, in order; where chunks share frames, in the `final` part of exactly one.
        A full chunk that may share frames with another waits for the next frame, which tells.
    """
    assert not (lookahead and lengths.overlap), "chunks share frames for one reason or the other"
    shares = lookahead or lengths.overlap
    collected: list[T] = []

    def is_full() -> bool:
        new = len(collected) - (shared if lookahead else 0)
        return new == (lengths.first if starts_shot else lengths.following)

    for frame, is_cut in frames:
        if collected and (is_cut or is_full()):
            held_back = 0 if is_cut else min(shares, len(collected))
            yield Chunk(tuple(collected), index, starts_shot, shared, held_back)
            index += len(collected) - held_back
            collected = collected[len(collected) - held_back :]
            starts_shot, shared = False, held_back
        if is_cut:
            starts_shot = True
        collected.append(frame)
        if not shares and is_full():
            yield Chunk(tuple(collected), index, starts_shot)
            index += len(collected)
            collected = []
            starts_shot = False
    if collected:
        yield Chunk(tuple(collected), index, starts_shot, shared)
