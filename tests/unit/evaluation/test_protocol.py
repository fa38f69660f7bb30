"""The protocol with toys for models, on clips of a few pixels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from refvid.errors import InputError
from refvid.evaluation import harmless, protocol
from refvid.evaluation.cases import CASES
from refvid.evaluation.measures import Networks
from refvid.evaluation.protocol import EvaluateOptions, evaluate
from refvid.evaluation.rebuilding import Frames, Picture, rebuild_with
from refvid.evaluation.report import EvaluationReport
from refvid.progress import Progress
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.training.degradations import write_h264
from tests.unit.training.conftest import textured_picture


@pytest.fixture
def loaded(fake_backbone, monkeypatch) -> LoadedBackbone:
    """A toy in place of the model, no networks to measure with, and few small made clips."""
    toy = LoadedBackbone(
        backbone=fake_backbone(), device=torch.device("cpu"), dtype=torch.float32, reason="a toy"
    )
    monkeypatch.setattr(protocol, "choose_backbone", lambda options: toy)
    monkeypatch.setattr(protocol, "load_networks", lambda device: Networks())
    monkeypatch.setattr(harmless, "MADE_KINDS", ("plain", "letterbox"))
    monkeypatch.setattr(harmless, "MADE_SIZE", (64, 64))
    monkeypatch.setattr(harmless, "MADE_PER_KIND", 1)
    return toy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two clips that stand still, one of 20 frames and one of 6."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for seed, (name, length) in enumerate((("long", 20), ("short", 6))):
        write_h264([textured_picture(64, 72, seed)] * length, folder / f"{name}.mp4", crf=4)
    return folder


def copying(loaded: LoadedBackbone, frames: Frames, references: Sequence[Picture] = ()) -> Frames:
    """Half of the way from a frame to the mean of the references that have its size."""
    fitting = [r.astype(float) for r in references if r.shape == frames.shape[1:]]
    if not fitting:
        return frames
    return ((frames + np.mean(fitting, axis=0)) / 2).round().astype(np.uint8)


def run(folder: Path, *cases: str, **options: Any) -> tuple[EvaluationReport, list[Progress]]:
    progress: list[Progress] = []
    asked = EvaluateOptions(clips=folder, cases=cases or tuple(CASES), **options)
    return evaluate(asked, progress.append), progress


def test_all_cases_with_a_model_that_copies(loaded, folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(protocol, "rebuild_with", copying)
    report, progress = run(folder)
    assert [step.done for step in progress] == list(range(1, len(progress) + 1))
    assert progress[-1].done == progress[-1].total
    assert report.cases == tuple(CASES)
    assert report.clips == ("long", "short")
    found = report.summary()
    # The clips stand still: half of the error is gone, whatever the distance.
    assert found["exact"] == pytest.approx(6.0, abs=0.3)
    assert found["far"] == pytest.approx(found["exact"], abs=1)
    assert found["exact_worst"] <= found["exact"]
    assert found["none"] == 0
    assert found["soft"] == pytest.approx(0, abs=0.05)
    assert found["unrelated"] < -3
    assert found["photo_share"] < 50
    assert abs(found["several_worst"]) < 0.1
    assert found["harmless_worst"] < -3
    assert 0 < found["harmless_itself"] < 30
    met = {row.bar.key: row.met for row in report.rows()}
    assert met["exact"]
    assert met["ssim"]
    assert met["soft"]
    assert not met["unrelated"]
    assert not met["harmless_worst"]
    assert met["photo"] is None, "the share is judged"


def test_the_model_is_run_as_enhance_does(loaded, folder: Path) -> None:
    report, _ = run(folder, "none", "exact", frames=6)
    # The toy blurs in time, and makes frames darker by a tenth of the reference.
    assert report.gain("none") == pytest.approx(0, abs=0.5)
    assert (report.gain("exact") or 0) < -1.5
    assert loaded.backbone.references == 2 * 3


def test_what_cannot_be_done_is_skipped_with_a_reason(loaded, folder: Path) -> None:
    report, progress = run(folder, "several", "far", "none", frames=9)
    assert report.cases == ("several", "none")
    assert report.skipped == {"far": "no clip has frames after 16"}
    assert progress[-1].done == progress[-1].total
    assert "far: not measured, no clip has frames after 16" in report.to_markdown()


def test_references_of_other_sizes_cover_the_frame(loaded) -> None:
    frames = np.full((2, 32, 48, 3), 128, np.uint8)
    small = np.full((10, 10, 3), 255, np.uint8)
    assert np.all(rebuild_with(loaded, frames, [small]) < 110)
    assert np.array_equal(rebuild_with(loaded, frames), frames)


def test_reports_are_written_and_compared(
    loaded, folder: Path, tmp_path: Path, monkeypatch
) -> None:
    first = tmp_path / "first.json"
    report, _ = run(folder, "exact", "none", frames=5, output=first)
    assert json.loads(first.read_text()) == json.loads(json.dumps(report.to_json()))
    monkeypatch.setattr(protocol, "rebuild_with", copying)
    better, _ = run(folder, "exact", "none", frames=5, against=first, output=tmp_path / "b.md")
    rows = {row.bar.key: row for row in better.rows()}
    assert rows["exact"].before == report.summary()["exact"]
    assert rows["flicker"].limit == report.summary()["flicker"]
    assert rows["ssim"].met
    assert "| before |" in (tmp_path / "b.md").read_text()
    again, _ = run(folder, "exact", "none", frames=5)
    assert {**better.to_json(), "bars": None} == {**again.to_json(), "bars": None}


@pytest.mark.parametrize("text", ["no JSON", "{}", '{"summary": 3}', '{"summary": {"exact": "x"}}'])
def test_what_is_no_report_is_refused(loaded, folder: Path, tmp_path: Path, text: str) -> None:
    other = tmp_path / "other.json"
    other.write_text(text)
    with pytest.raises(InputError, match="no report"):
        run(folder, "exact", against=other)
    with pytest.raises(InputError, match="Cannot read"):
        run(folder, "exact", against=tmp_path / "missing.json")


def test_one_clip_is_too_few(loaded, folder: Path) -> None:
    with pytest.raises(InputError, match="at least two"):
        run(folder, "exact", max_clips=1)


@pytest.mark.parametrize(
    ("length", "size", "says"), [(2, 64, "only 2 frames: at least 3"), (6, 8, "too small")]
)
def test_a_clip_that_cannot_be_measured_is_named_before_the_work(
    loaded, folder: Path, monkeypatch, length: int, size: int, says: str
) -> None:
    pictures = [textured_picture(size, size, 7)] * length
    write_h264(pictures, folder / "tiny.mp4", crf=4)
    monkeypatch.setattr(protocol, "rebuild_with", pytest.fail)
    with pytest.raises(InputError, match=rf"tiny\.mp4.*{says}"):
        run(folder, "exact")


def test_harmless_alone_measures_no_gain(loaded, folder: Path) -> None:
    report, progress = run(folder, "harmless")
    assert (report.runs, report.inputs) == ((), ())
    assert {result.clip for result in report.harm} == {
        "long", "short", "made:plain", "made:letterbox",
    }  # fmt: skip
    assert progress[-1].done == progress[-1].total == len(report.harm)
    assert set(report.summary()) == {"harmless_worst", "harmless_itself"}
    assert "| made:letterbox |" in report.to_markdown()
