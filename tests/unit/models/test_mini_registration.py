"""Pictures of one scene seen in several ways, and pictures that show something else."""

from __future__ import annotations

import io
from importlib import resources

import cv2
import numpy as np
import pytest
from PIL import Image

from refvid.models.bars import Content, find_content
from refvid.models.mini import registration
from refvid.models.mini.color_map import IDENTITY, apply_colors, fit_colors
from refvid.models.mini.planes import is_plausible, map_points, resizing
from refvid.models.mini.reference_view import prepare_reference, view
from refvid.models.mini.registration import register, register_best
from refvid.models.mini.resampling import limit_detail
from refvid.models.mini.smooth_map import SmoothMap, pixel_grid

WARM = np.array([[0.92, 0.02, 0, 6], [0, 0.85, 0, 2], [0.01, 0, 0.7, 8]], np.float32)


@pytest.fixture(scope="module")
def scene():
    """(320, 448, 3), sharp."""
    with resources.files("refvid.assets").joinpath("astronaut.webp").open("rb") as file:
        picture = np.asarray(Image.open(file).convert("RGB"))
    return np.ascontiguousarray(picture[20:340, 30:478])


def degrade(picture):
    """Half the size and back, and strong compression."""
    height, width = picture.shape[:2]
    half = cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    file = io.BytesIO()
    Image.fromarray(half).save(file, "JPEG", quality=60)
    lossy = np.asarray(Image.open(file))
    return cv2.resize(lossy, (width, height), interpolation=cv2.INTER_CUBIC)


def texture(seed, size=(240, 320)):
    """Blobs of all sizes."""
    generator = np.random.default_rng(seed)
    height, width = size
    layers = [
        cv2.resize(generator.normal(0, 1, (side, side, 3)), (width, height)) for side in (8, 24, 72)
    ]
    return np.clip(128 + 40 * np.sum(layers, 0), 0, 255).astype(np.uint8)


def see(scene, zoom, degrees, size=None, tilt=0.0):
    """A photo (and the true map to it): zoomed, turned, in perspective, of a size (h, w)."""
    height, width = scene.shape[:2]
    rows, columns = size or (height, width)
    angle = np.deg2rad(degrees)
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    plane = np.eye(3)
    plane[:2, :2] = turn
    plane[:2, 2] = np.array([columns - 1, rows - 1]) / 2 - turn @ [
        (width - 1) / 2,
        (height - 1) / 2,
    ]
    plane = plane @ np.array([[1, 0, 0], [0, 1, 0], [tilt, 0, 1]])
    return cv2.warpPerspective(scene, plane, (columns, rows), flags=cv2.INTER_AREA), plane


def locate(plane, size):
    return cv2.perspectiveTransform(pixel_grid(size), plane)


@pytest.mark.parametrize(
    ("zoom", "degrees", "size", "tilt"),
    [
        (1.3, 0, None, 0),
        (0.8, 5, None, 0),
        (1.5, 0, (480, 480), 0),
        (2.5, 100, (800, 1120), 0),
        (0.6, 180, None, 0),
        (1.0, -8, None, 2e-4),
    ],
)
def test_the_map_is_found_to_a_fraction_of_a_pixel(scene, zoom, degrees, size, tilt):
    photo, plane = see(scene, zoom, degrees, size, tilt)
    found = register(photo, degrade(scene))
    assert found is not None
    truth = locate(plane, scene.shape[:2])
    error = np.linalg.norm(found.coordinates - truth, axis=-1) / found.scale
    assert error[found.shown].mean() < 0.3
    assert found.scale == pytest.approx(zoom, rel=0.1)
    assert found.planes == 1
    assert found.correlation > 0.8
    inside = ((truth > -0.5) & (truth < np.array(photo.shape[1::-1]) - 0.5)).all(-1)
    assert (found.shown == inside).mean() > 0.995
    assert found.coverage == pytest.approx(inside.mean(), abs=0.005)


@pytest.mark.parametrize("size", [1, 2])
def test_the_frame_itself_or_its_original_is_known_without_features(scene, monkeypatch, size):
    def fail(*_):
        raise AssertionError("it takes as long as all the rest")

    monkeypatch.setattr(registration, "match_pictures", fail)
    height, width = scene.shape[:2]
    original = cv2.resize(scene, (width * size, height * size), interpolation=cv2.INTER_CUBIC)
    found = register(original, degrade(scene))
    assert found is not None
    whole = locate(resizing(scene.shape[:2], original.shape[:2]), scene.shape[:2])
    assert np.abs(found.coordinates - whole).max() < 1e-3
    assert found.planes == 1
    assert found.coverage == 1
    for other in (scene[2:, 3:], np.roll(scene, 2, 1), texture(1)):
        with pytest.raises(AssertionError, match="as long"):
            register(np.ascontiguousarray(other), degrade(scene))


def test_what_a_part_shows_is_known(scene):
    part = scene[60:260, 40:240]
    found = register(part, degrade(scene))
    assert found is not None
    truth = np.zeros(scene.shape[:2], bool)
    truth[60:260, 40:240] = True
    assert (found.shown == truth).mean() > 0.995
    shown = view(prepare_reference(part, found))
    # Away from the border, where rounding decides.
    inner = cv2.erode(truth.astype(np.uint8), np.ones((7, 7))).astype(bool)
    assert np.abs(shown.picture[inner].astype(int) - scene[inner]).mean() < 4


def test_colors_are_recovered(scene):
    photo, _ = see(apply_colors(scene, WARM), 0.9, 3)
    found = register(photo, degrade(scene))
    assert found is not None
    shown = view(prepare_reference(photo, found))
    difference = shown.picture[shown.shown].astype(int) - scene[shown.shown]
    assert np.abs(difference.mean(0)).max() < 2
    assert np.abs(difference).mean() < 5


def test_an_exact_frame_is_left_as_it_is(scene):
    found = register(scene, degrade(scene))
    assert found is not None
    assert np.array_equal(found.coordinates, pixel_grid(scene.shape[:2]))
    assert np.array_equal(found.colors, IDENTITY)
    assert found.shown.all()
    assert np.array_equal(view(prepare_reference(scene, found)).picture, scene)


def test_a_larger_original_covers_the_whole_frame(scene):
    large = cv2.resize(scene, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    found = register(large, degrade(scene))
    assert found is not None
    assert found.scale == pytest.approx(3)
    assert found.coverage == 1
    assert np.allclose(found.coordinates, (pixel_grid(scene.shape[:2]) + 0.5) * 3 - 0.5, atol=1e-3)


@pytest.mark.parametrize("scale", [2.0, 2.6, 7.3])
def test_detail_that_a_frame_cannot_hold_does_not_alias(scale):
    stripes = np.zeros((600, 800, 3), np.uint8)
    stripes[:, ::2] = 255
    limited = limit_detail(stripes, scale)
    rate = scale * limited.shape[1] / 800
    columns = (np.arange(40) * rate + 20).astype(int)
    contrast = limited[20, columns, 0].astype(int)
    assert np.ptp(contrast) < 255 / 8
    assert limited.shape[0] >= min(600, 600 / scale)
    assert limit_detail(stripes, 0.7) is stripes


def test_unrelated_pictures_are_refused(scene):
    for seed in range(4):
        assert register(texture(seed), degrade(scene)) is None
        assert register(scene, texture(seed)) is None
    assert register(texture(1), texture(2)) is None


def test_a_mirrored_picture_is_refused(scene):
    assert register(np.ascontiguousarray(scene[:, ::-1]), degrade(scene)) is None


def test_a_logo_in_both_is_not_the_same_scene(scene):
    frame, other = texture(5, (320, 448)), texture(6, (320, 448))
    frame[8:72, 8:72] = other[8:72, 8:72] = scene[40:104, 140:204]
    assert register(other, frame) is None


@pytest.mark.parametrize(
    "picture",
    [
        np.full((240, 320, 3), 255, np.uint8),
        np.zeros((240, 320, 3), np.uint8),
        np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8),
        np.random.default_rng(0).integers(0, 3, (240, 320, 3), np.uint8),
        np.full((16, 16, 3), 90, np.uint8),
        np.full((1, 500, 3), 90, np.uint8),
    ],
    ids=["white", "black", "noise", "dark", "tiny", "line"],
)
def test_pictures_without_content_are_refused(scene, picture):
    assert register(picture, scene) is None
    assert register(scene, picture) is None
    plain = np.full_like(picture, 17)
    assert register(plain, picture) is None


def test_other_arrays_are_errors(scene):
    with pytest.raises(ValueError, match="RGB"):
        register(scene[..., 0], scene)
    with pytest.raises(ValueError, match="plane"):
        register(scene, scene, max_planes=0)


def two_depths(scene, near, far):
    """The scene's right half moved by `near`, its left half by `far` (x, y)."""
    left, right = (
        cv2.warpAffine(scene, np.array([[1, 0, x], [0, 1, y]], float), scene.shape[1::-1])
        for x, y in (far, near)
    )
    left[:, 224:] = right[:, 224:]
    return left


def test_two_planes_are_found(scene):
    scene = np.concatenate((texture(7, (320, 224)), texture(8, (320, 224))), 1)
    photo = two_depths(scene, near=(14, 5), far=(-6, -3))
    found = register(photo, degrade(scene))
    assert found is not None
    assert found.planes == 2
    moved = found.coordinates - pixel_grid(scene.shape[:2])
    assert np.abs(moved[20:300, 20:180] - (-6, -3)).mean() < 0.4
    assert np.abs(moved[20:300, 260:420] - (14, 5)).mean() < 0.4
    # Smooth in between: no step larger than a fraction of the difference.
    assert np.abs(np.diff(moved[..., 0], axis=1)).max() < 2
    alone = register(photo, degrade(scene), max_planes=1)
    assert alone is None or alone.correlation < found.correlation - 0.05


def test_a_flow_is_followed_in_one_resampling(scene):
    photo, _ = see(scene, 1.2, 4)
    found = register(photo, degrade(scene))
    assert found is not None
    prepared = prepare_reference(photo, found)
    shift = np.zeros((*scene.shape[:2], 2), np.float32)
    shift[:] = 24, -8
    moved = view(prepared, shift)
    still = view(prepared)
    assert np.array_equal(moved.shown[8:, :-24], still.shown[:-8, 24:])
    difference = moved.picture[8:, :-24].astype(int) - still.picture[:-8, 24:]
    assert np.abs(difference).max() <= 2
    # The photo shows places outside of the registered frame, too.
    wide, _ = see(scene, 0.7, 0)
    crop = np.ascontiguousarray(degrade(scene)[:, :300])
    registered = register(wide, crop)
    assert registered is not None
    beyond = view(prepare_reference(wide, registered), shift[:, :300] * 4)
    assert beyond.shown[40:300, :300].mean() > 0.9
    inner = np.s_[40:280, 210:290]
    truth = scene[8:248, 306:386]
    assert np.abs(beyond.picture[inner].astype(int) - truth).mean() < 12


def test_what_the_photo_clipped_is_not_shown(scene):
    photo = apply_colors(scene, np.eye(3, 4, dtype=np.float32) * 1.5)
    found = register(photo, degrade(scene))
    assert found is not None
    assert np.array_equal(found.colors[:, 3] != 0, [True] * 3)
    shown = view(prepare_reference(photo, found)).shown
    lost = (photo >= 254).any(-1)
    assert lost.mean() > 0.05
    assert not shown[lost].any()
    assert shown[~lost].mean() > 0.9
    assert found.shown.all()


def test_bars_are_not_part_of_the_picture(scene):
    barred = scene.copy()
    barred[:40] = barred[-40:] = 0
    inside = np.zeros(scene.shape[:2], bool)
    inside[40:-40] = True
    for reference, frame in ((scene, barred), (barred, scene), (barred, barred)):
        found = register(reference, degrade(frame))
        assert found is not None
        shown = view(prepare_reference(reference, found)).shown
        for mask in (found.shown, shown):
            assert mask[44:-44].all()
            assert not mask[:36].any()
            assert not mask[-36:].any()
    large = cv2.resize(barred, None, fx=4, fy=4, interpolation=cv2.INTER_AREA)
    found = register(large, degrade(scene))
    assert found is not None
    assert (view(prepare_reference(large, found)).shown == inside).mean() > 0.98


def test_a_dark_picture_has_no_bars():
    assert find_content(np.zeros((60, 80), np.uint8)) == Content(top=0, bottom=60, left=0, right=80)


def test_a_view_needs_its_own_reference_and_flow(scene):
    found = register(scene, degrade(scene))
    assert found is not None
    with pytest.raises(ValueError, match="reference"):
        prepare_reference(scene[:-2], found)
    with pytest.raises(ValueError, match="flow"):
        view(prepare_reference(scene, found), np.zeros((4, 4, 2), np.float32))


def test_the_best_of_several_frames_is_kept(scene):
    frames = [texture(9, (320, 448)), degrade(texture(3)), degrade(scene)]
    best = register_best(scene, frames)
    assert best is not None
    assert best.index == 2
    assert register_best(scene, frames[:2]) is None
    assert register_best(scene, []) is None


def test_colors_of_a_plain_or_gray_overlap_stay_tame():
    everywhere = np.ones((120, 160), bool)
    plain = np.full((120, 160, 3), 100, np.uint8)
    noisy = np.random.default_rng(0).integers(-2, 3, plain.shape) + plain
    bright = apply_colors(noisy.astype(np.uint8), np.eye(3, 4, dtype=np.float32) * 1.25)
    found = fit_colors(noisy.astype(np.uint8), bright, everywhere)
    assert np.allclose(np.diag(found[:, :3]), 1.25, atol=0.1)
    gray = np.repeat(texture(0, (120, 160))[..., :1], 3, -1)
    found = fit_colors(gray, apply_colors(gray, np.eye(3, 4, dtype=np.float32) * 0.8), everywhere)
    assert np.allclose(found[:, :3].sum(1), 0.8, atol=0.05)
    assert np.abs(found[:, :3] - np.diag(np.diag(found[:, :3]))).max() < 0.1


def test_colors_ignore_what_does_not_fit():
    picture = texture(2, (160, 240))
    target = apply_colors(picture, WARM)
    target[40:90, 60:130] = (250, 10, 200)
    found = fit_colors(picture, target, np.ones((160, 240), bool))
    colors = np.array([[60, 90, 120, 1], [150, 140, 100, 1], [200, 180, 190, 1]], np.float32)
    assert np.abs(colors @ found.T - colors @ WARM.T).max() < 3


def test_colors_without_an_overlap_are_the_identity():
    picture = texture(2, (80, 80))
    nothing = np.zeros((80, 80), bool)
    assert np.array_equal(fit_colors(picture, 255 - picture, nothing), IDENTITY)
    with pytest.raises(ValueError, match="sizes"):
        fit_colors(picture, picture[:-1], nothing)


@pytest.mark.parametrize(
    ("plane", "plausible"),
    [
        (np.diag([1.5, 1.5, 1]), True),
        (np.array([[-1.0, 0, 319], [0, 1, 0], [0, 0, 1]]), False),
        (np.diag([0.1, 0.1, 1]), False),
        (np.diag([8.0, 8, 1]), False),
        (np.diag([1.0, 0.2, 1]), False),
        (np.array([[1, 0, 0], [0, 1, 0], [0.02, 0, 1.0]]), False),
        (np.array([[1, 0, 5000], [0, 1, 0], [0, 0, 1.0]]), False),
    ],
    ids=["zoom", "mirror", "small", "large", "squeezed", "steep", "elsewhere"],
)
def test_implausible_maps(plane, plausible):
    assert is_plausible(plane, (240, 320), (240, 320)) is plausible


def test_a_map_keeps_its_places_at_other_sizes():
    bend = np.random.default_rng(0).normal(0, 2, (30, 40, 2)).astype(np.float32)
    small = SmoothMap(
        frame_size=(240, 320),
        reference_size=(200, 300),
        plane=np.array([[0.9, 0.1, 3], [-0.1, 0.9, 5], [1e-4, 0, 1]]),
        bend=bend,
    )
    large = small.resized((480, 640), (600, 900))
    places = pixel_grid((240, 320))
    expected = (small.locate(places) + 0.5) * 3 - 0.5
    assert np.allclose(large.locate(places * 2 + 0.5), expected, atol=0.05)


def test_no_places_are_nowhere() -> None:
    """Where every track is lost, OpenCV's transform of no points gives None."""
    turned = np.array([[1.0, 0.1, 2], [-0.1, 1, 3], [0, 0, 1]])
    found = SmoothMap(frame_size=(48, 64), reference_size=(48, 64), plane=turned)
    assert found.locate(np.empty((1, 0, 2), np.float32)).shape == (1, 0, 2)
    assert map_points(turned, np.empty((0, 2), np.float32)).shape == (0, 2)
