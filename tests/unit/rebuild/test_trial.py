"""How long a run would take, by a clock that only the model's work moves."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from refvid.checkpoints import outline
from refvid.checkpoints.cache import Cache
from refvid.checkpoints.catalog import Catalog
from refvid.checkpoints.outline import describe_missing, outline_backbone
from refvid.errors import LicenceNotAccepted
from refvid.media.image import write_image
from refvid.media.inputs import Job
from refvid.media.sequence import numbered_path
from refvid.models.registry import CatalogEntry
from refvid.rebuild import trial as module
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.enhance import plan_enhance
from refvid.rebuild.options import ModelOptions, RebuildOptions
from refvid.rebuild.reference_options import References, ReferenceSource
from refvid.rebuild.trial import Trial

FRAMES, HEIGHT, WIDTH = 50, 240, 320
PER_PIXEL_S = 1e-6


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def timed(fake_backbone, clock):
    """A model that takes as long as it has pixels to do; asks nothing of the real clock."""

    def make(seconds_per_pixel=PER_PIXEL_S, **options):
        backbone = fake_backbone(first_chunk_extra=0, temporal_stride=1, **options)
        decode = backbone.decode

        def slow(latents, reference=None, state=None, *, tile=None):
            clock.now += seconds_per_pixel * latents[0, 0].numel()
            torch.zeros(1) + 1  # something that torch hears of
            return decode(latents, reference, state, tile=tile)

        backbone.decode = slow
        return LoadedBackbone(
            backbone=backbone, device=torch.device("cpu"), dtype=torch.float32, reason="a test"
        )

    return make


@pytest.fixture
def job(tmp_path):
    for number in range(FRAMES):
        write_image(
            numbered_path(tmp_path / "in_%d.png", number), np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        )
    return Job(source=tmp_path / "in_%d.png", output=tmp_path / "out_%d.png")


def plan(job, loaded, trial, **references):
    return plan_enhance(job, References(**references), RebuildOptions(), loaded, trial)


def test_the_estimate_is_what_the_work_takes(job, timed):
    loaded = timed()
    result = plan(job, loaded, Trial(), sources=(ReferenceSource(frame=0),))
    chunks = -(-FRAMES // 8)
    expected = chunks * 8 * HEIGHT * WIDTH * PER_PIXEL_S
    assert result.estimated_seconds == pytest.approx(expected, rel=1e-3)
    assert result.estimate_reason == "about, the model alone, tried on 8 frames of 320x240"
    assert loaded.backbone.references > 0


def test_a_slow_model_is_tried_on_less(job, timed, clock):
    started = clock.now
    result = plan(job, timed(PER_PIXEL_S * 20), Trial())
    assert result.estimated_seconds == pytest.approx(56 * HEIGHT * WIDTH * PER_PIXEL_S * 20)
    assert result.estimate_reason is not None
    assert result.estimate_reason.startswith("roughly, the model alone, told from")
    assert clock.now - started < 10


def test_a_model_that_takes_minutes_is_not_waited_for(job, timed, clock):
    started = clock.now
    loaded = timed(1.0)
    result = plan(job, loaded, Trial())
    assert result.estimate_reason == (
        "at least, as already 1 frame of 64x64 took the model more than 6 s"
    )
    # As much as is known of it: two chunks of one frame each took longer than 6 s.
    assert result.estimated_seconds == pytest.approx(56 * HEIGHT * WIDTH * 6 / (2 * 64 * 64))
    assert len(loaded.backbone.calls) <= 1
    assert clock.now - started < 2 * 64 * 64


def test_a_batch_is_tried_once(job, timed):
    loaded, trial = timed(), Trial()
    first = plan(job, loaded, trial)
    calls = len(loaded.backbone.calls)
    assert plan(job, loaded, trial).estimated_seconds == first.estimated_seconds
    assert len(loaded.backbone.calls) == calls


def test_without_a_trial_nothing_is_tried(job, timed):
    loaded = timed()
    result = plan_enhance(job, References(), RebuildOptions(), loaded)
    assert loaded.backbone.calls == []
    assert "estimated_seconds" not in result.to_json()


def test_without_weights_the_plan_says_so(job, timed):
    loaded = replace(timed(), missing="they are elsewhere")
    result = plan(job, loaded, Trial()).to_json()
    assert loaded.backbone.calls == []
    assert (result["estimated_seconds"], result["estimate_reason"]) == (None, "they are elsewhere")


def entry(**values):
    facts: dict[str, Any] = {
        "name": "wan2.1", "repository": "a/b", "path": "c.pt", "revision": "0123456",
        "backbone": "wan2.1", "licence": "MIT", "size": 3 << 30,
    }  # fmt: skip
    return CatalogEntry(**(facts | values))


def test_what_is_missing(tmp_path, monkeypatch):
    cache, here = Cache(tmp_path), set()
    monkeypatch.setattr(outline, "locate", lambda entry: entry.name in here or None)
    catalog = Catalog((entry(base="base"), entry(name="base", size=1 << 30)))
    assert describe_missing("mini", catalog, cache) == ""
    assert "wan2.1, 4.0 GiB," in describe_missing("wan2.1", catalog, cache)
    here.add("base")
    assert "wan2.1, 3.0 GiB," in describe_missing("wan2.1", catalog, cache)
    here.add("wan2.1")
    assert describe_missing("wan2.1", catalog, cache) == ""
    here.clear()
    with pytest.raises(LicenceNotAccepted):
        describe_missing("wan2.1", Catalog((entry(needs_acceptance=True),)), cache)


@pytest.mark.parametrize("name", ["wan2.1", "videovae+"])
def test_an_outline_is_enough_to_plan(name, make_video, tmp_path):
    loaded = LoadedBackbone(
        backbone=outline_backbone(name, torch.bfloat16, "carry"),
        device=torch.device("cpu"),
        dtype=torch.bfloat16,
        reason="a test",
        options=ModelOptions(memory=64 << 30),
        missing="not here",
    )
    result = plan(Job(source=make_video(20), output=tmp_path / "out.mp4"), loaded, Trial())
    assert (result.model, result.estimate_reason) == (name, "not here")
    assert result.memory_bytes > 0
