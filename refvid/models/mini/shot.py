"""The references of one shot: which of them are placed on its frames, and serve them.

A reference is placed when it is first used in a shot, again where little of it is found, and when
the frame comes that it belongs to. Of many, a first look tells which are likely; no more than a few
are placed at once, since each takes room.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from refvid.models.backbone import Reference, ReferenceUse
from refvid.models.mini.alignment import Likeness, Picture, find_coarse
from refvid.models.mini.likely import rank
from refvid.models.mini.mixing import Followed, Gives, Mixed
from refvid.models.mini.placement import ShotReference, place_reference

References = Mapping[int, Reference]
"""By their numbers among those given."""

_MIXED = 2
"""References that each frame is aligned with, at most: each costs as much as the first."""

_PLACED = 3
"""References that are placed at once, at most: more than serve one frame, for the next ones."""

_TRIED_AGAIN = 2
"""References of which little was found that are placed again for one chunk, at most."""

_ENOUGH = 0.5
"""Share of the texture that is found below which registration is tried again."""

_BETTER = 0.03
"""A new registration replaces one whose correlation is lower by this."""

_MOST_PATIENCE = 32
"""Chunks between attempts to register, at most."""


@dataclass(frozen=True, slots=True)
class ShotFrames:
    """The frames of a chunk, as references are placed on them."""

    first: int
    """Of its shot's frames."""

    count: int
    picture: Callable[[int], Picture]
    """Gives one of them, (H, W, 3), counted from the chunk's first."""

    def holds(self, reference: Reference) -> bool:
        """Whether the frame that a reference belongs to is among them."""
        return reference.frame is not None and 0 <= reference.frame - self.first < self.count

    def spread(self) -> list[Picture]:
        """First, middle and last, each once."""
        return [self.picture(n) for n in sorted({0, self.count // 2, self.count - 1})]

    def pictures_for(self, reference: Reference) -> list[Picture]:
        """Those to place a reference on: its own frame, or a few."""
        if self.holds(reference):
            assert reference.frame is not None, "else it is not held"
            return [self.picture(reference.frame - self.first)]
        return self.spread()


def neighbours(given: References, frames: ShotFrames) -> list[int]:
    """Of the references that belong to a frame: the last before a chunk's end, the first behind."""
    last = frames.first + frames.count - 1
    places = {n: one.frame for n, one in given.items() if one.frame is not None}
    before = [n for n in places if places[n] <= last]
    behind = [n for n in places if places[n] > last]
    found = [max(before, key=places.__getitem__)] if before else []
    return [*found, *([min(behind, key=places.__getitem__)] if behind else [])]


class Shot:
    """A chunk's way through its shot's references.

    `references` is, by number, what the next chunk continues from.
    """

    def __init__(self, references: Mapping[int, ShotReference] | None) -> None:
        self.references = dict(references or {})
        self._near: list[int] = []
        self._enlarged = 1.0

    def place(self, given: References, frames: ShotFrames) -> None:
        """Place references on a chunk's frames, where that is due.

        Args:
            given: Those that may serve this chunk.
            frames: The chunk's.
        """
        known = {number: self.references[number] for number in given if number in self.references}
        near = self._near = neighbours(given, frames)
        self._enlarged = max((one.enlarged for one in given.values()), default=1.0)
        due = self._due(given, known, near, frames)
        self.references = {
            number: self._placed(reference, known.get(number), frames, due=number in due)
            for number, reference in given.items()
        }
        self._keep_best(near)

    def _due(
        self,
        given: References,
        known: Mapping[int, ShotReference],
        near: Sequence[int],
        frames: ShotFrames,
    ) -> set[int]:
        """References that are to be placed now: a few of those that are due, the nearest first."""
        arrived = {
            n
            for n in known
            if frames.holds(given[n]) and not known[n].is_at_home and not given[n].is_placed
        }
        new = [n for n in given if n not in known]
        if len(new) > _PLACED:
            first = [n for n in near if n in new]
            others = [n for n in new if n not in near]
            likely = rank([given[n] for n in others], frames.spread()[0])
            new = [*first, *(others[position] for position in likely)][:_PLACED]
        again = [
            n
            for n, one in known.items()
            if one.found < _ENOUGH and not one.waits and not given[n].is_placed
        ]
        if len(given) > _PLACED and any(one.found >= _ENOUGH for one in known.values()):
            again = [n for n in again if n in near]
        again.sort(key=lambda n: n not in near)
        return {*arrived, *new, *again[:_TRIED_AGAIN]}

    def _placed(
        self, given: Reference, known: ShotReference | None, frames: ShotFrames, *, due: bool
    ) -> ShotReference:
        if known is None and not due:
            return ShotReference(placed=None)
        if due:
            tried = place_reference(given, frames.pictures_for(given))
            tried = replace(tried, is_at_home=frames.holds(given))
            if known is None:
                return tried
            margin = -_BETTER if tried.is_at_home else _BETTER
            kept = tried if tried.correlation > known.correlation + margin else known
            later = min(2 * known.patience, _MOST_PATIENCE)
            return replace(
                kept,
                is_at_home=tried.is_at_home or known.is_at_home,
                waits=known.patience,
                patience=later,
            )
        assert known is not None, "else it is due, or the first case"
        if known.found >= _ENOUGH or given.is_placed:
            return replace(known, patience=1, waits=0)
        return replace(known, waits=max(0, known.waits - 1))

    def _keep_best(self, near: Sequence[int]) -> None:
        """Let go of pictures that are the least use: each takes room."""
        placed = [n for n, one in self.references.items() if one.placed is not None]
        placed.sort(key=lambda n: (n in near, self.references[n].correlation))
        for number in placed[: max(0, len(placed) - _PLACED)]:
            one = self.references[number]
            self.references[number] = ShotReference(
                placed=None, was_tried=True, waits=one.patience, patience=one.patience
            )

    def follow(self, shades: Picture) -> list[Followed]:
        """Find the next frame (H, W) gray in the references that serve; the rest is `mix`'s."""
        serving = [number for number, r in self.references.items() if r.placed is not None]
        serving.sort(key=self._comes_later)
        followed = []
        for number in serving[:_MIXED]:
            reference = self.references[number]
            assert reference.placed is not None, "only such serve"
            coarse = find_coarse(shades, reference.placed.shades, reference.coarse)
            self.references[number] = replace(reference, coarse=coarse)
            followed.append(Followed(number, reference.placed, coarse, self._enlarged))
        return followed

    def _comes_later(self, number: int) -> tuple[bool, float]:
        """What `follow` sorts by. The neighbours in time come first where they were found: what
        served before has the higher correlation, and would keep a nearer one out.
        """
        one = self.references[number]
        return not (number in self._near and one.found >= _ENOUGH), -one.correlation

    def finish(self, frames: Sequence[Mixed | None]) -> tuple[ReferenceUse, ...]:
        """Tell what a chunk's frames found, and remember it for the next one."""
        likeness: dict[int, list[Likeness]] = defaultdict(list)
        told: dict[int, list[Gives]] = defaultdict(list)
        for mixed in frames:
            for number, one, gives in mixed.found if mixed is not None else ():
                likeness[number].append(one)
                told[number].append(gives)
        for number, ones in likeness.items():
            self.references[number] = replace(
                self.references[number],
                found=fmean(one.found for one in ones),
                correlation=fmean(one.correlation for one in ones),
            )
        return tuple(
            ReferenceUse(
                reference=number,
                frames=len(likeness.get(number, frames)),
                found=reference.found if number in likeness else 0.0,
                sharper=fmean(one.sharper for one in told[number]) if number in told else 1.0,
                worth=fmean(one.worth for one in told[number]) if number in told else 0.0,
                is_registered=reference.is_registered,
            )
            for number, reference in self.references.items()
            # Of those that were not found, only where none was.
            if number in likeness or (not likeness and reference.was_tried)
        )
