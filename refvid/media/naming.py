"""Naming results: inputs -> jobs, each with an output that is nobody else's."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from string import Formatter

from refvid.errors import InputError, OptionError
from refvid.media.file_kind import is_picture
from refvid.media.file_name import fitting_name
from refvid.media.folders import is_folder
from refvid.media.image_folder import images_in, numbered_pattern
from refvid.media.inputs import PREVIEW_MARK, Job, Source, result_mark
from refvid.media.outputs import check_replaces_no, path_identity
from refvid.media.sequence import is_pattern, is_sequence_pattern, stem_without_number


def plan_jobs(
    sources: Sequence[Source],
    output: str | None,
    *,
    suffix_of: Callable[[Path], str],
    preview: bool = False,
    style: str = "",
) -> list[Job]:
    """Name the output of every input.

    Args:
        sources: From `expand_inputs`.
        output: A file, a folder (it exists, or ends in a slash, or there are several inputs), a
            template with {dir}, {stem} and {ext}, or None for `{dir}/{stem}_refvid{ext}`; with a
            style {style} is known, too, and None is `{dir}/{stem}_{style}{ext}`.
        suffix_of: The container for an input, with its dot.
        preview: Whether the results are previews: these have names of their own, unless `output`
            is a file.
        style: What results are called after: two styles of one input have names of their own.

    Raises:
        OptionError: An output is also an input, two inputs share one output, or the template
            is wrong.
    """
    if output is not None and "\0" in output:
        raise OptionError("--output holds a zero byte, which no file name can")
    _refuse_loose_images(sources)
    several, mark = len(sources) > 1, PREVIEW_MARK if preview else ""
    jobs = [_plan_job(source, output, several, suffix_of, mark, style) for source in sources]
    _refuse_shared_outputs(jobs)
    return jobs


def _plan_job(
    source: Source,
    output: str | None,
    several: bool,
    suffix_of: Callable[[Path], str],
    mark: str,
    style: str,
) -> Job:
    path, ending = source.path, f"{result_mark(style)}{mark}"
    if output is None:
        result = _parent(source.album or path) / result_name(source, suffix_of, ending)
        return Job(source=path, output=result, create_folder=_has_own_folder(source))
    if "{" in output or "}" in output:
        named = Path(_fill_template(output, path, suffix_of, style))
        if mark and named.name:
            named = named.with_name(f"{named.stem}{mark}{named.suffix}")
        return Job(source=path, output=named, create_folder=False)
    folder = Path(output)
    if names_folder(output) or (several and not folder.suffix):
        result = folder / source.below / result_name(source, suffix_of, ending)
        return Job(source=path, output=result, create_folder=True)
    if not folder.suffix:
        raise OptionError(
            f"--output {output}: there is no such folder and no file type; "
            f"write {output}/ for a folder or {output}.mp4 for a file"
        )
    return Job(source=path, output=folder)


def names_folder(output: str) -> bool:
    """Whether `--output` means a folder, whatever the inputs are."""
    return is_folder(Path(output)) or output.endswith(("/", os.sep))


def _parent(path: Path) -> Path:
    # `.` and `..` have parents that their words do not show.
    return path.resolve().parent if path.name in ("", "..") else path.parent


def result_name(
    source: Source, suffix_of: Callable[[Path], str], ending: str, *, as_file: bool = False
) -> Path:
    """Name of a result below its folder; a sequence gets a folder of its own, as do pictures.

    Args:
        source: What it is made of.
        suffix_of: The container for that, with its dot.
        ending: What comes behind the name of that.
        as_file: A sequence becomes one file.
    """
    path = source.path
    if as_file:
        return Path(fitting_name(_stem(path), f"{ending}{suffix_of(path)}"))
    folder = fitting_name(_stem(source.album or path), ending)
    if is_sequence_pattern(path):
        return Path(folder, path.name)
    if source.album is not None:
        return Path(folder, f"{_stem(path)}{suffix_of(path)}")
    if is_folder(path):
        return Path(folder, _sequence_name(path))
    return Path(fitting_name(_stem(path), f"{ending}{suffix_of(path)}"))


def _picture_name(path: Path) -> str:
    # A single image may be called take%d.png: its result is one image, too.
    return path.name.replace("%", "_") if is_pattern(path) else path.name


def _sequence_name(folder: Path) -> str:
    """The names of the results of a folder's images: theirs, if they have something in common."""
    try:
        images = images_in(folder)
    except InputError:
        images = []  # its own job will say what is wrong with it
    if len(images) == 1:
        return _picture_name(images[0])
    pattern = numbered_pattern(images)
    return "%06d.png" if pattern is None else pattern.name


def _has_own_folder(source: Source) -> bool:
    path = source.path
    return source.album is not None or is_sequence_pattern(path) or is_folder(path)


def _stem(path: Path) -> str:
    if is_sequence_pattern(path):
        return stem_without_number(path).strip("_.- ") or "frames"
    return path.resolve().name if is_folder(path) else Path(_picture_name(path)).stem


def _fill_template(template: str, path: Path, suffix_of: Callable[[Path], str], style: str) -> str:
    try:
        pieces = list(Formatter().parse(template))
    except ValueError as error:
        raise OptionError(f"--output {template}: {error}") from error
    # In a pattern, a percent sign of the input's own name must not become a number.
    percent = "%%" if is_pattern(Path(template)) else "%"
    words = {
        "dir": lambda: str(_parent(path)),
        "stem": lambda: _stem(path).replace("%", percent),
        "ext": lambda: suffix_of(path),
    }
    if style:
        words["style"] = lambda: style
    known = ", ".join(f"{{{word}}}" for word in words)
    filled = ""
    for literal, name, spec, conversion in pieces:
        filled += literal
        if name is None:
            continue
        if name not in words or spec or conversion:
            raise OptionError(f"--output {template}: a template knows {known}, as they are")
        filled += words[name]()
    return filled


def _refuse_loose_images(sources: Sequence[Source]) -> None:
    images = [source.path for source in sources if source.album is None and is_picture(source.path)]
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
