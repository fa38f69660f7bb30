"""The training set: clips, their degraded versions, and a cache of both on disk.

Decoding and degrading cost far more than a training step's reading, so they are done once: every
clip becomes a pair of arrays, mapped into memory when drawn.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refvid.training.degradations import decode_rgb, degrade, random_degradation
from refvid.training.synthetic import moving_photo

log = logging.getLogger(__name__)

Frames = NDArray[np.uint8]
VIDEO_SUFFIXES = {".mp4", ".mkv", ".webm", ".mov", ".avi"}
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}


@dataclass(frozen=True, slots=True)
class TrainingClip:
    """A clean clip with its degraded versions, mapped from the cache."""

    source: str
    """What the clip was cut from: clips of one source share weight when drawing."""

    clean: Frames
    """(T, H, W, 3) uint8 RGB."""

    degraded: tuple[Frames, ...]
    """Each (T, H, W, 3) uint8 RGB, one draw of the degradations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipCacheOptions:
    """What goes into the cache."""

    videos: Path
    images: Path | None = None
    cache: Path
    variants: int = 3
    """Degraded versions of every clip."""

    max_frames: int = 33
    photo_frames: int = 13
    photo_size: tuple[int, int] = (448, 320)
    exclude: tuple[str, ...] = ()
    """File names left out, e.g. for their licence or because they serve as a test."""

    seed: int = 0


def read_clip(path: Path, max_frames: int) -> Frames:
    """First frames of a video, cropped to multiples of 8: (T, H, W, 3) uint8 RGB."""
    clip = np.stack(decode_rgb(path, max_frames))
    height, width = clip.shape[1] // 8 * 8, clip.shape[2] // 8 * 8
    return np.ascontiguousarray(clip[:, :height, :width])


def build_cache(options: ClipCacheOptions) -> Iterator[tuple[int, int]]:
    """Fill the cache; yields (done, total). Clips already there are kept.

    A file that cannot be read is skipped with a warning; the last one counts them all.
    """
    options.cache.mkdir(parents=True, exist_ok=True)
    sources = _source_files(options)
    broken = 0
    for done, path in enumerate(sources, start=1):
        try:
            _cache_one(path, options)
        except (OSError, ValueError, av.FFmpegError) as error:
            broken += 1
            log.warning("skipped %s: %s", path, error)
        yield done, len(sources)
    if broken:
        log.warning("%d of %d training files could not be read", broken, len(sources))


def load_cache(cache: Path) -> list[TrainingClip]:
    """Every clip of a cache, memory-mapped."""
    clips = []
    for record in sorted(cache.glob("*.json")):
        facts = json.loads(record.read_text())
        clean = np.load(record.with_suffix(".clean.npy"), mmap_mode="r")
        degraded = np.load(record.with_suffix(".degraded.npy"), mmap_mode="r")
        clips.append(TrainingClip(facts["source"], clean, tuple(degraded)))
    return clips


def _source_files(options: ClipCacheOptions) -> list[Path]:
    def files(folder: Path, suffixes: set[str]) -> Iterable[Path]:
        return (
            path
            for path in sorted(folder.iterdir())
            if path.suffix.lower() in suffixes and path.name not in options.exclude
        )

    found = list(files(options.videos, VIDEO_SUFFIXES))
    if options.images is not None:
        found += files(options.images, IMAGE_SUFFIXES)
    return found


def _cache_one(path: Path, options: ClipCacheOptions) -> None:
    key = hashlib.sha256(
        repr((path.name, path.stat().st_size, options.variants, options.max_frames,
              options.photo_frames, options.photo_size, options.seed)).encode()
    ).hexdigest()[:16]  # fmt: skip
    record = options.cache / f"{path.stem}-{key}.json"
    if record.exists():
        return
    rng = random.Random(f"{options.seed}:{path.name}")
    if path.suffix.lower() in VIDEO_SUFFIXES:
        clean = read_clip(path, options.max_frames)
    else:
        clean = _clip_of_photo(path, options, rng)
    degraded = [
        degrade(clean, random_degradation(rng), seed=rng.randrange(2**31))
        for _ in range(options.variants)
    ]
    np.save(record.with_suffix(".clean.npy"), clean)
    np.save(record.with_suffix(".degraded.npy"), np.stack(degraded))
    # The record comes last: a clip without it is not whole.
    record.write_text(json.dumps({"source": path.stem.split("_")[0], "file": path.name}))


def _clip_of_photo(path: Path, options: ClipCacheOptions, rng: random.Random) -> Frames:
    others = [p for p in _source_files(options) if p.suffix.lower() in IMAGE_SUFFIXES]
    foreground = None
    if rng.random() < 0.6:
        with Image.open(rng.choice(others)) as picture:
            foreground = picture.convert("RGB")
    with Image.open(path) as picture:
        return moving_photo(
            picture.convert("RGB"),
            size=options.photo_size,
            frames=options.photo_frames,
            rng=rng,
            foreground=foreground,
            speed=rng.uniform(0.2, 1.6),
        )
