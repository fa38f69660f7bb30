from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refvid.errors import OptionError
from refvid.models.backbone import BackboneLimits
from refvid.rebuild.chunks import (
    ChunkLengths,
    choose_chunk_lengths,
    halve_chunk_lengths,
    pad_length,
    split_into_chunks,
)
from refvid.rebuild.memory import choose_budget, shrink


def wan(max_chunk: int = 81) -> BackboneLimits:
    return BackboneLimits(
        size_multiple=8,
        min_size=16,
        temporal_stride=4,
        first_chunk_extra=1,
        default_chunk=16,
        max_chunk=max_chunk,
    )


@pytest.mark.parametrize(
    ("asked", "first", "following"),
    [(None, 17, 16), (1, 5, 4), (17, 17, 16), (19, 17, 16), (20, 21, 20), (81, 81, 80)],
)
def test_lengths_of_a_4k_plus_1_model(asked: int | None, first: int, following: int) -> None:
    assert choose_chunk_lengths(wan(), asked) == ChunkLengths(first, following)


def test_first_chunk_stays_within_the_largest() -> None:
    assert choose_chunk_lengths(wan(max_chunk=16)) == ChunkLengths(13, 16)
    assert choose_chunk_lengths(wan(max_chunk=4), 4) == ChunkLengths(1, 4)


@pytest.mark.parametrize("asked", [0, -3, 82])
def test_impossible_chunks_are_option_errors(asked: int) -> None:
    with pytest.raises(OptionError, match=str(asked)):
        choose_chunk_lengths(wan(), asked)


def test_halving_ends_at_the_shortest() -> None:
    lengths = [choose_chunk_lengths(wan())]
    while (half := halve_chunk_lengths(lengths[-1], wan())) is not None:
        lengths.append(half)
    assert [length.following for length in lengths] == [16, 8, 4]


def test_small_frames_may_have_longer_chunks() -> None:
    limits = replace(wan(max_chunk=17), chunk_tokens=1560 * 18)
    assert limits.longest_chunk(480, 832) == 17
    assert limits.longest_chunk(720, 1280) == 17
    assert limits.longest_chunk(240, 416) == 28080 // (15 * 26) - 1
    assert choose_budget(limits, 40, 56, 33).lengths == ChunkLengths(33, 32)
    assert choose_budget(limits, 40, 56).lengths == ChunkLengths(17, 16), "as long as ever"
    with pytest.raises(OptionError, match="takes 17 of this size"):
        choose_budget(limits, 480, 832, 33)


def test_long_chunks_of_small_frames_are_halved_when_memory_runs_out() -> None:
    limits = replace(wan(max_chunk=17), chunk_tokens=1560 * 18)
    budget = choose_budget(limits, 40, 56, 81)
    lengths = [smaller.lengths.longest for smaller in shrink(budget, limits, 40, 56)]
    assert lengths[:4] == [41, 21, 9, 5]


def test_pad_length() -> None:
    assert [pad_length(n, True, wan()) for n in (1, 2, 5, 6, 17)] == [1, 5, 5, 9, 17]
    assert [pad_length(n, False, wan()) for n in (1, 4, 5)] == [4, 4, 8]


@given(
    shots=st.lists(st.integers(1, 25), min_size=1, max_size=4),
    length=st.integers(1, 9),
    lookahead=st.integers(0, 4),
)
def test_where_a_model_looks_ahead(shots: list[int], length: int, lookahead: int) -> None:
    """Every frame is new in one chunk and final in one, and no chunk has more new ones."""
    cuts = {sum(shots[:number]) for number in range(len(shots))}
    marked = [(number, number in cuts) for number in range(sum(shots))]
    chunks = [*split_into_chunks(marked, ChunkLengths(length, length), lookahead=lookahead)]
    new = [chunk.frames[chunk.shared :] for chunk in chunks]
    assert [number for frames in new for number in frames] == [number for number, _ in marked]
    assert [number for chunk in chunks for number in chunk.final] == [n for n, _ in marked]
    assert all(1 <= len(frames) <= length for frames in new)
    for before, chunk in pairwise(chunks):
        assert chunk.index == chunk.frames[0]
        assert chunk.shared == before.held_back
        assert chunk.starts_shot == (chunk.index in cuts and not chunk.shared)
        assert before.held_back == (0 if chunk.starts_shot else min(lookahead, len(before.frames)))
