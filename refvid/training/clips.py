"""The training set: clips, their degraded versions, and a cache of both on disk.

Clips are excerpts of videos, camera paths over pictures, and clips made by code. Decoding and
degrading cost far more than a training step's reading, so they are done once, in worker processes:
every clip becomes a pair of arrays, mapped into memory when drawn.
"""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import random
import signal
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refvid.errors import InputError, OutputError
from refvid.media.container import find_video_stream, open_container
from refvid.media.folders import is_hidden
from refvid.media.image import read_image
from refvid.media.pixel_conversion import to_uint8
from refvid.training.degradations import degrade, random_degradation, slight_degradation
from refvid.training.made import MADE_KINDS, PHOTO_KINDS, make_clip
from refvid.training.synthetic import moving_photo

logger = logging.getLogger(__name__)

Frames = NDArray[np.uint8]
CLIP_SUFFIXES = {".mp4", ".mkv", ".webm", ".mov", ".avi"}
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
MADE_PREFIX = "made:"
"""What the sources of clips made by code begin with."""

_MADE_VERSION = 2
"""Raised when clips are made or degraded in another way: those in a cache are made again."""

# What is raised on files that are damaged or something else.
_BROKEN = (InputError, OSError, ValueError, EOFError, av.FFmpegError)


@dataclass(frozen=True, slots=True)
class TrainingClip:
    """A clean clip with its degraded versions, mapped from the cache."""

    source: str
    """What the clip was cut from, or `made:` and its kind: clips of one source share weight when
    drawing."""

    clean: Frames
    """(T, H, W, 3) uint8 RGB."""

    degraded: tuple[Frames, ...]
    """Each (T, H, W, 3) uint8 RGB, one draw of the degradations; none where networks are given
    clean clips."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, height and width."""
        frames, height, width = self.clean.shape[:3]
        return frames, height, width

    def open(self) -> TrainingClip:
        return self


@dataclass(frozen=True, slots=True)
class CachedClip:
    """A clip on disk; it goes to worker processes as a name."""

    source: str
    record: Path
    shape: tuple[int, int, int]
    """Frames, height and width."""

    variants: int

    def open(self) -> TrainingClip:
        """Map its arrays into memory."""
        clean = np.load(_array(self.record, "clean"), mmap_mode="r")
        degraded = (
            tuple(np.load(_array(self.record, "degraded"), mmap_mode="r")) if self.variants else ()
        )
        return TrainingClip(self.source, clean, degraded)


@dataclass(frozen=True, slots=True)
class _Made:
    """A clip to be made by code."""

    kind: str
    number: int
    """Among all made clips."""

    photo: Path | None
    """What it shows."""

    def __str__(self) -> str:
        return f"{MADE_PREFIX}{self.kind} {self.number}"


_Source = Path | _Made


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipCacheOptions:
    """What goes into the cache."""

    videos: Path | None = None
    images: Path | None = None
    cache: Path
    variants: int = 3
    """Degraded versions of every clip."""

    max_frames: int = 33
    excerpts: int = 1
    """Excerpts per video."""

    short_side: int | None = None
    """Larger videos are shrunk to this [pixels]."""

    frame_step: int = 1
    photo_frames: int = 13
    photo_size: tuple[int, int] = (448, 320)
    made: int = 0
    """Clips made by code, of all kinds in turn; as long and large as those from pictures, which
    they show where there are any."""

    exclude: tuple[str, ...] = ()
    """File names left out, e.g. for their licence or because they serve as a test."""

    seed: int = 0
    workers: int = 0
    """Processes; 0 works in this one."""


def build_cache(
    options: ClipCacheOptions, part: int = 0, parts: int = 1
) -> Iterator[tuple[int, int]]:
    """Fill the cache; yields (done, total) files and made clips. Clips already there are kept.

    A file that cannot be read is skipped with a warning; the last one counts them all.

    Args:
        options: What goes in.
        part: This process does every `parts`-th file from this one on; the others do the rest.
        parts: Processes that fill the cache together.

    Raises:
        OutputError: The cache cannot be written.
    """
    try:
        options.cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot make {options.cache}: {error.strerror or error}.") from error
    sources = _sources(options)
    mine = sources[part::parts]
    broken = 0
    for done, (path, problem) in enumerate(_cache_all(mine, options), start=1):
        if problem is not None:
            broken += 1
            logger.warning("skipped %s: %s", path, problem)
        yield done, len(mine)
    if broken:
        files = sum(isinstance(source, Path) for source in mine)
        logger.warning("%d of %d training files could not be read", broken, files)


def load_cache(options: ClipCacheOptions) -> list[CachedClip]:
    """Every clip that these options put into the cache."""
    clips = []
    for source in _sources(options):
        for record in _records(source, options):
            if record.exists():
                facts = json.loads(record.read_text(encoding="utf-8"))
                frames, height, width = facts["shape"]
                shape = (frames, height, width)
                clips.append(CachedClip(facts["source"], record, shape, options.variants))
    return clips


def _source_files(options: ClipCacheOptions) -> list[Path]:
    def files(folder: Path | None, suffixes: set[str]) -> Iterable[Path]:
        return (
            path
            for path in sorted(folder.rglob("*") if folder is not None else ())
            if path.suffix.lower() in suffixes
            and path.name not in options.exclude
            and not is_hidden(path)
        )

    return [*files(options.videos, CLIP_SUFFIXES), *files(options.images, IMAGE_SUFFIXES)]


def _pictures(options: ClipCacheOptions) -> list[Path]:
    return [path for path in _source_files(options) if path.suffix.lower() in IMAGE_SUFFIXES]


def _sources(options: ClipCacheOptions) -> list[_Source]:
    """Files, and what is to be made."""
    made, pictures = [], _pictures(options)
    for number in range(options.made):
        kind = MADE_KINDS[number % len(MADE_KINDS)]
        photo = None
        if kind in PHOTO_KINDS and pictures:
            photo = random.Random(f"{options.seed}:photo:{number}").choice(pictures)
        made.append(_Made(kind, number, photo))
    return [*_source_files(options), *made]


def _cache_all(
    sources: Sequence[_Source], options: ClipCacheOptions
) -> Iterator[tuple[_Source, str | None]]:
    """Cache clips, in workers if there are any; yields each with what is wrong with it."""
    pictures = _pictures(options)
    if options.workers == 0:
        for source in sources:
            yield source, _cache_one(source, options, pictures)
        return
    # Spawned processes hold neither this one's threads nor its graphics card.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        min(options.workers, max(1, len(sources))), mp_context=context, initializer=leave_stopping
    ) as pool:
        try:
            tasks = {pool.submit(_cache_one, each, options, pictures): each for each in sources}
            for task in as_completed(tasks):
                yield tasks[task], task.result()
        finally:
            pool.shutdown(cancel_futures=True)


def leave_stopping() -> None:
    """Ctrl-C reaches the whole group of processes; the one that trains decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _cache_one(source: _Source, options: ClipCacheOptions, pictures: Sequence[Path]) -> str | None:
    """Cache the excerpts of one source, and say what is wrong with it."""
    records = _records(source, options)
    if records[0].exists():
        return None  # the first excerpt is written last: all are there
    rng = random.Random(f"{options.seed}:{records[0].name}")
    try:
        clips = _clips_of(source, options, pictures, rng)
        first = next(clips, None)
        if first is None:
            return "it has no frames"
        for record, clean in zip(records[1:], clips, strict=False):
            _write(record, source, clean, options, rng)
        _write(records[0], source, first, options, rng)
    except _BROKEN as error:
        return str(error) or type(error).__name__
    return None


def _clips_of(
    source: _Source, options: ClipCacheOptions, pictures: Sequence[Path], rng: random.Random
) -> Iterator[Frames]:
    if isinstance(source, _Made):
        photo = None if source.photo is None else _readable(source.photo)
        yield make_clip(source.kind, rng, options.photo_size, options.photo_frames, photo)
    elif source.suffix.lower() in CLIP_SUFFIXES:
        yield from _video_excerpts(source, options)
    else:
        yield _clip_of_photo(source, options, pictures, rng)


def _video_excerpts(path: Path, options: ClipCacheOptions) -> Iterator[Frames]:
    """Consecutive excerpts of a video, (T, H, W, 3) uint8 RGB with H and W multiples of 8."""
    with open_container(path) as container:
        decoded = container.decode(find_video_stream(container, path))
        pictures = islice(decoded, 0, None, options.frame_step)
        while frames := [
            _shrunk(picture.to_ndarray(format="rgb24").astype(np.uint8), options.short_side)
            for picture in islice(pictures, options.max_frames)
        ]:
            clip = np.stack(frames)
            height, width = clip.shape[1] // 8 * 8, clip.shape[2] // 8 * 8
            yield np.ascontiguousarray(clip[:, :height, :width])


def _shrunk(frame: NDArray[np.uint8], short_side: int | None) -> NDArray[np.uint8]:
    height, width = frame.shape[:2]
    if short_side is None or min(height, width) <= short_side:
        return frame
    scale = short_side / min(height, width)
    size = (round(width * scale), round(height * scale))
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS))


def _write(
    record: Path, source: _Source, clean: Frames, options: ClipCacheOptions, rng: random.Random
) -> None:
    draws = [random_degradation] * options.variants
    if isinstance(source, _Made):
        # What clips of these kinds teach is to leave alone what needs no help.
        draws[: options.variants // 2] = [slight_degradation] * (options.variants // 2)
    degraded = [degrade(clean, draw(rng), seed=rng.randrange(2**31)) for draw in draws]
    if isinstance(source, _Made):
        name, file = f"{MADE_PREFIX}{source.kind}", source.photo and source.photo.name
    else:
        name, file = source.stem.split("_")[0], source.name
    facts = {"source": name, "file": file, "shape": clean.shape[:3]}
    try:
        np.save(_array(record, "clean"), clean)
        if degraded:
            np.save(_array(record, "degraded"), np.stack(degraded))
        # The record comes last: a clip without it is not whole.
        partial = record.with_suffix(".partial")
        partial.write_text(json.dumps(facts), encoding="utf-8")
        partial.replace(record)
    except OSError as error:
        # Not a broken source: going on would only fail again.
        raise OutputError(f"Cannot write {record}: {error.strerror or error}.") from error


def _records(source: _Source, options: ClipCacheOptions) -> list[Path]:
    """Where the clips of a source are written down, as many as it may have."""
    if isinstance(source, _Made):
        shown = source.photo and (source.photo.name, source.photo.stat().st_size)
        made_facts = (
            source.kind, source.number, shown, options.variants,
            options.photo_frames, options.photo_size, options.seed, _MADE_VERSION,
        )  # fmt: skip
        return [options.cache / f"made-{source.kind}-{_key(made_facts)}-0.json"]
    is_video = source.suffix.lower() in CLIP_SUFFIXES
    root = options.videos if is_video else options.images
    assert root is not None, "a file lies in one of the folders"
    facts = (
        source.relative_to(root).as_posix(), source.stat().st_size,
        options.variants, options.max_frames, options.short_side,
        options.frame_step, options.photo_frames, options.photo_size, options.seed,
    )  # fmt: skip
    excerpts = range(options.excerpts if is_video else 1)
    return [options.cache / f"{source.stem}-{_key(facts)}-{excerpt}.json" for excerpt in excerpts]


def _key(facts: object) -> str:
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def _array(record: Path, kind: str) -> Path:
    return record.with_name(f"{record.stem}.{kind}.npy")


def _clip_of_photo(
    path: Path, options: ClipCacheOptions, pictures: Sequence[Path], rng: random.Random
) -> Frames:
    photo = _read_photo(path)
    foreground = None
    if rng.random() < 0.6:
        foreground = _readable(rng.choice(pictures))
    return moving_photo(
        photo,
        size=options.photo_size,
        frames=options.photo_frames,
        rng=rng,
        foreground=foreground,
        speed=rng.uniform(0.2, 1.6),
    )


def _readable(path: Path) -> Image.Image | None:
    """Another picture, or None: that it is broken is told when its own turn comes."""
    try:
        return _read_photo(path)
    except _BROKEN:
        return None


def _read_photo(path: Path) -> Image.Image:
    return Image.fromarray(to_uint8(read_image(path, may_shrink=True)))
