"""Measures that may not be installed, and how frames are averaged."""

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from refvid.errors import OptionError
from refvid.evaluation import measures
from refvid.evaluation.measures import FEW_FRAMES, Judge, Networks, frame_psnr, load_networks
from tests.unit.training.conftest import textured_picture

CPU = torch.device("cpu")


@pytest.fixture
def bare(monkeypatch) -> None:
    """A machine without any optional package."""
    monkeypatch.setattr(measures, "missing_packages", lambda measure: ("lpips",))
    monkeypatch.setitem(sys.modules, "ssimulacra2", None)


def test_nothing_optional_is_needed(bare, caplog) -> None:
    assert load_networks(CPU) == Networks()
    assert not caplog.records, "that something is not installed is no news"


def test_ssimulacra2_gets_the_clean_picture_first(bare, monkeypatch) -> None:
    package = ModuleType("ssimulacra2")

    def compute(clean, picture) -> float:
        means = [np.asarray(Image.open(file)).mean() for file in (clean, picture)]
        return float(means[0] - means[1])

    package.compute_ssimulacra2 = compute  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ssimulacra2", package)
    compare = load_networks(CPU).ssimulacra2
    assert compare is not None
    picture, clean = (np.full((8, 8, 3), level, np.uint8) for level in (10, 50))
    assert compare(picture, clean) == 40


def test_st_lpips_is_taken_where_it_can_be_had(bare, monkeypatch, caplog) -> None:
    monkeypatch.setattr(measures, "missing_packages", lambda measure: ())
    monkeypatch.setattr(measures, "load_lpips", refuse)
    monkeypatch.setattr(measures, "load_st_lpips", lambda device: "its network")
    monkeypatch.setattr(
        measures, "lpips_distance", lambda network, a, b: float(network == "its network")
    )
    networks = load_networks(CPU)
    assert networks.lpips is None
    assert networks.st_lpips is not None
    assert networks.st_lpips(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1, 3), np.uint8)) == 1
    monkeypatch.setattr(measures, "load_st_lpips", refuse)
    assert load_networks(CPU).st_lpips is None
    assert "no ST-LPIPS: its weights are damaged" in caplog.text


def refuse(device: torch.device) -> None:
    raise OptionError("its weights are damaged")


def test_slow_measures_take_few_frames_and_frame_0_never_counts() -> None:
    clean = np.stack([textured_picture(32, 32, seed) for seed in range(18)])
    frames = clean.copy()
    frames[0] = 0
    seen: list[int] = []

    def index_of(picture: np.ndarray, _clean: np.ndarray) -> float:
        seen.append(next(i for i, frame in enumerate(clean) if np.array_equal(frame, picture)))
        return seen[-1]

    networks = Networks(st_lpips=index_of, lpips=lambda a, b: 3.0)
    scores = Judge(clean[:17], networks).score(frames[:17])
    assert tuple(seen) == FEW_FRAMES
    assert scores.st_lpips == np.mean(FEW_FRAMES)
    assert (scores.psnr, scores.flicker) == (99, 0)
    assert scores.ssim == pytest.approx(1)
    assert (scores.lpips, scores.ssimulacra2) == (3, None)
    Judge(clean[:8], networks).score(frames[:8])
    assert tuple(seen[4:]) == (1, 6)


def test_equal_frames_have_a_finite_psnr() -> None:
    clean = np.zeros((2, 16, 16, 3), np.uint8)
    other = clean.copy()
    other[1] = 255
    assert frame_psnr(other, clean) == (99, 0)
