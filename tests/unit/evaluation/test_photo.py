"""Frames as another camera would have them."""

from collections import Counter

import numpy as np
import pytest

from refvid.evaluation.photo import PHOTO_VARIANTS, photograph
from tests.unit.training.conftest import textured_picture


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    return textured_picture(96, 160, 4)


def test_six_variants_have_each_change_twice() -> None:
    assert len(PHOTO_VARIANTS) == 6
    changes = Counter(change for pair in PHOTO_VARIANTS.values() for change in pair)
    assert len(changes) == 6
    assert set(changes.values()) == {2}


@pytest.mark.parametrize("variant", PHOTO_VARIANTS)
def test_a_photo_is_the_same_every_time_and_not_the_frame(frame: np.ndarray, variant: str) -> None:
    photo = photograph(frame, variant)
    assert photo.dtype == np.uint8
    assert np.array_equal(photo, photograph(frame, variant))
    assert photo.shape != frame.shape or np.abs(photo.astype(int) - frame).mean() > 5


def test_sizes(frame: np.ndarray) -> None:
    shapes = {variant: photograph(frame, variant).shape[:2] for variant in PHOTO_VARIANTS}
    assert shapes == {
        "zoom 0.8, turned": (96, 160),
        "zoom 1.3, turned": (96, 160),
        "zoom 1.3, square": (96, 96),
        "square, relit": (96, 96),
        "relit, large JPEG": (144, 240),
        "zoom 0.8, large JPEG": (144, 240),
    }


def test_zoom_and_turn_keep_the_middle_and_mirror_what_lies_beyond() -> None:
    half = np.zeros((80, 80, 3), np.uint8)
    half[:, 40:] = 200
    for variant in ("zoom 0.8, turned", "zoom 1.3, turned"):
        photo = photograph(half, variant)
        assert photo[40, 30].max() < 10
        assert photo[40, 50].min() > 190
        # Turned by 5 degrees: the edge is where the tangent says, above and below the middle.
        assert abs(int(np.argmax(photo[4, :, 0] > 100)) - (40 - 36 * np.tan(np.radians(5)))) < 1.5
        assert abs(int(np.argmax(photo[76, :, 0] > 100)) - (40 + 36 * np.tan(np.radians(5)))) < 1.5
    lines = np.zeros((80, 80, 3), np.uint8)
    lines[:, ::8] = 255
    light = np.count_nonzero(np.diff(photograph(lines, "zoom 0.8, large JPEG")[60, :, 0] > 100))
    assert light == pytest.approx(2 * 10 / 0.8, abs=3), "a fifth more of the world is seen"


def test_light(frame: np.ndarray) -> None:
    grey = np.full((40, 40, 3), 100, np.uint8)
    assert photograph(grey, "square, relit")[0, 0].tolist() == [132, 120, 106]
    assert photograph(np.full_like(grey, 240), "square, relit")[0, 0].tolist() == [255, 255, 253]
