"""Shift-tolerant LPIPS: the figures of the authors' package, and what is refvid's own about it."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch.nn import functional

from refvid.errors import CheckpointMismatch, CheckpointUnavailable, OptionError
from refvid.metrics.catalog import MEASURES
from refvid.metrics.pairs import EmptyMask
from refvid.metrics.perceptual import Lpips, NetworkName, lpips_distance
from refvid.metrics.st_lpips import (
    PACKAGE,
    SMALLEST_SIDE,
    StLpipsNetwork,
    load_st_lpips,
    load_st_lpips_network,
)

CPU = torch.device("cpu")
NAMES = get_args(NetworkName)


def waves(height: int, width: int, phase: float = 0) -> np.ndarray:
    """A picture that everybody can compute."""
    y, x = np.mgrid[:height, :width]
    planes = [np.sin(x / (3 + c) + y / (7 - c) + phase * (c + 1)) for c in range(3)]
    return (127.5 + 127.5 * np.stack(planes, -1)).round().astype(np.uint8)


def clip_of(*pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


@pytest.fixture
def random_alex() -> StLpipsNetwork:
    """Needs no package. Distances have no negative weights."""
    torch.manual_seed(0)
    network = StLpipsNetwork("alex")
    with torch.no_grad():
        for linear in network.lins:
            linear.get_parameter("model.1.weight").abs_()
    return network


@pytest.fixture
def package(monkeypatch, tmp_path) -> Path:
    """The weights' folder of an installed package without weights."""
    folder: Path = tmp_path / PACKAGE / "weights" / "vST0.0"
    folder.mkdir(parents=True)
    (tmp_path / PACKAGE / "__init__.py").write_text("raise ImportError('refvid imported it')\n")
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


# What stlpips-pytorch 0.0.2 gives itself for `waves`, and the means of its feature maps.
PARITY = [
    ("alex", (64, 80), 0.223480225, [0.38726, 0.10912, 0.0372, 0.01575, 0.00694]),
    ("alex", (61, 83), 0.227659017, [0.38699, 0.1088, 0.03671, 0.01555, 0.00685]),
    ("vgg", (64, 80), 0.383848667, [0.09198, 0.02435, 0.04412, 0.18081, 1.87208]),
    ("vgg", (61, 83), 0.397496313, [0.09207, 0.02426, 0.04461, 0.17457, 1.88483]),
]


@pytest.mark.skipif(find_spec(PACKAGE) is None, reason="stlpips-pytorch is not installed")
@pytest.mark.parametrize(("name", "size", "expected", "means"), PARITY)
def test_equals_the_package(
    name: NetworkName, size: tuple[int, int], expected: float, means: list[float]
) -> None:
    network = load_st_lpips(CPU, name)
    picture, reference = waves(*size, 0.7), waves(*size)
    assert lpips_distance(network, picture, reference) == pytest.approx(expected, abs=1e-5)
    assert lpips_distance(network, picture, picture) == 0
    bare = load_st_lpips_network(name)
    both = clip_of(picture, reference)
    assert bare(both, clip_of(reference, reference)).tolist() == pytest.approx(
        [expected, 0], abs=1e-5
    )
    found = [float(features.mean()) for features in bare.features(both[:1])]
    assert found == pytest.approx(means, abs=1e-5, rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_feature_maps(name: NetworkName) -> None:
    maps = StLpipsNetwork(name).features(clip_of(waves(64, 96)))
    channels = {"alex": [64, 192, 384, 256, 256], "vgg": [64, 128, 256, 512, 512]}[name]
    assert [len(features[0]) for features in maps] == channels
    # AlexNet leaves out a little at the borders.
    scales = [features.shape[3] / 96 for features in maps]
    expected = {"alex": [1 / 2] + [1 / 4] + [1 / 8] * 3, "vgg": [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16]}
    assert scales == pytest.approx(expected[name], rel=0.2)
    assert min(float(features.min()) for features in maps) == 0


@pytest.mark.parametrize("size", [(32, 40), (33, 40), (32, 41), (33, 41), (21, 22)])
def test_the_first_convolution_and_its_blur_are_one(random_alex, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randn(2, 3, *size, generator=generator)
    first = random_alex.net.get_submodule("slice1")
    plain = functional.conv2d(
        pictures, first.get_parameter("0.weight"), first.get_parameter("0.bias"), padding=2
    )
    expected = first.get_submodule("1")(plain).relu()
    torch.testing.assert_close(first(pictures), expected, atol=1e-5, rtol=1e-5)


def test_pictures_of_a_batch_do_not_mix(random_alex) -> None:
    pictures = clip_of(waves(40, 40), waves(40, 40, 1), waves(40, 40, 2))
    references = clip_of(waves(40, 40, 0.5), waves(40, 40, 1), waves(40, 40))
    together = random_alex(pictures, references)
    alone = [
        float(random_alex(a[None], b[None])) for a, b in zip(pictures, references, strict=True)
    ]
    assert together.tolist() == pytest.approx(alone, rel=1e-4)
    assert alone[1] == 0
    assert min(alone[0], alone[2]) > 0


def test_training_changes_nothing(random_alex) -> None:
    picture, reference = clip_of(waves(40, 40, 1)), clip_of(waves(40, 40))
    before = random_alex(picture, reference)
    assert torch.equal(random_alex.train()(picture, reference), before)


def test_only_pictures_learn(random_alex) -> None:
    # Nothing but zeros and gradients of zeros in a flat picture without biases.
    with torch.no_grad():
        for name, parameter in random_alex.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    shift = random_alex.scaling_layer.get_buffer("shift")
    flat = shift.expand(1, 3, 48, 48).clone().requires_grad_()
    random_alex(flat, clip_of(waves(48, 48))).sum().backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()
    assert all(p.grad is None and not p.requires_grad for p in random_alex.parameters())
    picture = clip_of(waves(48, 48, 1)).requires_grad_()
    random_alex(picture, clip_of(waves(48, 48))).sum().backward()
    assert picture.grad is not None
    assert picture.grad.abs().sum() > 0


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_bfloat16_is_near(random_alex, layout: torch.memory_format) -> None:
    picture = clip_of(waves(64, 64, 1)).contiguous(memory_format=layout)
    reference = clip_of(waves(64, 64))
    exact = random_alex(picture, reference)
    with torch.autocast("cpu", torch.bfloat16):
        assert random_alex.features(picture)[2].dtype == torch.bfloat16
        near = random_alex(picture, reference)
    assert near.dtype == torch.float32
    assert near.item() == pytest.approx(exact.item(), rel=0.03)


def test_masks_and_depth(random_alex) -> None:
    network = Lpips(random_alex, CPU)
    noisy, clean = waves(160, 160, 1), waves(160, 160)
    whole = lpips_distance(network, noisy, clean)
    assert lpips_distance(
        network, noisy.astype(np.uint16) * 257, clean.astype(np.uint16) * 257
    ) == pytest.approx(whole, rel=1e-4)
    left = np.ones((160, 160), np.float32)
    assert lpips_distance(network, noisy, clean, left) == pytest.approx(whole, rel=1e-4)
    left[:, 40:] = 0
    spoiled = noisy.copy()
    spoiled[:, 140:] = 0  # farther away than the layers see
    assert lpips_distance(network, spoiled, clean, left) == pytest.approx(
        lpips_distance(network, noisy, clean, left), rel=1e-5
    )
    with pytest.raises(EmptyMask):
        lpips_distance(network, noisy, clean, left * 0)
    with pytest.raises(ValueError, match="differ"):
        lpips_distance(network, noisy[1:], clean)


@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_side(name: NetworkName) -> None:
    network = Lpips(StLpipsNetwork(name), CPU)
    smallest = waves(SMALLEST_SIDE, SMALLEST_SIDE)
    assert lpips_distance(network, smallest, smallest) == 0
    with pytest.raises(ValueError, match="at least 21 pixels a side, not 21x20"):
        lpips_distance(network, smallest[1:], smallest[1:])
    assert MEASURES["st_lpips"].smallest_side == SMALLEST_SIDE


def test_the_package_is_missing(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    with pytest.raises(OptionError, match=r"pip install stlpips-pytorch$"):
        load_st_lpips(CPU)


def test_files_are_read_and_modules_left_alone(package, random_alex) -> None:
    torch.save(random_alex.state_dict(), package / "alex_shift_tolerant.pth")
    network = load_st_lpips_network("alex")
    assert PACKAGE not in sys.modules
    pictures = clip_of(waves(32, 32))
    assert torch.equal(network.features(pictures)[4], random_alex.features(pictures)[4])


def test_damaged_files(package, random_alex) -> None:
    with pytest.raises(CheckpointUnavailable, match=r"vgg_shift_tolerant\.pth"):
        load_st_lpips(CPU, "vgg")
    (package / "vgg_shift_tolerant.pth").write_bytes(b"no weights")
    with pytest.raises(CheckpointUnavailable, match="force-reinstall"):
        load_st_lpips(CPU, "vgg")
    torch.save(random_alex.state_dict(), package / "vgg_shift_tolerant.pth")
    with pytest.raises(CheckpointMismatch, match="another network"):
        load_st_lpips(CPU, "vgg")
