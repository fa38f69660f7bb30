"""The weights that ship earn their place (the model card has clips that training never saw)."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from refvid.errors import CheckpointUnavailable
from refvid.evaluation import measures
from refvid.evaluation.demo import DemoOptions, run_demo, sample_clip, sample_photo
from refvid.evaluation.protocol import EvaluateOptions, evaluate
from refvid.evaluation.rebuilding import rebuild_with
from refvid.evaluation.report import EvaluationReport
from refvid.metrics.psnr import psnr
from refvid.rebuild.choose_backbone import LoadedBackbone, choose_backbone
from refvid.rebuild.options import ModelOptions
from refvid.training.degradations import EVALUATION_DEGRADATIONS, Degradation, degrade, write_h264
from refvid.training.made import make_clip
from refvid.training.synthetic import moving_photo
from tests.in_chunks import join

FRAMES = 5


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    return sample_clip()[:FRAMES]


@pytest.fixture(scope="module")
def loaded() -> LoadedBackbone:
    return choose_backbone(ModelOptions(model="mini", device="cpu"))


def gain(rebuilt: np.ndarray, degraded: np.ndarray, clean: np.ndarray) -> float:
    """PSNR over the input [dB], frames after the reference."""
    return float(
        np.mean(
            [
                psnr(o, c) - psnr(d, c)
                for o, d, c in zip(rebuilt[1:], degraded[1:], clean[1:], strict=True)
            ]
        )
    )


@pytest.mark.parametrize("name", EVALUATION_DEGRADATIONS)
def test_a_clean_frame_brings_detail_back(
    clip: np.ndarray, loaded: LoadedBackbone, name: str
) -> None:
    degraded = degrade(clip, EVALUATION_DEGRADATIONS[name])
    helped = gain(rebuild_with(loaded, degraded, [clip[0]]), degraded, clip)
    alone = gain(rebuild_with(loaded, degraded), degraded, clip)
    assert helped > 1.0
    assert alone > -0.1
    assert helped - alone > 0.8


def test_an_unrelated_picture_does_no_harm(clip: np.ndarray, loaded: LoadedBackbone) -> None:
    rng = np.random.default_rng(0)
    # Noise at all scales, larger ones stronger, as natural pictures have it.
    picture = np.full((320, 448, 3), 128.0)
    for size in (4, 8, 16, 32, 64):
        noise = rng.normal(0, 150 / size, (320 // size + 1, 448 // size + 1, 3))
        large = np.kron(noise, np.ones((size, size, 1)))[:320, :448]
        picture += large * size / 8
    unrelated = picture.clip(0, 255).astype(np.uint8)
    degraded = degrade(clip, EVALUATION_DEGRADATIONS["half"])
    wrong = gain(rebuild_with(loaded, degraded, [unrelated]), degraded, clip)
    alone = gain(rebuild_with(loaded, degraded), degraded, clip)
    assert wrong > alone - 0.05


def test_a_picture_of_hard_edges_does_no_harm(clip: np.ndarray, loaded: LoadedBackbone) -> None:
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (10, 14, 3), dtype=np.uint8)
    unrelated = np.kron(blocks, np.ones((32, 32, 1), np.uint8))
    degraded = degrade(clip, EVALUATION_DEGRADATIONS["half"])
    wrong = gain(rebuild_with(loaded, degraded, [unrelated]), degraded, clip)
    alone = gain(rebuild_with(loaded, degraded), degraded, clip)
    assert wrong > alone - 0.05


def test_a_photo_by_another_camera_brings_most_of_it(
    clip: np.ndarray, loaded: LoadedBackbone
) -> None:
    degraded = degrade(clip, EVALUATION_DEGRADATIONS["half"])
    exact = gain(rebuild_with(loaded, degraded, [clip[0]]), degraded, clip)
    photo = gain(rebuild_with(loaded, degraded, [sample_photo()]), degraded, clip)
    assert photo > 0.6 * exact


def test_two_references_are_no_worse_than_one(clip: np.ndarray, loaded: LoadedBackbone) -> None:
    degraded = degrade(clip, EVALUATION_DEGRADATIONS["half"])
    one = gain(rebuild_with(loaded, degraded, [clip[0]]), degraded, clip)
    two = gain(rebuild_with(loaded, degraded, [clip[0], clip[-1]]), degraded, clip)
    assert two > one


@pytest.mark.parametrize("kind", ["plain", "title", "screen", "letterbox"])
def test_what_needs_no_help_is_left_alone(
    clip: np.ndarray, loaded: LoadedBackbone, kind: str
) -> None:
    photo = Image.fromarray(clip[0])
    clean = make_clip(kind, random.Random(5), (320, 240), FRAMES, photo)
    given = degrade(clean, Degradation(crf=4))
    for references in ([], [clean[0]], [given[0]], [clip[0]]):
        rebuilt = rebuild_with(loaded, given, references)
        change = [
            min(psnr(o, c), 60.0) - min(psnr(d, c), 60.0)
            for o, d, c in zip(rebuilt, given, clean, strict=True)
        ]
        assert np.mean(change) > -0.5


def test_a_clean_clip_stays_clean(clip: np.ndarray, loaded: LoadedBackbone) -> None:
    rebuilt = rebuild_with(loaded, clip, [clip[0]])
    assert np.mean([psnr(o, c) for o, c in zip(rebuilt[1:], clip[1:], strict=True)]) > 46


def test_chunks_equal_the_whole(clip: np.ndarray, loaded: LoadedBackbone) -> None:
    """The promise of streaming, with the real weights in the real precision."""
    from refvid.rebuild.pixels import frames_to_clip

    degraded = degrade(clip, EVALUATION_DEGRADATIONS["crf36"])
    backbone = loaded.backbone
    tensor = frames_to_clip(list(degraded), loaded.device)
    reference = backbone.prepare_reference(frames_to_clip([clip[0]], loaded.device)[:, :, 0])
    latents = backbone.encode(tensor).latents
    whole = backbone.decode(latents, reference).clip
    state = done = None
    for index in range(FRAMES):
        decoded = backbone.decode(latents[:, :, index : index + 1], reference, state)
        state, done = decoded.state, join(done, decoded)
    assert done is not None
    assert torch.equal(done, whole)


def test_the_demo_gains(tmp_path: Path) -> None:
    report = run_demo(DemoOptions(output=tmp_path / "demo"), lambda progress: None)
    assert report.psnr_after - report.psnr_before > 1.0
    assert report.frames == 33
    for path in (report.input, report.reference, report.output, report.comparison):
        assert path.stat().st_size > 1000


@pytest.fixture
def folder(tmp_path: Path, clip: np.ndarray) -> Path:
    """Two small clips."""
    photo = Image.fromarray(clip[0])
    (tmp_path / "clips").mkdir()
    for name, seed in (("a", 1), ("b", 2)):
        rng = random.Random(seed)
        frames = moving_photo(photo, size=(128, 96), frames=4, rng=rng, speed=0.4)
        write_h264(frames, tmp_path / "clips" / f"{name}.mp4", crf=8)
    return tmp_path / "clips"


def test_evaluate_measures_a_folder(folder: Path, tmp_path: Path) -> None:
    cases = ("exact", "none", "unrelated")
    options = EvaluateOptions(clips=folder, cases=cases, frames=4, output=tmp_path / "report.md")
    report = evaluate(options, lambda progress: None)
    assert report.clips == ("a", "b")
    for case in cases:
        assert len(report.select(case)) == 6
    assert report.to_json() == evaluate(options, lambda progress: None).to_json()
    text = (tmp_path / "report.md").read_text()
    assert "| input |" in text
    assert f"| {report.gain('exact'):+.2f} dB |" in text
    perfect = np.mean(list(report.clean_warping_error.values()))
    assert f"| the clean clip itself | | 1.0000 | 0.0000 | {perfect:.4f} | | | |" in text


def test_evaluate_takes_lpips_where_it_can_be_had(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    options = EvaluateOptions(clips=folder, cases=("exact",), frames=3)

    def distance(network: object, picture: np.ndarray, clean: np.ndarray) -> float:
        return float(np.abs(picture.astype(float) - clean).mean())

    monkeypatch.setattr(measures, "missing_packages", lambda measure: ())
    monkeypatch.setattr(measures, "lpips_distance", distance)

    def run(load: Callable[[torch.device], object]) -> EvaluationReport:
        monkeypatch.setattr(measures, "load_lpips", load)
        return evaluate(options, lambda progress: None)

    measured = run(lambda device: object())
    assert all(entry.scores.lpips for entry in measured.inputs)
    assert "lpips" in measured.summary()

    def fail(device: torch.device) -> object:
        raise CheckpointUnavailable("no network here")

    failed = run(fail)
    assert "not measured" in failed.to_markdown()
    assert "lpips" not in failed.summary()
    assert "no network here" in caplog.text
