"""Rare hues of a style are found again in a frame, and lightness is left alone."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from refvid.models.mini_style.bands import lightness
from refvid.models.mini_style.hues import (
    find_shifts,
    hue_strengths,
    measure_hues,
    move_hues,
    shrink_for_hues,
    sort_hues,
    strengthen_hues,
)
from refvid.models.mini_style.palette import measure_moments, recolour
from refvid.models.mini_style.tones import give_light

GREEN = torch.tensor((-0.5, 0.35, -0.5))


def with_part(share: float, colour: Tensor) -> Tensor:
    """A gray picture (3, 128, 128) with a strip of another colour, so wide a share of it."""
    light = torch.linspace(-0.4, 0.4, 128)[:, None]
    picture = light.expand(3, 128, 128).clone()
    picture[..., : round(share * 128)] += colour[:, None, None] - lightness(colour[:, None, None])
    return picture


def in_hues_of(frame: Tensor, *styles: tuple[Tensor, float]) -> Tensor:
    wanted = sort_hues([(measure_hues(shrink_for_hues(p)), share) for p, share in styles])
    return move_hues(frame, find_shifts(measure_hues(shrink_for_hues(frame)), wanted))


def greenness(picture: Tensor) -> Tensor:
    return (picture[1] - (picture[0] + picture[2]) / 2).mean()


def test_what_is_a_little_greener_becomes_as_green_as_the_style() -> None:
    """A linear map cannot do it: a few green things in a gray painting have little variance."""
    frame, style = with_part(0.1, GREEN * 0.1), with_part(0.1, GREEN)
    frame[0] += 0.06 * torch.linspace(-1, 1, 128)[:, None]
    linear = recolour(frame, measure_moments(frame), measure_moments(style))
    linear = give_light(linear, lightness(frame))
    made = in_hues_of(linear, (style, 1.0))
    strip, rest = (
        (slice(None), slice(None), slice(0, 10)),
        (slice(None), slice(None), slice(24, 128)),
    )
    assert greenness(made[strip]) > 1.7 * greenness(linear[strip])
    assert greenness(made[strip]) < 1.1 * greenness(style[strip])
    assert abs(greenness(made[rest])) < 0.5 * greenness(linear[rest])


def test_its_own_hues_change_nothing() -> None:
    picture = with_part(0.3, GREEN)
    torch.testing.assert_close(in_hues_of(picture, (picture, 1.0)), picture, atol=1e-4, rtol=0)


def test_lightness_stays() -> None:
    frame, style = with_part(0.4, GREEN * 0.3), with_part(0.2, -GREEN)
    made = in_hues_of(frame, (style, 1.0))
    assert (made - frame).abs().max() > 0.1
    torch.testing.assert_close(lightness(made), lightness(frame), atol=1e-5, rtol=0)


@pytest.mark.parametrize("share", [0.25, 0.75])
def test_hues_of_several_styles_have_their_shares(share: float) -> None:
    green, red = (torch.zeros(3, 64, 64) + c[:, None, None] for c in (GREEN, -GREEN))
    along = sort_hues(
        [(measure_hues(shrink_for_hues(p)), s) for p, s in ((green, share), (red, 1 - share))]
    )
    of_first = float(((along[0] - along[0, 0]).abs() < 0.01).float().mean())
    assert min(abs(of_first - share), abs(of_first - (1 - share))) < 0.02


def test_a_picture_of_one_colour_stays_finite() -> None:
    flat = torch.full((3, 16, 16), 0.3)
    made = in_hues_of(flat, (with_part(0.5, GREEN), 1.0))
    assert torch.isfinite(made).all()
    assert (made - flat).abs().max() < 0.5


def test_hues_differ_as_much_as_those_of_the_style() -> None:
    generator = torch.Generator().manual_seed(1)
    style = functional.interpolate(torch.randn(1, 3, 16, 16, generator=generator), (128, 128))[0]
    style = style * 0.2
    pale = lightness(style) + (style - lightness(style)) * 0.6
    wanted = hue_strengths(style)
    made = strengthen_hues(pale, wanted)
    torch.testing.assert_close(hue_strengths(made), wanted, atol=0.02, rtol=0.1)
    torch.testing.assert_close(lightness(made), lightness(pale), atol=1e-5, rtol=0)
    torch.testing.assert_close(strengthen_hues(style, wanted * 0.5), style, atol=1e-5, rtol=0)
