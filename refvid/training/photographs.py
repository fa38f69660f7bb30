"""References as people have them: the same scene through another camera, and registered again.

A phone's photo shows more or less of the scene, is turned, brighter, warmer, of another size, and
was stored as JPEG. Registration undoes that but for fractions of a pixel, resampling, what the
photo does not show, and clipped or badly fitted colours: what training needs are these remains.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""(H, W, 3) RGB."""


@dataclass(frozen=True, slots=True)
class RegisteredPhoto:
    """A photo brought back to the frame it was made of."""

    pixels: Picture
    shown: NDArray[np.bool_]
    """(H, W): where the photo shows the frame's place."""


def photograph(frame: Picture, seen: Picture, rng: random.Random) -> RegisteredPhoto:
    """Photograph a clean frame with a random camera and register the photo as `enhance` would.

    Args:
        frame: The clean frame.
        seen: The degraded one, to which the colours are fitted.
        rng: Draws the camera and the errors of registration.
    """
    height, width = frame.shape[:2]
    size = math.exp(rng.uniform(math.log(0.75), math.log(1.6)))
    camera = _camera(width, height, size, rng)
    photo_size = (max(32, round(width * size)), max(32, round(height * size)))
    # The photo's own optics: what is shrunk is averaged.
    source = frame if size > 0.9 else cv2.GaussianBlur(frame, (0, 0), 0.35 / size)
    photo = cv2.warpPerspective(
        source, camera, photo_size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    photo = _develop(np.asarray(photo, np.uint8), rng)
    back = np.linalg.inv(camera @ _registration_error(width, height, rng))
    inside = np.full((photo_size[1], photo_size[0]), 255, np.uint8)
    shown = cv2.warpPerspective(inside, back, (width, height), flags=cv2.INTER_LINEAR) > 250
    pixels = cv2.warpPerspective(
        photo, back, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return RegisteredPhoto(_fit_colors(np.asarray(pixels, np.uint8), seen, shown), shown)


def _camera(width: int, height: int, size: float, rng: random.Random) -> NDArray[np.float64]:
    """Homography from the frame's pixels to the photo's."""
    zoom = size * math.exp(rng.uniform(math.log(0.7), math.log(1.6)))
    angle = math.radians(rng.gauss(0, 5))
    shift = [rng.uniform(-0.12, 0.12) * side for side in (width, height)]
    cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    tilt = np.eye(3)
    tilt[2, :2] = [rng.gauss(0, 0.03) / width, rng.gauss(0, 0.03) / height]
    to_middle = np.array([[1, 0, -width / 2 - shift[0]], [0, 1, -height / 2 - shift[1]], [0, 0, 1]])
    back = np.array([[1, 0, width * size / 2], [0, 1, height * size / 2], [0, 0, 1]])
    camera: NDArray[np.float64] = back @ turn @ tilt @ to_middle
    return camera


def _registration_error(width: int, height: int, rng: random.Random) -> NDArray[np.float64]:
    """A homography that moves corners by a pixel or so."""
    spread = rng.choice((0.2, 0.5, 1.5))
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    moved = corners + np.array([[rng.gauss(0, spread) for _ in "xy"] for _ in corners], np.float32)
    return np.asarray(cv2.getPerspectiveTransform(corners, moved), np.float64)


def _develop(photo: Picture, rng: random.Random) -> Picture:
    """Exposure, white balance, contrast, sharpening, JPEG."""
    gain = rng.uniform(0.75, 1.3)
    balance = np.array([gain * rng.uniform(0.88, 1.12) for _ in range(3)], np.float32)
    gamma = rng.uniform(0.85, 1.18)
    levels = np.arange(256, dtype=np.float32)[:, None] / 255
    curve = (255 * (levels**gamma * balance) + rng.uniform(-8, 8)).round().clip(0, 255)
    photo = np.asarray(cv2.LUT(photo, curve.astype(np.uint8)[:, None]), np.uint8)
    if rng.random() < 0.5:
        quality = rng.randint(65, 96)
        coded = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        photo = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return photo


def _fit_colors(pixels: Picture, seen: Picture, shown: NDArray[np.bool_]) -> Picture:
    """Least squares from small versions of both, as registration does where it shows the frame."""
    height, width = shown.shape
    small = (max(1, width // 8), max(1, height // 8))
    known = cv2.resize(shown.astype(np.float32), small, interpolation=cv2.INTER_AREA) > 0.99
    ours, theirs = (
        cv2.resize(p, small, interpolation=cv2.INTER_AREA).reshape(-1, 3).astype(np.float32)
        for p in (pixels, seen)
    )
    good = known.ravel() & (ours.max(1) < 250) & (ours.min(1) > 4)
    if good.sum() < 64:
        return pixels
    system = np.c_[ours[good], np.ones(good.sum(), np.float32)]
    fitted = np.linalg.lstsq(
        np.r_[system, 4 * np.eye(4, dtype=np.float32)],
        np.r_[theirs[good], 4 * np.eye(4, 3, dtype=np.float32)],
        rcond=None,
    )[0]
    colored = cv2.transform(pixels, np.ascontiguousarray(fitted.T, np.float32))
    return np.asarray(colored, np.uint8)
