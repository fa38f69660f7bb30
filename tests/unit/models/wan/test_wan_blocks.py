"""The parts equal diffusers' and do not care how a clip is cut."""

import math
from typing import Any

import pytest
import torch
from torch.nn import functional

from refvid.models.wan.blocks import CausalConv3d, ChannelNorm, Downsample, Upsample
from refvid.models.wan.past import Past


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_norm_is_the_formula(noise, dtype):
    norm = ChannelNorm(6)
    norm.gamma.copy_(torch.linspace(0.5, 2, 6).view(6, 1, 1, 1))
    x = noise(2, 3, 4, 6).to(dtype)
    expected = functional.normalize(x.float(), dim=-1) * math.sqrt(6) * norm.gamma.flatten()
    close: dict[str, Any] = (
        {"atol": 1e-6, "rtol": 1e-6} if dtype == torch.float32 else {"atol": 0.02, "rtol": 0.02}
    )
    torch.testing.assert_close(norm(x).float(), expected, **close)
    for silu_into in (norm.silu_into, norm._silu_in_two_kernels):
        out = torch.empty_like(x)
        silu_into(x, out)
        torch.testing.assert_close(out.float(), functional.silu(expected), **close)


def test_norm_of_nothing_is_nothing():
    assert not ChannelNorm(4)(torch.zeros(1, 1, 2, 2, 4)).any()


def test_convolution_sees_this_frame_and_two_before(noise):
    convolution = CausalConv3d(3, 5)
    x = noise(6, 4, 5, 3)
    padded = functional.pad(x.permute(0, 4, 1, 2, 3), (1, 1, 1, 1, 2, 0))
    expected = functional.conv3d(padded, convolution.weight, convolution.bias)
    for lengths in ((6,), (1, 5), (1, 1, 1, 1, 1, 1), (2, 3, 1)):
        past: Past = {}
        parts = [convolution(part, past) for part in x.split(lengths, 1)]
        torch.testing.assert_close(torch.cat(parts, 1).permute(0, 4, 1, 2, 3), expected)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("norm", [None, ChannelNorm(3)])
@pytest.mark.parametrize("lengths", [(7,), (1, 6), (1, 1, 1, 1, 1, 1, 1), (3, 1, 3), (2, 5)])
def test_stacked_frames_give_the_same(noise, lengths, norm, batch):
    torch.manual_seed(0)
    convolution = CausalConv3d(3, 5)
    x = noise(7, 4, 6, 3).repeat(batch, 1, 1, 1, 1)
    past: Past = {}
    stacked: Past = {}
    for part in x.split(lengths, 1):
        expected = convolution(part, past, norm)
        torch.testing.assert_close(convolution._convolve_stacked(part, stacked, norm), expected)
        torch.testing.assert_close(stacked[convolution], past[convolution])


def test_enlarging_is_nearest_neighbour_and_convolution(noise):
    layer: Any = Upsample(4, 2, in_time=False)
    x = noise(3, 5, 7, 4)
    convolution = layer.resample[1]
    images = functional.interpolate(
        x[0].permute(0, 3, 1, 2), scale_factor=2.0, mode="nearest-exact"
    )
    expected = functional.conv2d(images, convolution.weight, convolution.bias, padding=1)
    torch.testing.assert_close(layer(x, {})[0], expected.permute(0, 2, 3, 1))


@pytest.mark.parametrize("lengths", [(9,), (1, 8), (1, 2, 2, 4), (3, 6)])
def test_halving_the_rate_does_not_depend_on_the_cut(noise, lengths):
    torch.manual_seed(0)
    layer = Downsample(3, in_time=True)
    x = noise(9, 6, 4, 3)
    whole = layer(x, {})
    assert whole.shape == (1, 5, 3, 2, 3)
    past: Past = {}
    parts = [layer(part, past) for part in x.split(lengths, 1)]
    torch.testing.assert_close(torch.cat(parts, 1), whole)


@pytest.mark.parametrize("lengths", [(5,), (1, 4), (1, 1, 1, 1, 1), (3, 2)])
def test_doubling_the_rate_does_not_depend_on_the_cut(noise, lengths):
    torch.manual_seed(0)
    layer = Upsample(4, 2, in_time=True)
    x = noise(5, 3, 2, 4)
    whole = layer(x, {})
    assert whole.shape == (1, 9, 6, 4, 2)
    past: Past = {}
    parts = [layer(part, past) for part in x.split(lengths, 1)]
    torch.testing.assert_close(torch.cat(parts, 1), whole)
