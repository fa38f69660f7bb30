"""Latents in memory -> frames in memory, as `decode` takes those of a file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from torch import Tensor

from refvid.errors import InputError
from refvid.latents.latents import Latents
from refvid.latents.recognise import recognise_in
from refvid.latents.tensor_file import Entry, TensorFile
from refvid.latents.wishes import LatentWishes
from refvid.progress import Progress, ProgressCallback, ignore_progress
from refvid.rebuild.canvas import Canvas
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.choose_decoder import check_model, plain_decoder
from refvid.rebuild.latent_chunks import first_frame, look_at, pace_of, stored_lengths
from refvid.rebuild.memory import plan_memory
from refvid.rebuild.out_of_memory import out_of_memory_errors
from refvid.rebuild.pixels import Pixels
from refvid.rebuild.reference_choice import make_feed
from refvid.rebuild.reference_feed import GivenReference
from refvid.rebuild.reference_options import ReferenceFit
from refvid.rebuild.session import Session

logger = logging.getLogger(__name__)


def decode_latents(
    tensor: Tensor,
    given: Sequence[GivenReference],
    wishes: LatentWishes,
    loaded: LoadedBackbone,
    on_progress: ProgressCallback = ignore_progress,
    *,
    fit: ReferenceFit = "auto",
    baseline: bool = False,
    deep: bool = False,
) -> Pixels:
    """Decode one video's latents with pictures of its scene, or with none.

    What the numbers of the latents speak against is logged.

    Args:
        tensor: (B, C, t, h, w) or (C, t, h, w), float; `wishes` name another order.
        given: The references; frames count from 0, and times are frames, too.
        wishes: What is known about the latents.
        loaded: The model.
        on_progress: Told how many frames are done.
        fit: How a picture meets frames of another shape.
        baseline: Decode with the plain decoder.
        deep: Give uint16 in place of uint8.

    Returns:
        (T, H, W, 3) RGB.

    Raises:
        InputError: These are no latents of the model, or it is not clear what they are.
        OptionError: The model cannot choose among the references, or has no plain decoder.
        OutOfMemory: It does not fit, even in the smallest chunks and tiles.
    """
    latents = _recognise(tensor, replace(wishes, backbone=loaded.name))
    latents.check()
    if latents.items > 1 and wishes.item is None:
        raise InputError(f"{latents.items} videos are in {latents.path}: choose one by its number.")
    check_model(latents, loaded)
    for warning in latents.warnings:
        logger.warning("%s", warning)
    backbone = plain_decoder(loaded.backbone) if baseline else loaded.backbone
    size = latents.width, latents.height
    memory = plan_memory(loaded, latents.path, latents.height, latents.width)
    lengths = stored_lengths(latents, memory.budget.lengths)
    feed = None
    if given:
        feed = make_feed(given, loaded, size, fit=fit, first=lambda: None, has_pictures=False)
    session = Session(backbone, loaded.device, replace(memory.budget, lengths=lengths))
    canvas, dtype, done = Canvas(size=size), np.dtype(np.uint16 if deep else np.uint8), 0
    frames = np.empty((latents.frames, latents.height, latents.width, 3), dtype)
    pace, overlap = pace_of(latents, lengths), lengths.overlap // latents.temporal_stride
    with out_of_memory_errors():
        for chunk in latents.chunks(pace.first, pace.following, overlap):
            first = first_frame(chunk, latents, backbone.limits)
            if feed is not None:
                view = look_at(chunk, first, latents, Fraction(1))
                session.take_reference(feed.feed(view), first, len(view.moments))
            clip = session.decode(
                chunk.latents.to(loaded.device),
                (latents.padded_height, latents.padded_width),
                index=first,
                shared=chunk.shared,
                held_back=chunk.held_back,
                is_last=chunk.position + chunk.latents.shape[2] == latents.length,
            )
            # Without what encoding had padded.
            wanted = clip[:, :, : latents.frames - done, : latents.height, : latents.width]
            frames[done : done + wanted.shape[2]] = canvas.to_frames(wanted, dtype)
            done += wanted.shape[2]
            on_progress(Progress(done, latents.frames))
    assert done == latents.frames, f"{latents.frames} planned, {done} out"
    return frames


def _recognise(tensor: Tensor, wishes: LatentWishes) -> Latents:
    """Look at a tensor as at a file that holds nothing else."""
    entry = Entry(
        shape=tuple(tensor.shape),
        dtype=str(tensor.dtype).removeprefix("torch."),
        is_float=tensor.is_floating_point(),
        load=lambda: tensor,
    )
    path = Path("the latents")  # what messages call it
    return recognise_in(TensorFile(path=path, container="memory", entries={"": entry}), wishes)
