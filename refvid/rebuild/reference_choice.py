"""Which references a chunk is decoded with: of several, those that are near it or look like it.

A model that finds references by itself gets them all, and chooses; of those with a place in the
video it looks first at the ones before and behind its frames. A model that takes one gets, for
every chunk, the one that looks most like it among these neighbours and those that are for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any, Literal, cast

import numpy as np
import torch

from refvid.errors import OptionError
from refvid.media.fit import fit_image
from refvid.media.pixel_conversion import to_uint8
from refvid.media.video_info import USUAL_RATE
from refvid.models.backbone import Backbone, Reference, ReferenceFinder, ReferenceJoiner
from refvid.models.mini.alignment import FramePlaced, align, find_coarse, gray
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.pixels import Pixels, frames_to_clip, pad_clip, padded_size
from refvid.rebuild.reference_feed import (
    NO_MORE,
    Choices,
    ChunkView,
    Fed,
    GivenReference,
    Moment,
    ReferenceFeed,
    neighbours,
)
from refvid.rebuild.reference_fit import likelier_fit
from refvid.rebuild.reference_options import ReferenceFit

_MATCHED_SIDE = 256
"""Longer side at which pictures are compared [pixels]."""

_CLEARLY_BETTER = 0.03
"""Correlation by which another reference must be better before it takes over."""

_MOST_JOINED = 3
"""References that a model sees at once where it has not learned to: each costs as much as a latent
frame."""


def make_feed(
    given: Sequence[GivenReference],
    loaded: LoadedBackbone,
    size: tuple[int, int],
    *,
    fit: ReferenceFit,
    first: Callable[[], Pixels | None],
    rate: Fraction | None = None,
    has_pictures: bool = True,
    joint: bool = False,
    enlarged: float = 1.0,
) -> ReferenceFeed:
    """Make ready to choose among references.

    Args:
        given: The references, at least one.
        loaded: The model.
        size: Width and height of the frames [pixels].
        fit: How references meet frames of another shape.
        first: Gives the clip's first frame, to choose a fit by; None where there is none.
        rate: Frames per second, about.
        has_pictures: Whether chunks come with theirs.
        joint: Let a model that was trained with one reference see several at once, if it can.
        enlarged: How many times as large the frames are as they were recorded.

    Raises:
        OptionError: Several references could only be told apart by looking at frames.
    """
    rate = rate or USUAL_RATE
    backbone = loaded.backbone
    if backbone.limits.finds_references:
        return _FinderFeed(cast("ReferenceFinder", backbone), given, size, fit, rate, enlarged)
    is_open = sum(not reference.is_placed for reference in given)
    if is_open > 1 and not has_pictures:
        raise OptionError(
            f"{loaded.name} takes one reference at a time, and latents have no pictures to choose "
            "it by: say for all but one where they belong, as in --ref b.png@40."
        )
    most = _MOST_JOINED if joint and backbone.limits.joins_references else 1
    return _SingleFeed(given, loaded, size, fit, first, rate, most)


class _FinderFeed:
    """`ReferenceFeed` for a model that finds references by itself."""

    def __init__(
        self,
        finder: ReferenceFinder,
        given: Sequence[GivenReference],
        size: tuple[int, int],
        fit: ReferenceFit,
        rate: Fraction,
        enlarged: float,
    ) -> None:
        self._finder, self._given, self._rate = finder, dict(enumerate(given)), rate
        self._size, self._fit, self._enlarged = size, fit, enlarged
        self._references = {n: self._make(one) for n, one in self._given.items()}
        self._start = Moment(0, Fraction(0))

    def _make(self, given: GivenReference) -> Reference:
        return Reference(
            read=partial(self._read, given),
            is_placed=self._fit != "auto",
            enlarged=self._enlarged,
        )

    def _read(self, given: GivenReference) -> Pixels:
        pixels = to_uint8(given.read())
        if self._fit == "auto":
            return pixels
        width, height = self._size
        tall, wide = padded_size(height, width, self._finder.limits)
        fitted = fit_image(pixels, width, height, self._fit)
        return np.pad(fitted, ((0, tall - height), (0, wide - width), (0, 0)), mode="edge")

    def feed(self, view: ChunkView, more: Mapping[int, GivenReference] = NO_MORE) -> Fed:
        if view.starts_shot:
            self._start = view.moments[0]
        given = self._given | dict(more)
        known = self._references | {n: self._make(one) for n, one in more.items()}
        if not known:
            return Fed(reference=None)
        references = {
            number: replace(reference, frame=self._frame(given[number], view.moments))
            for number, reference in known.items()
        }
        return Fed(reference=self._finder.prepare_references(references))

    def pack(self) -> dict[str, Any]:
        return {"start": [self._start.index, str(self._start.time)]}

    def unpack(self, facts: Mapping[str, Any]) -> None:
        index, time = facts["start"]
        self._start = Moment(index, Fraction(time))

    def _frame(self, given: GivenReference, moments: Sequence[Moment]) -> int | None:
        """The frame of the shot that a reference belongs to."""
        start = self._start
        if given.frame is not None:
            return given.frame - start.index
        if given.time is None:
            return None
        first, last = moments[0], moments[-1]
        if first.time <= given.time <= last.time:
            shown = max(moment.index for moment in moments if moment.time <= given.time)
            return shown - start.index
        # Outside of the chunk, only the order counts.
        away = round((given.time - first.time) * self._rate)
        away = min(away, -1) if given.time < first.time else max(away, len(moments))
        return first.index - start.index + away


class _SingleFeed:
    """`ReferenceFeed` for a model that takes references of the clip's size, one at a time.

    Where `most` is more than 1 it takes so many, if it can.
    """

    def __init__(
        self,
        given: Sequence[GivenReference],
        loaded: LoadedBackbone,
        size: tuple[int, int],
        fit: ReferenceFit,
        first: Callable[[], Pixels | None],
        rate: Fraction,
        most: int,
    ) -> None:
        self._given, self._all = dict(enumerate(given)), dict(enumerate(given))
        self._loaded, self._size, self._rate = loaded, size, rate
        self._fit, self._first = fit, first
        self._most = most
        self._fits: dict[int, Literal["cover", "contain", "stretch"]] = {}
        self._matchers: dict[int, FramePlaced] = {}
        self._prepared: dict[int, Any] = {}
        self._now: tuple[int, ...] = ()
        self._choices: Choices[tuple[int, ...]] = Choices()

    def pack(self) -> dict[str, Any]:
        return {"now": self._now, "choices": self._choices.pack()}

    def unpack(self, facts: Mapping[str, Any]) -> None:
        self._now = tuple(facts["now"])
        self._choices.unpack((frame, tuple(numbers)) for frame, numbers in facts["choices"])

    def feed(self, view: ChunkView, more: Mapping[int, GivenReference] = NO_MORE) -> Fed:
        before = () if view.starts_shot else self._now
        self._all = self._given | dict(more)
        self._forget_others()
        self._now = ()
        if self._all:
            self._now = self._choices.make(view, lambda: self._choose(view, before))
        # Of the chunk before and of this one, and no more: each may be as large as a clip.
        kept = {*self._now, *before}
        self._prepared = {n: made for n, made in self._prepared.items() if n in kept}
        fades = before not in ((), self._now) and not self._loaded.backbone.limits.overlap
        return Fed(
            reference=self._prepare_all(self._now),
            fade_from=self._prepare_all(before) if fades and self._now else None,
            numbers=self._now,
        )

    def _forget_others(self) -> None:
        """Let go of what is known of references that are gone."""
        for known in (self._fits, self._matchers):
            for number in [number for number in known if number not in self._all]:
                del known[number]

    def _choose(self, view: ChunkView, before: tuple[int, ...]) -> tuple[int, ...]:
        """The likeliest, in the order of their numbers."""
        candidates = neighbours(self._all, view.moments, self._rate)
        if len(candidates) <= self._most or view.picture is None:
            return tuple(sorted(candidates[: self._most]))
        middle = view.picture(len(view.moments) // 2)
        shades = gray(to_uint8(fit_image(middle, *self._matched_size(), "stretch")))
        likeness = {number: self._correlate(shades, number) for number in candidates}
        for number in candidates:
            likeness[number] += _CLEARLY_BETTER * ((number in before) + (number == candidates[0]))
        candidates.sort(key=lambda number: -likeness[number])
        return tuple(sorted(candidates[: self._most]))

    def _correlate(self, shades: Any, number: int) -> float:
        if number not in self._matchers:
            self._matchers[number] = FramePlaced(
                to_uint8(
                    fit_image(self._all[number].read(), *self._matched_size(), self._fit_of(number))
                )
            )
        placed = self._matchers[number]
        return align(shades, placed, find_coarse(shades, placed.shades)).likeness.correlation

    def _matched_size(self) -> tuple[int, int]:
        share = min(1.0, _MATCHED_SIDE / max(self._size))
        width, height = (max(8, round(side * share / 8) * 8) for side in self._size)
        return width, height

    def _fit_of(self, number: int) -> Literal["cover", "contain", "stretch"]:
        if self._fit != "auto":
            return self._fit
        if number not in self._fits:
            self._fits[number] = likelier_fit(self._all[number].read(), self._size, self._first)
        return self._fits[number]

    def _prepare_all(self, numbers: Sequence[int]) -> Any:
        prepared = [self._prepare(number) for number in numbers]
        if len(prepared) > 1:
            return cast("ReferenceJoiner", self._loaded.backbone).join_references(prepared)
        return prepared[0] if prepared else None

    def _prepare(self, number: int) -> Any:
        if number not in self._prepared:
            fitted = fit_image(self._all[number].read(), *self._size, self._fit_of(number))
            backbone, device = self._loaded.backbone, self._loaded.device
            self._prepared[number] = prepare_reference(backbone, fitted, device)
        return self._prepared[number]


@torch.inference_mode()
def prepare_reference(backbone: Backbone, reference: Pixels, device: torch.device) -> Any:
    """Embed a reference.

    Args:
        backbone: The model.
        reference: (H, W, 3) uint8 or uint16 of the clip's size; padded as the clip is.
        device: Where the backbone computes.

    Returns:
        What `Backbone.decode` takes as `reference`.
    """
    clip = pad_clip(frames_to_clip([reference], device), backbone.limits)
    return backbone.prepare_reference(clip[:, :, 0])
