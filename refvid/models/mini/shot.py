"""The references of one shot: placed on its frames, the best two of them mixed for each cell.

A reference is registered when it is first used in a shot, and again where little of it is found.
Where that fails it is laid over the frame as a whole, and left alone for as long as nothing of it
correlates.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import cv2
import numpy as np
from numpy.typing import NDArray

from refvid.models.backbone import Reference, ReferenceUse
from refvid.models.mini.alignment import (
    Flow,
    Found,
    FramePlaced,
    Likeness,
    Picture,
    Placed,
    align,
    find_coarse,
    fine_detail,
    gray,
)
from refvid.models.mini.reference_view import PreparedReference, prepare_reference, view
from refvid.models.mini.registration import Registration, register_best

References = Mapping[int, Reference]
"""By their numbers among those given."""

_MIXED = 2
"""References that each frame is aligned with, at most: each costs as much as the first."""

_ENOUGH = 0.5
"""Share of the texture that is found below which registration is tried again."""

_UNLIKE = 0.5
"""Mean correlation below which a reference that could not be registered is left alone."""

_BETTER = 0.03
"""A new registration replaces one whose correlation is lower by this."""

_MOST_PATIENCE = 32
"""Chunks between attempts to register, at most."""

_SHARPER = (1.02, 1.1)
"""Fine detail of a reference over the frame's: up to the first it has nothing to give, and only
could do harm to what needs no help; from the second on it counts in full."""

_CHOICE = 100.0
"""How sharply cells choose: a correlation higher by 0.03 weighs 20 times as much."""

_WHOLE_FRAME = 2.0
"""What the whole frame's correlation counts beside a cell's. Near one of two references nearly all
cells look alike in both, and the farther one only seems to fit better where it does."""

_CHOICE_WINDOW = 9
"""Side of the windows over which cells choose [cells]: a choice that changes from cell to cell
would tear what both show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotReference:
    """One reference on one shot."""

    placed: Placed | None
    """None: nothing of it was found."""

    is_registered: bool = False
    correlation: float = 0.0
    """With the frames of the last chunk."""

    found: float = 0.0
    """Share of the last chunk's texture that was found in it."""

    coarse: Flow | None = None
    """Where the last frame was found, see `find_coarse`."""

    waits: int = 0
    """Chunks until registration is tried again."""

    patience: int = 1
    """Chunks that will be waited after that."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A reference in which a frame was found."""

    number: int
    placed: Placed
    coarse: Flow


@dataclass(frozen=True, slots=True)
class Mixed:
    """What all references together give to one frame."""

    pixels: Picture
    trust: NDArray[np.float32]
    """(3, H/4, W/4), as of one reference."""

    worth: float = 1.0
    """How much of it counts: nothing where no reference is sharper than the frame."""

    found: tuple[tuple[int, Likeness, float], ...] = ()
    """Of each reference its number, likeness, and how much sharper than the frame it is."""


class Shot:
    """A chunk's way through its shot's references.

    `references` is, by number, what the next chunk continues from.
    """

    def __init__(self, references: Mapping[int, ShotReference] | None) -> None:
        self.references = dict(references or {})

    def place(self, given: References, pictures: Callable[[], Sequence[Picture]]) -> None:
        """Place references on a chunk's frames, where that is due.

        Args:
            given: Those that may serve this chunk.
            pictures: Gives a few of its frames, (H, W, 3); asked for only where it is due.
        """
        known = self.references
        self.references = {
            number: self._placed(reference, known.get(number), pictures)
            for number, reference in given.items()
        }

    def _placed(
        self,
        given: Reference,
        known: ShotReference | None,
        pictures: Callable[[], Sequence[Picture]],
    ) -> ShotReference:
        if known is None:
            return place_reference(given, pictures())
        if known.found >= _ENOUGH or given.is_placed:
            return replace(known, patience=1, waits=0)
        if known.waits:
            return replace(known, waits=known.waits - 1)
        tried = place_reference(given, pictures())
        kept = tried if tried.correlation > known.correlation + _BETTER else known
        later = min(2 * known.patience, _MOST_PATIENCE)
        return replace(kept, waits=known.patience, patience=later)

    def follow(self, shades: Picture) -> list[Followed]:
        """Find the next frame (H, W) gray in the references that serve; the rest is `mix`'s."""
        serving = [number for number, r in self.references.items() if r.placed is not None]
        serving.sort(key=lambda number: -self.references[number].correlation)
        followed = []
        for number in serving[:_MIXED]:
            reference = self.references[number]
            assert reference.placed is not None, "only such serve"
            coarse = find_coarse(shades, reference.placed.shades, reference.coarse)
            self.references[number] = replace(reference, coarse=coarse)
            followed.append(Followed(number, reference.placed, coarse))
        return followed

    def finish(self, frames: Sequence[Mixed | None]) -> tuple[ReferenceUse, ...]:
        """Tell what a chunk's frames found, and remember it for the next one."""
        likeness: dict[int, list[Likeness]] = defaultdict(list)
        sharper: dict[int, list[float]] = defaultdict(list)
        for mixed in frames:
            for number, one, ratio in mixed.found if mixed is not None else ():
                likeness[number].append(one)
                sharper[number].append(ratio)
        for number, ones in likeness.items():
            self.references[number] = replace(
                self.references[number],
                found=fmean(one.found for one in ones),
                correlation=fmean(one.correlation for one in ones),
            )
        return tuple(
            ReferenceUse(
                reference=number,
                frames=len(likeness[number]) or len(frames),
                found=reference.found if likeness[number] else 0.0,
                sharper=fmean(sharper[number]) if sharper[number] else 1.0,
                is_registered=reference.is_registered,
            )
            for number, reference in self.references.items()
            if likeness[number] or reference.placed is None
        )


def mix(shades: Picture, followed: Sequence[Followed]) -> Mixed | None:
    """Align references with a frame (H, W) gray, and mix them cell by cell."""
    if not followed:
        return None
    results = [align(shades, one.placed, one.coarse) for one in followed]
    mixed = mix_cells(results)
    found = [
        (one.number, result.likeness, _sharper(shades, result))
        for one, result in zip(followed, results, strict=True)
    ]
    low, high = _SHARPER
    worth = (max(sharper for *_, sharper in found) - low) / (high - low)
    return replace(mixed, worth=min(1.0, max(0.0, worth)), found=tuple(found))


def place_reference(given: Reference, pictures: Sequence[Picture]) -> ShotReference:
    """Bring one reference to a few frames (H, W, 3) of a shot.

    Registration comes first. Without it the picture is laid over the frames as a whole, in the way
    that correlates best, and given up if that is hardly at all.
    """
    picture = given.read()
    frame = pictures[0]
    if given.is_placed:
        return _tried(FramePlaced(picture), frame, is_registered=False)
    best = register_best(picture, pictures)
    if best is not None:
        placed = RegisteredReference(picture, best.registration)
        return _tried(placed, pictures[best.index], is_registered=True)
    size = (frame.shape[1], frame.shape[0])
    laid = [lay_over(picture, size, inside=inside) for inside in (False, True)]
    fitted = [_tried(one, frame, is_registered=False) for one in laid]
    likest = max(fitted, key=lambda one: one.correlation)
    return likest if likest.correlation >= _UNLIKE else replace(likest, placed=None)


class RegisteredReference:
    """`Placed` by a registration."""

    def __init__(self, picture: Picture, registration: Registration) -> None:
        """Take a picture (h, w, 3), and where the shot's frames are in it."""
        self._prepared: PreparedReference = prepare_reference(picture, registration)
        self.shades = gray(view(self._prepared).picture)

    def sample(self, flow: Flow) -> tuple[Picture, Picture]:
        seen = view(self._prepared, flow)
        return seen.picture, seen.shown.astype(np.uint8)


def _tried(placed: Placed, frame: Picture, *, is_registered: bool) -> ShotReference:
    """A placed reference, with its likeness to a frame (H, W, 3)."""
    shades = gray(frame)
    likeness = align(shades, placed, find_coarse(shades, placed.shades)).likeness
    return ShotReference(
        placed=placed,
        is_registered=is_registered,
        correlation=likeness.correlation,
        found=likeness.found,
    )


def lay_over(picture: Picture, size: tuple[int, int], *, inside: bool) -> FramePlaced:
    """Scale a picture (h, w, 3) to cover a frame, or to lie inside it.

    Args:
        picture: The reference.
        size: Width and height of the frame [pixels].
        inside: Whether all of it is seen, with places it does not show; else it is cut.
    """
    height, width = picture.shape[:2]
    ratios = (size[0] / width, size[1] / height)
    scale = min(ratios) if inside else max(ratios)
    matrix = np.array(
        [
            [scale, 0, (size[0] - 1) / 2 - scale * (width - 1) / 2],
            [0, scale, (size[1] - 1) / 2 - scale * (height - 1) / 2],
        ]
    )
    if scale < 1:  # what is shrunk is averaged
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        shrunk = np.asarray(cv2.resize(picture, small, interpolation=cv2.INTER_AREA), np.uint8)
        if small != (width, height):
            return lay_over(shrunk, size, inside=inside)
    return _warped(picture, matrix, size)


def _warped(picture: Picture, matrix: NDArray[np.float64], size: tuple[int, int]) -> FramePlaced:
    pixels = cv2.warpAffine(
        picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    height, width = picture.shape[:2]
    scale, left, top = matrix[0, 0], matrix[0, 2], matrix[1, 2]
    x, y = (np.arange(size[0]) - left) / scale, (np.arange(size[1]) - top) / scale
    columns, rows = np.abs(2 * x + 1 - width) <= width, np.abs(2 * y + 1 - height) <= height
    return FramePlaced(np.asarray(pixels, np.uint8), rows[:, None] & columns)


def mix_cells(results: Sequence[Found]) -> Mixed:
    """Mix what references give to a frame: each cell takes the one that correlates best with it and
    with the frame, or two that do so alike in equal parts.
    """
    if len(results) == 1:
        return Mixed(results[0].pixels, results[0].trust)
    trust = np.stack([found.trust for found in results])  # (R, 3, h, w)
    window = (_CHOICE_WINDOW, _CHOICE_WINDOW)
    correlation = np.stack([cv2.blur(one[0] + one[1], window) / 2 for one in trust])
    whole = np.array([found.likeness.correlation for found in results], np.float32)
    correlation += _WHOLE_FRAME * whole[:, None, None]
    weights = np.exp(_CHOICE * (correlation - correlation.max(0)))
    weights *= trust[:, -1] + 1e-3
    weights /= weights.sum(0)
    height, width = results[0].pixels.shape[:2]
    mixed = np.zeros((height, width, 3), np.float32)
    for found, weight in zip(results, weights, strict=True):
        share = cv2.resize(weight, (width, height), interpolation=cv2.INTER_LINEAR)
        mixed += share[..., None] * found.pixels
    pixels = mixed.round().clip(0, 255).astype(np.uint8)
    return Mixed(pixels, (trust * weights[:, None]).sum(0).astype(np.float32))


def _sharper(shades: Picture, found: Found) -> float:
    """Fine detail of an aligned reference over a frame's, where the one is found in the other."""
    where = found.trust[0] > 0.8
    ours = fine_detail(shades, where)
    return fine_detail(gray(found.pixels), where) / ours if ours > 0 else 1.0
