"""Frames of another recording of the very same moment: what both show is copied, and no more.

For edited videos (RefDecoder, arXiv:2605.15196, section 4.2) and for copies of which the original
is there. Where the edit has changed something, the model's result stays: told by a mask, or found
from the difference between the two, which compression and lost detail must not be taken for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refvid.media.fit import fit_image
from refvid.media.pixel_conversion import to_uint8
from refvid.models.mini.alignment import correlate_cells, fine_detail, gray
from refvid.models.mini.color_map import IDENTITY
from refvid.models.mini.reference_view import prepare_reference, view
from refvid.models.mini.registration import Registration, register
from refvid.models.mini.registration_facts import pack_registration, unpack_registration
from refvid.rebuild.pixels import Pixels

Picture = NDArray[np.uint8]
Weights = NDArray[np.float32]
"""(H, W) in [0, 1]."""

CELL = 4
"""Side of the places that are compared [pixels]."""

_WELL_REGISTERED = 0.75
"""Correlation with which no further frame is tried."""

_UNLIKE = 0.4
"""Mean correlation over the texture below which two frames do not show the same."""

_SAME = 4.0
"""Difference of mean colours that compression may make, at least [8-bit levels]."""

_PER_CONTRAST = 0.12
"""And so much of the contrast around."""

_NOISES = 4.0
"""Times the usual difference of a frame; at twice the bound a change is certain."""

_CLEARLY, _ROUNDING = 1.3, 0.5
"""Other colours fit clearly better where this factor and so many levels make no difference."""

_WEAK = 0.7
"""Share of that bound above which a place is doubtful."""

_LEAST_SEED, _SEED_SHARE = 4, 0.1
"""Certain cells, and their share, from which on all of a doubtful part is taken for changed."""

_REACH = 5
"""So many cells away from certain ones, at most."""

_HOLE = 7
"""Holes of so many cells in a change are part of it."""

_CORRELATED = (-0.1, 0.3)
"""Correlation up to which a textured place is certainly another one, and from which on not."""

_GROWN = 5
"""Cells by which found changes grow: their borders are as uncertain as that."""

_SHARPER = (0.8, 0.95)
"""Fine detail of the other recording over the frame's: up to the first it would take some away.
From the second on it is the original, also where what the frame has lost is no detail."""

_SLOWLY = 0.3
"""How fast that follows from frame to frame: the copy must not come and go."""

_SAME_SHAPE = 0.01
"""Proportions that differ by less are the same."""

_ALL_BUT_NOTHING = 0.9
"""Share of a frame that has changed from which on the two have nothing in common."""

COMPARED_BYTES = 200
"""For each pixel, while a frame is compared [bytes]."""

_PLAIN = 0.02
"""Share of a frame with texture below which correlation says nothing."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What is copied into a chunk's frames."""

    pixels: Sequence[Pixels | None]
    """(H, W, 3) each, uint8 or uint16; None where there is no frame of the same moment."""

    weights: Sequence[NDArray[np.uint8] | None]
    """(H, W) each, of 255."""

    sharper: float
    """Fine detail of what is copied over the frames'."""

    worth: float
    """How much of it counts, from 0 to 1."""

    @property
    def share(self) -> float:
        """How much of the frames is copied."""
        return float(np.mean([0.0 if one is None else one.mean() / 255 for one in self.weights]))

    def put_into(self, rebuilt: Tensor) -> Tensor:
        """Copy over a model's result (1, 3, T, H, W) in [-1, 1], of the first T frames."""
        rebuilt = rebuilt.clone()
        for index in range(rebuilt.shape[2]):
            pixels, weights = self.pixels[index], self.weights[index]
            if pixels is None or weights is None:
                continue
            half_range = float(np.iinfo(pixels.dtype).max) / 2
            planes = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).to(
                rebuilt.device
            )
            shown = planes.permute(2, 0, 1).to(torch.float32).div_(half_range).sub_(1.0)
            share = torch.from_numpy(weights).to(rebuilt.device, torch.float32).div_(255)
            rebuilt[0, :, index] = torch.lerp(rebuilt[0, :, index], shown, share)
        return rebuilt


class SameMoment:
    """Lays frames of another recording over those of a video, shot by shot."""

    def __init__(self) -> None:
        self._registration: Registration | None = None
        self._worth: float | None = None

    def pack(self) -> dict[str, Any]:
        """What the next chunks of the shot need, in plain JSON types."""
        found = self._registration
        registration = None if found is None else pack_registration(found)
        return {"registration": registration, "worth": self._worth}

    def unpack(self, facts: Mapping[str, Any]) -> None:
        """Read what `pack` wrote."""
        found, self._worth = facts["registration"], facts["worth"]
        self._registration = None if found is None else unpack_registration(found)

    def copy(
        self,
        frames: Sequence[Pixels],
        others: Sequence[Pixels | None],
        masks: Sequence[Weights | None],
        *,
        starts_shot: bool,
    ) -> Copied | None:
        """Find out what of a chunk's frames can be copied.

        Args:
            frames: (H, W, 3) each.
            others: The other recording's frames of the same moments, of any size.
            masks: 1 where a frame shows something else; None finds that out.
            starts_shot: Whether a shot begins.

        Returns:
            None where the two have nothing in common.
        """
        if starts_shot:
            self._registration = self._worth = None
        pairs = [
            (to_uint8(frame), other)
            for frame, other in zip(frames, others, strict=True)
            if other is not None
        ]
        if not pairs:
            return None
        self._registration = self._registration or _register(pairs)
        found = [
            (None, None, 1.0) if other is None else self._compare(frame, other, mask)
            for frame, other, mask in zip(frames, others, masks, strict=True)
        ]
        if all(weights is None for _, weights, _ in found):
            self._registration = None  # tried again with the next frames
            return None
        told = [ratio for _, weights, ratio in found if weights is not None]
        return Copied(
            [pixels for pixels, *_ in found],
            [weights for _, weights, _ in found],
            max(told),
            self._worth or 0.0,
        )

    def _compare(
        self, frame: Pixels, other: Pixels, mask: Weights | None
    ) -> tuple[Pixels | None, NDArray[np.uint8] | None, float]:
        """One frame: what may be copied, how much of it, and how much sharper it is."""
        laid = _lay(other, frame, self._registration)
        if laid is None:
            return None, None, 1.0
        pixels, shown = laid
        ours, theirs = to_uint8(frame), to_uint8(pixels)
        correlation, texture = correlate_cells(gray(ours), gray(theirs), CELL)
        size = (ours.shape[1], ours.shape[0])
        changed = find_changes(ours, theirs) if mask is None else mask
        cells = cv2.resize(changed, correlation.shape[::-1], interpolation=cv2.INTER_AREA)
        kept = texture * (1 - cells)
        alike = float((kept * correlation).sum() / max(kept.sum(), 1e-6))
        if kept.mean() > _PLAIN and alike < _UNLIKE:
            return None, None, 1.0
        if mask is None and changed.mean() > _ALL_BUT_NOTHING:
            return None, None, 1.0
        where = np.asarray((cells < 0.2) & (correlation > _UNLIKE))
        detail = fine_detail(gray(ours), where)
        sharper = fine_detail(gray(theirs), where) / detail if detail > 0 else 1.0
        worth = float(np.clip((sharper - _SHARPER[0]) / (_SHARPER[1] - _SHARPER[0]), 0, 1))
        before = worth if self._worth is None else self._worth
        self._worth = before + _SLOWLY * (worth - before)
        weights = cv2.resize(1 - changed, size, interpolation=cv2.INTER_LINEAR) * shown
        return pixels, np.rint(255 * self._worth * weights).astype(np.uint8), sharper


def find_changes(frame: Picture, other: Picture) -> Weights:
    """Find where two pictures (H, W, 3) of one moment differ in more than lost detail.

    Returns:
        (H, W), 1 where that is certain.
    """
    height, width = frame.shape[:2]
    difference, theirs = _differ(frame, other)
    variance = cv2.blur(theirs**2, (5, 5)) - cv2.blur(theirs, (5, 5)) ** 2
    contrast = np.sqrt(np.maximum(variance, 0))
    usual = np.median(difference, axis=(0, 1))
    # Light and colour apart: compression changes colours less, and edits mostly more.
    excess = (difference / (np.maximum(_SAME, _NOISES * usual) + _PER_CONTRAST * contrast)).max(2)
    colors = np.clip(excess - 1, 0, 1)
    correlation, texture = correlate_cells(gray(frame), gray(other), CELL)
    low, high = _CORRELATED
    structure = np.clip((high - correlation) / (high - low), 0, 1) * (texture > 0.5)
    changed = np.maximum(colors, structure).astype(np.float32)
    changed = np.maximum(changed, _spread(changed, excess > _WEAK))
    # Single cells are noise; what is left has borders that are as uncertain as the cells around.
    changed = cv2.erode(changed, np.ones((2, 2), np.uint8))
    changed = cv2.dilate(changed, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_GROWN, _GROWN)))
    changed = cv2.GaussianBlur(changed, (0, 0), 1.0)
    whole = cv2.resize(changed, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(whole, 0, 1), np.float32)


def _spread(changed: NDArray[np.float32], doubtful: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Changes of cells (h, w) go on in what is doubtful and lies together with certain ones: an
    edit does not end where it happens to be faint.
    """
    certain = cv2.erode((changed > 0.9).astype(np.uint8), np.ones((2, 2), np.uint8))
    reach = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _REACH + 1, 2 * _REACH + 1))
    near = cv2.dilate(certain, reach) > 0
    together = np.asarray((doubtful & near) | (changed > 0.5)).astype(np.uint8)
    count, parts = cv2.connectedComponents(together, connectivity=4)
    sizes = np.bincount(parts.ravel(), minlength=count)
    seeds = np.bincount(parts.ravel(), weights=certain.ravel(), minlength=count)
    taken = seeds >= np.maximum(_LEAST_SEED, _SEED_SHARE * sizes)
    taken[0] = False
    whole = cv2.morphologyEx(
        taken[parts].astype(np.uint8), cv2.MORPH_CLOSE, np.ones((_HOLE, _HOLE), np.uint8)
    )
    return np.asarray(whole, np.float32)


def _differ(frame: Picture, other: Picture) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """By how much light and both colour differences around every cell differ, (h, w, 3), and the
    other one's cells.
    """
    size = (max(1, frame.shape[1] // CELL), max(1, frame.shape[0] // CELL))
    ours, theirs = (
        cv2.cvtColor(
            np.asarray(cv2.resize(p, size, interpolation=cv2.INTER_AREA), np.float32),
            cv2.COLOR_RGB2YCrCb,
        )
        for p in (frame, other)
    )
    difference = np.abs(cv2.blur(ours, (3, 3)) - cv2.blur(theirs, (3, 3)))
    return np.asarray(difference, np.float32), np.asarray(theirs, np.float32)


def _register(pairs: Sequence[tuple[Picture, Pixels]]) -> Registration | None:
    """How the other recording lies on this one, from a few pairs of frames."""
    best: Registration | None = None
    pair = pairs[0]
    for position in sorted({0, len(pairs) // 2, len(pairs) - 1}):
        frame, other = pairs[position]
        found = register(to_uint8(other), frame)
        if found is not None and (best is None or found.correlation > best.correlation):
            best, pair = found, (frame, other)
        if best is not None and best.correlation >= _WELL_REGISTERED:
            break
    return None if best is None else _keep_colors(best, *pair)


def _keep_colors(found: Registration, frame: Picture, other: Pixels) -> Registration:
    """Take the other recording's colours as they are, unless others clearly fit better: an edit and
    lost detail must not pass for another camera.
    """
    plain = replace(found, colors=IDENTITY)
    usual = []
    for registration in (plain, found):
        seen = view(prepare_reference(to_uint8(other), registration))
        difference, _ = _differ(frame, seen.picture)
        usual.append(float(np.median(difference.max(2))))
    return plain if usual[0] <= _CLEARLY * usual[1] + _ROUNDING else found


def _lay(
    other: Pixels, frame: Pixels, registration: Registration | None
) -> tuple[Pixels, NDArray[np.bool_]] | None:
    """The other recording's frame as the video's camera saw it, and where it shows anything."""
    is_exact = registration is None or (
        registration.map.is_identity and np.array_equal(registration.colors, IDENTITY)
    )
    height, width = frame.shape[:2]
    if is_exact:
        # Without features to go by, one picture of a shape is laid over the other as a whole.
        if abs(other.shape[1] * height / (other.shape[0] * width) - 1) > _SAME_SHAPE:
            return None
        return fit_image(other, width, height, "stretch"), np.ones((height, width), np.bool_)
    assert registration is not None, "else it is exact"
    if other.shape[:2] != registration.map.reference_size:
        return None
    seen = view(prepare_reference(to_uint8(other), registration))
    return seen.picture, seen.shown
