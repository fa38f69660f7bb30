"""Many inputs: words on the command line -> jobs (source, output), and which of them can run.

Nothing here imports torch or opens a file, so that wrong words and names fail at once.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING

from refvid.errors import InputError, OptionError
from refvid.media.image import IMAGE_SUFFIXES
from refvid.media.outputs import check_output, check_replaces_no, path_identity
from refvid.media.sequence import find_images, is_sequence_pattern

if TYPE_CHECKING:
    from refvid.media.video_info import VideoInfo

# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".3g2", ".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4",
    ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogm", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
})
# fmt: on
RESULT_MARK = "_refvid"

_PATTERN = re.compile(r"%0?[0-9]{0,2}d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One input."""

    path: Path
    """A video, an image-sequence pattern such as `shot_%04d.png`, or a folder of images."""

    below: Path = Path()
    """Folders between the folder that was given and this file; kept under `--output DIR/`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One input and where its result goes."""

    source: Path
    output: Path
    create_folder: bool = False
    """Whether the output's folder may be made; else it must exist."""

    info: VideoInfo | None = None
    """What was learned of the source while its output was named."""


def expand_inputs(
    words: Sequence[str],
    *,
    recursive: bool = False,
    results: Path | None = None,
    accepts: Callable[[Path], bool] | None = None,
) -> list[Source]:
    """Turn files, globs, folders and patterns into single inputs, in order and without doubles.

    A word that matches nothing stays as it is: `check_source` says what is wrong with it, and
    the rest of the batch can go on. `results` is a folder in which recursion finds nothing,
    because this program's own outputs go there. `accepts` tells which files of a folder are
    inputs; None takes videos, or else folders of images.
    """
    sources: dict[str, Source] = {}
    for word in words:
        for source in _expand_word(word, recursive, results, accepts):
            sources.setdefault(path_identity(source.path), source)
    return list(sources.values())


def _expand_word(
    word: str, recursive: bool, results: Path | None, accepts: Callable[[Path], bool] | None
) -> list[Source]:
    path = Path(word)
    if path.is_dir():
        folders = _walk(path, results) if recursive else [path]
        return _sources_in(path, folders, accepts) or [Source(path=path)]
    if path.exists() or is_sequence_pattern(path) or not glob.has_magic(word):
        return [Source(path=path)]
    # Windows shells do not expand wildcards, nor does any shell inside quotes.
    found = [Path(name) for name in sorted(_glob(word))]
    files = _without_results([file for file in found if file.is_file()])
    return [Source(path=file) for file in files] or [Source(path=path)]


def _glob(words: str) -> list[str]:
    # Path.glob refuses absolute patterns.
    return glob.glob(words, recursive=True)  # noqa: PTH207


def _sources_in(
    folder: Path, places: list[Path], accepts: Callable[[Path], bool] | None
) -> list[Source]:
    """Inputs in some places below a folder; where there are no videos, folders of images."""
    is_input = accepts or (lambda file: file.suffix.lower() in VIDEO_SUFFIXES)
    content = {
        place: sorted(file for file in place.iterdir() if file.is_file()) for place in places
    }
    videos = [
        Source(path=file, below=place.relative_to(folder))
        for place, files in content.items()
        for file in _without_results([file for file in files if is_input(file)])
    ]
    if videos or accepts:
        return videos
    return [
        Source(path=place, below=place.parent.relative_to(folder) if place != folder else Path())
        for place, files in content.items()
        if any(file.suffix.lower() in IMAGE_SUFFIXES for file in files)
    ]


def _walk(folder: Path, results: Path | None) -> list[Path]:
    places = []
    # Links to folders are not followed: they may lead in circles.
    for name, below, _ in os.walk(folder):
        place = Path(name)
        places.append(place)
        below[:] = sorted(
            child
            for child in below
            if not child.endswith(RESULT_MARK)
            and (results is None or path_identity(place / child) != path_identity(results))
        )
    return places


def _without_results(files: list[Path]) -> list[Path]:
    """Leave out results of an earlier run that lie beside their own input."""
    stems = {(file.parent, file.stem) for file in files}
    return [
        file
        for file in files
        if not file.stem.endswith(RESULT_MARK)
        or (file.parent, file.stem.removesuffix(RESULT_MARK)) not in stems
    ]


def plan_jobs(
    sources: Sequence[Source],
    output: str | None,
    *,
    suffix_of: Callable[[Path], str],
) -> list[Job]:
    """Name the output of every input.

    Args:
        sources: From `expand_inputs`.
        output: A file, a folder (it exists, or ends in a slash, or there are several inputs), a
            template with {dir}, {stem} and {ext}, or None for `{dir}/{stem}_refvid{ext}`.
        suffix_of: The container for an input, with its dot.

    Raises:
        OptionError: An output is also an input, two inputs share one output, or the template
            is wrong.
    """
    if output is not None and "\0" in output:
        raise OptionError("--output holds a zero byte, which no file name can")
    _refuse_loose_images(sources)
    jobs = [_plan_job(source, output, len(sources) > 1, suffix_of) for source in sources]
    _refuse_shared_outputs(jobs)
    return jobs


def _plan_job(
    source: Source, output: str | None, several: bool, suffix_of: Callable[[Path], str]
) -> Job:
    path = source.path
    if output is None:
        result = _parent(path) / _result_name(path, suffix_of)
        return Job(source=path, output=result, create_folder=_is_sequence(path))
    if "{" in output or "}" in output:
        named = Path(_fill_template(output, path, suffix_of))
        return Job(source=path, output=named, create_folder=False)
    folder = Path(output)
    if folder.is_dir() or output.endswith(("/", os.sep)) or (several and not folder.suffix):
        result = folder / source.below / _result_name(path, suffix_of)
        return Job(source=path, output=result, create_folder=True)
    if not folder.suffix:
        raise OptionError(
            f"--output {output}: there is no such folder and no file type; "
            f"write {output}/ for a folder or {output}.mp4 for a file"
        )
    return Job(source=path, output=folder)


def _parent(path: Path) -> Path:
    # `.` and `..` have parents that their words do not show.
    return path.resolve().parent if path.name in ("", "..") else path.parent


def _result_name(path: Path, suffix_of: Callable[[Path], str]) -> Path:
    """Name of a result below its folder; a sequence gets a folder of its own."""
    name = f"{_stem(path)}{RESULT_MARK}"
    if is_sequence_pattern(path):
        return Path(name, path.name)
    if path.is_dir():
        return Path(name, "%06d.png")
    return Path(f"{name}{suffix_of(path)}")


def _stem(path: Path) -> str:
    if is_sequence_pattern(path):
        return _PATTERN.sub("", path.stem).strip("_.- ") or "frames"
    return path.resolve().name if path.is_dir() else path.stem


def _fill_template(template: str, path: Path, suffix_of: Callable[[Path], str]) -> str:
    try:
        pieces = list(Formatter().parse(template))
    except ValueError as error:
        raise OptionError(f"--output {template}: {error}") from error
    words = {
        "dir": lambda: str(_parent(path)),
        "stem": lambda: _stem(path),
        "ext": lambda: suffix_of(path),
    }
    filled = ""
    for literal, name, spec, conversion in pieces:
        filled += literal
        if name is None:
            continue
        if name not in words or spec or conversion:
            raise OptionError(
                f"--output {template}: a template knows {{dir}}, {{stem}} and {{ext}}, as they are"
            )
        filled += words[name]()
    return filled


def _refuse_loose_images(sources: Sequence[Source]) -> None:
    images = [
        source.path
        for source in sources
        if source.path.suffix.lower() in IMAGE_SUFFIXES and source.path.is_file()
    ]
    if len(images) > 1:
        raise OptionError(
            f"{images[0]} and {len(images) - 1} more are single images; for an image sequence give "
            "its folder, or a pattern such as shot_%04d.png"
        )


def _refuse_shared_outputs(jobs: Sequence[Job]) -> None:
    taken: dict[str, Path] = {}
    for job in jobs:
        other = taken.setdefault(path_identity(job.output), job.source)
        if other != job.source:
            raise OptionError(
                f"{other} and {job.source} would both be written to {job.output}; "
                "give a folder, or a template with {stem}"
            )
    check_replaces_no([job.output for job in jobs], [job.source for job in jobs])


def _is_sequence(path: Path) -> bool:
    return is_sequence_pattern(path) or path.is_dir()


def check_source(path: Path) -> None:
    """Raise `InputError` where a glance at the disk shows that there is nothing to read."""
    if is_sequence_pattern(path):
        find_images(path)
    elif path.is_dir():
        if not any(file.suffix.lower() in IMAGE_SUFFIXES for file in path.iterdir()):
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
        overwrite=overwrite,
        may_make_folder=job.create_folder,
    )


def check_file(path: Path) -> None:
    """Raise `InputError` where there is no file: for inputs that are never folders or patterns."""
    if path.is_dir():
        raise InputError(
            f"{path}: the folder holds no such files; --recursive looks into the folders below"
        )
    if not path.exists():
        what = "no file matches" if glob.has_magic(str(path)) else "there is no such file"
        raise InputError(f"{path}: {what}")
