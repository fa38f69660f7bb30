"""Where every pixel of a frame lies in a reference, to a fraction of a pixel.

Dense inverse search (Kroeger et al., ECCV 2016; OpenCV's) from the degraded frame to the reference:
smooth over space, so that turning and zooming inside a token are followed too, and steady over
time, since every frame begins where the one before ended. What a degraded frame shares with a clean
reference is its larger structure, which is what the search compares: patches without their mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from refvid.models.mini.local_correlation import find_moments
from refvid.models.mini.resampling import sample
from refvid.models.mini.smooth_map import pixel_grid

Picture = NDArray[np.uint8]
"""(H, W, 3) RGB, or (H, W) gray."""

Flow = NDArray[np.float32]
"""(H, W, 2): x and y displacement [pixels] to the same place in the reference."""

MIN_SIDE = 64
"""The search needs pictures of at least this many pixels a side."""

_NOISE_LEVEL = 2.0
"""Contrast below this says nothing about likeness [8-bit levels]."""

_FOUND = 0.8
"""Correlation from which on a place counts as found."""

_STEPS = 8
"""Of each patch in `refine`, which begins near the end: with twice as many, nothing is gained."""

_STRIDE = 5
"""From patch to patch [pixels]: faster than 4, as usual, and no worse (+0.01 dB)."""

_WINDOW = 5
"""Side of the windows whose correlation is measured [cells]."""


class Placed(Protocol):
    """A reference that lies on a shot's frames but for what alignment is left to find."""

    @property
    def shades(self) -> Picture:
        """(H, W) gray, as the shot's frames would see it."""
        ...

    def sample(self, flow: Flow) -> tuple[Picture, Picture]:
        """Its pixels (H, W, 3) where a frame's pixels were found, and (H, W) uint8: 1 where it
        shows the place, else 0.
        """
        ...


class FramePlaced:
    """A reference whose pixels are the frames' own places."""

    def __init__(
        self,
        picture: Picture,
        shown: NDArray[np.bool_] | None = None,
        *,
        inside: bool | None = None,
    ) -> None:
        """Take a picture.

        Args:
            picture: (H, W, 3).
            shown: Where it shows the scene; None is everywhere.
            inside: How it was scaled, see `lay_over`; None: not at all.
        """
        self.inside = inside
        self.picture, self.shades = picture, gray(picture)
        self.shown = np.ones(picture.shape[:2], np.uint8) if shown is None else shown.view(np.uint8)

    def sample(self, flow: Flow) -> tuple[Picture, Picture]:
        places = pixel_grid((flow.shape[0], flow.shape[1]))
        places += flow
        pixels = sample(self.picture, places, cv2.INTER_CUBIC)
        # Beyond the border nothing is shown: `sample` would go on with what is at it.
        height, width = self.shown.shape
        inside = cv2.inRange(places, (-0.501, -0.501), (width - 0.499, height - 0.499))
        shown = sample(self.shown, places, cv2.INTER_NEAREST) & np.asarray(inside, np.uint8)
        return pixels, shown


@dataclass(frozen=True, slots=True)
class Tone:
    """How levels of one picture become those of another."""

    contrast: float
    """What differences are multiplied by."""

    before: float
    """A level [0, 255]."""

    after: float
    """What it becomes."""

    def apply(self, picture: Picture) -> Picture:
        levels = (np.arange(256) - self.before) * self.contrast + self.after
        return np.asarray(cv2.LUT(picture, levels.round().clip(0, 255).astype(np.uint8)), np.uint8)


@dataclass(frozen=True, slots=True)
class Likeness:
    """How much of a frame a reference shows, where the frame has texture."""

    found: float
    """Share of the texture that was found again."""

    correlation: float
    """Mean over the texture, in [-1, 1]."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one reference gives to one frame."""

    pixels: Picture
    """(H, W, 3): the reference as the frame sees it."""

    shades: Picture
    """(H, W): the same, gray."""

    trust: NDArray[np.float32]
    """(3, H/4, W/4): correlation with the frame around each cell in [-1, 1], over 20 pixels and
    over 10, 0 where nothing is shown; and the share of each cell that is shown."""

    likeness: Likeness


def align(shades: Picture, reference: Placed, coarse: Flow, tone: Tone | None = None) -> Found:
    """Bring a placed reference to a frame.

    Args:
        shades: (H, W) gray of the frame, H and W multiples of 8.
        reference: Placed on the frame's shot.
        coarse: What `find_coarse` found for the frame.
        tone: How the reference's becomes the frame's, where they differ much.
    """
    flow = refine(*_as_alike(shades, reference.shades, tone), coarse)
    pixels, shown = reference.sample(flow)
    size = (shades.shape[1] // 4, shades.shape[0] // 4)
    seen = cv2.resize(shown.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    seen_shades = gray(pixels)
    correlation, texture = correlate_cells(shades, seen_shades, 4)
    fine = cv2.resize(
        correlate_cells(shades, seen_shades, 2)[0], size, interpolation=cv2.INTER_AREA
    )
    correlation *= seen
    trust = np.stack((correlation, fine * seen, seen)).astype(np.float32)
    return Found(pixels, seen_shades, trust, _likeness(correlation, texture))


def gray(picture: Picture) -> Picture:
    """(H, W, 3) -> (H, W), as the search and the correlation see it."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


def find_coarse(frame: Picture, reference: Picture, prior: Flow | None = None) -> Flow:
    """Search at half size: it finds what moved far, and goes from frame to frame.

    Args:
        frame: (H, W) gray.
        reference: (H, W) gray.
        prior: The same of the frame before, if there is one.

    Returns:
        (H/2, W/2, 2), or larger for small frames, in pixels of that grid.
    """
    size = _searched(frame)
    search = _new_search()
    search.setFinestScale(1)
    begin: Any = None if prior is None else prior.copy()  # it is overwritten
    found = search.calc(_of_size(frame, size), _of_size(reference, size), begin)
    return np.asarray(found, np.float32)


def refine(frame: Picture, reference: Picture, coarse: Flow) -> Flow:
    """Go on from what `find_coarse` found for the same frame, to a fraction of a pixel.

    At half the size: at full resolution the grain of a degraded frame misleads (-0.2 dB), at three
    times the cost.
    """
    size = _searched(frame)
    begin = _rescaled(coarse, size)
    search = _new_search()
    search.setFinestScale(0)
    # Where `find_coarse` ended. Without it, text that moves lost up to 2.3 dB.
    search.setCoarsestScale(1)
    search.setGradientDescentIterations(_STEPS)
    found = search.calc(_of_size(frame, size), _of_size(reference, size), begin.copy())
    return _rescaled(np.asarray(found, np.float32), (frame.shape[1], frame.shape[0]))


def _as_alike(frame: Picture, reference: Picture, tone: Tone | None) -> tuple[Picture, Picture]:
    """Two gray pictures as the search wants them: it knows other lights, but no other contrast. The
    one that has less of it is raised, which keeps its levels apart.
    """
    if tone is None:
        return frame, reference
    if tone.contrast < 1:
        return Tone(1 / tone.contrast, tone.after, tone.before).apply(frame), reference
    return frame, tone.apply(reference)


def _searched(frame: Picture) -> tuple[int, int]:
    """Half of a frame's width and height, at which it is searched; that fails on smaller ones."""
    height, width = frame.shape
    return max(MIN_SIDE, width // 2), max(MIN_SIDE, height // 2)


def _of_size(picture: Picture, size: tuple[int, int]) -> Picture:
    if picture.shape == size[::-1]:
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _rescaled(flow: Flow, size: tuple[int, int]) -> Flow:
    """A flow on a grid of other width and height, in its pixels."""
    height, width = flow.shape[:2]
    if (width, height) == size:
        return flow
    resized = cv2.resize(flow, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized * np.array((size[0] / width, size[1] / height), np.float32))


def _new_search() -> cv2.DISOpticalFlow:
    """A new one each time: what one has found before shows in its next result."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    # A single one would save a quarter of the time, and cost 0.1 dB.
    search.setVariationalRefinementIterations(5)
    search.setPatchStride(_STRIDE)
    return search


def correlate_cells(
    frame: Picture, aligned: Picture, cell: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Normalised correlation of two gray pictures around every cell, and their texture.

    Plain places correlate with nothing: noise alone gives about 0.

    Args:
        frame: (H, W).
        aligned: (H, W).
        cell: Side of the cells; windows are five cells large [pixels].

    Returns:
        Correlation in [-1, 1] and how much texture the frame has in [0, 1], a value for each cell.
    """
    height, width = frame.shape
    size = (width // cell, height // cell)
    a, b = (
        cv2.resize(p, size, interpolation=cv2.INTER_AREA).astype(np.float32) - 128
        for p in (frame, aligned)
    )
    variance_a, variance_b, covariance = find_moments(a, b, _box)
    floor = np.float32(_NOISE_LEVEL**2)
    deviation = np.sqrt((variance_a + floor) * (variance_b + floor))
    return np.asarray(covariance / deviation, np.float32), variance_a / (variance_a + 4 * floor)


def _likeness(correlation: NDArray[np.float32], texture: NDArray[np.float32]) -> Likeness:
    total = max(float(texture.sum()), 1e-6)
    found = float((texture * (correlation > _FOUND)).sum()) / total
    return Likeness(found, float((texture * correlation).sum()) / total)


def fine_detail(shades: Picture, where: NDArray[np.bool_]) -> float:
    """Mean absolute Laplacian of a gray picture (H, W) over cells (H/4, W/4) [8-bit levels]."""
    detail = np.abs(cv2.Laplacian(shades, cv2.CV_16S)).astype(np.float32)
    size = (where.shape[1], where.shape[0])
    cells = cv2.resize(detail, size, interpolation=cv2.INTER_AREA)
    return float(cells[where].mean()) if where.any() else 0.0


def _box(values: Any) -> Any:
    return cv2.boxFilter(values, -1, (_WINDOW, _WINDOW), borderType=cv2.BORDER_REFLECT_101)
