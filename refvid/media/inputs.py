"""Many inputs: words on the command line -> single inputs, and which of them can be read.

Nothing here imports torch or decodes a video, so that wrong words and names fail at once.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from refvid.errors import InputError
from refvid.media.file_kind import is_animation
from refvid.media.file_name import is_full
from refvid.media.folders import (
    exists,
    is_file,
    is_folder,
    is_hidden,
    list_files,
    may,
    refuse_special,
)
from refvid.media.image import IMAGE_SUFFIXES
from refvid.media.image_folder import images_in, split_images
from refvid.media.outputs import check_output, path_identity
from refvid.media.sequence import find_images, is_sequence_pattern
from refvid.media.similar_name import did_you_mean

if TYPE_CHECKING:
    from refvid.media.piped_video import PipedResult, PipedVideo
    from refvid.media.video_info import VideoInfo

# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".3g2", ".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4",
    ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogm", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
})
# fmt: on
RESULT_MARK = "_refvid"
PREVIEW_MARK = "_preview"
"""Comes after it: a preview must not be taken for the result."""


def result_mark(style: str = "") -> str:
    """What comes behind the name of an input in that of its result."""
    return f"_{style}" if style else RESULT_MARK


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One input."""

    path: Path
    """A video, an image-sequence pattern such as `shot_%04d.png`, or a folder of images."""

    below: Path = Path()
    """Folders between the folder that was given and this file; kept under `--output DIR/`."""

    album: Path | None = None
    """The folder, where it is one of several inputs in a folder of images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One input and where its result goes."""

    source: Path
    output: Path
    create_folder: bool = False
    """Whether the output's folder may be made; else it must exist."""

    replaces: str = ""
    """What is wrong with the result that stands there and is ours: then it may be replaced."""

    info: VideoInfo | None = None
    """What was learned of the source while its output was named."""

    piped: PipedVideo | None = None
    """Where the source is piped in and can be read once: `source` is its beginning."""

    sink: PipedResult | None = None
    """Where the result goes in place of a file."""

    among: int = 1
    """How many jobs its command has, where it is done alone."""

    def may_replace(self, overwrite: bool) -> bool:
        """Whether a result that stands there may go: by the user's wish, or as it is not whole."""
        return overwrite or bool(self.replaces)


def expand_inputs(
    words: Sequence[str],
    *,
    recursive: bool = False,
    results: Path | None = None,
    accepts: Callable[[Path], bool] | None = None,
    splits_images: bool = True,
    is_result: Callable[[Path], bool] = lambda _path: False,
    style: str = "",
) -> list[Source]:
    """Turn files, globs, folders and patterns into single inputs, in order and without doubles.

    A word that matches nothing stays as it is, and so does a folder that may not be listed:
    `check_source` says what is wrong with it, and the rest of the batch can go on. Hidden files
    are no inputs.

    Args:
        words: What was given.
        recursive: Look into folders below folders.
        results: A folder in which recursion finds nothing, because this program's own outputs go
            there.
        accepts: Tells which files of a folder are inputs; None takes videos, or else images.
        splits_images: Whether images of a folder that are no sequence are inputs of their own.
        is_result: Tells of a file whether this program made it; asked of those whose name begins
            like another one's.
        style: What results of this run are called after, see `plan_jobs`.
    """
    known = _Results(folder=results, marks=(RESULT_MARK, result_mark(style)), is_result=is_result)
    sources: dict[str, Source] = {}
    for word in words:
        for source in _expand_word(word, recursive, known, accepts, splits_images):
            sources.setdefault(path_identity(source.path), source)
    return list(sources.values())


def _expand_word(
    word: str,
    recursive: bool,
    results: _Results,
    accepts: Callable[[Path], bool] | None,
    splits_images: bool,
) -> list[Source]:
    path = Path(word)
    if is_folder(path):
        folders = _walk(path, results) if recursive else [path]
        found = _sources_in(path, folders, results, accepts, splits_images)
        return found or [Source(path=path)]
    if exists(path) or is_sequence_pattern(path) or not glob.has_magic(word):
        return [Source(path=path)]
    # Windows shells do not expand wildcards, nor does any shell inside quotes.
    matching = [Path(name) for name in sorted(_glob(word))]
    files = results.left_out_of([file for file in matching if is_file(file)])
    return [Source(path=file) for file in files] or [Source(path=path)]


def _glob(words: str) -> list[str]:
    # Path.glob refuses absolute patterns.
    return glob.glob(words, recursive=True)  # noqa: PTH207


def _sources_in(
    folder: Path,
    places: list[Path],
    results: _Results,
    accepts: Callable[[Path], bool] | None,
    splits_images: bool,
) -> list[Source]:
    """Inputs in some places below a folder; where there are no videos, the images.

    Images that move are videos, but do not keep others from being inputs.
    """
    is_input = accepts or (lambda file: file.suffix.lower() in VIDEO_SUFFIXES)
    content: dict[Path, list[Path]] = {}
    closed: list[Source] = []
    for place in places:
        try:
            content[place] = list_files(place)
        except InputError:
            closed.append(Source(path=place))
    videos = [
        Source(path=file, below=place.relative_to(folder))
        for place, files in content.items()
        for file in results.left_out_of([file for file in files if is_input(file)])
    ]
    if accepts:
        return videos + closed
    moving = {
        place: [
            file for file in files if file.suffix.lower() in IMAGE_SUFFIXES and is_animation(file)
        ]
        for place, files in content.items()
    }
    animations = [
        Source(path=file, below=place.relative_to(folder))
        for place, files in moving.items()
        for file in results.left_out_of(files)
    ]
    if videos:
        return videos + animations + closed
    images = [
        source
        for place, files in content.items()
        for source in _images_in(folder, place, files, moving[place], splits_images)
    ]
    return images + animations + closed


def _images_in(
    folder: Path, place: Path, files: list[Path], moving: list[Path], splits_images: bool
) -> Iterator[Source]:
    below = place.parent.relative_to(folder) if place != folder else Path()
    images = [
        file for file in files if file.suffix.lower() in IMAGE_SUFFIXES and file not in moving
    ]
    found = split_images(images) if splits_images else []
    if images and (not splits_images or (len(found) == 1 and not moving)):
        yield Source(path=place, below=below)
        return
    for path in found:
        yield Source(path=path, below=below, album=place)


def _walk(folder: Path, results: _Results) -> list[Path]:
    places = []

    def note_closed(error: OSError) -> None:
        places.append(Path(error.filename))

    # Links to folders are not followed: they may lead in circles.
    for name, below, _ in os.walk(folder, onerror=note_closed):
        place = Path(name)
        places.append(place)
        below[:] = sorted(
            child
            for child in below
            if not is_hidden(Path(child)) and not results.fill(place / child)
        )
    return places


@dataclass(frozen=True, slots=True, kw_only=True)
class _Results:
    """What this program has made itself: no inputs of another run."""

    folder: Path | None
    """They are in it."""

    marks: tuple[str, ...]
    """They have one of these behind the name of their input."""

    is_result: Callable[[Path], bool]
    """Tells it of a file by its contents."""

    def left_out_of(self, files: list[Path]) -> list[Path]:
        """Leave out those that lie beside their own input."""
        stems = {(file.parent, file.stem) for file in files}
        return [file for file in files if not self._is_beside_input(file, stems)]

    def _is_beside_input(self, file: Path, stems: set[tuple[Path, str]]) -> bool:
        stem = file.stem.removesuffix(PREVIEW_MARK)
        for mark in self.marks:
            begin = stem.removesuffix(mark)
            if begin != stem and (file.parent, begin) in stems:
                return True
            # Of an input whose name is very long, the result has only the beginning.
            if begin != stem and is_full(file.name):
                return any(at == file.parent and other.startswith(begin) for at, other in stems)
        # The name of a style may be anything.
        parts = stem.split("_")
        begins = ("_".join(parts[:count]) for count in range(1, len(parts)))
        return any((file.parent, begin) in stems for begin in begins) and self.is_result(file)

    def fill(self, folder: Path) -> bool:
        """Whether a folder holds nothing else."""
        if folder.name.endswith((RESULT_MARK, RESULT_MARK + PREVIEW_MARK)):
            return True
        if self.folder is not None and path_identity(folder) == path_identity(self.folder):
            return True
        try:
            return any(self.is_result(image) for image in images_in(folder)[:1])
        except InputError:
            return False


def check_source(path: Path) -> None:
    """Raise `InputError` where a glance at the disk shows that there is nothing to read."""
    if is_sequence_pattern(path):
        find_images(path)
    elif is_folder(path):
        if not images_in(path):
            raise InputError(
                f"{path}: the folder holds no videos and no images; "
                "--recursive looks into the folders below"
            )
    else:
        check_file(path)


def check_job_output(job: Job, *, overwrite: bool, images: Iterable[Path] = ()) -> None:
    """Apply `check_output` to a job that reads its source and some images."""
    check_output(
        job.output,
        (job.source, *images),
        overwrite=job.may_replace(overwrite),
        may_make_folder=job.create_folder,
    )


def check_file(path: Path) -> None:
    """Raise `InputError` where there is no file: for inputs that are never folders or patterns."""
    if is_folder(path):
        raise InputError(
            f"{path}: the folder holds no such files; --recursive looks into the folders below"
        )
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        what = "no file matches" if glob.has_magic(str(path)) else "there is no such file"
        raise InputError(f"{path}: {what}{did_you_mean(path)}") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{str(path)!r}: {error}") from error
    refuse_special(path)
    if not may(path, os.R_OK):
        raise InputError(f"{path}: no permission to read it")
