"""A model that looks ahead gives the same frames, however they come to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from refvid.models.mini.autoencoder import MiniBackbone
from refvid.models.mini.config import MiniConfig
from refvid.models.mini.decoder import MiniDecoder
from refvid.rebuild.chunk_starts import ChunkStart, ChunkStarts
from refvid.rebuild.chunks import Chunk, ChunkLengths, split_into_chunks
from refvid.rebuild.memory import Budget, choose_budget
from refvid.rebuild.session import Session
from tests.conftest import moving_pattern

CPU = torch.device("cpu")
SHOTS = (11, 1, 9)
CUTS = (0, 11, 12)


@pytest.fixture
def backbone() -> MiniBackbone:
    """One for which neighbours count in full."""
    config = MiniConfig(
        width=8, wide=8, depths=(1, 1, 1), condition_width=8, kernels=2, weighs_neighbours=True
    )
    decoder = MiniDecoder(config)
    assert decoder.neighbours is not None
    torch.nn.init.constant_(decoder.neighbours.bias, 10.0)
    return MiniBackbone(decoder, config, CPU, torch.float32)


@pytest.fixture(scope="module")
def clip() -> Tensor:
    """(1, 3, T, 45, 60): no multiple of what the model takes."""
    frames = torch.cat([torch.from_numpy(moving_pattern(n, 45, 60, seed=n)).float() for n in SHOTS])
    torch.manual_seed(0)
    noisy = frames + 5 * torch.randn_like(frames)
    return noisy.div(127.5).sub(1).clamp(-1, 1).permute(3, 0, 1, 2)[None]


def pieces(clip: Tensor, length: int, backbone: MiniBackbone) -> Iterator[Any]:
    marked = [(clip[:, :, n : n + 1], n in CUTS) for n in range(clip.shape[2])]
    lookahead = backbone.limits.lookahead
    return split_into_chunks(marked, ChunkLengths(length, length), lookahead=lookahead)


def start_of(chunk: Chunk[Tensor], session: Session) -> ChunkStart:
    tensors, facts = session.snapshot(with_state=not chunk.starts_shot)
    return ChunkStart(
        position=chunk.index,
        shared=chunk.shared,
        starts_shot=chunk.starts_shot,
        tensors=tensors,
        facts=facts,
    )


def rebuild(clip: Tensor, length: int, backbone: MiniBackbone, *, stop_at: int = -1) -> Tensor:
    """In chunks of a length; from one on with what was kept of the session before."""
    budget = choose_budget(backbone.limits, *clip.shape[3:])
    session, done = Session(backbone, CPU, budget), []
    starts, chunks = ChunkStarts(backbone.limits.recomputed), [*pieces(clip, length, backbone)]
    for number, chunk in enumerate(chunks):
        starts.add(start_of(chunk, session))
        if number == stop_at:
            begin = starts.begin()
            session = Session(backbone, CPU, budget)
            session.restore(begin.tensors, begin.facts)
            for again in chunks[:number]:
                if again.index >= begin.position:
                    session.rebuild(torch.cat(again.frames, 2), again)
        done.append(session.rebuild(torch.cat(chunk.frames, 2), chunk))
        assert done[-1].shape[2] == len(chunk.final)
    return torch.cat(done, 2)


@pytest.fixture
def whole(clip: Tensor, backbone: MiniBackbone) -> Tensor:
    return rebuild(clip, 32, backbone)


def test_neighbours_show(clip: Tensor, whole: Tensor, backbone: MiniBackbone) -> None:
    assert whole.shape == clip.shape
    assert not torch.equal(whole, clip)
    alone = CUTS[1]
    torch.testing.assert_close(whole[:, :, alone], clip[:, :, alone], atol=1e-5, rtol=0)


@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_chunks_of_any_length(
    clip: Tensor, whole: Tensor, backbone: MiniBackbone, length: int
) -> None:
    assert torch.equal(rebuild(clip, length, backbone), whole)


@pytest.mark.parametrize(("length", "stop_at"), [(1, 2), (1, 12), (4, 1), (4, 2), (4, 3), (4, 5)])
def test_what_is_kept_goes_on(
    clip: Tensor, whole: Tensor, backbone: MiniBackbone, length: int, stop_at: int
) -> None:
    assert torch.equal(rebuild(clip, length, backbone, stop_at=stop_at), whole)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_where_memory_runs_out(
    clip: Tensor, whole: Tensor, backbone: MiniBackbone, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    through = MiniBackbone.rebuild

    def fail(self: MiniBackbone, frames: Tensor, *rest: Any, **options: Any) -> Any:
        if frames.shape[2] > most:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return through(self, frames, *rest, **options)

    monkeypatch.setattr(MiniBackbone, "rebuild", fail)
    assert torch.equal(rebuild(clip, 8, backbone), whole)


@pytest.mark.parametrize("length", [1, 2, 4])
def test_latents(clip: Tensor, whole: Tensor, backbone: MiniBackbone, length: int) -> None:
    decoded = by_latents(clip, length, backbone)
    assert torch.equal(decoded, by_latents(clip, 11, backbone))
    # On the way to latents and back, values are rounded; what is looked at are whole levels.
    difference = (decoded[..., :45, :60] - whole[:, :, : SHOTS[0]]).abs()
    assert difference.mean() < 0.1 / 127.5
    assert difference.max() < 4 / 127.5


def by_latents(clip: Tensor, length: int, backbone: MiniBackbone) -> Tensor:
    """Encode the first shot, and decode so many latents at a time."""
    budget = Budget(ChunkLengths(length, length), tile=None)
    latents = Session(backbone, CPU, budget).encode(clip[:, :, : SHOTS[0]])
    session, done, size = Session(backbone, CPU, budget), [], (48, 64)
    for start in range(0, SHOTS[0], length):
        part = latents[:, :, start : start + length]
        is_last = start + length >= SHOTS[0]
        done.append(session.decode(part, size, index=start, is_last=is_last))
    return torch.cat(done, 2)
