"""What an evaluation of styles found, as JSON and as the tables of the model card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

INPUT, REINHARD, OPTIMAL, MODEL = "input", "reinhard", "optimal", "model"
KINDS = {
    INPUT: "the input",
    REINHARD: "colour transfer (Reinhard)",
    OPTIMAL: "colour transfer (optimal, linear)",
    MODEL: "stylize",
}
"""What is measured, and what the tables call it."""

MOST_DISTANCE = 0.5
"""Of the input's: style distance that counts as restyled."""

LEAST_STRUCTURE = 0.6
MOST_WARPING = 1.3
"""Of the input's: warping error that counts as stable."""

_NO_MOTION = 1e-6
"""Warping error of a clip that stands still, so that a ratio to it exists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleScores:
    """Means over the frames of one output."""

    style_distance: float
    """To the style image; 1 is a standard deviation of the style's patches."""

    large_distance: float
    """The same of shapes of 64 pixels and more."""

    patch_distance: float
    """The same of plain patches, mostly colours; 1 is the whole pixel range."""

    features_distance: float | None
    """Of the middle frame, in the features of a trained network, where that is installed."""

    structure: float
    """SSIM of gradient maps to the input."""

    structure_matched: float
    """The same with contrast matched first."""

    contrast: float
    """How much of the light and dark within regions is left, see `contrast_kept`."""

    warping_error: float
    """With the motion of the input; 1 is the whole pixel range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleResult:
    """One clip in one style."""

    clip: str
    style: str
    scores: dict[str, StyleScores]
    """By what was measured, see `KINDS`."""

    def distance_ratio(self, kind: str) -> float:
        """Style distance over the input's."""
        return self.scores[kind].style_distance / self.scores[INPUT].style_distance

    def warping_ratio(self, kind: str) -> float:
        """Warping error over the input's."""
        return self.scores[kind].warping_error / max(self.scores[INPUT].warping_error, _NO_MOTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """One made clip in one style."""

    case: str
    style: str
    contrast: float
    """Kept of the clip's, as `StyleScores.contrast`."""

    changed: float | None
    """Mean change of what must stay as it is [levels]; None where nothing must."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleReport:
    """All results, and the means that the model card shows."""

    model: str
    results: tuple[StyleResult, ...]
    cases: tuple[CaseResult, ...] = ()

    def summary(self) -> dict[str, dict[str, float]]:
        """Means over clips and styles by what was measured; ratios are means of ratios."""
        return {kind: self._means(kind, self.results) for kind in KINDS}

    def bars(self) -> dict[str, float]:
        """Share of clips and styles in which the model is as good as it should be."""
        return {
            f"style distance at most {MOST_DISTANCE:g} of the input's": self._share(
                lambda r: r.distance_ratio(MODEL) <= MOST_DISTANCE
            ),
            "style distance below both colour transfers'": self._share(
                lambda r: (
                    r.scores[MODEL].style_distance
                    < min(r.scores[kind].style_distance for kind in (REINHARD, OPTIMAL))
                )
            ),
            f"structure at least {LEAST_STRUCTURE:g}": self._share(
                lambda r: r.scores[MODEL].structure >= LEAST_STRUCTURE
            ),
            f"warping error at most {MOST_WARPING:g} of the input's": self._share(
                lambda r: r.warping_ratio(MODEL) <= MOST_WARPING
            ),
        }

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "model": self.model,
            "summary": self.summary(),
            "bars": self.bars(),
            "results": [asdict(result) for result in self.results],
            "cases": [asdict(result) for result in self.cases],
        }

    def to_markdown(self) -> str:
        """The tables of the model card."""
        columns = (
            "style distance",
            "to the input's",
            "large shapes",
            "plain patches",
            "VGG features",
            "structure",
            "with contrast matched",
            "contrast kept",
            "warping error",
            "to the input's",
        )
        lines = _head("mean of all", columns)
        for kind, words in KINDS.items():
            mean = self._means(kind, self.results)
            values = [
                f"{mean['style_distance']:.4f}",
                f"{mean['distance_ratio']:.2f}",
                f"{mean['large_distance']:.4f}",
                f"{mean['patch_distance']:.4f}",
                f"{mean['features_distance']:.3f}" if "features_distance" in mean else "n/a",
                f"{mean['structure']:.3f}",
                f"{mean['structure_matched']:.3f}",
                f"{mean['contrast']:.3f}",
                f"{mean['warping_error']:.4f}",
                f"{mean['warping_ratio']:.2f}",
            ]
            lines.append(f"| {words} | {' | '.join(values)} |")
        lines += ["", f"| of {len(self.results)} clips in a style | |", "|---|---|"]
        lines += [f"| {words} | {share:.0%} |" for words, share in self.bars().items()]
        lines += self._case_lines()
        lines += self._groups("clip", lambda result: result.clip)
        lines += self._groups("style", lambda result: result.style)
        return "\n".join(lines)

    def _case_lines(self) -> list[str]:
        """One row per made clip."""
        if not self.cases:
            return []
        lines = ["", *_head("made clip", ("contrast kept", "what must stay, changed by [levels]"))]
        for case in dict.fromkeys(result.case for result in self.cases):
            members = [result for result in self.cases if result.case == case]
            changes = [result.changed for result in members if result.changed is not None]
            changed = f"{fmean(changes):.2f}" if changes else ""
            contrast = fmean(result.contrast for result in members)
            lines.append(f"| {case} | {contrast:.3f} | {changed} |")
        return lines

    def _groups(self, title: str, name: Callable[[StyleResult], str]) -> list[str]:
        """One row per clip or style: the distances of all, and the model's other measures."""
        columns = (
            *(f"{kind}: distance" for kind in KINDS.values()),
            "to the input's",
            "structure",
            "warping error to the input's",
        )
        lines = ["", *_head(title, columns)]
        for group in dict.fromkeys(name(result) for result in self.results):
            members = [result for result in self.results if name(result) == group]
            distances = [self._means(kind, members)["style_distance"] for kind in KINDS]
            mean = self._means(MODEL, members)
            values = [f"{distance:.4f}" for distance in distances]
            values += [f"{mean['distance_ratio']:.2f}", f"{mean['structure']:.3f}"]
            values.append(f"{mean['warping_ratio']:.2f}")
            lines.append(f"| {group} | " + " | ".join(values) + " |")
        return lines

    def _means(self, kind: str, results: Sequence[StyleResult]) -> dict[str, float]:
        scores = [result.scores[kind] for result in results]
        features = [s.features_distance for s in scores if s.features_distance is not None]
        return {
            **({"features_distance": fmean(features)} if features else {}),
            "large_distance": fmean(s.large_distance for s in scores),
            "contrast": fmean(s.contrast for s in scores),
            "style_distance": fmean(s.style_distance for s in scores),
            "patch_distance": fmean(s.patch_distance for s in scores),
            "distance_ratio": fmean(result.distance_ratio(kind) for result in results),
            "structure": fmean(s.structure for s in scores),
            "structure_matched": fmean(s.structure_matched for s in scores),
            "warping_error": fmean(s.warping_error for s in scores),
            "warping_ratio": fmean(result.warping_ratio(kind) for result in results),
        }

    def _share(self, is_met: Callable[[StyleResult], bool]) -> float:
        return fmean(is_met(result) for result in self.results)


def _head(title: str, columns: Sequence[str]) -> list[str]:
    """First two lines of a table."""
    return [f"| {title} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
