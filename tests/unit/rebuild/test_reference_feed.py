"""Which reference a chunk gets, and that none of them waits in memory longer than it must."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given as for_all
from hypothesis import strategies as st

from refvid.errors import InputError, OptionError
from refvid.media.image import write_image
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.reference_choice import make_feed
from refvid.rebuild.reference_feed import ChunkView, GivenReference, Moment, neighbours
from refvid.rebuild.reference_pictures import ReferencePictures

RATE = Fraction(24)


def moments(first: int, count: int = 8) -> list[Moment]:
    return [Moment(index, index / RATE) for index in range(first, first + count)]


def gray_picture(level: int) -> np.ndarray:
    return np.full((64, 64, 3), level, np.uint8)


def scene(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((8, 8, 1), np.uint8))


def reference(picture: np.ndarray, **place: Any) -> GivenReference:
    return GivenReference(name="one", read=lambda: picture, **place)


@pytest.fixture
def loaded(fake_backbone) -> LoadedBackbone:
    return LoadedBackbone(
        backbone=fake_backbone(), device=torch.device("cpu"), dtype=torch.float32, reason="a test"
    )


def single(loaded: LoadedBackbone, given: list[GivenReference], **more: Any) -> Any:
    return make_feed(given, loaded, (64, 64), fit="cover", first=lambda: None, rate=RATE, **more)


def view(first: int, picture: np.ndarray | None, *, starts_shot: bool = False) -> ChunkView:
    look = None if picture is None else (lambda number: picture)
    return ChunkView(moments=moments(first), starts_shot=starts_shot, picture=look)


def test_the_neighbours_in_time_come_first() -> None:
    given = {
        0: reference(scene(0)),
        1: reference(scene(1), frame=0),
        2: reference(scene(2), time=Fraction(2)),  # frame 48
        3: reference(scene(3), frame=96),
    }
    assert neighbours(given, moments(0), RATE) == [1, 2, 0]
    assert neighbours(given, moments(40), RATE) == [2, 1, 0]
    assert neighbours(given, moments(48), RATE) == [2, 3, 0]
    assert neighbours(given, moments(200), RATE) == [3, 0]


@for_all(
    st.lists(st.integers(0, 300), unique=True, min_size=1, max_size=8),
    st.integers(0, 300),
)
def test_the_nearest_is_always_among_them(places: list[int], first: int) -> None:
    given = {n: reference(scene(0), frame=place) for n, place in enumerate(places)}
    found = neighbours(given, moments(first), RATE)
    assert 1 <= len(found) <= 2
    middle = first + 3.5
    assert abs(places[found[0]] - middle) == min(abs(place - middle) for place in places)


def test_one_reference_at_a_time_fades_over_within_a_shot(loaded: LoadedBackbone) -> None:
    feed = single(
        loaded, [reference(scene(0), frame=0), reference(scene(1), frame=48)], has_pictures=False
    )
    numbers, fades = [], []
    for first in range(0, 64, 8):
        fed = feed.feed(view(first, None, starts_shot=first == 0))
        numbers += fed.numbers
        fades.append(fed.fade_from is not None)
    assert numbers == [0, 0, 0, 1, 1, 1, 1, 1]
    assert fades == [False, False, False, True, False, False, False, False]
    assert cast("Any", loaded.backbone).references == 2, "each is embedded once while it is in use"
    assert feed.feed(view(0, None, starts_shot=True)).fade_from is None, "a cut is no fade"


def test_the_likest_is_taken_where_places_do_not_tell(loaded: LoadedBackbone) -> None:
    feed = single(loaded, [reference(scene(number)) for number in range(4)])
    seen = [feed.feed(view(8 * n, scene(n), starts_shot=True)).numbers for n in (2, 0, 3, 1)]
    assert seen == [(2,), (0,), (3,), (1,)]


def test_a_model_that_can_sees_several_at_once(loaded: LoadedBackbone) -> None:
    backbone = cast("Any", loaded.backbone)
    backbone.limits = replace(backbone.limits, joins_references=True)
    backbone.join_references = torch.cat
    given = [reference(scene(number), frame=24 * number) for number in range(4)]
    alone = single(loaded, given).feed(view(24, scene(1), starts_shot=True))
    assert len(alone.numbers) == 1
    feed = single(loaded, given, joint=True)
    first = feed.feed(view(24, scene(1), starts_shot=True))
    assert first.numbers == (1, 2)
    assert first.reference.shape == (2, 3, 64, 64)
    again = feed.feed(view(28, scene(1)))
    assert again.fade_from is None
    later = feed.feed(view(60, scene(2)))
    assert later.numbers == (2, 3)
    assert later.fade_from is not None


def test_a_cut_between_two_places_is_seen(loaded: LoadedBackbone) -> None:
    """Frame 24 is nearer to the first reference, but belongs to the shot of the second."""
    feed = single(loaded, [reference(scene(0), frame=10), reference(scene(1), frame=60)])
    assert feed.feed(view(16, scene(0), starts_shot=True)).numbers == (0,)
    assert feed.feed(view(24, scene(1), starts_shot=True)).numbers == (1,)


def test_latents_want_places(loaded: LoadedBackbone) -> None:
    with pytest.raises(OptionError, match="where they belong"):
        single(loaded, [reference(scene(0)), reference(scene(1))], has_pictures=False)


def test_pictures_wait_on_disk(tmp_path: Path) -> None:
    pictures = ReferencePictures(most_bytes=3 * 64 * 64 * 3)
    expected = []
    for level in range(10):
        expected.append(gray_picture(level))
        if level % 2:
            pictures.add_pixels(gray_picture(level))
        else:
            write_image(tmp_path / f"{level}.png", gray_picture(level))
            pictures.add_image(tmp_path / f"{level}.png")
    assert len(pictures._recent) == 3
    for number in (0, 9, 3, 4, 0, 1):
        assert np.array_equal(pictures[number], expected[number])
        assert len(pictures._recent) == 3
    write_image(tmp_path / "2.png", gray_picture(77))
    with pytest.raises(InputError, match="has changed while it was read"):
        pictures[2]


def test_deep_pictures_stay_deep() -> None:
    pictures = ReferencePictures(most_bytes=0)
    deep = np.arange(2 * 2 * 3, dtype=np.uint16).reshape(2, 2, 3) * 1000
    pictures.add_pixels(deep)
    pictures.add_pixels(deep + 1)
    assert np.array_equal(pictures[0], deep)
    assert pictures[1].dtype == np.uint16
