"""What is compared with what: clips, their candidates, and reading them in step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from refvid.comparison.options import CompareOptions
from refvid.errors import InputError, OptionError
from refvid.media.aligned import AlignedReader, Mismatch
from refvid.media.folders import is_folder, list_files
from refvid.media.frame_range import FrameRange
from refvid.media.inputs import VIDEO_SUFFIXES, check_source
from refvid.media.outputs import check_outputs
from refvid.media.reader import Frame, Trim, open_video
from refvid.media.video_info import VideoInfo, read_video_info
from refvid.wording import counted

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
        OptionError: A result would replace one of them, or another result.
        OutputError: A result exists, or has no folder to go to.
    """
    for source in _all_sources(options):
        if not holds_videos(source):
            check_source(source)
    check_outputs(options.outputs.values(), _all_sources(options), overwrite=options.overwrite)


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
    return is_folder(path) and any(
        file.suffix.lower() in VIDEO_SUFFIXES for file in list_files(path)
    )


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


class InStep(AlignedReader):
    """Reads the videos of a clip in step with the first; give their frames by iterating, once.

    `part` is what is read of the first one, and the same frames of the others; `options` say which
    of the others are no more than that part.
    """

    def __init__(
        self, videos: Sequence[VideoInfo], part: FrameRange, options: CompareOptions
    ) -> None:
        super().__init__()
        self._videos = videos
        self._part = part
        self._rate = options.sequence_rate
        self._excerpts = options.excerpts
        self._offset = 0
        """Of the first frame, counted over the whole file."""

    def _open(self) -> None:
        first, *others = self._videos
        part = self._part
        self._first = next(self._enter(open_video(first.path, part, rate=self._rate, info=first)))
        self._offset = self._first.index
        # Containers round times: the others begin with the same frame, not at the same time.
        for info in others:
            start = 0 if info.path in self._excerpts else self._first.index
            same = FrameRange(start=start, frames=part.frames)
            self._enter(open_video(info.path, same, rate=self._rate, info=info))

    @property
    def trim(self) -> Trim:
        """What part of the first video the frames come from."""
        return self._readers[0].trim

    def __iter__(self) -> Iterator[tuple[Frame, ...]]:
        return (frames for frames, _time in self.together())

    def _is_over(self, frames: Sequence[Frame | None]) -> bool:
        # The part ends with the first video's, whatever the others have.
        return not any(frames) or (frames[0] is None and not self._part.is_open_ended)

    def _is_timed(self, video: VideoInfo) -> bool:
        return not (video.is_image_sequence or any(v.is_image_sequence for v in self._videos))

    def _words(self, mismatch: Mismatch) -> str:
        video, other = mismatch.video.path, mismatch.other.path
        if mismatch.times is None:
            return (
                f"{video} ends after {counted(mismatch.index, 'frame')}, {other} goes on. "
                f"To compare what both have, give --frames {mismatch.index}."
            )
        time, expected = mismatch.times
        index = mismatch.index + self._offset
        return (
            f"frame {index} is shown at {float(expected):.3f} s in "
            f"{other}, but at {float(time):.3f} s in {video}: "
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
    files = [file for file in list_files(folder) if file.suffix.lower() in VIDEO_SUFFIXES]
    found: dict[str, Path] = {}
    for file in files:
        if (other := found.setdefault(file.stem, file)) != file:
            raise InputError(f"{other} and {file.name} have the same name: keep one of them.")
    return found
