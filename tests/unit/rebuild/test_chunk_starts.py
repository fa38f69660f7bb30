"""How far back a run begins again, so that a state which lacks the last frames comes out whole."""

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from refvid.rebuild.chunk_starts import ChunkStart, ChunkStarts
from refvid.rebuild.chunks import ChunkLengths, split_into_chunks


def start_of(position: int, shared: int = 0, *, starts_shot: bool = False) -> ChunkStart:
    model: dict[str, Any] = {"budget": {}} if starts_shot else {"budget": {}, "state": {}}
    return ChunkStart(
        position=position,
        shared=shared,
        starts_shot=starts_shot,
        tensors={},
        facts={"model": model},
    )


@given(
    length=st.integers(1, 9),
    lookahead=st.integers(0, 3),
    recomputed=st.integers(0, 12),
    cuts=st.sets(st.integers(1, 59)),
)
def test_as_many_frames_as_are_needed_and_not_a_chunk_more(
    length: int, lookahead: int, recomputed: int, cuts: set[int]
) -> None:
    frames = ((number, number in cuts) for number in range(60))
    starts, passed = ChunkStarts(recomputed), []
    for chunk in split_into_chunks(frames, ChunkLengths(length, length), lookahead=lookahead):
        now = start_of(chunk.index, chunk.shared, starts_shot=chunk.starts_shot)
        starts.add(now)
        passed.append(now)
        begin = starts.begin()
        assert not any(begin.new < cut <= now.position for cut in cuts)
        if not begin.starts_shot:
            assert now.new - begin.new >= recomputed
        if begin is not now:
            (behind,) = [b for a, b in pairwise(passed) if a is begin]
            assert now.new - behind.new < recomputed
            assert not behind.starts_shot


def test_what_has_no_state_begins_where_it_is() -> None:
    starts = ChunkStarts(4)
    for position in (0, 8, 16):
        starts.add(
            ChunkStart(
                position=position, shared=0, starts_shot=False, tensors={}, facts={"model": {}}
            )
        )
        assert starts.begin().position == position
