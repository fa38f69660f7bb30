"""The trial of the paper's claims: its codec, that runs are comparable, its measures and tables."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.paper_claims import __main__ as program
from benchmarks.paper_claims.codec import NarrowCodec, NarrowRecipe, fit_codec, patches_of
from benchmarks.paper_claims.measure import (
    LENGTH,
    FrameScore,
    HeldOutClip,
    measure,
    random_references,
    summary,
)
from benchmarks.paper_claims.runs import VARIANTS, config_of, make_recipe
from benchmarks.paper_claims.tables import CLAIMS, report
from refvid.training.batch import Batch
from refvid.training.clips import TrainingClip
from refvid.training.degradations import write_h264
from refvid.training.samples import SampleDrawer, to_unit


def pan(frames: int, height: int, width: int, seed: int) -> np.ndarray:
    """A camera that moves one pixel a frame over tiles with fine noise."""
    random = np.random.default_rng(seed)
    wide = width + frames + 8
    tiles = random.integers(40, 216, (height // 8 + 1, wide // 8 + 1, 3))
    picture = tiles.repeat(8, 0).repeat(8, 1)[:height, :wide]
    picture = picture + random.integers(-30, 31, (height, wide, 1))
    moved = [picture[:, t : t + width] for t in range(frames)]
    return np.stack(moved).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def clips() -> list[TrainingClip]:
    return [TrainingClip(f"source{seed}", pan(20, 104, 136, seed), ()) for seed in range(3)]


@pytest.fixture(scope="module")
def codec(clips: list[TrainingClip]) -> NarrowCodec:
    return fit_codec(clips)


def clip_of(training: TrainingClip) -> Tensor:
    """Its first 16 frames, (1, 3, 16, 96, 96) in [-1, 1]."""
    return to_unit(training.clean[:16, :96, :96]).transpose(0, 1)[None]


def batch_of(training: TrainingClip, other: TrainingClip | None = None, drop: float = 0) -> Batch:
    """Some clip, with its own frame 3 or that of another one as the reference."""
    clip = clip_of(training)
    return Batch(
        clip=clip,
        target=clip,
        reference=to_unit((other or training).clean[3][None]),
        origin=torch.zeros(1, 2, dtype=torch.long),
        token_dropout=drop,
    )


# --- The codec


def test_patches_come_back_in_their_places() -> None:
    whole = NarrowCodec(torch.zeros(768), torch.eye(768))
    clip = torch.rand(2, 3, 8, 16, 24)
    latents = whole.encode(clip)
    assert latents.shape == (2, 768, 2, 2, 3)
    assert torch.equal(whole.decode(latents), clip)
    # One position is one patch of 8x8 pixels and 4 frames.
    latents[:, :, 1, 0, 2] = 0
    changed = (whole.decode(latents) != clip).any(1).any(0)
    assert changed[4:, :8, 16:].all()
    assert int(changed.sum()) == 4 * 8 * 8


def test_the_codec_is_an_orthonormal_projection(
    codec: NarrowCodec, clips: list[TrainingClip]
) -> None:
    assert torch.allclose(codec.basis @ codec.basis.T, torch.eye(16), atol=1e-5)
    clip = clip_of(clips[0])
    latents = codec.encode(clip)
    assert latents.numel() * 48 == clip.numel()
    rebuilt = codec.decode(latents)
    assert torch.allclose(codec.encode(rebuilt), latents, atol=1e-4)
    # Nothing that 16 numbers can say is left in the error.
    left = (patches_of(clip - rebuilt) @ codec.basis.T).abs().max()
    assert float(left) < 1e-4


def test_a_dropped_latent_is_the_mean_patch(codec: NarrowCodec, clips: list[TrainingClip]) -> None:
    decoded = codec.decode(torch.zeros(1, 16, 1, 1, 1))
    seen = torch.cat([patches_of(clip_of(clip)).flatten(0, -2) for clip in clips])
    assert float((patches_of(decoded).flatten() - seen.mean(0)).abs().mean()) < 0.05


def test_no_other_projection_of_its_size_keeps_more(
    codec: NarrowCodec, clips: list[TrainingClip]
) -> None:
    patches = torch.cat([patches_of(clip_of(clip)).flatten(0, -2) for clip in clips])

    def error(basis: Tensor) -> float:
        centred = patches - codec.mean
        return float((centred - centred @ basis.T @ basis).square().mean())

    generator = torch.Generator().manual_seed(0)
    for amount in (0.02, 0.1, 1.0):
        noise = torch.randn(codec.basis.shape, generator=generator)
        other = torch.linalg.qr((codec.basis + amount * noise).T).Q.T
        assert error(codec.basis) < error(other)


# --- What is trained


def recipe_of(codec: NarrowCodec, name: str) -> NarrowRecipe:
    variant = next(v for v in VARIANTS if v.name == name)
    recipe = make_recipe(codec, config_of(variant, Path("unused"), 10, seed=0))
    # The residual starts at zero, which would hide everything.
    torch.nn.init.normal_(recipe.decoder.fusion.out.weight, std=0.02)
    return recipe


@torch.no_grad()
def test_only_the_conditional_decoder_sees_the_reference(
    codec: NarrowCodec, clips: list[TrainingClip]
) -> None:
    ours, other = batch_of(clips[0]), batch_of(clips[0], clips[1])
    unconditional = recipe_of(codec, "unconditional")
    assert torch.equal(unconditional(ours), unconditional(other))
    conditional = recipe_of(codec, "reference")
    assert not torch.allclose(conditional(ours), conditional(other))


@torch.no_grad()
def test_dropout_hides_the_latents(codec: NarrowCodec, clips: list[TrainingClip]) -> None:
    recipe = recipe_of(codec, "unconditional")
    ours, other = (recipe(batch_of(clip, drop=1.0)) for clip in clips[:2])
    assert torch.equal(ours, other)
    assert not torch.equal(*(recipe(batch_of(clip, drop=0.3)) for clip in clips[:2]))


def test_variants_learn_from_the_same_samples(clips: list[TrainingClip]) -> None:
    drawn = {}
    for variant in VARIANTS:
        config = config_of(variant, Path("unused"), 10, seed=3)
        assert config.run.steps == 10 * variant.times
        options = config.stages[0].apply(config.samples)
        drawn[variant.name] = [SampleDrawer(clips, options, 3).draw(i) for i in range(12)]
        for batch in drawn[variant.name]:
            assert batch.reference is not None
            assert batch.clip is not None
            assert torch.equal(batch.clip, batch.target)  # only the codec loses detail
            assert batch.token_dropout <= variant.token_dropout
            assert math.prod(batch.clip.shape) == 16 * 3 * 96 * 96  # stages cost the same
    assert max(batch.token_dropout for batch in drawn["dropout-0.7"]) > 0.4
    for name in ("unconditional", "dropout-0.3", "dropout-0.7", "short"):
        for ours, other in zip(drawn["reference"], drawn[name], strict=True):
            assert torch.equal(ours.target, other.target)
            assert ours.reference is not None
            assert other.reference is not None
            assert torch.equal(ours.reference, other.reference)


# --- Measures


def held_out(name: str = "clip") -> HeldOutClip:
    return HeldOutClip(name, pan(LENGTH, 48, 64, 5), top=16, left=24, side=32)


def test_the_reference_is_whole_and_the_window_lies_in_it() -> None:
    clip = held_out()
    seen = []

    def decode(batch: Batch) -> Tensor:
        seen.append(batch)
        assert batch.clip is not None
        # The reference for every frame: right only for that frame itself.
        top, left = batch.origin[0].tolist()
        assert batch.reference is not None
        window = batch.reference[..., top : top + 32, left : left + 32]
        return window[:, :, None].expand_as(batch.clip)

    scores = measure(decode, [clip], random_references)
    assert [s.frame for s in scores if s.psnr == math.inf] == random_references(clip)
    assert [s.frame for s in scores if s.distance == 0] == random_references(clip)
    assert 0 not in random_references(clip)
    assert len(scores) == LENGTH * len(seen)


def test_means_are_over_frames_then_over_clips() -> None:
    def score(clip: str, frame: int, psnr: float, reference: int = 0) -> FrameScore:
        return FrameScore(clip=clip, frame=frame, reference=reference, psnr=psnr, ssim=psnr / 100)

    scores = [score("a", frame, 40.0 - frame) for frame in range(LENGTH)]
    scores += [score("b", frame, 20.0) for frame in range(LENGTH)]
    scores += [score("b", frame, 30.0) for frame in range(LENGTH)]
    found = summary(scores)
    assert found["psnr"] == pytest.approx((32.5 + 25.0) / 2)
    assert found["ssim"] == pytest.approx((0.325 + 0.25) / 2)
    assert found["psnr_by_clip"] == pytest.approx({"a": 32.5, "b": 25.0})
    by_distance = {"0-0": 32.5, "1-4": 31.25, "5-8": 29.25, "9-12": 27.25, "13-15": 25.5}
    assert found["psnr_by_distance"] == pytest.approx(by_distance)
    backwards = summary([score("a", frame, 30.0 + frame, reference=15) for frame in range(LENGTH)])
    assert backwards["first_frame_psnr"] == pytest.approx(30.0)
    assert backwards["psnr_by_distance"]["0-0"] == pytest.approx(45.0)


# --- Tables


def flat(psnr: float) -> dict[str, object]:
    """A summary of two clips, one dB above and one below a figure."""
    scores = [
        FrameScore(clip=clip, frame=frame, reference=0, psnr=psnr + step, ssim=0.5)
        for clip, step in (("a", 1.0), ("b", -1.0))
        for frame in range(LENGTH)
    ]
    return summary(scores)


def test_claims_are_compared_seed_by_seed() -> None:
    results = [
        {"variant": "reference", "seed": 0, "first": flat(30.0)},
        {"variant": "reference", "seed": 1, "first": flat(30.5)},
        {"variant": "reference", "seed": 2, "first": flat(99.0)},  # has no partner
        {"variant": "unconditional", "seed": 0, "first": flat(29.0)},
        {"variant": "unconditional", "seed": 1, "first": flat(29.25)},
    ]
    tables = report(flat(28.0), results)
    line = next(row for row in tables.splitlines() if row.startswith(f"| {CLAIMS[0].text} "))
    assert line.endswith("| +1.12 (+1.00, +1.25) | 2 of 2 | ±0.00 |")
    # What has not been run is not in the tables.
    assert CLAIMS[5].text not in tables


def test_every_claim_is_about_runs_that_there_are() -> None:
    tests = {v.name: {"first", "random"} if v.random_test else {"first"} for v in VARIANTS}
    for claim in CLAIMS:
        for name, test in (claim.better, claim.worse):
            assert test in tests[name]


# --- The whole program


@pytest.mark.usefixtures("fresh_accelerate")
def test_a_finished_run_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, seed in (("train", 0), ("train", 1), ("valid", 2)):
        (tmp_path / folder).mkdir(exist_ok=True)
        path = tmp_path / folder / f"source{seed}_a.mp4"
        write_h264(pan(20, 104, 200, seed), path, crf=10)
    words = ["--clips", str(tmp_path / "train"), "--valid", str(tmp_path / "valid")]
    words += ["--output", str(tmp_path / "out"), "--steps", "2", "--window", "64", "--json"]
    words += ["--runs", "reference"]
    monkeypatch.setattr(sys, "argv", ["paper_claims", *words])

    program.main()
    first = json.loads(capsys.readouterr().out)
    assert [run["variant"] for run in first["runs"]] == ["reference"]
    assert set(first["runs"][0]) == {"variant", "seed", "first", "random"}
    assert 5 < first["runs"][0]["first"]["psnr"] < 60
    assert "| reference |" in (tmp_path / "out" / "report.md").read_text()

    monkeypatch.setattr(program, "train_run", lambda *_: pytest.fail("it trains again"))
    program.main()
    assert json.loads(capsys.readouterr().out) == first
