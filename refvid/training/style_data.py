"""Folders of clips and paintings, or of triplets -> batches for the task style."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from refvid.errors import InputError
from refvid.training.batch import Batch
from refvid.training.config import TrainConfig
from refvid.training.data import (
    VALID_SEED,
    Processes,
    TrainingData,
    no_clips,
    prepare_clips,
)
from refvid.training.loader import BatchSource
from refvid.training.sample_options import SampleOptions
from refvid.training.style_pictures import (
    StylePicture,
    cache_styles,
    find_styles,
    hold_out_styles,
)
from refvid.training.style_samples import Paint, StyleSampleDrawer
from refvid.training.triplet_samples import TripletDrawer
from refvid.training.triplets import Triplet, check_triplets, find_triplets
from refvid.wording import counted

logger = logging.getLogger(__name__)

_MARGIN = 1.5
"""Styles are cached by so much larger than samples need those of a square's proportions."""

Result = TypeVar("Result")

MakeDrawer = Callable[[SampleOptions, int], StyleSampleDrawer | TripletDrawer]


def prepare_style_data(config: TrainConfig, processes: Processes, paint: Paint) -> TrainingData:
    """Fill the cache and make drawers for every stage.

    Args:
        config: Of the run.
        processes: Those that train together.
        paint: What the backbone does to a clip before its network.

    Raises:
        InputError: Nothing in the folders can be learned from.
        OutputError: The cache cannot be written.
    """
    if config.data.triplets is not None:
        return _from_triplets(config, config.data.triplets, processes, paint)
    assert config.data.styles is not None, "the folders were checked"
    return _from_styles(config, config.data.styles, processes, paint)


def _from_styles(
    config: TrainConfig, folder: Path, processes: Processes, paint: Paint
) -> TrainingData:
    clips, valid_clips = prepare_clips(config, processes)
    pictures = _styles(config, folder, processes)
    held = hold_out_styles(
        [picture.name for picture in pictures],
        config.data.valid_styles,
        config.data.valid_share,
        config.seed,
    )
    _tell_held(sorted(held))
    learned = [picture for picture in pictures if picture.name not in held]
    unseen = [picture for picture in pictures if picture.name in held]

    def make(samples: SampleOptions, seed: int) -> StyleSampleDrawer:
        return StyleSampleDrawer(clips, learned, samples, config.style_samples, paint, seed)

    def make_valid(samples: SampleOptions, seed: int) -> StyleSampleDrawer:
        return StyleSampleDrawer(
            valid_clips or clips, unseen or learned, samples, config.style_samples, paint, seed
        )

    return _data(config, make, make_valid, lambda samples: no_clips(config, samples))


def _styles(config: TrainConfig, folder: Path, processes: Processes) -> list[StylePicture]:
    """All pictures of the folder, read by one process for all."""
    paths = find_styles(folder, config.data.exclude)
    crop = max(stage.apply(config.samples).crop for stage in config.stages)
    options = config.style_samples
    side = round(_MARGIN * crop * math.sqrt(options.style_area[1]) / options.style_window[0])
    cache = config.cache / "styles"
    pictures = _first_then_others(processes, lambda: cache_styles(paths, cache, side))
    if not pictures:
        raise InputError(f"{folder} holds no picture that can be read.")
    return pictures


def _from_triplets(
    config: TrainConfig, folder: Path, processes: Processes, paint: Paint
) -> TrainingData:
    triplets = _triplets(config, folder, processes)
    learned, unseen = _hold_out(config, triplets)

    def make(samples: SampleOptions, seed: int) -> TripletDrawer:
        return TripletDrawer(learned, samples, config.style_samples, paint, seed)

    def make_valid(samples: SampleOptions, seed: int) -> TripletDrawer:
        return TripletDrawer(unseen or learned, samples, config.style_samples, paint, seed)

    def nothing(samples: SampleOptions) -> InputError:
        return InputError(
            f"{folder}: no triplet of at least {samples.crop} pixels a side, and of "
            f"{counted(samples.frames, 'frame')} or one picture."
        )

    return _data(config, make, make_valid, nothing)


def _triplets(config: TrainConfig, folder: Path, processes: Processes) -> list[Triplet]:
    found = find_triplets(folder)
    record = config.cache / "triplets.json"
    workers = config.data.preparing_workers
    triplets = _first_then_others(processes, lambda: check_triplets(found, record, workers))
    if not triplets:
        raise InputError(
            f"{folder} holds no triplet that can be used: give content/NAME, style/NAME and "
            "stylised/NAME, or a triplets.csv."
        )
    return triplets


def _hold_out(
    config: TrainConfig, triplets: Sequence[Triplet]
) -> tuple[list[Triplet], list[Triplet]]:
    """Split by style: one picture may be there under many names."""
    names: dict[str, str] = {}
    for triplet in triplets:
        names.setdefault(triplet.style_digest, Path(triplet.style).name)
    aliases = {Path(t.style).name: names[t.style_digest] for t in triplets}
    asked = [aliases.get(name, name) for name in config.data.valid_styles]
    held = hold_out_styles(list(names.values()), asked, config.data.valid_share, config.seed)
    _tell_held(sorted(held))
    learned = [t for t in triplets if names[t.style_digest] not in held]
    return learned, [t for t in triplets if names[t.style_digest] in held]


def _data(
    config: TrainConfig,
    make: MakeDrawer,
    make_valid: MakeDrawer,
    nothing: Callable[[SampleOptions], InputError],
) -> TrainingData:
    """Drawers of all stages, and batches to validate on."""
    stages: list[BatchSource] = []
    for stage in config.stages:
        samples = stage.apply(config.samples)
        drawer = make(samples, config.seed)
        if not drawer.groups:
            raise nothing(samples)
        stages.append(drawer)
    held_out = make_valid(config.stages[-1].apply(config.samples), config.seed + VALID_SEED)
    if not held_out.groups:
        logger.warning("nothing held out is large or long enough: there is no validation")
        return TrainingData(stages, [])
    valid: list[Batch] = [held_out.draw(index) for index in range(config.run.valid_batches)]
    return TrainingData(stages, valid)


def _tell_held(names: Sequence[str]) -> None:
    if names:
        logger.info("styles held out: %s", ", ".join(names))


def _first_then_others(processes: Processes, work: Callable[[], Result]) -> Result:
    """The first process works, so that the others find the work done."""
    if processes.part > 0:
        processes.wait()
        return work()
    result = work()
    processes.wait()
    return result
