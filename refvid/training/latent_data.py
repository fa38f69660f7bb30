"""Folders of saved latents and their references -> batches for latent fine-tuning."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from refvid.errors import InputError, OutputError
from refvid.latents.containers import holds_tensors
from refvid.latents.latents import Latents
from refvid.latents.recognise import recognise_latents
from refvid.latents.wishes import LatentWishes
from refvid.media.fit import fit_image
from refvid.media.folders import list_files
from refvid.media.image import read_image
from refvid.media.partial_file import partial_file
from refvid.media.pixel_conversion import to_uint8
from refvid.training.clips import IMAGE_SUFFIXES
from refvid.training.config import TrainConfig
from refvid.training.latent_samples import FORWARD, REFERENCE, REVERSED, LatentClip, LatentDrawer
from refvid.training.recipes.recipe import Recipe
from refvid.wording import counted

if TYPE_CHECKING:
    from accelerate import Accelerator

logger = logging.getLogger(__name__)


def prepare_latents(
    config: TrainConfig, recipe: Recipe, accelerator: Accelerator
) -> list[LatentDrawer]:
    """Cut, reverse and cache every file once; one drawer for each stage.

    Reversing means decoding with the plain decoder and encoding again: it does not depend on what
    is learned, so it is done before.

    Raises:
        InputError: No file can be used.
        OutputError: The cache cannot be written.
    """
    pairs = _find_pairs(config)
    drawers = []
    for stage in config.stages:
        samples = stage.apply(config.samples)
        _cache_pairs(config, recipe, pairs, samples.frames, accelerator)
        accelerator.wait_for_everyone()
        clips = [
            LatentClip(path, _latent_size(path))
            for latents, _ in pairs
            if (path := _cached(config, latents, samples.frames)).exists()
        ]
        drawer = LatentDrawer(
            clips,
            samples,
            stride=recipe.latent_stride,
            bidirectional=config.latents.bidirectional,
            seed=config.seed,
        )
        if not drawer.clips:
            raise InputError(
                f"{config.latents.folder} holds no latents of at least "
                f"{counted(samples.frames, 'frame')} and {samples.crop} pixels a side that can be "
                "used."
            )
        drawers.append(drawer)
    return drawers


def _find_pairs(config: TrainConfig) -> list[tuple[Path, Path]]:
    """Files with latents, each with the picture of the same name."""
    folder = config.latents.folder
    assert folder is not None
    pictures = {
        path.stem: path
        for path in list_files(config.latents.references or folder)
        if path.suffix.lower() in IMAGE_SUFFIXES
    }
    # A file with a picture of its name is meant, even where it turns out to be broken.
    files = [
        path
        for path in list_files(folder)
        if path.suffix.lower() not in IMAGE_SUFFIXES
        and (path.stem in pictures or holds_tensors(path))
    ]
    pairs = [(path, pictures[path.stem]) for path in files if path.stem in pictures]
    if len(pairs) < len(files):
        logger.warning(
            "%d of %d files with latents have no reference of their name",
            len(files) - len(pairs),
            len(files),
        )
    return pairs


def _cache_pairs(
    config: TrainConfig,
    recipe: Recipe,
    pairs: list[tuple[Path, Path]],
    frames: int,
    accelerator: Accelerator,
) -> None:
    broken = 0
    mine = pairs[accelerator.process_index :: accelerator.num_processes]
    for done, (latents, picture) in enumerate(mine, start=1):
        target = _cached(config, latents, frames)
        if target.exists():
            continue
        try:
            tensors = _prepare_pair(config, recipe, latents, picture, frames, accelerator.device)
        except InputError as error:
            broken += 1
            logger.warning("skipped: %s", error)
            continue
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with partial_file(target, overwrite=True) as partial:
                save_file(tensors, partial)
        except (OSError, SafetensorError) as error:
            raise OutputError(f"Cannot write {target}: {error}.") from error
        logger.info("prepared %d of %d latents", done, len(mine))
    if broken:
        logger.warning("%d of %d files with latents could not be used", broken, len(mine))


def _prepare_pair(
    config: TrainConfig,
    recipe: Recipe,
    path: Path,
    picture: Path,
    frames: int,
    device: torch.device,
) -> dict[str, Tensor]:
    scale = None if config.latents.scale == "auto" else config.latents.scale
    latents = recognise_latents(path, LatentWishes(scale=scale, backbone=recipe.backbone))
    latents.check()
    if latents.backbone != recipe.backbone:
        raise InputError(f"{path} holds latents of {latents.backbone}, not of {recipe.backbone}.")
    if latents.chunk_latents:
        raise InputError(f"{path} holds chunks that overlap, which is no one sequence.")
    length = recipe.latent_frames(frames)
    if latents.length < length:
        raise InputError(f"{path} holds {latents.length} latent frames; {length} are needed.")
    forward = latents.read(0, length)
    tensors = {FORWARD: forward[0].contiguous(), REFERENCE: _reference(latents, picture)}
    if config.latents.bidirectional:
        backwards = recipe.reverse_latents(forward.to(device))
        tensors[REVERSED] = backwards[0].float().cpu().contiguous()
    return tensors


def _reference(latents: Latents, picture: Path) -> Tensor:
    """The picture at the size of the decoded frames: (3, H, W) uint8."""
    pixels = fit_image(to_uint8(read_image(picture)), latents.width, latents.height, "cover")
    below = latents.padded_height - latents.height
    right = latents.padded_width - latents.width
    padded = np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="edge")
    return torch.from_numpy(padded).permute(2, 0, 1).contiguous()


def _cached(config: TrainConfig, path: Path, frames: int) -> Path:
    latents = config.latents
    facts = (
        path.name, path.stat().st_size, frames, latents.bidirectional, latents.scale, config.init,
    )  # fmt: skip
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    return config.cache / "latents" / f"{path.stem}-{key}.safetensors"


def _latent_size(path: Path) -> tuple[int, int]:
    with safe_open(path, framework="pt") as file:
        height, width = file.get_slice(FORWARD).get_shape()[2:]
    return height, width
