"""The cases that a restoring model is judged by: which references, which frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from refvid.documents import shown
from refvid.errors import OptionError
from refvid.evaluation.photo import PHOTO_VARIANTS, photograph
from refvid.evaluation.rebuilding import Frames, Picture

CASES = {
    "exact": "the clean frame 0, frames 1-16",
    "far": "the same, frames 17-48",
    "photo": "frame 0 through another camera, frames 1-16",
    "several": "frames 0 and 48 (or the last), both given",
    "none": "no reference",
    "unrelated": "a frame of another clip",
    "soft": "the degraded clip's own frame 0: no sharper than the video",
    "harmless": "clips that need little: nearly clean, plain, drawn, text, dark",
}
"""By name, in the order in which they are shown."""

NEAR = (1, 16)
FAR = (17, 48)
"""First and last frame that count; the reference is frame 0."""

DISTANCES = ((1, 4), (5, 8), (9, 12), (13, 16), (17, 32), (33, 48))
"""Frames from the reference, first and last of each group."""


@dataclass(frozen=True, slots=True)
class Job:
    """What every clip goes through under every degradation."""

    case: str
    variant: str = ""
    """Which photo; `last` or `both` of several references."""

    whole: bool = False
    """Whether all frames are needed; else those up to `NEAR`."""


def check_cases(names: Iterable[str]) -> tuple[str, ...]:
    """Names of cases, each once and in order.

    Raises:
        OptionError: There is no such case, or none is named.
    """
    wanted = {name.strip().lower() for name in names}
    if unknown := sorted(wanted - set(CASES)):
        raise OptionError(f"Unknown case {shown(unknown[0])}. Known: {', '.join(CASES)}.")
    if not wanted:
        raise OptionError(f"Name at least one case of {', '.join(CASES)}.")
    return tuple(name for name in CASES if name in wanted)


def plan_jobs(cases: Sequence[str]) -> tuple[Job, ...]:
    """What is to be run for these cases, and for what they are compared with."""
    jobs = []
    if {"exact", "far", "photo", "several"} & set(cases):
        jobs.append(Job("exact", whole=bool({"far", "several"} & set(cases))))
    if "photo" in cases:
        jobs += [Job("photo", variant) for variant in PHOTO_VARIANTS]
    if "several" in cases:
        jobs += [Job("several", "last", whole=True), Job("several", "both", whole=True)]
    if {"none", "unrelated", "soft"} & set(cases):
        jobs.append(Job("none"))
    jobs += [Job(case) for case in ("unrelated", "soft") if case in cases]
    return tuple(jobs)


def references_of(job: Job, clean: Frames, degraded: Frames, unrelated: Picture) -> list[Picture]:
    """The pictures that a job gives the model.

    Args:
        job: What to run.
        clean: (T, H, W, 3).
        degraded: The same frames, degraded.
        unrelated: A frame of another clip.
    """
    if job.case == "photo":
        return [photograph(clean[0], job.variant)]
    return {
        "exact": [clean[0]],
        "several": [clean[-1]] if job.variant == "last" else [clean[0], clean[-1]],
        "none": [],
        "unrelated": [unrelated],
        "soft": [degraded[0]],
    }[job.case]
