"""The case `harmless`: clips that need little or no help must come out as they went in."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from PIL import Image

from refvid.evaluation.bars import STABLE_DB
from refvid.evaluation.measures import EQUAL_DB, frame_psnr
from refvid.evaluation.rebuilding import Frames, Picture
from refvid.training.degradations import EVALUATION_DEGRADATIONS, Degradation, degrade
from refvid.training.made import MADE_KINDS, make_clip

HARMLESS_DEGRADATIONS = {
    "crf4": Degradation(crf=4),
    "crf36": EVALUATION_DEGRADATIONS["crf36"],
    "half": EVALUATION_DEGRADATIONS["half"],
}

CLEAN = "clean"
"""What stands for a degradation where the clip is not degraded at all."""

REFERENCES = ("right", "unrelated", "soft", "none")
CLEAN_REFERENCES = ("right", "unrelated", "none")
"""Of a clean clip, the soft reference is the right one."""

HARMLESS_FRAMES = 5
"""Of each clip: this case has many clips, and harm does not depend on the distance."""

MADE_SIZE = (448, 320)
MADE_PER_KIND = 2

_RUNS_PER_CLIP = len(HARMLESS_DEGRADATIONS) * len(REFERENCES) + len(CLEAN_REFERENCES)

Rebuild = Callable[[Frames, Sequence[Picture]], Frames]
"""A clip and its references -> what the model makes of it."""


def count_runs(clips: int) -> int:
    """Runs of a model, with that many clips beside the made ones."""
    return (clips + MADE_PER_KIND * len(MADE_KINDS)) * _RUNS_PER_CLIP


@dataclass(frozen=True, slots=True, kw_only=True)
class HarmResult:
    """One clip, with one reference; means over the frames after the first."""

    clip: str
    """`made:` and the kind for those made by code, the same for all of a kind."""

    degradation: str
    reference: str
    input_psnr: float
    """[dB], 99 where nothing is lost."""

    psnr: float
    """[dB], of the result."""

    change: float
    """From the one to the other [dB], where PSNR above `STABLE_DB` counts as that."""


def made_clips(photos: Sequence[Picture]) -> Iterator[tuple[str, Frames]]:
    """Clips of every kind; those that show a photograph show these, in turn."""
    for number in range(MADE_PER_KIND):
        for place, kind in enumerate(MADE_KINDS):
            photo = Image.fromarray(photos[(number + place) % len(photos)])
            rng = random.Random(f"evaluate:{kind}:{number}")
            yield f"made:{kind}", make_clip(kind, rng, MADE_SIZE, HARMLESS_FRAMES, photo)


def measure_harm(
    name: str,
    clean: Frames,
    unrelated: Picture,
    rebuild: Rebuild,
    step: Callable[[], None],
) -> Iterator[HarmResult]:
    """Degrade a clip a little and much, and bring it back with every kind of reference.

    Args:
        name: Of the clip.
        clean: (T, H, W, 3), at least two frames.
        unrelated: A frame of another clip.
        rebuild: The model.
        step: Called after every run.
    """
    for degradation, how in ((CLEAN, None), *HARMLESS_DEGRADATIONS.items()):
        degraded = clean if how is None else degrade(clean, how)
        before = frame_psnr(degraded[1:], clean[1:])
        for reference in CLEAN_REFERENCES if how is None else REFERENCES:
            given = {
                "right": [clean[0]],
                "unrelated": [unrelated],
                "soft": [degraded[0]],
                "none": [],
            }[reference]
            after = frame_psnr(rebuild(degraded, given)[1:], clean[1:])
            yield HarmResult(
                clip=name,
                degradation=degradation,
                reference=reference,
                input_psnr=fmean(before),
                psnr=fmean(after),
                change=fmean(
                    min(a, STABLE_DB) - min(b, STABLE_DB)
                    for a, b in zip(after, before, strict=True)
                ),
            )
            step()


def worst_change(results: Sequence[HarmResult]) -> HarmResult:
    """The run that lost most; clean clips are not asked, see `worst_itself`."""
    return min((r for r in results if r.degradation != CLEAN), key=lambda r: r.change)


def worst_itself(results: Sequence[HarmResult]) -> HarmResult:
    """The clean clip that comes out least like itself."""
    return min((r for r in results if r.degradation == CLEAN), key=lambda r: min(r.psnr, EQUAL_DB))
