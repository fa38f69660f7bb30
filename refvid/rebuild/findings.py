"""What was found in the references, summed up for people and for scripts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from math import log2
from typing import Any, Literal

from refvid.models.backbone import ReferenceUse

Help = Literal["much", "some", "little", "nothing"]

_HARDLY_FOUND = 0.15
"""Share of the texture below which the picture is probably the wrong one."""

_WORTHLESS = 0.1
"""Share of a reference that counts below which it has nothing to give. On nine clips at H.264 crf
18 to 36 it brought less than 0.1 dB there, and up to 1.8 above, also where it was hardly sharper;
of clips enlarged twice, 0.4 and 2.5."""

_SHARPER = 1.1
"""Fine detail of the reference over the video's from which on it is certainly sharper."""

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

    worth: float
    """How much of that counts, from 0 to 1."""

    is_registered: bool
    """Whether size, place and colours of the reference were brought to the shot's (of a whole
    video: of any shot)."""

    @property
    def helped(self) -> Help:
        """In a word."""
        if self.found < _HARDLY_FOUND or self.worth < _WORTHLESS:
            return "nothing"
        gain = self.found * min(1.0, log2(max(self.sharper, 1.0)))
        return "much" if gain >= _MUCH else "some" if gain >= _SOME else "little"

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
        if total.worth < _WORTHLESS:
            if total.sharper < _SHARPER:
                return (
                    "the reference is no sharper than the video, so it brings nothing back: give a "
                    "cleaner picture of the scene"
                )
            return (
                "the detail of the reference is not the video's, so it brings nothing back: give "
                "a picture of the same moment"
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
"""Shots named in a warning, and parts in a line."""

_MOST_RUNS = 1000
"""Runs of frames that are told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Which frames a reference served."""

    reference: int
    """Number among those given, from 0."""

    name: str
    runs: tuple[tuple[int, int], ...]
    """First and last frame of each run, counted in the output; none where it served nothing."""

    finding: Finding | None
    """What was found in it over all shots, from models that can tell."""

    @property
    def frames(self) -> int:
        """How many."""
        return sum(last - first + 1 for first, last in self.runs)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        found = self.finding
        return {
            "reference": self.reference,
            "name": self.name,
            "frames": self.frames,
            "ranges": [list(run) for run in self.runs],
            "found": None if found is None else round(found.found, 4),
            "sharper": None if found is None else round(found.sharper, 3),
            "helped": None if found is None else found.helped,
        }

    def describe(self) -> str:
        """Say it in one line."""
        if not self.runs:
            return f"{self.name}: no frame was like it, it served none"
        shown = [f"{a}-{b}" if a < b else f"{a}" for a, b in self.runs[:_MOST_NAMED]]
        more = len(self.runs) - _MOST_NAMED
        frames = f"frames {', '.join(shown)}" + f" and {more} more parts" * (more > 0)
        found = self.finding
        if found is None:
            return f"{self.name}: {frames}"
        return (
            f"{self.name}: {frames}; {found.found:.0%} was found in it, {found.sharper:.1f} times "
            f"as sharp: it helped {_IN_WORDS[found.helped]}"
        )


@dataclass(slots=True)
class _Sum:
    """Of what chunks told of a reference in a shot."""

    frames: int = 0
    found: float = 0.0
    """Weighed by frames."""

    weight: float = 0.0
    sharper: float = 0.0
    """Weighed by `weight`: how sharp something is counts where it was found."""

    worth: float = 0.0
    """Likewise."""

    is_registered: bool = False

    def add(self, other: _Sum) -> None:
        self.frames += other.frames
        self.found += other.found
        self.weight += other.weight
        self.sharper += other.sharper
        self.worth += other.worth
        self.is_registered |= other.is_registered

    def finding(self, shot: int | None, reference: int | None) -> Finding:
        return Finding(
            shot=shot,
            reference=reference,
            frames=self.frames,
            found=self.found / max(self.frames, 1),
            sharper=self.sharper / self.weight,
            worth=self.worth / self.weight,
            is_registered=self.is_registered,
        )


class ReferenceTally:
    """Takes down what chunks tell of their references; grows with the shots, not the chunks."""

    def __init__(self) -> None:
        self._sums: dict[tuple[int, int], _Sum] = {}
        """By the first frame of the shot, and the reference."""

        self._runs: dict[int, list[list[int]]] = defaultdict(list)
        """First and last frame, by reference."""

    def add(self, shot: int, first: int, uses: Iterable[ReferenceUse]) -> None:
        """Take down what a chunk found.

        Args:
            shot: The first frame of its shot.
            first: Its own first frame.
            uses: What it told.
        """
        for use in uses:
            weight = use.found * use.frames + 1e-6
            told = _Sum(
                use.frames,
                use.found * use.frames,
                weight,
                weight * use.sharper,
                weight * use.worth,
                use.is_registered,
            )
            self._sums.setdefault((shot, use.reference), _Sum()).add(told)
            if use.found >= _HARDLY_FOUND:
                self.serve(use.reference, first, use.frames)

    def serve(self, reference: int, first: int, frames: int) -> None:
        """Take down that a reference served so many frames from a first one on."""
        runs, last = self._runs[reference], first + frames - 1
        if runs and (first <= runs[-1][1] + 1 or len(runs) == _MOST_RUNS):
            runs[-1][1] = max(runs[-1][1], last)
        else:
            runs.append([first, last])

    def pack(self) -> dict[str, list[Any]]:
        """Write all down in plain JSON types, in rows: of those with one key the last counts."""
        rows: dict[str, list[Any]] = {
            f"sum {shot} {reference}": [shot, reference, *astuple(told)]
            for (shot, reference), told in self._sums.items()
        }
        for reference, runs in self._runs.items():
            rows |= {f"run {reference} {first}": [reference, first, last] for first, last in runs}
        return rows

    def unpack(self, rows: Mapping[str, Sequence[Any]]) -> None:
        """Begin with what `pack` wrote."""
        for key, (first, second, *rest) in rows.items():
            if key.startswith("sum"):
                self._sums[first, second] = _Sum(*rest)
            else:
                self._runs[first].append([second, *rest])

    def join(self, later: ReferenceTally) -> None:
        """Take over what was taken down of shots that come after these."""
        self._sums |= later._sums
        for reference, runs in later._runs.items():
            for first, last in runs:
                self.serve(reference, first, last - first + 1)

    def findings(self) -> Findings | None:
        """Sum up; None where nothing was told."""
        if not self._sums:
            return None
        shots = tuple(told.finding(*key) for key, told in sorted(self._sums.items()))
        total = _Sum()
        for shot in dict.fromkeys(one.shot for one in shots):
            mine = [one for one in shots if one.shot == shot]
            best = max(mine, key=lambda one: one.found)
            total.add(self._sums[best.shot or 0, best.reference or 0])
        return Findings(total=total.finding(None, None), shots=shots)

    def served(self, names: Sequence[str]) -> tuple[Served, ...]:
        """Tell of each of the references of these names which frames it served."""
        totals: dict[int, _Sum] = {}
        for (_, reference), told in self._sums.items():
            # Where it was not found it was tried, and served nothing.
            if told.found >= _HARDLY_FOUND * told.frames:
                totals.setdefault(reference, _Sum()).add(told)
        return tuple(
            Served(
                reference=number,
                name=name,
                runs=tuple((first, last) for first, last in self._runs.get(number, ())),
                finding=totals[number].finding(None, number) if number in totals else None,
            )
            for number, name in enumerate(names)
        )
