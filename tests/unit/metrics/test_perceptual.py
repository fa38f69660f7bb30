"""LPIPS: what refvid does around the authors' package, and the same figures as the package."""

from __future__ import annotations

import sys
from types import ModuleType
from urllib.error import URLError

import numpy as np
import pytest
import torch

from refvid.errors import CheckpointUnavailable, OptionError
from refvid.metrics.pairs import EmptyMask
from refvid.metrics.perceptual import Lpips, load_lpips, lpips_distance

CPU = torch.device("cpu")


@pytest.fixture
def network(tiny_lpips) -> Lpips:
    return Lpips(tiny_lpips, CPU)


def test_distance(network, make_pair) -> None:
    noisy, clean = make_pair(64, 80)
    better, _ = make_pair(64, 80, quality=80)
    assert lpips_distance(network, clean, clean) == 0
    assert lpips_distance(network, noisy, clean) > lpips_distance(network, better, clean) > 0
    forth, back = (lpips_distance(network, *pair) for pair in ((noisy, clean), (clean, noisy)))
    assert forth == pytest.approx(back)


def test_depth_does_not_matter(network, make_pair) -> None:
    noisy, clean = make_pair(64, 80)
    deep = [picture.astype(np.uint16) * 257 for picture in (noisy, clean)]
    expected = lpips_distance(network, noisy, clean)
    assert lpips_distance(network, *deep) == pytest.approx(expected, rel=1e-4)


def test_masks(network, make_pair) -> None:
    noisy, clean = make_pair(64, 80)
    ones = np.ones((64, 80), np.float32)
    assert lpips_distance(network, noisy, clean, ones * 0.2) == pytest.approx(
        lpips_distance(network, noisy, clean)
    )
    left = ones.copy()
    left[:, 40:] = 0
    spoiled = noisy.copy()
    spoiled[:, 60:] = 0  # farther away than the layers see
    assert lpips_distance(network, spoiled, clean, left) == pytest.approx(
        lpips_distance(network, noisy, clean, left), rel=1e-5
    )
    assert lpips_distance(network, spoiled, clean) > lpips_distance(network, noisy, clean) * 1.1
    with pytest.raises(EmptyMask):
        lpips_distance(network, noisy, clean, ones * 0)
    with pytest.raises(ValueError, match="mask is"):
        lpips_distance(network, noisy, clean, ones[1:])
    with pytest.raises(ValueError, match="differ"):
        lpips_distance(network, noisy[1:], clean)


def test_the_package_is_missing(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(OptionError, match=r"pip install lpips torchvision$"):
        load_lpips(CPU)


@pytest.mark.parametrize("failure", [URLError("no route"), RuntimeError("invalid hash value")])
def test_the_weights_cannot_be_had(monkeypatch, failure) -> None:
    package = ModuleType("lpips")

    def network(**_: object) -> None:
        raise failure

    package.LPIPS = network  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lpips", package)
    with pytest.raises(CheckpointUnavailable, match=r"download\.pytorch\.org"):
        load_lpips(CPU)


@pytest.mark.filterwarnings("ignore")  # the package is from 2021
def test_equals_the_package(make_pair) -> None:
    """With its own linear layers on a random trunk, which needs no download."""
    lpips = pytest.importorskip("lpips", reason="lpips and torchvision are not installed")
    torch.manual_seed(0)
    theirs = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    noisy, clean = make_pair(100, 131)
    clips = [torch.from_numpy(p).permute(2, 0, 1)[None].float() / 127.5 - 1 for p in (noisy, clean)]
    with torch.inference_mode():
        expected = float(theirs(*clips))
    assert expected > 0
    assert lpips_distance(Lpips(theirs, CPU), noisy, clean) == pytest.approx(expected, rel=1e-5)
