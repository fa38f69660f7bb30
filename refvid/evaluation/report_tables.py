"""An evaluation's report as tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from refvid.evaluation.cases import CASES, FAR
from refvid.evaluation.harmless import CLEAN, HARMLESS_DEGRADATIONS, HarmResult
from refvid.evaluation.measures import MEASURE_NAMES, Scores, mean_score

if TYPE_CHECKING:
    from refvid.evaluation.report import EvaluationReport

_LABELS = {
    "psnr": "PSNR",
    "ssim": "SSIM",
    "flicker": "flicker",
    "warping_error": "warping error",
    "lpips": "LPIPS",
    "st_lpips": "ST-LPIPS",
    "ssimulacra2": "SSIMULACRA2",
}


def write_tables(report: EvaluationReport) -> str:
    """The summary first, then what it is made of."""
    tables = [
        _summary_table(report),
        _distance_table(report),
        _measures_table(report),
        _photo_table(report),
        _clips_table(report),
        _harm_table(report),
    ]
    notes = [f"{case}: not measured, {reason}" for case, reason in report.skipped.items()]
    return "\n\n".join(part for part in (tables[0], *notes, *tables[1:]) if part)


def _summary_table(report: EvaluationReport) -> str:
    rows = report.rows()
    has_before = report.before is not None
    head = ["case", "what", "measured", *(["before"] if has_before else []), "bar", "met"]
    lines = []
    for row in rows:
        before = [row.bar.show(row.before)] if has_before else []
        met = {True: "yes", False: "**no**", None: ""}[row.met]
        limit = row.bar.show_limit(row.limit)
        lines.append([row.bar.case, row.bar.what, row.bar.show(row.value), *before, limit, met])
    return _table(head, lines)


def _distance_table(report: EvaluationReport) -> str:
    gains = report.by_distance().items()
    return _table(
        ["frames from the reference", "gain, dB"], [[name, f"{g:+.2f}"] for name, g in gains]
    )


def _measures_table(report: EvaluationReport) -> str:
    if not report.inputs:
        return ""

    def cells(name: str, scores: Sequence[Scores]) -> list[str]:
        means = {m: mean_score(scores, m) for m in MEASURE_NAMES}
        return [name, *(_cell(measure, value) for measure, value in means.items())]

    lines = [cells("input", [entry.scores for entry in report.inputs])]
    scored = {c: [run.scores for run in report.select(c) if run.scores] for c in CASES}
    lines += [cells(case, scores) for case, scores in scored.items() if scores]
    perfect = {
        "psnr": "",
        "ssim": "1.0000",
        "flicker": "0.0000",
        "warping_error": f"{fmean(report.clean_warping_error.values()):.4f}",
    }
    lines.append(["the clean clip itself", *(perfect.get(m, "") for m in MEASURE_NAMES)])
    return _table(["mean of all", *(_LABELS[measure] for measure in MEASURE_NAMES)], lines)


def _photo_table(report: EvaluationReport) -> str:
    variants = dict.fromkeys(run.variant for run in report.select("photo"))
    lines = []
    for variant in variants:
        gain, share = report.gain("photo", variant=variant), report.photo_share(variant)
        lines.append([variant, _signed(gain), "" if share is None else f"{share:.0f} %"])
    return _table(["photo", "gain, dB", "share of the exact one's"], lines)


def _clips_table(report: EvaluationReport) -> str:
    columns: dict[str, dict[str, Any]] = {}
    if report.select("exact"):
        for each in report.degradations:
            columns[f"exact, {each}"] = {"case": "exact", "degradation": each}
        columns |= {"exact": {"case": "exact"}, "far": {"case": "exact", "frames": FAR}}
    rest = ("photo", "none", "unrelated", "soft")
    columns |= {case: {"case": case} for case in rest if report.select(case)}
    lines = [
        [clip, *(_signed(report.gain(**which, clip=clip)) for which in columns.values())]
        for clip in report.clips
    ]
    return _table(["clip, gain in dB", *columns], lines)


def _harm_table(report: EvaluationReport) -> str:
    lines = []
    for clip in dict.fromkeys(result.clip for result in report.harm):
        own = [result for result in report.harm if result.clip == clip]
        cells = [clip]
        for degradation in HARMLESS_DEGRADATIONS:
            worst = min((r for r in own if r.degradation == degradation), key=_change)
            cells.append(f"{worst.change:+.2f} ({worst.reference})")
        itself = min((r for r in own if r.degradation == CLEAN), key=lambda r: r.psnr)
        lines.append([*cells, f"{itself.psnr:.1f} ({itself.reference})"])
    head = ["worst change, dB (with which reference)", *HARMLESS_DEGRADATIONS]
    return _table([*head, "clean: to itself, dB"], lines)


def _change(result: HarmResult) -> float:
    return result.change


def _signed(gain: float | None) -> str:
    return "" if gain is None else f"{gain:+.2f}"


def _cell(measure: str, value: float | None) -> str:
    if value is None:
        return "not measured"
    return f"{value:.2f}" if measure in ("psnr", "ssimulacra2") else f"{value:.4f}"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [_line(cells) for cells in lines]
    return "\n".join([_line(head), "|---" * len(head) + "|", *rows]) if rows else ""


def _line(cells: Sequence[str]) -> str:
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"
