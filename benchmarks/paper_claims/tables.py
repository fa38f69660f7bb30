"""Results as Markdown: by distance, by reference in the test, claim by claim, clip by clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from benchmarks.paper_claims.runs import VARIANTS

Result = Mapping[str, Any]
"""One run: `variant`, `seed`, `minutes`, and a `measure.summary` under each test: `first`,
`random`."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The paper says that one run is better than another."""

    text: str
    paper: str
    """Its figures, PSNR [dB]."""

    better: tuple[str, str]
    """Run and test."""

    worse: tuple[str, str]


CLAIMS = (
    Claim(
        "reference over unconditional (table 1, Inter4K)",
        "34.9 - 33.7 = +1.2",
        ("reference", "first"),
        ("unconditional", "first"),
    ),
    Claim(
        "the same, unconditional trained as long by the clock",
        "not reported",
        ("reference", "first"),
        ("unconditional-4x", "first"),
    ),
    Claim(
        "the same with dropout 0.7, as the paper has it",
        "34.9 - 33.7 = +1.2",
        ("dropout-0.7", "first"),
        ("unconditional", "first"),
    ),
    Claim(
        "dropout 0.7 over 0 (table 11)",
        "30.1 - 27.4 = +2.7",
        ("dropout-0.7", "first"),
        ("reference", "first"),
    ),
    Claim(
        "dropout 0.3 over 0 (table 11)",
        "27.5 - 27.4 = +0.1",
        ("dropout-0.3", "first"),
        ("reference", "first"),
    ),
    Claim(
        "two stages over the first alone (table 11)",
        "34.3 - 30.5 = +3.8",
        ("reference", "first"),
        ("short", "first"),
    ),
    Claim(
        "two stages over the second alone",
        "not reported",
        ("reference", "first"),
        ("long", "first"),
    ),
    Claim(
        "random over first-frame training, tested on random frames (table 9)",
        "34.6 - 31.9 = +2.7",
        ("reference", "random"),
        ("first", "random"),
    ),
    Claim(
        "random over first-frame training, tested on first frames (table 9)",
        "34.2 - 34.1 = +0.1",
        ("reference", "first"),
        ("first", "first"),
    ),
    Claim(
        "random training: tested on random over first frames (table 9)",
        "34.6 - 34.2 = +0.4",
        ("reference", "random"),
        ("reference", "first"),
    ),
    Claim(
        "first-frame training: tested on first over random frames (table 9)",
        "34.1 - 31.9 = +2.2",
        ("first", "first"),
        ("first", "random"),
    ),
)


def report(codec: Mapping[str, Any], results: Sequence[Result]) -> str:
    """All tables.

    Args:
        codec: `measure.summary` of the codec alone.
        results: Of the runs that there are; those of one variant differ in their seed.
    """
    by_name = {v.name: [r for r in results if r["variant"] == v.name] for v in VARIANTS}
    runs = {name: found for name, found in by_name.items() if found}
    parts = [
        _by_distance(codec, runs, "psnr", "{:.2f}"),
        _by_distance(codec, runs, "ssim", "{:.4f}"),
        _by_test(runs),
        _claims(runs),
        _by_clip(codec, runs),
    ]
    return "\n\n".join(part for part in parts if part)


def _by_distance(
    codec: Mapping[str, Any], runs: Mapping[str, Sequence[Result]], key: str, form: str
) -> str:
    groups = list(codec[f"{key}_by_distance"])
    unit = "PSNR [dB]" if key == "psnr" else "SSIM"
    names = ["the reference" if group == "0-0" else group for group in groups]
    lines = [f"| {unit}, frames from the reference | all | {' | '.join(names)} | seeds |"]
    lines.append("|---" * (len(groups) + 3) + "|")

    def line(title: str, tests: Sequence[Mapping[str, Any]], seeds: str) -> str:
        values = [fmean(t[key] for t in tests)]
        values += [fmean(t[f"{key}_by_distance"][g] for t in tests) for g in groups]
        return f"| {title} | " + " | ".join(form.format(v) for v in values) + f" | {seeds} |"

    lines.append(line("codec alone, nothing learned", [codec], ""))
    for name, found in runs.items():
        lines.append(line(_title(name), [r["first"] for r in found], str(len(found))))
    return "\n".join(lines)


def _by_test(runs: Mapping[str, Sequence[Result]]) -> str:
    lines = ["| trained with | tested with | PSNR | SSIM | PSNR of the first frame |"]
    lines.append("|---" * 5 + "|")
    for name, trained in (("first", "first frame"), ("reference", "random frame")):
        for test in ("first", "random"):
            scores = [r[test] for r in runs.get(name, ()) if test in r]
            if scores:
                values = [fmean(s[key] for s in scores) for key in ("psnr", "first_frame_psnr")]
                similar = fmean(s["ssim"] for s in scores)
                lines.append(
                    f"| {trained} | {test} frame | {values[0]:.2f} | {similar:.4f} "
                    f"| {values[1]:.2f} |"
                )
    return "\n".join(lines) if len(lines) > 2 else ""


def _claims(runs: Mapping[str, Sequence[Result]]) -> str:
    lines = [
        "| claim | the paper | ours, dB (each seed) | clips that agree | error over clips |",
        "|---|---|---|---|---|",
    ]
    for claim in CLAIMS:
        differences = _differences(runs, claim)
        if not differences:
            continue
        means = [fmean(of_clip.values()) for of_clip in differences.values()]
        clips = {
            c: fmean(d[c] for d in differences.values()) for c in next(iter(differences.values()))
        }
        each = f" ({', '.join(f'{m:+.2f}' for m in means)})" if len(means) > 1 else ""
        agree = sum(difference > 0 for difference in clips.values())
        error = stdev(clips.values()) / len(clips) ** 0.5 if len(clips) > 1 else float("nan")
        lines.append(
            f"| {claim.text} | {claim.paper} | {fmean(means):+.2f}{each} "
            f"| {agree} of {len(clips)} | ±{error:.2f} |"
        )
    return "\n".join(lines)


def _differences(runs: Mapping[str, Sequence[Result]], claim: Claim) -> dict[int, dict[str, float]]:
    """PSNR differences by clip, for every seed that both runs have."""
    better, worse = (
        {r["seed"]: r[test]["psnr_by_clip"] for r in runs.get(name, ()) if test in r}
        for name, test in (claim.better, claim.worse)
    )
    return {
        seed: {clip: better[seed][clip] - worse[seed][clip] for clip in better[seed]}
        for seed in sorted(better.keys() & worse.keys())
    }


def _by_clip(codec: Mapping[str, Any], runs: Mapping[str, Sequence[Result]]) -> str:
    shown = [name for name in ("unconditional", "reference", "dropout-0.7") if name in runs]
    lines = [f"| clip, PSNR [dB] | codec alone | {' | '.join(map(_title, shown))} |"]
    lines.append("|---" * (len(shown) + 2) + "|")
    for clip, plain in codec["psnr_by_clip"].items():
        values = [fmean(r["first"]["psnr_by_clip"][clip] for r in runs[name]) for name in shown]
        gains = " | ".join(f"{value:.2f}" for value in (plain, *values))
        lines.append(f"| {clip} | {gains} |")
    return "\n".join(lines)


def _title(name: str) -> str:
    return next(variant.title for variant in VARIANTS if variant.name == name)
