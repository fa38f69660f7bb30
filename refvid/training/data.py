"""Folders of videos and pictures -> batches to train with and to validate on."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from refvid.errors import InputError
from refvid.training.batch import Batch
from refvid.training.clip_source import group_usable
from refvid.training.clips import (
    MADE_PREFIX,
    CachedClip,
    ClipCacheOptions,
    build_cache,
    load_cache,
)
from refvid.training.config import TrainConfig
from refvid.training.loader import BatchSource
from refvid.training.recipes.recipe import Recipe
from refvid.training.sample_options import SampleOptions
from refvid.wording import counted

logger = logging.getLogger(__name__)

VALID_SEED = 1
"""Added to a run's own, so that validation draws other samples than training."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Where batches come from."""

    stages: Sequence[BatchSource]
    """One for each stage of the curriculum."""

    valid: list[Batch]
    """Held-out batches with the right reference."""


def check_folders(config: TrainConfig) -> None:
    """Refuse what cannot be learned from, before anything expensive.

    Raises:
        InputError: A folder is missing, or there is none.
    """
    data, latents = config.data, config.latents
    if data.videos is None and data.images is None and data.triplets is None:
        raise InputError("There is nothing to learn from: give a folder of videos or images.")
    if config.task == "style" and data.styles is None and data.triplets is None:
        raise InputError("There is no style to learn from: give a folder of styles, or triplets.")
    for folder in (
        data.videos, data.images, data.styles, data.triplets, data.valid,
        latents.folder, latents.references,
    ):  # fmt: skip
        if folder is not None and not folder.is_dir():
            raise InputError(f"{folder} is no folder.")


@dataclass(frozen=True, slots=True)
class Processes:
    """Those that train together, of which this is one."""

    part: int
    """Number of this one."""

    parts: int
    wait: Callable[[], None]
    """Until the others are here, too."""


def prepare_data(config: TrainConfig, processes: Processes, recipe: Recipe) -> TrainingData:
    """Fill the cache and make drawers for every stage.

    Args:
        config: Of the run.
        processes: Each fills its part of the cache.
        recipe: Draws the samples that its network wants.

    Raises:
        InputError: Nothing in the folders can be learned from.
        OutputError: The cache cannot be written.
    """
    clips, valid_clips = prepare_clips(config, processes)
    stages = [_drawer(config, clips, stage, recipe) for stage in range(len(config.stages))]
    return TrainingData(stages, _valid_batches(config, valid_clips or clips, recipe))


def prepare_clips(
    config: TrainConfig, processes: Processes
) -> tuple[list[CachedClip], list[CachedClip]]:
    """Fill the cache: clips to learn from, and held-out ones if there are any.

    Raises:
        OutputError: The cache cannot be written.
    """
    options = _cache_options(config)
    _fill(options, processes)
    held_out = None
    if config.data.valid is not None:
        held_out = replace(options, videos=config.data.valid, images=None, made=0)
        _fill(held_out, processes)
    processes.wait()
    clips = load_cache(options)
    if held_out is not None:
        return clips, load_cache(held_out)
    return _hold_out(clips, config.data.valid_share, config.seed)


def _fill(options: ClipCacheOptions, processes: Processes) -> None:
    for done, total in build_cache(options, processes.part, processes.parts):
        logger.info("prepared %d of %d clips", done, total)


def _cache_options(config: TrainConfig) -> ClipCacheOptions:
    data = config.data
    return ClipCacheOptions(
        videos=data.videos,
        images=data.images,
        cache=config.cache,
        variants=data.variants,
        max_frames=data.max_frames,
        excerpts=data.excerpts,
        short_side=data.short_side,
        frame_step=data.frame_step,
        photo_frames=data.photo_frames,
        photo_size=data.photo_size,
        made=data.made,
        exclude=data.exclude,
        seed=config.seed,
        workers=data.preparing_workers,
    )


def _hold_out(
    clips: Sequence[CachedClip], share: float, seed: int
) -> tuple[list[CachedClip], list[CachedClip]]:
    """Split by source: clips of one source look alike.

    Made clips are all for training: without one of their kinds it would not be learned.
    """
    sources = sorted({c.source for c in clips if not c.source.startswith(MADE_PREFIX)})
    random.Random(f"{seed}:held out").shuffle(sources)
    count = min(round(share * len(sources)), len(sources) - 1)
    if count < 1:
        logger.warning(
            "%d sources are too few to hold one out: validation is on training clips "
            "(--valid names others)",
            len(sources),
        )
        return list(clips), []
    held = set(sources[:count])
    return [c for c in clips if c.source not in held], [c for c in clips if c.source in held]


def _drawer(
    config: TrainConfig, clips: Sequence[CachedClip], stage: int, recipe: Recipe
) -> BatchSource:
    samples = config.stages[stage].apply(config.samples)
    if not group_usable(clips, samples):
        raise no_clips(config, samples)
    return recipe.draw_from(clips, samples, config.seed)


def no_clips(config: TrainConfig, samples: SampleOptions) -> InputError:
    """What is wrong where no clip is large and long enough for samples."""
    folders = " and ".join(str(f) for f in (config.data.videos, config.data.images) if f)
    length = f" and {counted(samples.frames, 'frame')}" if samples.consecutive else ""
    return InputError(f"{folders}: no clip of at least {samples.crop} pixels a side{length}.")


def _valid_batches(config: TrainConfig, clips: Sequence[CachedClip], recipe: Recipe) -> list[Batch]:
    """What a user has: a degraded clip, and a right reference."""
    samples = replace(
        config.stages[-1].apply(config.samples),
        unrelated=0.0,
        missing=0.0,
        degraded_reference=0.0,
        undegraded=0.0,
        relit_reference=0.0,
        photographed=0.0,
        token_dropout=0.0,
    )
    if not group_usable(clips, samples):
        logger.warning("no held-out clip is large or long enough: there is no validation")
        return []
    drawer = recipe.draw_from(clips, samples, config.seed + VALID_SEED)
    return [drawer.draw(index) for index in range(config.run.valid_batches)]
