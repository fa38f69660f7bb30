"""Chunks cover every frame once, never cross a cut, and have lengths the model accepts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from refvid.models.backbone import BackboneLimits
from refvid.rebuild.chunks import (
    ChunkLengths,
    choose_chunk_lengths,
    count_chunks,
    halve_chunk_lengths,
    next_length,
    pad_length,
    split_into_chunks,
)


@st.composite
def some_limits(draw: st.DrawFn) -> BackboneLimits:
    stride = draw(st.integers(1, 8))
    overlap = draw(st.integers(0, 2)) * stride
    extra = draw(st.integers(0, 1)) if overlap == 0 else 0
    default = draw(st.integers(1, 6)) * stride
    return BackboneLimits(
        size_multiple=8,
        min_size=16,
        temporal_stride=stride,
        first_chunk_extra=extra,
        default_chunk=default,
        max_chunk=draw(st.integers(default, 60)),
        overlap=overlap,
    )


@given(some_limits(), st.data())
def test_lengths_are_legal(limits: BackboneLimits, data: st.DataObject) -> None:
    asked = data.draw(st.none() | st.integers(1, limits.max_chunk))
    lengths: ChunkLengths | None = choose_chunk_lengths(limits, asked)
    while lengths is not None:
        assert lengths.following % limits.temporal_stride == 0
        assert (lengths.first - limits.first_chunk_extra) % limits.temporal_stride == 0
        assert 0 < lengths.first <= limits.max_chunk
        assert 0 < lengths.following <= limits.max_chunk
        assert lengths.overlap % limits.temporal_stride == 0
        assert lengths.overlap <= min(limits.overlap, lengths.following - limits.temporal_stride)
        half = halve_chunk_lengths(lengths, limits)
        assert half is None or half.longest < lengths.longest
        lengths = half


@given(some_limits(), st.lists(st.booleans(), max_size=120), st.data())
def test_every_frame_is_in_one_chunk(
    limits: BackboneLimits, cuts: list[bool], data: st.DataObject
) -> None:
    lengths = choose_chunk_lengths(limits, data.draw(st.none() | st.integers(1, limits.max_chunk)))
    chunks = list(split_into_chunks(enumerate_pairs(cuts), lengths))
    assert [frame for chunk in chunks for frame in chunk.final] == list(range(len(cuts)))
    for number, chunk in enumerate(chunks):
        assert chunk.index == chunk.frames[0]
        assert not any(cuts[frame] for frame in chunk.frames[1:]), "no cut inside a chunk"
        assert chunk.starts_shot == (chunk.index == 0 or cuts[chunk.index])
        padded = pad_length(len(chunk.frames), chunk.starts_shot, limits)
        assert len(chunk.frames) <= padded <= limits.max_chunk
        assert padded - len(chunk.frames) < limits.temporal_stride
        ends_shot = number + 1 == len(chunks) or chunks[number + 1].starts_shot
        assert ends_shot or padded == len(chunk.frames), "padding only where a shot ends"
        assert chunk.held_back == (0 if ends_shot else lengths.overlap)
        if not ends_shot:
            following = chunks[number + 1]
            assert following.shared == chunk.held_back
            shared = following.frames[: following.shared]
            assert shared == chunk.frames[len(chunk.frames) - chunk.held_back :]
            assert len(following.frames) > following.shared, "every chunk brings frames of its own"
    if not any(cuts[1:]):
        assert len(chunks) == count_chunks(len(cuts), lengths)


@given(some_limits(), st.integers(1, 100), st.booleans())
def test_split_agrees_with_the_stream(
    limits: BackboneLimits, frames: int, starts_shot: bool
) -> None:
    lengths = choose_chunk_lengths(limits)
    parts: list[int] = []
    position = 0
    while position < frames:
        start = position - min(lengths.overlap, position)
        parts.append(next_length(frames - start, starts_shot and not parts, lengths))
        position = start + parts[-1]
    assert position == frames
    if starts_shot:
        stream = split_into_chunks(enumerate_pairs([False] * frames), lengths)
        assert parts == [len(chunk.frames) for chunk in stream]


def enumerate_pairs(cuts: list[bool]) -> list[tuple[int, bool]]:
    return list(enumerate(cuts))
