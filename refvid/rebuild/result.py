"""Opening the writer of a result, alike for all that goes through a model."""

from __future__ import annotations

from refvid.media.encoding import Encoding
from refvid.media.inputs import Job
from refvid.media.origin_marks import Origin
from refvid.media.reader import Trim
from refvid.media.video_writer import VideoWriter
from refvid.media.work_folder import WorkFolder
from refvid.media.writer import create_video
from refvid.rebuild.plan import Prepared


def create_result(
    job: Job,
    prepared: Prepared,
    encoding: Encoding,
    origin: Origin,
    *,
    overwrite: bool,
    trim: Trim | None = None,
    work: WorkFolder | None = None,
) -> VideoWriter:
    """Prepare to write what a job asks for, as it was planned.

    Args:
        job: Where the result goes.
        prepared: What the source is, and how the result is written.
        encoding: The user's wishes, which the plan follows.
        origin: How the result was made.
        overwrite: Replace an existing output.
        trim: See `create_video`.
        work: Where finished stretches are kept.

    Raises:
        OutputError, OptionError: See `create_video`.
    """
    return create_video(
        job.output,
        like=prepared.info,
        encoding=encoding,
        plan=prepared.output,
        trim=trim,
        overwrite=job.may_replace(overwrite),
        create_folder=job.create_folder,
        origin=origin,
        work=work,
        sink=job.sink,
    )
