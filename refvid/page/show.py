"""What the page says of files, work and results, and the pictures that it shows of them."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from refvid.latents.latents import Latents
from refvid.media.pixel_conversion import Pixels, to_uint8
from refvid.media.reader import open_video, read_frame
from refvid.media.sequence import is_pattern
from refvid.media.video_info import VideoInfo, read_video_info
from refvid.page.jobs import Job, Jobs
from refvid.progress import Progress, Transfer
from refvid.wording import counted

if TYPE_CHECKING:
    from refvid.rebuild.plan import Report

_PLAYS = {".mp4": "h264", ".webm": "vp9"}
"""What all browsers play, by the suffix."""


def plain(text: object) -> str:
    """Text as it is, within Markdown."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~$&])", r"\\\1", str(text))


def describe_source(info: VideoInfo | Latents) -> str:
    """What was found in a file, in a line or two of Markdown."""
    name, size = plain(info.path.name), f"{info.width}×{info.height}"
    if isinstance(info, Latents):
        made_by = f" by {plain(info.producer)}" if info.producer else ""
        facts = [size, counted(info.frames, "frame"), f"latents of {info.backbone}{made_by}"]
        return "\n\n".join([f"**{name}**: {', '.join(facts)}", *map(plain, info.warnings)])
    facts = [size]
    if info.frame_count is not None:
        about = "" if info.frame_count_is_exact else "about "
        facts.append(about + counted(info.frame_count, "frame"))
    if info.frame_rate:
        facts.append(f"{float(info.frame_rate):.5g} per second")
    facts += [info.codec, *([info.hdr] if info.hdr else [])]
    if info.audio:
        facts.append(counted(len(info.audio), "sound track"))
    return f"**{name}**: {plain(', '.join(facts))}"


def is_sequence(info: VideoInfo | Latents) -> bool:
    """Whether it is several images, which may stay images or become a video."""
    return isinstance(info, VideoInfo) and info.is_image_sequence and not info.path.is_file()


def describe_job(job: Job, jobs: Jobs) -> str:
    """How far a job is, in a line of Markdown."""
    if job.state == "waiting":
        before = [other.number for other in jobs.list()[0]].index(job.number)
        return f"Waiting: {counted(before, 'job')} before this one."
    if job.is_stopping:
        return "Stopping …"
    if job.state == "working":
        return f"{plain(job.source.name)}: {_tell(job.how_far)}"
    if job.state == "stopped":
        return "Cancelled. Nothing was written."
    if job.state == "failed":
        return f"**{plain(job.error)}**"
    return f"Done: **{plain(name_output(job))}**"


def name_job(job: Job) -> str:
    """A job that is not over, in a line of plain text."""
    how_far = "waiting" if job.state == "waiting" else _tell(job.how_far)
    return f"{job.title} → {name_output(job)}: {'stopping …' if job.is_stopping else how_far}"


def name_output(job: Job) -> str:
    """The result, as it is called in the page's folder."""
    output = job.output
    return f"{output.parent.name}/{output.name}" if is_pattern(output) else output.name


def _tell(how_far: Progress | Transfer | None) -> str:
    if how_far is None:
        return "getting ready …"
    if isinstance(how_far, Transfer):
        share = f" {how_far.done / how_far.total:.0%}" if how_far.total else ""
        return f"{how_far.step}{share} …"
    return f"{how_far.done} of {how_far.total or '?'} frames"


def describe_report(report: Report) -> str:
    """What was found in the references, and what else there is to know, in Markdown."""
    # Without the paths of uploads, and whichever of it stands among the notes.
    told = [replace(one, name=Path(one.name).name).describe() for one in report.served]
    known = {one.describe() for one in report.served}
    if report.references is not None:
        known.add(report.references.describe())
        told = told or [report.references.describe()]
    lines = [plain(_sentence(words)) for words in told]
    if report.references is not None and report.references.total.found:
        is_registered = report.references.total.is_registered
        lines.append(_REGISTERED if is_registered else _NOT_REGISTERED)
    notes = [note for note in (*report.plan.notes, *report.notes) if note not in known]
    lines += [plain(_sentence(note)) for note in notes]
    lines += [f"**{plain(_sentence(warning))}**" for warning in report.warnings]
    how = f"in {report.seconds:.1f} s, by {report.plan.model} on {report.plan.device}"
    lines.append(plain(f"{counted(report.frames, 'frame')} {how}."))
    return "\n\n".join(lines)


_REGISTERED = "Size, place and colours of the reference were brought to those of the video."
_NOT_REGISTERED = "The reference was laid over the frames as it is."


def _sentence(words: str) -> str:
    """Notes begin with a small letter, unless it is the name of a file."""
    first = words if "." in words.partition(" ")[0] else f"{words[:1].upper()}{words[1:]}"
    return first + ("" if words.endswith((".", "?")) else ".")


def read_pair(job: Job, index: int) -> tuple[Pixels, Pixels]:
    """A frame of a finished result, and before it the same one of its source.

    Args:
        job: One with a place where it begins in its source.
        index: Of the frame in the result, from 0.

    Returns:
        Two pictures of one size, (H, W, 3) RGB, uint8.

    Raises:
        InputError: One of the files was changed or removed.
    """
    begins: Fraction | int | None = job.begins
    with open_video(job.source, start=begins, frames=1, rate=job.rate) as video:
        first = next(iter(video)).index
    before = to_uint8(read_frame(job.source, index=first + index).pixels)
    after = to_uint8(read_frame(job.output, index=index).pixels)
    height, width = after.shape[:2]
    if before.shape != after.shape:
        before = np.asarray(cv2.resize(before, (width, height), interpolation=cv2.INTER_CUBIC))
    return before, after


def plays_in_browsers(path: Path) -> bool:
    """Whether all browsers play a result."""
    codec = _PLAYS.get(path.suffix.lower())
    return codec is not None and read_video_info(path).codec == codec
