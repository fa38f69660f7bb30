"""Models that are not causal: chunks overlap, results are cross-faded, no frame is lost."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from refvid.models.backbone import BackboneLimits, Decoded, Encoded
from refvid.rebuild.chunks import choose_chunk_lengths, split_into_chunks
from refvid.rebuild.memory import choose_budget
from refvid.rebuild.overlap import ChunkJoiner, cross_fade
from tests.unit.rebuild.reconstruct import reconstruct

LIMITS = BackboneLimits(
    size_multiple=8,
    min_size=16,
    temporal_stride=4,
    first_chunk_extra=0,
    default_chunk=16,
    max_chunk=16,
    overlap=4,
)


@dataclass
class WholeCall:
    """Every frame of a call depends on all of it: what is decoded is shifted by the call's mean."""

    limits: BackboneLimits = LIMITS
    shift: float = 0.1
    fail_above_frames: int = 16
    lengths: list[int] = field(default_factory=list)
    name: str = "whole call"

    def encode(self, clip: Any, state: Any = None) -> Any:
        assert state is None
        frames = clip.shape[2]
        assert frames % 4 == 0
        assert 0 < frames <= 16
        if frames > self.fail_above_frames:
            raise MemoryError
        self.lengths.append(frames)
        # Four frames make one latent, side by side in its channels.
        return Encoded(clip.unflatten(2, (-1, 4)).transpose(2, 3).flatten(1, 2), None)

    def decode(
        self, latents: Any, reference: Any = None, state: Any = None, *, tile: int | None = None
    ) -> Any:
        frames = latents.unflatten(1, (3, 4)).transpose(2, 3).flatten(2, 3)
        return Decoded(frames + self.shift * frames.mean(), None)

    def working_bytes(self, height: int, width: int, frames: int, tile: int | None) -> int:
        return frames

    def bound_memory(self) -> None:
        pass


def ramp(frames: int) -> torch.Tensor:
    """A clip whose brightness grows, so that every call has another mean."""
    return (torch.arange(frames) / 100).view(1, 1, -1, 1, 1).expand(1, 3, -1, 16, 16).clone()


def rebuild_stream(backbone: WholeCall, clip: torch.Tensor, chunk: int | None = None):
    """As the workflows do it: chunks of a stream, joined."""
    budget = choose_budget(backbone.limits, 16, 16, chunk)
    joiner = ChunkJoiner()
    state, parts = None, []
    final: list[int] = []
    frames = ((index, index == 0) for index in range(clip.shape[2]))
    for piece in split_into_chunks(frames, budget.lengths):
        part = clip[:, :, piece.index : piece.index + len(piece.frames)]
        result = reconstruct(backbone, part, None, state, budget)  # type: ignore[arg-type]
        state = result.state
        parts.append(joiner.join(result.clip, piece.shared, piece.held_back))
        final += piece.final
    assert final == list(range(clip.shape[2]))
    return torch.cat(parts, 2)


@pytest.mark.parametrize("frames", [1, 3, 4, 15, 16, 17, 28, 29, 50])
def test_frames_are_padded_and_cropped_never_lost(frames: int) -> None:
    backbone = WholeCall(shift=0.0)
    torch.testing.assert_close(rebuild_stream(backbone, ramp(frames)), ramp(frames))
    assert sum(backbone.lengths) >= frames


def test_a_seam_is_spread_over_what_is_shared() -> None:
    clip = ramp(28)
    hard = rebuild_stream(WholeCall(limits=replace(LIMITS, overlap=0)), clip)
    soft = rebuild_stream(WholeCall(), clip)

    def worst_step(rebuilt: torch.Tensor) -> float:
        return float((rebuilt.diff(dim=2) - clip.diff(dim=2)).abs().max())

    # The means of two calls differ by 0.14 or 0.12: one jump, or five small steps.
    assert worst_step(hard) > 0.012
    assert worst_step(soft) < 0.004


@given(frames=st.integers(1, 16), shorter=st.sampled_from([4, 8]))
def test_less_memory_overlaps_within_the_chunk(frames: int, shorter: int) -> None:
    backbone = WholeCall(shift=0.0, fail_above_frames=shorter)
    budget = choose_budget(LIMITS, 16, 16)
    result = reconstruct(backbone, ramp(frames), None, None, budget)  # type: ignore[arg-type]
    torch.testing.assert_close(result.clip, ramp(frames))
    assert max(backbone.lengths) <= shorter


def test_the_shortest_chunks_cannot_overlap() -> None:
    assert choose_chunk_lengths(LIMITS, 4).overlap == 0
    assert choose_chunk_lengths(LIMITS, 8).overlap == 4
    assert choose_chunk_lengths(LIMITS).overlap == 4


@given(st.integers(1, 6), st.integers(0, 5), st.integers(0, 5))
def test_a_fade_is_between_both(shared: int, before: int, after: int) -> None:
    first, second = torch.zeros(1, 1, shared + before, 2, 2), torch.ones(1, 1, shared + after, 2, 2)
    left, faded = cross_fade(first, second, shared)
    assert left.shape[2] == before
    weights = faded[0, 0, :shared, 0, 0]
    assert ((weights > 0) & (weights < 1)).all()
    assert (weights.diff() > 0).all()
    torch.testing.assert_close(weights + weights.flip(0), torch.ones(shared))
    assert (faded[:, :, shared:] == 1).all()
