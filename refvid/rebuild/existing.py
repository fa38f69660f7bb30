"""What stands where a result would go: is it the whole result, made as asked? Imports no torch.

`--skip-existing` leaves out what is done. A part of a result, and one that was made in another way,
is made again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, Self

from safetensors import SafetensorError, safe_open

from refvid.errors import InputError
from refvid.media.container import open_container
from refvid.media.frame_range import FrameRange
from refvid.media.image import IMAGE_SUFFIXES
from refvid.media.image_facts import read_image_comment, read_image_size
from refvid.media.image_marks import plain_comment
from refvid.media.inputs import Job
from refvid.media.outputs import output_exists
from refvid.media.sequence import find_images, is_image_sequence, is_pattern, numbered_path
from refvid.media.video_info import VideoInfo, read_video_info
from refvid.rebuild.options import SourceOptions
from refvid.rebuild.provenance import Provenance

_ESTIMATE: Final = 0.1
"""By what share a number of frames may be wrong where a container does not tell it."""

_ESTIMATE_FRAMES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """What was found."""

    problem: str | None = None
    """Why it is not the result, as in `out.mp4 has 3 of 50 frames`; None: it is."""

    is_ours: bool = False
    """Whether it says that refvid made it: then it may be replaced."""

    remark: str = "exists and is whole"
    """Why it is."""


_UNCOMPARED: Final = Existing(remark="exists; its input cannot be read, to compare")


def is_result(path: Path) -> bool:
    """Whether a file says that refvid made it, whatever it is called."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return Provenance.find(read_image_comment(path)) is not None
    try:
        with open_container(path) as container:
            comment = _comment(container.metadata)
    except InputError:
        return False
    return Provenance.find(comment) is not None


def find_video(
    job: Job, how: str | None, options: SourceOptions | None = None, model: str | None = None
) -> Existing | None:
    """Look at what stands where a video, an image or a sequence of images would go.

    Args:
        job: The job.
        how: How it would be made, see `Provenance`; None does not compare it.
        options: Which part of the source is asked for; None for sources without frames.
        model: By which model it would be made; None where any will do.

    Returns:
        None where there is nothing.
    """
    output = job.output
    if not output_exists(output):
        return None
    try:
        wanted = None if options is None else _count_source(job, options)
    except InputError:
        return _UNCOMPARED  # nothing could be made in its place
    is_images = is_pattern(output) or output.suffix.lower() in IMAGE_SUFFIXES
    try:
        found = _look_at_images(job) if is_images else _look_at_video(output)
    except InputError as error:
        return Existing(problem=f"{output} cannot be read ({error})")
    if found is None:
        return None
    count, comments = found
    origins = [Provenance.find(comment) for comment in comments]
    origin = origins[0]
    problem = None
    if count is not None and wanted is not None and count.lacks(wanted):
        problem = f"{output} has {count.frames} of {wanted.frames} frames"
    elif origin is not None and not _is_made_like(origin, how, model):
        problem = f"{output} was made in another way ({origin.model}, {origin.how})"
    return Existing(problem=problem, is_ours=None not in origins)


def find_latents(job: Job, options: SourceOptions, model: str | None) -> Existing | None:
    """Look at what stands where a file of latents would go; see `find_video`."""
    output = job.output
    if not output_exists(output):
        return None
    try:
        wanted = _count_source(job, options)
    except InputError:
        return _UNCOMPARED
    try:
        with safe_open(output, framework="numpy") as file:
            facts = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        return Existing(problem=f"{output} cannot be read ({error})")
    if "refvid" not in facts:
        return Existing()
    frames = facts.get("frames", "")
    count = _Count(int(frames), is_exact=True) if frames.isdecimal() else None
    problem = None
    if count is not None and wanted is not None and count.lacks(wanted):
        problem = f"{output} has {frames} of {wanted.frames} frames"
    elif model not in (None, facts.get("backbone")):
        problem = f"{output} holds latents of {facts.get('backbone')}"
    return Existing(problem=problem, is_ours=True)


@dataclass(frozen=True, slots=True)
class _Count:
    """A number of frames, and whether it is certain."""

    frames: int
    is_exact: bool

    @classmethod
    def of(cls, info: VideoInfo, part: FrameRange) -> Self | None:
        frames = part.count_frames(info.frame_count, info.frame_rate)
        if frames is None:
            return None
        # Times are turned into frames by the average rate.
        is_timed = isinstance(part.start, Fraction) or isinstance(part.end, Fraction)
        is_exact = info.frame_count_is_exact and not (is_timed and info.is_variable_rate)
        return cls(frames, is_exact)

    def lacks(self, wanted: _Count) -> bool:
        if self.is_exact and wanted.is_exact:
            return self.frames < wanted.frames
        return self.frames < wanted.frames * (1 - _ESTIMATE) - _ESTIMATE_FRAMES


def _count_source(job: Job, options: SourceOptions) -> _Count | None:
    info = job.info or read_video_info(job.source, rate=options.sequence_rate)
    return _Count.of(info, options.range)


_Found = tuple[_Count | None, list[str | None]]
"""How many frames there are, and what they say of themselves."""


def _look_at_video(output: Path) -> _Found:
    info = read_video_info(output)
    return _Count.of(info, FrameRange()), [_comment(info.metadata)]


def _comment(metadata: Mapping[str, str]) -> str | None:
    return next((text for key, text in metadata.items() if key.lower() == "comment"), None)


def _look_at_images(job: Job) -> _Found | None:
    """What is there of the images; those that the source does not have are not looked at."""
    output = job.output
    paths = [image.path for image in find_images(output)]
    if is_pattern(output) and is_image_sequence(job.source):
        wanted = {numbered_path(output, image.number) for image in find_images(job.source)}
        paths = [path for path in paths if path in wanted]
    if not paths:
        return None
    for path in paths:
        if read_image_size(path) is None:
            raise InputError(f"{path} is damaged")
    return _Count(len(paths), is_exact=True), [read_image_comment(path) for path in paths]


def _is_made_like(origin: Provenance, how: str | None, model: str | None) -> bool:
    if model not in (None, origin.model):
        return False
    return how is None or plain_comment(how) == plain_comment(origin.how)
