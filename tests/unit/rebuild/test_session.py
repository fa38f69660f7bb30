"""Chunked equals whole; memory that runs out costs time, not pixels."""

import numpy as np
import pytest
import torch

from refvid.errors import CheckpointError, DeviceError, OutOfMemory
from refvid.rebuild.memory import choose_budget, plan_budget
from refvid.rebuild.out_of_memory import first_words
from refvid.rebuild.reference_choice import prepare_reference
from tests.unit.rebuild.reconstruct import Reconstructed, reconstruct

CPU = torch.device("cpu")


def rebuild(backbone, clip, reference=None, chunk=None, tile="auto") -> Reconstructed:
    height, width = clip.shape[3:]
    budget = choose_budget(backbone.limits, height, width, chunk, tile)
    return reconstruct(backbone, clip, reference, None, budget)


@pytest.fixture
def clip() -> torch.Tensor:
    return torch.rand(1, 3, 42, 18, 21, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("chunk", [1, 4, 8, 12, 17, 40])
@pytest.mark.parametrize("extra", [0, 1])
def test_chunks_equal_one_piece(fake_backbone, clip, chunk: int, extra: int) -> None:
    whole = rebuild(fake_backbone(first_chunk_extra=extra), clip, chunk=1000).clip
    parts = rebuild(fake_backbone(first_chunk_extra=extra), clip, chunk=chunk).clip
    assert whole.shape == clip.shape
    assert torch.equal(parts, whole)


def test_state_is_handed_on(fake_backbone, clip) -> None:
    backbone = fake_backbone()
    budget = choose_budget(backbone.limits, 18, 21, 8)
    whole = rebuild(backbone, clip).clip
    first = reconstruct(backbone, clip[:, :, :9], None, None, budget)
    second = reconstruct(backbone, clip[:, :, 9:], None, first.state, budget)
    assert torch.equal(torch.cat([first.clip, second.clip], dim=2), whole)
    fresh = reconstruct(backbone, clip[:, :, 9:], None, None, budget)
    assert not torch.equal(fresh.clip, second.clip), "the fake model must notice lost state"


def test_shorter_chunks_when_memory_runs_out(fake_backbone, clip, caplog) -> None:
    whole = rebuild(fake_backbone(), clip, chunk=32)
    backbone = fake_backbone(fail_above_frames=9)
    result = rebuild(backbone, clip, chunk=32)
    assert torch.equal(result.clip, whole.clip)
    assert result.budget.lengths.longest == 9
    assert result.budget.tile is None
    assert max(frames for frames, _ in backbone.calls) == 9
    assert "Out of memory" in caplog.text


def test_states_leave_the_card_when_memory_runs_out(fake_backbone, clip, monkeypatch) -> None:
    backbone = fake_backbone(fail_above_frames=5)
    bounded: list[int] = []
    monkeypatch.setattr(backbone, "bound_memory", lambda: bounded.append(len(backbone.calls)))
    rebuild(backbone, clip, chunk=8)
    assert bounded[0] == 0, "before anything fitted"


def test_what_pytorch_knows_of_a_card_is_left_out() -> None:
    said = "CUDA out of memory. Tried to allocate 2.00 MiB. GPU 0 has a total capacity of 4 GiB."
    assert first_words(RuntimeError(said)) == said.partition(" GPU")[0]
    assert first_words(RuntimeError("can't allocate\nmore")) == "can't allocate"


def test_failure_in_the_middle_keeps_finished_work(fake_backbone, clip) -> None:
    whole = rebuild(fake_backbone(), clip)
    backbone = fake_backbone()

    def tighten(call: int) -> None:
        if call == 2:
            backbone.fail_above_frames = 5

    backbone.on_encode = tighten
    result = rebuild(backbone, clip)
    assert torch.equal(result.clip, whole.clip)
    assert [frames for frames, _ in backbone.calls[:4]] == [9, 8, 4, 4]


def test_tiles_after_the_shortest_chunk(fake_backbone) -> None:
    clip = torch.rand(1, 3, 9, 16, 600)
    backbone = fake_backbone(fail_untiled_above=256)
    result = rebuild(backbone, clip)
    assert result.budget.tile == 256
    assert [tile for _, tile in backbone.calls][:5] == [None, None, 512, 384, 256]
    assert result.clip.shape == clip.shape


def test_tile_off_means_no_tiles(fake_backbone) -> None:
    backbone = fake_backbone(fail_untiled_above=256)
    with pytest.raises(OutOfMemory, match=r"600x16 .* 5 frames per call, untiled .* GiB"):
        rebuild(backbone, torch.rand(1, 3, 9, 16, 600), tile="off")


def test_out_of_memory_says_how_much(fake_backbone, clip) -> None:
    with pytest.raises(OutOfMemory, match=r"GiB are free"):
        rebuild(fake_backbone(fail_above_frames=0), clip)


def test_other_failures_pass_through(fake_backbone, clip) -> None:
    backbone = fake_backbone()

    def fail(call: int) -> None:
        raise RuntimeError("shape mismatch")

    backbone.on_encode = fail
    with pytest.raises(RuntimeError, match="shape mismatch"):
        rebuild(backbone, clip)


def test_values_that_are_no_numbers_are_an_error(fake_backbone, clip) -> None:
    clip[0, 0, 3, 3, 3] = float("nan")
    backbone = fake_backbone()
    with pytest.raises(CheckpointError, match="weights are damaged"):
        rebuild(backbone, clip)
    for dtype in (torch.float16, torch.bfloat16):
        backbone.dtype = dtype
        with pytest.raises(DeviceError, match="fp32"):
            rebuild(backbone, clip)


def test_reference_is_padded_like_the_clip(fake_backbone, clip) -> None:
    backbone = fake_backbone()
    picture = np.full((18, 21, 3), 255, np.uint8)
    reference = prepare_reference(backbone, picture, CPU)
    with_reference = rebuild(backbone, clip, reference).clip
    without = rebuild(backbone, clip).clip
    assert torch.allclose(without - with_reference, torch.tensor(0.2), atol=1e-6)


def test_plan_takes_the_first_budget_that_fits(fake_backbone) -> None:
    backbone = fake_backbone(bytes_per_pixel=100)
    wanted = choose_budget(backbone.limits, 1080, 1920, 16)
    whole = 1080 * 1920 * 100

    def plan(free: int | None):
        return plan_budget(backbone, 1080, 1920, wanted, free)

    assert plan(None).budget == wanted
    assert plan(whole * 20).budget == wanted
    assert plan(whole * 20).memory_bytes == whole * 17
    assert plan(whole * 10).budget.lengths.longest == 9
    assert plan(whole * 10).budget.tile is None
    assert plan(whole).budget.tile == 512
    assert plan(whole).fits
    assert not plan(1000).fits
    assert plan(1000).budget.tile == 128


def test_tile_wishes(fake_backbone) -> None:
    limits = fake_backbone().limits
    assert choose_budget(limits, 100, 100, tile=30).tile == 32
    assert choose_budget(limits, 100, 100, tile=104).tile is None
    assert choose_budget(limits, 100, 100, tile=1).tile == 16
