"""What an evaluation found: every run, and the summary against the bars."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from refvid.errors import InputError
from refvid.evaluation.bars import BARS, Bar
from refvid.evaluation.cases import DISTANCES, FAR, NEAR
from refvid.evaluation.harmless import HarmResult, worst_change, worst_itself
from refvid.evaluation.measures import MEASURE_NAMES, Scores, mean_score
from refvid.evaluation.report_tables import write_tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One clip, degraded in one way and brought back with one choice of references."""

    case: str
    variant: str
    clip: str
    degradation: str
    psnr: tuple[float, ...]
    """Of every frame [dB], frame 0 first."""

    input_psnr: tuple[float, ...]
    scores: Scores | None = None
    """Of frames 1-16; None where only PSNR is of interest."""

    def gain(self, first: int, last: int) -> float | None:
        """Mean over the input, first and last frame included [dB]; None if there is none."""
        pairs = list(zip(self.psnr, self.input_psnr, strict=True))[first : last + 1]
        return fmean(after - before for after, before in pairs) if pairs else None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputScores:
    """One degraded clip as it is."""

    clip: str
    degradation: str
    scores: Scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the summary."""

    bar: Bar
    value: float
    limit: float | None
    before: float | None
    """The same figure of an earlier report."""

    @property
    def met(self) -> bool | None:
        return None if self.limit is None else self.bar.is_met(self.value, self.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport:
    """All results, and what is made of them."""

    model: str
    cases: tuple[str, ...]
    """Those that were run."""

    skipped: dict[str, str]
    """Cases that were asked for and could not be run: why."""

    runs: tuple[Run, ...]
    inputs: tuple[InputScores, ...]
    harm: tuple[HarmResult, ...]
    clean_warping_error: dict[str, float]
    """Of the clean clips themselves, by clip: what a perfect result has."""

    before: dict[str, float] | None = None
    """Summary of an earlier report."""

    @property
    def clips(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(run.clip for run in self.runs))

    @property
    def degradations(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(run.degradation for run in self.runs))

    def select(
        self,
        case: str,
        *,
        variant: str | None = None,
        clip: str | None = None,
        degradation: str | None = None,
    ) -> list[Run]:
        """Runs of a case; None takes all."""
        return [
            run
            for run in self.runs
            if run.case == case
            and variant in (None, run.variant)
            and clip in (None, run.clip)
            and degradation in (None, run.degradation)
        ]

    def gain(
        self,
        case: str,
        *,
        over: str = "input",
        frames: tuple[int, int] = NEAR,
        variant: str | None = None,
        clip: str | None = None,
        degradation: str | None = None,
    ) -> float | None:
        """Mean PSNR of a case minus that of the input or of another case [dB].

        None where no clip has such frames. Every clip and degradation weighs the same.
        """
        runs = self.select(case, variant=variant, clip=clip, degradation=degradation)
        gains = [gain for run in runs if (gain := run.gain(*frames)) is not None]
        if not gains:
            return None
        if over == "input":
            return fmean(gains)
        other = self.gain(over, frames=frames, clip=clip, degradation=degradation)
        return None if other is None else fmean(gains) - other

    def photo_share(self, variant: str | None = None) -> float | None:
        """Gain with a photo, in per cent of that with the exact frame."""
        gain, exact = self.gain("photo", variant=variant), self.gain("exact")
        return None if gain is None or exact is None or exact <= 0 else 100 * gain / exact

    def summary(self) -> dict[str, float]:
        """The figures that bars are set for, by key; those that were measured."""
        found: dict[str, float | None] = {}
        if "exact" in self.cases:
            found["exact"] = self.gain("exact")
            found["exact_worst"] = self._worst("exact", NEAR)
        if "far" in self.cases:
            found["far"] = self.gain("exact", frames=FAR)
            found["far_worst"] = self._worst("exact", FAR)
        if "photo" in self.cases:
            found["photo"] = self.gain("photo")
            found["photo_share"] = self.photo_share()
        if "several" in self.cases:
            found |= self._several()
        if "none" in self.cases:
            found["none"] = self.gain("none")
            found["none_worst"] = self._worst("none", NEAR)
        for case in ("unrelated", "soft"):
            if case in self.cases:
                found[case] = self.gain(case, over="none")
        if self.harm:
            found["harmless_worst"] = worst_change(self.harm).change
            found["harmless_itself"] = worst_itself(self.harm).psnr
        if "exact" in self.cases:
            scores = [run.scores for run in self.select("exact") if run.scores]
            found |= {name: mean_score(scores, name) for name in MEASURE_NAMES}
        return {key: value for key, value in found.items() if value is not None}

    def rows(self) -> list[Row]:
        """The summary, figure by figure, beside its bars."""
        values, before = self.summary(), self.before or {}
        inputs = [entry.scores for entry in self.inputs]
        rows = []
        for bar in BARS:
            if bar.key not in values:
                continue
            own = mean_score(inputs, bar.key) if bar.share is not None else None
            earlier = before.get(bar.key)
            limit = bar.limit(own, earlier)
            rows.append(Row(bar=bar, value=values[bar.key], limit=limit, before=earlier))
        return rows

    def by_distance(self) -> dict[str, float]:
        """Gain with the exact reference [dB], by frames from it."""
        gains = {f"{a}-{b}": self.gain("exact", frames=(a, b)) for a, b in DISTANCES}
        return {group: gain for group, gain in gains.items() if gain is not None}

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "cases": list(self.cases),
            "skipped": self.skipped,
            "summary": self.summary(),
            "bars": [
                {
                    "key": row.bar.key,
                    "case": row.bar.case,
                    "what": row.bar.what,
                    "measured": row.value,
                    "limit": row.limit,
                    "before": row.before,
                    "met": row.met,
                }
                for row in self.rows()
            ],
            "by_distance": self.by_distance(),
            "clean_warping_error": self.clean_warping_error,
            "inputs": [asdict(entry) for entry in self.inputs],
            "runs": [asdict(run) for run in self.runs],
            "harmless": [asdict(result) for result in self.harm],
        }

    def to_markdown(self) -> str:
        """The summary first, then what it is made of."""
        return write_tables(self)

    def _worst(self, case: str, frames: tuple[int, int]) -> float | None:
        gains = [self.gain(case, frames=frames, clip=clip) for clip in self.clips]
        return min((gain for gain in gains if gain is not None), default=None)

    def _several(self) -> dict[str, float | None]:
        """Frame by frame over the better of the two references alone, mean over degradations."""
        worst, middle = [], []
        for clip in self.clips:
            by_degradation = []
            for degradation in self.degradations:
                (first,) = self.select("exact", clip=clip, degradation=degradation)
                last, both = (
                    self.select("several", variant=v, clip=clip, degradation=degradation)[0]
                    for v in ("last", "both")
                )
                triples = zip(both.psnr, first.psnr, last.psnr, strict=True)
                by_degradation.append([b - max(one, other) for b, one, other in triples])
            gains = [fmean(frame) for frame in zip(*by_degradation, strict=True)]
            worst.append(min(gains))
            middle.append(fmean(gains[len(gains) // 3 : len(gains) - len(gains) // 3]))
        return {"several_worst": min(worst), "several_middle": fmean(middle)}


def read_summary(path: Path) -> dict[str, float]:
    """The summary of a report that was written as JSON.

    Raises:
        InputError: It is no such report.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        summary: Mapping[str, Any] = document["summary"]
        return {key: float(value) for key, value in summary.items()}
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path} is no report of refvid evaluate: write one with -o FILE.json."
        ) from error
