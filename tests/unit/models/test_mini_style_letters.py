"""Letters over a picture stay as they are; what only looks a little like letters is painted."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from refvid.metrics.style import structure_similarity
from refvid.models.mini_style.autoencoder import MiniStyleBackbone
from refvid.models.mini_style.config import MiniStyleConfig
from refvid.models.mini_style.decoder import MiniStyleDecoder
from refvid.models.mini_style.letters import find_letters, hold_letters
from refvid.models.mini_style.painting import paint
from refvid.models.mini_style.state import pack, unpack
from refvid.models.mini_style.style_index import index_styles

Picture = NDArray[np.uint8]

SIZE = (320, 448)
WORDS = "This is what they said"


def ground(seed: int, size: int = 24) -> Picture:
    """(H, W, 3) soft blobs of many colours."""
    cells = np.random.default_rng(seed).integers(40, 180, (SIZE[0] // size, SIZE[1] // size, 3))
    picture = Image.fromarray(cells.astype(np.uint8)).resize(SIZE[::-1], Image.Resampling.BICUBIC)
    return np.asarray(picture)


def written(
    picture: Picture, colour: str, *, outline: int = 2, height: int = 24, dark: str = "black"
) -> tuple[Picture, NDArray[np.bool_]]:
    """A line of letters over a picture; and where their strokes are."""
    page, strokes = Image.fromarray(picture), Image.new("L", SIZE[::-1])
    font, place = ImageFont.load_default(height), (SIZE[1] // 2, round(SIZE[0] * 0.8))
    pen = ImageDraw.Draw(page)
    pen.text(place, WORDS, colour, font, "mm", stroke_width=outline, stroke_fill=dark)
    ImageDraw.Draw(strokes).text(place, WORDS, 255, font, "mm")
    return np.asarray(page), np.asarray(strokes) > 127


def lightness(picture: Picture) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(picture).convert("L"))


def pixels(picture: Picture) -> Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1) / 127.5 - 1


def to_levels(clip: Tensor) -> Picture:
    """The first frame of (1, 3, T, H, W) in [-1, 1]."""
    return clip[0, :, 0].permute(1, 2, 0).add(1).mul(127.5).round().to(torch.uint8).numpy()


class TestFind:
    @pytest.mark.parametrize(
        ("colour", "outline", "height"),
        [
            ("white", 2, 24),
            ("white", 2, 16),
            ("yellow", 2, 24),
            ("white", 0, 24),
            ("white", 2, 40),
            ("black", 0, 32),
        ],
    )
    def test_letters_are_found_and_little_else(
        self, colour: str, outline: int, height: int
    ) -> None:
        light = 60 if colour == "black" else 0
        picture, strokes = written(
            ground(1) + np.uint8(light), colour, outline=outline, height=height
        )
        found = find_letters(lightness(picture))
        assert found is not None
        assert (found & strokes).sum() > 0.9 * strokes.sum()
        assert found.sum() < 5 * strokes.sum()

    def test_letters_that_stand_out_less_are_found_without_an_outline(self) -> None:
        """White ones over a light gray wall: 75 levels apart."""
        wall = (ground(1) // 4 + np.uint8(140)).astype(np.uint8)
        picture, strokes = written(wall, "white", outline=0, height=24)
        found = find_letters(lightness(picture))
        assert found is not None
        assert (found & strokes).sum() > 0.9 * strokes.sum()

    def test_a_picture_has_none(self) -> None:
        for seed in range(4):
            for size in (8, 16, 40):
                assert find_letters(lightness(ground(seed, size))) is None

    def test_windows_and_posts_are_none(self) -> None:
        """In rows and flat as letters are, but full, or all alike."""
        for width, height, step in ((14, 18, 26), (4, 40, 14), (6, 6, 15)):
            page = Image.fromarray(ground(2))
            pen = ImageDraw.Draw(page)
            for left in range(20, SIZE[1] - 40, step):
                for top in (80, 160):
                    pen.rectangle((left, top, left + width, top + height), (250, 250, 240))
            assert find_letters(lightness(np.asarray(page))) is None

    def test_twigs_before_a_white_sky_are_none(self) -> None:
        rng = np.random.default_rng(3)
        page = Image.new("RGB", SIZE[::-1], "white")
        pen = ImageDraw.Draw(page)
        for _ in range(220):
            start = rng.integers(0, SIZE[1], 2)
            end = start + rng.integers(-60, 60, 2)
            pen.line((*start.tolist(), *end.tolist()), (30, 25, 20), int(rng.integers(1, 6)))
        found = find_letters(lightness(np.asarray(page)))
        assert found is None or found.mean() < 0.01


class TestHold:
    def test_letters_stay_while_they_stand_unchanged(self) -> None:
        picture, _ = written(ground(4), "white")
        gray = lightness(picture)
        found = find_letters(gray)
        assert found is not None
        moved = np.where(found, gray, np.roll(gray, 5, 1))
        assert hold_letters(None, found, moved, gray) is found
        assert hold_letters(None, found, lightness(ground(4)), gray) is None
        assert hold_letters(found, None, gray, gray) is found

    def test_new_letters_join_them(self) -> None:
        gray = lightness(ground(5))
        some, others = np.zeros((2, *SIZE), np.bool_)
        some[10:20, 10:20] = others[40:50, 40:50] = True
        held = hold_letters(some, others, gray, gray)
        assert held is not None
        assert held.sum() == 200


@pytest.mark.parametrize("colour", ["white", "yellow"])
def test_letters_are_read_as_before_and_all_else_is_painted(colour: str) -> None:
    picture, strokes = written(ground(6), colour)
    style = pixels(ground(7, 8))[None]
    config = MiniStyleConfig()
    backbone = MiniStyleBackbone(
        MiniStyleDecoder(config), config, torch.device("cpu"), torch.float32
    )
    made, state = paint(pixels(picture), index_styles([(style[0], 1.0)]))
    assert made.graphics is not None
    assert state.letters is not None
    again = unpack(pack(state), torch.device("cpu")).letters
    assert again is not None
    assert np.array_equal(again, state.letters)
    latents = backbone.encode(pixels(picture)[None, :, None]).latents
    # The codec keeps less of the colours of thin strokes than of their light.
    wanted = to_levels(backbone.decode(latents, None).clip)
    painted = to_levels(backbone.decode(latents, backbone.prepare_reference(style)).clip)
    apart = np.abs(painted.astype(int) - wanted).mean(-1)
    rows, columns = (np.flatnonzero(strokes.any(axis)) for axis in (1, 0))
    line = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    assert apart[strokes].mean() < 2
    assert structure_similarity(painted[line], picture[line]) > 0.9
    assert apart[: rows[0] - 8].mean() > 10
