"""The trainings that are compared: same steps, same clips, one thing different at a time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file

from benchmarks.paper_claims.codec import NarrowCodec, NarrowRecipe
from refvid.models.mini.config import MiniConfig
from refvid.training.checkpoint import find_checkpoints, newest_checkpoint
from refvid.training.clips import CachedClip, ClipCacheOptions, build_cache, load_cache
from refvid.training.config import TrainConfig
from refvid.training.engine import Trainer, make_accelerator
from refvid.training.read_config import build_config
from refvid.training.samples import SampleDrawer

log = logging.getLogger(__name__)

SHORT = {"frames": 4, "clips": 4}
LONG = {"frames": 16, "clips": 1}
"""Stages of the curriculum, as the paper's on VideoVAE+: a step has 16 frames in both."""

CROP, REFERENCE_CROP = 96, 192
NETWORK = {"width": 48, "wide": 64, "depths": (1, 2, 1)}
"""Of mini's decoder; about a third of the bundled one's work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to train.

    The defaults are the paper's but for dropout, which does harm in runs as short as these and
    would hide what else differs.
    """

    name: str
    title: str
    unconditional: bool = False
    token_dropout: float = 0.0
    stages: tuple[dict[str, int], ...] = (SHORT, LONG)
    reference_frame: Literal["random", "first"] = "random"
    random_test: bool = False
    """Whether it is tested with random references, too."""

    times: int = 1
    """Steps as a multiple of the others'."""


VARIANTS = (
    Variant(name="unconditional", title="unconditional", unconditional=True),
    Variant(name="reference", title="reference", random_test=True),
    Variant(name="dropout-0.3", title="reference, dropout 0.3", token_dropout=0.3),
    Variant(name="dropout-0.7", title="reference, dropout 0.7", token_dropout=0.7),
    Variant(name="short", title="reference, stage one only (short clips)", stages=(SHORT,)),
    Variant(name="long", title="reference, stage two only (long clips)", stages=(LONG,)),
    Variant(
        name="first",
        title="reference, in training always the first frame",
        reference_frame="first",
        random_test=True,
    ),
    # A step without attention takes about a quarter of the time.
    Variant(
        name="unconditional-4x",
        title="unconditional, 4 times the steps: about equal time",
        unconditional=True,
        times=4,
    ),
)


def training_clips(
    videos: Path, images: Path | None, cache: Path, exclude: Sequence[str]
) -> list[CachedClip]:
    """Decode the training clips once, or find them decoded; photographs become clips."""
    options = ClipCacheOptions(
        videos=videos,
        images=images,
        cache=cache,
        variants=0,
        photo_frames=LONG["frames"],
        exclude=tuple(exclude),
    )
    for done, total in build_cache(options):
        if done == total:
            log.info("%d files are decoded", total)
    return [clip for clip in load_cache(options) if clip.shape[0] >= LONG["frames"]]


def config_of(variant: Variant, output: Path, steps: int, seed: int) -> TrainConfig:
    """What `refvid train` would be told: mini's own recipe but for network and samples."""
    steps *= variant.times
    flags = {
        "output": output,
        "seed": seed,
        "unconditional": variant.unconditional,
        "network": NETWORK,
        "samples": {
            "crop": CROP,
            "reference_crop": REFERENCE_CROP,
            "consecutive": True,
            "reference_frame": variant.reference_frame,
            "token_dropout": variant.token_dropout,
            # Every batch has a right and clean reference, as in the paper.
            **dict.fromkeys(
                ("unrelated", "missing", "degraded_reference", "undegraded", "relit_reference"), 0.0
            ),
        },
        "stages": variant.stages,
        "optimizer": {"warmup_steps": min(50, steps // 10)},
        "run": {
            "steps": steps,
            "minutes": None,
            "checkpoint_minutes": 2.0,
            "keep_checkpoints": 1,
            "picture_steps": 0,
            "valid_steps": steps,
            "device": "cpu",
        },
    }
    return build_config(flags=flags)


def make_recipe(codec: NarrowCodec, config: TrainConfig) -> NarrowRecipe:
    """The network of a run, with the seed's first weights."""
    torch.manual_seed(config.seed)
    sizes = MiniConfig(**config.network)
    return NarrowRecipe(codec, sizes, unconditional=config.unconditional)


def train_run(config: TrainConfig, codec: NarrowCodec, clips: Sequence[CachedClip]) -> NarrowRecipe:
    """Train to the end, or go on from the last checkpoint; a finished run is only loaded."""
    weights = config.output / "weights.safetensors"
    recipe = make_recipe(codec, config)
    if not weights.exists():
        accelerator = make_accelerator(config.run, config.output, "bf16")
        samples = [stage.apply(config.samples) for stage in config.stages]
        drawers = [SampleDrawer(clips, options, config.seed) for options in samples]
        trainer = Trainer(recipe, config, drawers, [], accelerator)
        if find_checkpoints(config.output):
            trainer.resume(newest_checkpoint(config.output))
        for report in trainer.run():
            if report.step % 100 == 0:
                log.info("%s: step %d, %.0f s", config.output.name, report.step, report.seconds)
        trainer.write_weights(weights)
        recipe = make_recipe(codec, config)
    recipe.decoder.load_state_dict(load_file(weights))
    return recipe.eval()
