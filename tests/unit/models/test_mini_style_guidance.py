"""What the style backbone takes from frames: light in order, no noise, no titles, dense motion."""

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

from refvid.models.mini_style.bands import join_bands, lightness, split_bands
from refvid.models.mini_style.graphics import find_graphics
from refvid.models.mini_style.guidance import measure_noise, remove_noise
from refvid.models.mini_style.optical_flow import find_flow, gray_of, move_along, shrink_flow
from refvid.models.mini_style.painting import paint
from refvid.models.mini_style.style_index import index_styles
from refvid.models.mini_style.tones import apply_tones, give_light, measure_tones, tone_curve

CPU = torch.device("cpu")


def smooth_noise(height: int, width: int, seed: int, size: int = 9) -> Tensor:
    """A picture (3, H, W) in about [-0.8, 0.8] without fine detail."""
    noise = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(seed))
    for _ in range(2):
        noise = functional.avg_pool2d(noise, size, 1, size // 2, count_include_pad=False)
    return (noise[0] / noise.std() * 0.3).clamp(-0.8, 0.8)


class TestBands:
    @settings(max_examples=20, deadline=None)
    @given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 6))
    def test_joined_they_are_the_picture(self, height: int, width: int, count: int) -> None:
        picture = torch.rand(1, 1, height, width)
        bands = split_bands(picture, count)
        assert len(bands) == count + 1
        torch.testing.assert_close(join_bands(bands), picture, atol=1e-5, rtol=0)


class TestTones:
    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 99), st.floats(0.02, 2), st.floats(-0.5, 0.5))
    def test_what_is_lighter_stays_lighter(self, seed: int, contrast: float, shift: float) -> None:
        frame = (smooth_noise(32, 32, seed) * contrast + shift).clamp(-1, 1)
        curve = tone_curve(measure_tones(frame), measure_tones(smooth_noise(32, 32, seed + 1)))
        light = lightness(frame).flatten().sort().values
        assert (apply_tones(light, curve).diff() >= -1e-6).all()

    def test_the_middle_goes_to_the_middle(self) -> None:
        frame, style = smooth_noise(64, 64, 1) * 0.2 - 0.6, smooth_noise(64, 64, 2) + 0.2
        curve = tone_curve(measure_tones(frame), measure_tones(style))
        made = apply_tones(lightness(frame), curve)
        torch.testing.assert_close(made.median(), lightness(style).median(), atol=0.03, rtol=0)
        # A faint contrast grows, within bounds.
        assert 1.5 < made.std() / lightness(frame).std() < 2.6

    def test_light_is_given_exactly_and_colours_stay_possible(self) -> None:
        picture = torch.rand(3, 16, 16) * 2 - 1
        light = torch.rand(1, 16, 16) * 2 - 1
        made = give_light(picture, light)
        torch.testing.assert_close(lightness(made), light, atol=1e-5, rtol=0)
        assert made.abs().max() <= 1 + 1e-5


class TestNoise:
    @pytest.mark.parametrize("strength", [0.02, 0.06])
    def test_it_is_measured(self, strength: float) -> None:
        clean = smooth_noise(128, 128, 3)
        noise = torch.randn(1, 128, 128, generator=torch.Generator().manual_seed(4)) * strength
        assert float(measure_noise(clean + noise)) == pytest.approx(strength, rel=0.15)

    def test_it_goes_and_edges_stay(self) -> None:
        clean = torch.full((3, 96, 96), -0.7)
        clean[:, :, 48:] = -0.3
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(5)) * 0.05
        made = remove_noise(clean + noise, torch.tensor(0.04))
        plain = (slice(None), slice(8, 88), slice(8, 40))
        assert made[plain].std() < 0.4 * noise[plain].std()
        assert (made[:, 8:88, 49] - made[:, 8:88, 46]).mean() > 0.8 * 0.4

    def test_clean_frames_are_left_alone(self) -> None:
        clean = smooth_noise(96, 96, 6)
        torch.testing.assert_close(
            remove_noise(clean, measure_noise(clean)), clean, atol=2e-3, rtol=0
        )


class TestGraphics:
    def test_bars_stay(self) -> None:
        frame = smooth_noise(96, 128, 7)
        frame[:, :16] = frame[:, -16:] = -1
        kept, content = find_graphics(frame, None)
        assert kept is not None
        assert kept[:16].min() == kept[-16:].min() == 1
        assert kept[20:76].max() == 0
        assert (content.top, content.bottom) == (16, 80)

    def test_bars_only_become_narrower_within_a_shot(self) -> None:
        frame = smooth_noise(96, 128, 8)
        _, content = find_graphics(frame, None)
        frame[:, :16] = -1
        kept, _ = find_graphics(frame, content)
        assert kept is None

    def test_titles_stay_and_so_does_their_ground(self) -> None:
        page = Image.new("RGB", (320, 192))
        ImageDraw.Draw(page).text((160, 96), "THE END", "white", ImageFont.load_default(40), "mm")
        pixels = torch.from_numpy(np.asarray(page).copy()).permute(2, 0, 1)
        kept, _ = find_graphics(pixels / 127.5 - 1, None)
        assert kept is not None
        assert kept.min() == 1

    def test_dark_things_with_highlights_are_painted(self) -> None:
        frame = smooth_noise(128, 160, 14)
        frame[:, 64:112, 80:128] = -1
        frame[:, 80:84, 96:104] = 1
        kept, _ = find_graphics(frame, None)
        assert kept is None

    def test_a_bright_sky_over_a_dark_wood_is_painted(self) -> None:
        frame = smooth_noise(128, 128, 9) * 0.2 - 0.8
        frame[:, :64] = 1
        kept, _ = find_graphics(frame, None)
        assert kept is None or kept.mean() < 0.02


class TestFlow:
    def test_motion_of_a_fraction_of_a_pixel_is_followed(self) -> None:
        large = smooth_noise(260, 340, 10, size=15)
        first, second = (
            functional.avg_pool2d(large[None, :, s : s + 256, 2 * s : 2 * s + 320], 4)[0]
            for s in (0, 2)
        )
        flow = find_flow(gray_of(second), gray_of(first), CPU)
        inner = (slice(8, -8), slice(8, -8))
        grid = torch.stack(torch.meshgrid(torch.arange(80), torch.arange(64), indexing="xy"), -1)
        moved = (torch.from_numpy(flow.place) - grid)[inner].mean((0, 1))
        assert moved.tolist() == pytest.approx([1.0, 0.5], abs=0.15)
        assert flow.trust[inner].mean() > 0.9
        error = (move_along(first, flow) - second)[(slice(None), *inner)].abs().mean()
        assert error < 0.02
        half = shrink_flow(flow, 2)
        assert half.place.shape == (32, 40, 2)

    def test_where_nothing_tells_the_motion_it_is_between_two_flows(self) -> None:
        """A pan over clouds that hardly show, with noise: each flow finds another motion there."""
        picture = smooth_noise(140, 200, 30, size=25) * 0.08
        picture[:, :, :60] = smooth_noise(140, 60, 31, size=5)
        noise = torch.Generator().manual_seed(32)
        first, second = (
            picture[:, s : 128 + s, s : 192 + s] + 0.01 * torch.randn(1, 128, 192, generator=noise)
            for s in (0, 2)
        )
        grays = gray_of(second).pixels, gray_of(first).pixels
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        nothing: Any = None
        flows = (
            search.calc(*grays, nothing),
            cv2.calcOpticalFlowFarneback(*grays, nothing, 0.5, 5, 21, 5, 7, 1.5, 0),
        )
        found = find_flow(gray_of(second), gray_of(first), CPU).place
        grid = np.stack(np.meshgrid(np.arange(192), np.arange(128)), -1)
        plain = (slice(8, -8), slice(80, -8))

        def apart(one: NDArray[Any], other: NDArray[Any]) -> float:
            return float(np.linalg.norm((one - other)[plain], axis=-1).mean())

        between = apart(*flows)
        assert between > 0.2
        for flow in flows:
            assert apart(found - grid, flow) < 0.8 * between

    def test_what_was_not_there_is_not_trusted(self) -> None:
        first, second = smooth_noise(64, 64, 11), smooth_noise(64, 64, 12)
        assert find_flow(gray_of(second), gray_of(first), CPU).trust.mean() < 0.4


class TestScale:
    def test_pieces_grow_with_the_painting(self) -> None:
        """Over the whole range of --style-scale at 480 lines: 0.25, 0.4, 1, 2."""
        largest = [
            index_styles([(torch.zeros(3, round(480 * s), round(640 * s)), 1.0)]).levels[0].factor
            for s in (0.25, 0.4, 1, 2)
        ]
        assert largest == [1, 2, 4, 8]

    def test_large_pieces_of_the_painting_are_left_whole(self) -> None:
        """A picture of discs, painted on a plain wall: the discs come out round, not in bits."""
        rows, columns = torch.meshgrid(torch.arange(288), torch.arange(288), indexing="ij")
        radius = ((rows % 96 - 48).square() + (columns % 96 - 48).square()).float().sqrt()
        style = torch.where(radius < 30, 0.6, -0.6).expand(3, -1, -1).contiguous()
        frame = smooth_noise(288, 288, 13, size=63) * 0.1
        made, state = paint(frame, index_styles([(style, 1.0)]))
        assert len(state.corners) == 2
        coarse = state.corners[0]
        # Neighbours' patches lie side by side in the painting.
        beside = coarse[:, 1:] - coarse[:, :-1]
        step = 8 * 2
        joined = (beside[..., 0] == 0) & (beside[..., 1].abs() <= 2)
        joined &= (beside[..., 2] - step).abs() <= 2
        assert joined.float().mean() > 0.35
        assert made.painted.abs().mean() > 0.5
