"""What was found in the references, summed up for people and for scripts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log2
from typing import Any, Literal

from refvid.models.backbone import ReferenceUse

Help = Literal["much", "some", "little", "nothing"]

_HARDLY_FOUND = 0.15
"""Share of the texture below which the picture is probably the wrong one."""

_NO_SHARPER = 1.1
"""Fine detail of the reference over the video's up to which it has nothing to give."""

_MUCH, _SOME = 0.5, 0.15
"""Found share, weighed by how much sharper the reference is up to twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one reference was to one shot, or to a whole video."""

    shot: int | None
    """Index of the shot's first frame; None: all of them."""

    reference: int | None
    """Number among those given, from 0; None: the best one of each shot."""

    frames: int
    """Frames that it served; where it was not found at all, that it was meant for."""

    found: float
    """Share of these frames' texture that was found again, from 0 to 1."""

    sharper: float
    """Fine detail of the reference over the video's, where it was found."""

    is_registered: bool
    """Whether size, place and colours of the reference were brought to the shot's (of a whole
    video: of any shot)."""

    @property
    def helped(self) -> Help:
        """In a word."""
        if self.found < _HARDLY_FOUND or self.sharper < _NO_SHARPER:
            return "nothing"
        worth = self.found * min(1.0, log2(self.sharper))
        return "much" if worth >= _MUCH else "some" if worth >= _SOME else "little"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "shot": self.shot,
            "reference": self.reference,
            "frames": self.frames,
            "found": round(self.found, 4),
            "sharper": round(self.sharper, 3),
            "registered": self.is_registered,
            "helped": self.helped,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Of one video."""

    total: Finding
    shots: tuple[Finding, ...]
    """One for each shot and reference, in order."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**self.total.to_json(), "shots": [finding.to_json() for finding in self.shots]}

    def describe(self) -> str:
        """Say in one line what was found."""
        total = self.total
        if total.found < _HARDLY_FOUND:
            return f"reference: {total.found:.0%} of the picture was found in it"
        return (
            f"reference: {total.found:.0%} of the picture was found in it, {total.sharper:.1f} "
            f"times as sharp: it helped {_IN_WORDS[total.helped]}"
        )

    def warning(self, *, fit: str) -> str | None:
        """Say what is likely wrong, and the way out; `fit` is how the reference was fitted."""
        total = self.total
        if total.found < _HARDLY_FOUND:
            if fit != "auto":
                return (
                    f"almost nothing of the reference was found with --ref-fit {fit}: "
                    "--ref-fit auto looks for it at any place and size"
                )
            return "almost nothing of the reference was found: is it the right picture?"
        if total.sharper < _NO_SHARPER:
            return (
                "the reference is no sharper than the video, so it brings nothing back: give a "
                "cleaner picture of the scene"
            )
        return self._lost_shots()

    def _lost_shots(self) -> str | None:
        """Name the shots that found nothing in any reference."""
        served = {one.shot for one in self.shots if one.found >= _HARDLY_FOUND}
        lost = sorted({one.shot or 0 for one in self.shots if one.shot not in served})
        if not lost:
            return None
        starts = ", ".join(str(shot) for shot in lost[:_MOST_NAMED])
        more = f" and {len(lost) - _MOST_NAMED} more" if len(lost) > _MOST_NAMED else ""
        return (
            f"almost nothing of the reference was found in the shots that begin at frame "
            f"{starts}{more}: they want a picture of their own"
        )


_IN_WORDS = {"much": "much", "some": "some", "little": "little", "nothing": "not at all"}

_MOST_NAMED = 5
"""Shots named in a warning."""


def sum_up(uses: Iterable[tuple[int, ReferenceUse]]) -> Findings | None:
    """Sum up what chunks told, each with the first frame of its shot; None if they told nothing."""
    by_shot: dict[tuple[int, int], list[ReferenceUse]] = defaultdict(list)
    for shot, use in uses:
        by_shot[shot, use.reference].append(use)
    if not by_shot:
        return None
    shots = tuple(
        _join(told, shot=shot, reference=reference)
        for (shot, reference), told in sorted(by_shot.items())
    )
    best = [
        max((one for one in shots if one.shot == shot), key=lambda one: one.found)
        for shot in dict.fromkeys(one.shot for one in shots)
    ]
    everything = [use for one in best for use in by_shot[one.shot or 0, one.reference or 0]]
    return Findings(total=_join(everything, shot=None, reference=None), shots=shots)


def _join(uses: Sequence[ReferenceUse], *, shot: int | None, reference: int | None) -> Finding:
    frames = sum(use.frames for use in uses)
    found = sum(use.found * use.frames for use in uses) / max(frames, 1)
    # How sharp something is counts where it was found.
    weights = [use.found * use.frames + 1e-6 for use in uses]
    sharper = sum(w * use.sharper for w, use in zip(weights, uses, strict=True)) / sum(weights)
    return Finding(
        shot=shot,
        reference=reference,
        frames=frames,
        found=found,
        sharper=sharper,
        is_registered=any(use.is_registered for use in uses),
    )
