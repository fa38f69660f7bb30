"""What is compared with what: clips, their candidates, and reading them in step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NoReturn

from refvid.errors import InputError, OptionError
from refvid.media.frame_range import FrameRange
from refvid.media.inputs import VIDEO_SUFFIXES, check_source
from refvid.media.partial_file import check_target
from refvid.media.reader import Frame, Trim, VideoReader, open_video
from refvid.media.video_info import VideoInfo, read_video_info
from refvid.workflows.compare_options import CompareOptions

REFERENCE_LABEL = "reference"

_SHAPE_TOLERANCE = 0.02
"""Sizes that are rounded to the grid of a codec differ a little in shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One scene, and the videos that show it."""

    name: str
    candidates: tuple[VideoInfo, ...]
    """In the order of the labels."""

    reference: VideoInfo | None = None

    @property
    def shown(self) -> tuple[VideoInfo, ...]:
        """Candidates, then the reference if there is one."""
        return self.candidates if self.reference is None else (*self.candidates, self.reference)

    @property
    def display_size(self) -> tuple[int, int]:
        """Width and height of the largest one with square pixels."""
        return max((display_size(info) for info in self.shown), key=lambda size: size[1])


def display_size(info: VideoInfo) -> tuple[int, int]:
    """Width and height with square pixels."""
    return max(1, round(info.width * info.sample_aspect_ratio)), info.height


def check_compare(options: CompareOptions) -> None:
    """Find out at a glance what cannot work.

    Raises:
        InputError: A video or folder is missing.
        OutputError: A result exists, or has no folder to go to.
    """
    for source in _all_sources(options):
        if not holds_videos(source):
            check_source(source)
    for output in options.outputs.values():
        check_target(output, overwrite=options.overwrite)


def find_clips(options: CompareOptions) -> list[Clip]:
    """Pair up the videos: one clip of the files that were given, or one per name in folders.

    Raises:
        InputError: A video cannot be read, or has another shape than its fellows; or a folder
            lacks a name that the first one has.
        OptionError: Files and folders are mixed.
    """
    sources = _all_sources(options)
    are_folders = [holds_videos(source) for source in sources]
    if not any(are_folders):
        return [_clip(options, options.sources[0].stem or "clip", sources)]
    if not all(are_folders):
        odd = sources[are_folders.index(False)]
        raise OptionError(f"{odd} is not a folder of videos, but others are: give all alike")
    names = [_videos_by_stem(folder) for folder in sources]
    clips = []
    for stem in names[0]:
        for folder, known in zip(sources, names, strict=True):
            if stem not in known:
                raise InputError(f"{folder} has no video named {stem}, but {sources[0]} has.")
        clips.append(_clip(options, stem, [known[stem] for known in names]))
    return clips


def holds_videos(path: Path) -> bool:
    """Whether it is a folder with videos in it (images in a folder are one video)."""
    return path.is_dir() and any(file.suffix.lower() in VIDEO_SUFFIXES for file in path.iterdir())


def choose_labels(options: CompareOptions) -> tuple[str, ...]:
    """Names for the candidates: the user's, else the shortest parts of their paths that differ."""
    if options.labels:
        return options.labels
    paths = [source.resolve() for source in options.sources]
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join((*path.parts[-depth:-1], path.stem)) for path in paths]
        if len(set(names)) == len(names):
            return tuple(names)
    # The same stem in the same folder, or the same file twice.
    names = [source.name for source in options.sources]
    if len(set(names)) == len(names):
        return tuple(names)
    return tuple(f"{name} ({index})" for index, name in enumerate(names, 1))


class InStep(Iterator[tuple[Frame, ...]]):
    """Reads several videos together: one frame of each at a time, shown at the same moment.

    Use it as a context manager.
    """

    def __init__(
        self, videos: Sequence[VideoInfo], part: FrameRange, *, rate: Fraction | None
    ) -> None:
        self._videos = videos
        self._part = part
        self._rate = rate
        self._stack = ExitStack()
        self._readers: list[VideoReader] = []
        self._waiting: Frame | None = None
        self._starts: list[Fraction] = []
        self._count = 0

    def __enter__(self) -> InStep:
        part = self._part
        with self._stack:
            self._open(self._videos[0], part.start, part.end)
            # Containers round times: the others begin with the same frame, not at the same time.
            self._waiting = next(self._readers[0])
            for info in self._videos[1:]:
                self._open(info, self._waiting.index, None)
            self._stack = self._stack.pop_all()
        return self

    def _open(
        self, info: VideoInfo, start: Fraction | int | None, end: Fraction | int | None
    ) -> None:
        reader = open_video(
            info.path, start=start, end=end, frames=self._part.frames, rate=self._rate
        )
        self._readers.append(self._stack.enter_context(reader))

    @property
    def trim(self) -> Trim:
        """What part of the first video the frames come from."""
        return self._readers[0].trim

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __next__(self) -> tuple[Frame, ...]:
        first, self._waiting = self._waiting or next(self._readers[0], None), None
        is_open_ended = self._part.end is None and self._part.frames is None
        if first is None and not is_open_ended:
            raise StopIteration
        frames = [first, *(next(reader, None) for reader in self._readers[1:])]
        together = tuple(frame for frame in frames if frame is not None)
        if not together:
            raise StopIteration
        if len(together) != len(frames):
            self._refuse_lengths(frames)
        # An image sequence has no times of its own, only an order.
        if not any(info.is_image_sequence for info in self._videos):
            self._check_times(together)
        self._count += 1
        return together

    def _refuse_lengths(self, frames: Sequence[Frame | None]) -> NoReturn:
        short = self._videos[frames.index(None)].path
        longer = next(i for i, frame in enumerate(frames) if frame is not None)
        raise InputError(
            f"{short} ends after {self._count} frames, {self._videos[longer].path} goes on. "
            f"To compare what both have, give --frames {self._count}."
        )

    def _check_times(self, frames: tuple[Frame, ...]) -> None:
        if not self._starts:
            self._starts = [frame.time for frame in frames]
        first = frames[0]
        expected = first.time - self._starts[0]
        for info, frame, start in zip(self._videos, frames, self._starts, strict=True):
            # Containers round times to their own grid, the first frame's as well.
            tolerance = info.time_base + first.time_base
            if first.duration:
                tolerance = min(tolerance, first.duration * first.time_base / 4)
            time = frame.time - start
            if abs(time - expected) > tolerance:
                raise InputError(
                    f"frame {frame.index} is shown at {float(expected):.3f} s in "
                    f"{self._videos[0].path}, but at {float(time):.3f} s in {info.path}: "
                    "the videos do not show the same moments."
                )


def _all_sources(options: CompareOptions) -> list[Path]:
    return [*options.sources, *([] if options.reference is None else [options.reference])]


def _clip(options: CompareOptions, name: str, paths: Sequence[Path]) -> Clip:
    infos = [read_video_info(path, rate=options.sequence_rate) for path in paths]
    first = infos[0]
    width, height = display_size(first)
    for info in infos[1:]:
        other_width, other_height = display_size(info)
        if abs(other_width * height / (other_height * width) - 1) > _SHAPE_TOLERANCE:
            raise InputError(
                f"{first.path} is {width}x{height}, {info.path} is {other_width}x{other_height}: "
                "videos of different shapes cannot lie on each other."
            )
    if options.reference is None:
        return Clip(name=name, candidates=tuple(infos))
    return Clip(name=name, candidates=tuple(infos[:-1]), reference=infos[-1])


def _videos_by_stem(folder: Path) -> dict[str, Path]:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in VIDEO_SUFFIXES)
    found: dict[str, Path] = {}
    for file in files:
        if (other := found.setdefault(file.stem, file)) != file:
            raise InputError(f"{other} and {file.name} have the same name: keep one of them.")
    return found
