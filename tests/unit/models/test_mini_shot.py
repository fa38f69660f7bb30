"""References of a shot: registered, given up when nothing fits, tried again, mixed cell by cell."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from refvid.models.backbone import Reference
from refvid.models.mini import shot as module
from refvid.models.mini.alignment import FramePlaced, align, find_coarse, gray
from refvid.models.mini.autoencoder import to_aligned
from refvid.models.mini.contrast import measure_tone
from refvid.models.mini.mixing import mix
from refvid.models.mini.placement import lay_over, place_reference
from refvid.models.mini.shot import Shot, ShotFrames
from refvid.training.degradations import Degradation, degrade
from refvid.training.samples import to_unit


def texture(seed: int, height: int = 240, width: int = 320) -> np.ndarray:
    """Corners and edges of many sizes, which features can be found on."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width, 3), 128, np.uint8)
    for _ in range(250):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        side = int(rng.integers(3, 40))
        color = tuple(int(c) for c in rng.integers(0, 255, 3))
        cv2.rectangle(picture, (x, y), (x + side, y + side // 2 + 2), color, -1)
    return cv2.GaussianBlur(picture, (0, 0), 0.7)


@pytest.fixture
def scene() -> np.ndarray:
    return texture(0)


@pytest.fixture
def degraded(scene: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(scene, (0, 0), 1.2)


def given(picture: np.ndarray, *, is_placed: bool = False) -> Reference:
    return Reference(read=lambda: picture, is_placed=is_placed)


def on(*pictures: np.ndarray, first: int = 0) -> ShotFrames:
    return ShotFrames(first, len(pictures), lambda n: pictures[n])


def run(shot: Shot, frames: list[np.ndarray]) -> tuple:
    return shot.finish([mix(gray(frame), shot.follow(gray(frame))) for frame in frames])


def test_a_zoomed_brighter_photo_is_registered(scene: np.ndarray, degraded: np.ndarray) -> None:
    matrix = cv2.getRotationMatrix2D((160, 120), 5, 1.25)
    photo = cv2.warpAffine(scene, matrix, (320, 240), flags=cv2.INTER_CUBIC)
    photo = np.clip(photo * 0.8 + 20, 0, 255).astype(np.uint8)
    placed = place_reference(given(photo), [degraded])
    assert placed.is_registered
    shot = Shot({0: placed})
    (use,) = run(shot, [degraded])
    assert use.is_registered
    assert use.found > 0.4
    assert use.sharper > 1.2


def test_an_unrelated_picture_serves_nothing_and_that_is_told(degraded: np.ndarray) -> None:
    shot = Shot(None)
    shot.place({0: given(texture(7))}, on(degraded))
    assert shot.references[0].placed is None
    assert shot.follow(gray(degraded)) == []
    (use,) = run(shot, [degraded, degraded])
    assert (use.found, use.frames) == (0.0, 2)


def test_registration_is_tried_again_with_growing_patience(
    scene: np.ndarray, degraded: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []
    real = place_reference

    def counted(*arguments):
        tries.append(1)
        return real(*arguments)

    monkeypatch.setattr(module, "place_reference", counted)
    other = texture(7)
    references = {0: given(scene)}
    shot = Shot(None)
    for _ in range(12):
        shot.place(references, on(other))
        run(shot, [other])
        shot = Shot(shot.references)
    assert 3 <= len(tries) <= 5
    while len(tries) < 6:
        shot.place(references, on(degraded))
    assert shot.references[0].is_registered, "it comes into sight, and is found"


def test_what_lies_on_the_frames_is_not_registered(scene: np.ndarray) -> None:
    placed = place_reference(given(scene, is_placed=True), [texture(3)])
    assert isinstance(placed.placed, FramePlaced)
    assert not placed.is_registered


def test_each_cell_takes_the_reference_that_shows_it(
    scene: np.ndarray, degraded: np.ndarray
) -> None:
    left, right = scene.copy(), scene.copy()
    left[:, 160:], right[:, :160] = texture(8)[:, 160:], texture(9)[:, :160]
    shot = Shot(None)
    shot.place({n: given(p, is_placed=True) for n, p in enumerate((left, right))}, on(degraded))
    mixed = mix(gray(degraded), shot.follow(gray(degraded)))
    assert mixed is not None
    error = np.abs(mixed.pixels.astype(float) - scene)
    assert error[:, 16:136].mean() < 4
    assert error[:, 184:-16].mean() < 4
    assert [number for number, *_ in mixed.found] in ([0, 1], [1, 0])


def test_two_at_most_serve_a_frame(scene: np.ndarray, degraded: np.ndarray) -> None:
    shot = Shot(None)
    shot.place({n: given(scene, is_placed=True) for n in range(5)}, on(degraded))
    assert len(shot.follow(gray(degraded))) == 2


def test_the_nearest_serve_though_others_served_well_before(
    scene: np.ndarray, degraded: np.ndarray
) -> None:
    """The scene changes a little: references of later frames are found a little less well."""
    later = cv2.addWeighted(scene, 0.9, texture(11), 0.1, 0)
    pictures = {0: scene, 4: scene, 12: later, 20: later}
    all_given = {n: replace(given(one), frame=n) for n, one in pictures.items()}
    shot = Shot(None)
    for first in (0, 8, 16):
        reach = {n: one for n, one in all_given.items() if n <= first + 4}
        shot.place(reach, on(*[degraded] * 4, first=first))
        serving = {one.number for one in shot.follow(gray(degraded))}
        run(shot, [degraded] * 4)
    assert serving == {12, 20}


def test_references_come_and_go_with_the_chunks(scene: np.ndarray, degraded: np.ndarray) -> None:
    shot = Shot(None)
    shot.place({0: given(scene, is_placed=True)}, on(degraded))
    shot.place({1: given(scene, is_placed=True)}, on(degraded))
    assert list(shot.references) == [1]


@pytest.mark.parametrize("size", [(320, 240), (200, 240), (640, 100)])
def test_laid_over_as_the_fits_say(scene: np.ndarray, size: tuple[int, int]) -> None:
    covering, inside = (lay_over(scene, size, inside=inside) for inside in (False, True))
    assert covering.shown.all()
    assert covering.picture.shape == inside.picture.shape == (size[1], size[0], 3)
    if size != (320, 240):
        assert 0.1 < inside.shown.mean() < 0.98
    shades = gray(covering.picture)
    assert np.abs(find_coarse(shades, shades)).mean() < 0.05


def test_a_reference_that_is_softer_counts_nothing(scene: np.ndarray, degraded: np.ndarray) -> None:
    softer = np.asarray(cv2.GaussianBlur(degraded, (0, 0), 1.0), np.uint8)
    for picture, worth in ((softer, 0.0), (scene, 1.0)):
        shot = Shot(None)
        shot.place({0: given(picture, is_placed=True)}, on(degraded))
        mixed = mix(gray(degraded), shot.follow(gray(degraded)))
        assert mixed is not None
        assert mixed.worth == worth


@pytest.mark.parametrize(("strength", "ground"), [(0.4, 0), (0.5, 255), (1.8, 90)])
def test_a_reference_is_seen_in_the_contrast_of_a_frame_that_fades(
    scene: np.ndarray, degraded: np.ndarray, strength: float, ground: int
) -> None:
    """A soft frame of full contrast has more detail than a faded one, and nothing to give."""
    scene, degraded = scene // 2 + 64, degraded // 2 + 64

    def fade(picture: np.ndarray) -> np.ndarray:
        return np.rint((picture - float(ground)) * strength + ground).clip(0, 255).astype(np.uint8)

    frame = fade(degraded)
    for picture, clean in ((degraded, fade(degraded)), (scene, fade(scene))):
        shot = Shot(None)
        shot.place({0: given(picture, is_placed=True)}, on(frame))
        mixed = mix(gray(frame), shot.follow(gray(frame)))
        assert mixed is not None
        ((_, _, gives),) = mixed.found
        assert gives.worth == mixed.worth
        assert (mixed.worth == 1) if picture is scene else (mixed.worth < 0.5)
        seen = to_aligned(mixed, to_unit(frame[None])).pixels
        errors = (seen - to_unit(clean[None])).abs() * 127.5
        assert errors.mean() < 1.5


def test_detail_that_is_lost_is_no_lower_contrast(scene: np.ndarray) -> None:
    frame = degrade(scene[None], Degradation(crf=28, scale=2.0))[0]
    shot = Shot(None)
    shot.place({0: given(scene, is_placed=True)}, on(frame))
    (followed,) = shot.follow(gray(frame))
    found = align(gray(frame), followed.placed, followed.coarse)
    assert measure_tone(gray(frame), found) is None


def test_other_detail_counts_nothing_where_none_was_lost(scene: np.ndarray) -> None:
    """As on water: what is coarse is the same, what is fine is as strong, and another."""
    rng = np.random.default_rng(3)
    coarse = cv2.GaussianBlur(scene, (0, 0), 1.5).astype(np.float64)
    other = cv2.GaussianBlur(rng.normal(0, 1, scene.shape), (0, 0), 0.8)
    other *= 0.85 * (scene - coarse).std() / other.std()
    shown = (coarse + other).round().clip(0, 255).astype(np.uint8)
    lost = np.asarray(cv2.GaussianBlur(scene, (0, 0), 2.0), np.uint8)
    for frame, worth in ((scene, 0.0), (lost, 1.0)):
        shot = Shot(None)
        shot.place({0: given(shown, is_placed=True)}, on(frame))
        mixed = mix(gray(frame), shot.follow(gray(frame)))
        assert mixed is not None
        ((_, _, gives),) = mixed.found
        assert gives.sharper > 1.1
        assert gives.worth == mixed.worth
        assert mixed.worth == worth


def test_a_reference_is_placed_anew_on_its_own_frame(scene: np.ndarray) -> None:
    """From afar it was found at another place; at home it lies exactly."""
    moved = [cv2.GaussianBlur(np.roll(scene, 3 * n, 1), (0, 0), 1.2) for n in range(8)]
    own = {0: replace(given(np.roll(scene, 18, 1)), frame=6)}
    shot = Shot(None)
    shot.place(own, on(*moved[:4]))
    assert not shot.references[0].is_at_home
    shot.place(own, on(*moved[4:], first=4))
    home = shot.references[0]
    assert home.is_at_home
    assert home.is_registered
    assert (
        np.abs(find_coarse(gray(np.asarray(moved[6], np.uint8)), home.placed.shades)).mean() < 0.2
    )
    shot.place(own, on(*moved[4:], first=4))
    assert shot.references[0] is not None
    assert shot.references[0].placed is home.placed, "once is enough"


def test_of_many_the_likely_ones_are_placed(
    degraded: np.ndarray, scene: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []

    def read(number: int) -> np.ndarray:
        reads.append(number)
        return scene if number == 17 else texture(100 + number, 120, 160)

    tries = []
    real = place_reference

    def counted(one, pictures):
        tries.append(one)
        return real(one, pictures)

    monkeypatch.setattr(module, "place_reference", counted)
    many = {n: Reference(read=lambda n=n: read(n)) for n in range(24)}  # type: ignore[misc]
    shot = Shot(None)
    for _ in range(3):
        shot.place(many, on(degraded))
        (use,) = run(shot, [degraded])
        shot = Shot(shot.references)
    assert use.reference == 17
    assert len(tries) == 3, "the rest is left alone where one is found"
    assert len(reads) == 24 + 3, "all were looked at once"
    assert sum(one.placed is not None for one in shot.references.values()) <= 3


def test_no_more_than_a_few_keep_room(scene: np.ndarray, degraded: np.ndarray) -> None:
    shot, all_given = Shot(None), {}
    for n in range(6):
        all_given[n] = replace(given(scene, is_placed=True), frame=n)
        shot.place(dict(all_given), on(degraded, first=n))
        run(shot, [degraded])
        placed = {k for k, one in shot.references.items() if one.placed is not None}
        assert n in placed, "the nearest stays"
        assert len(placed) <= 3


def test_grain_of_a_dark_shot_is_nobodys_detail() -> None:
    """It is sharper in the clean reference than in what compression left, and never the same."""
    rng = np.random.default_rng(3)
    ground = cv2.GaussianBlur(texture(5) // 8, (0, 0), 3)
    grain = rng.normal(0, 4, (2, *ground.shape))
    clean = (ground + grain).round().clip(0, 255).astype(np.uint8)
    lost = degrade(clean, Degradation(crf=36))[1]
    shot = Shot(None)
    shot.place({0: given(clean[0], is_placed=True)}, on(lost))
    mixed = mix(gray(lost), shot.follow(gray(lost)))
    assert mixed is not None
    assert mixed.found[0][2].sharper > 3, "it is sharper"
    assert mixed.worth == 0


def test_a_soft_reference_takes_nothing_from_a_sharp_one(
    scene: np.ndarray, degraded: np.ndarray
) -> None:
    """It looks more like the frame, and would win every cell."""
    both, alone = (
        {0: given(scene, is_placed=True), 1: given(degraded, is_placed=True)},
        {0: given(scene, is_placed=True)},
    )
    errors = []
    for references in (both, alone):
        shot = Shot(None)
        shot.place(references, on(degraded))
        mixed = mix(gray(degraded), shot.follow(gray(degraded)))
        assert mixed is not None
        assert mixed.worth == 1
        errors.append(np.abs(mixed.pixels.astype(float) - scene).mean())
    assert errors[0] < errors[1] * 1.05 + 0.1
