"""Frames in memory through the model, as `enhance` takes those of a file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refvid.errors import OptionError
from refvid.progress import Progress, ProgressCallback, ignore_progress
from refvid.rebuild.canvas import Canvas
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.chunks import split_into_chunks
from refvid.rebuild.cuts import mark_shots
from refvid.rebuild.findings import ReferenceTally
from refvid.rebuild.memory import Budget, plan_memory
from refvid.rebuild.options import RebuildOptions
from refvid.rebuild.original_in_memory import MaskInMemory, OriginalInMemory
from refvid.rebuild.pixels import Pixels
from refvid.rebuild.rebuilder import Rebuilder
from refvid.rebuild.reference_choice import make_feed
from refvid.rebuild.reference_feed import GivenReference, Moment
from refvid.rebuild.reference_options import ReferenceFit
from refvid.rebuild.references import Conditions
from refvid.rebuild.video_feed import VideoFeed

logger = logging.getLogger(__name__)


def enhance_frames(
    frames: Pixels,
    given: Sequence[GivenReference],
    options: RebuildOptions,
    loaded: LoadedBackbone,
    on_progress: ProgressCallback = ignore_progress,
    *,
    fit: ReferenceFit = "auto",
    original: Pixels | None = None,
    mask: NDArray[Any] | None = None,
) -> Pixels:
    """Rebuild frames with pictures of their scene, or with none.

    What was found in the pictures is logged.

    Args:
        frames: (T, H, W, 3) RGB, uint8 or uint16 at full scale.
        given: The references; frames count from 0, and times are frames, too.
        options: `strength`, `cut_detection` and `enlargement` count.
        loaded: The model.
        on_progress: Told how many frames are done.
        fit: How a picture meets frames of another shape.
        original: (T', h, w, 3), another recording of the same moments, frame by frame.
        mask: (H, W) or (T, H, W): where the frames show something else than that one.

    Returns:
        Frames of the same type, and of the same shape but for `options.enlargement`.

    Raises:
        OptionError: These are no frames, or they are larger than is asked for.
        OutOfMemory: It does not fit, even in the smallest chunks and tiles.
    """
    check_pixels(frames, 4, "frames are (T, H, W, 3)")
    width, height = size = options.enlargement.size_of(frames.shape[2], frames.shape[1])
    canvas = Canvas(size=size)
    memory = plan_memory(loaded, "the frames", height, width)
    conditions = Conditions()
    names = [reference.name for reference in given]
    remarks: Callable[[], Sequence[str]] = tuple
    if options.strength > 0 and (given or original is not None):
        enlarged = canvas.enlargement_of((frames.shape[2], frames.shape[1]))
        feed = make_feed(
            given,
            loaded,
            size,
            fit=fit,
            first=lambda: canvas.to_picture(frames[0]),
            enlarged=enlarged,
        )
        if original is not None:
            check_pixels(original, 4, "a reference video is (T, H, W, 3)")
            masks = None if mask is None else MaskInMemory(mask, frames.shape[:3], size)
            feed = VideoFeed(feed, len(given), OriginalInMemory(original), masks)
            names, remarks = [*names, OriginalInMemory.name], feed.remarks
        conditions = Conditions(feed=feed)
    rebuilt, uses = rebuild_frames(
        loaded,
        frames,
        conditions,
        memory.budget,
        canvas=canvas,
        strength=options.strength,
        cut_detection=options.cut_detection,
        on_progress=on_progress,
    )
    findings = uses.findings()
    if findings is not None:
        logger.info("%s", findings.describe())
        if (warning := findings.warning(fit=fit)) is not None:
            logger.warning("%s", warning)
    if len(names) > 1:
        for one in uses.served(names):
            logger.info("%s", one.describe())
    for remark in remarks():
        logger.warning("%s", remark)
    return rebuilt


def rebuild_frames(
    loaded: LoadedBackbone,
    frames: Pixels,
    conditions: Conditions,
    budget: Budget,
    *,
    canvas: Canvas | None = None,
    strength: float = 1.0,
    cut_detection: bool = False,
    on_progress: ProgressCallback = ignore_progress,
) -> tuple[Pixels, ReferenceTally]:
    """Take frames (T, h, w, 3) through the model: what it makes of them, and what it found.

    `canvas` says how large it makes them; None: as they are.
    """
    canvas = canvas or Canvas(size=(frames.shape[2], frames.shape[1]))
    rebuilder = Rebuilder(loaded, conditions, budget, canvas=canvas, strength=strength)
    marked = mark_shots(frames, lambda pixels: pixels, detect_cuts=cut_detection)
    width, height = canvas.size
    rebuilt, done = np.empty((len(frames), height, width, 3), frames.dtype), 0
    lookahead = loaded.backbone.limits.lookahead
    for chunk in split_into_chunks(marked, budget.lengths, lookahead=lookahead):
        places = range(chunk.index, chunk.index + len(chunk.frames))
        moments = [Moment(index, Fraction(index)) for index in places]
        for pixels in rebuilder.rebuild(chunk, chunk.frames, moments):
            rebuilt[done] = pixels
            done += 1
        on_progress(Progress(done, len(frames)))
    assert done == len(frames), f"{len(frames)} in, {done} out"
    return rebuilt, rebuilder.session.uses


def check_pixels(pixels: Pixels, axes: int, shape: str) -> None:
    """Raise `OptionError` where an array is not of the shape that is told, or has no pixels."""
    if pixels.ndim != axes or pixels.shape[-1] != 3 or not pixels.size:
        raise OptionError(f"{shape}, not {pixels.shape}")
    if pixels.dtype not in (np.uint8, np.uint16):
        how = ""
        if np.issubdtype(pixels.dtype, np.floating):
            how = (
                "; values x of 0 to 1 become such by (x * 255).round().clip(0, 255).astype('uint8')"
            )
        raise OptionError(f"{shape} of uint8 or uint16, not of {pixels.dtype}{how}")
