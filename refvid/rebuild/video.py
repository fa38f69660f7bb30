"""The one path of a video through a model: read, chunks, decode, write.

`enhance` and `stylize` are this with something of their own to condition the decoder on.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from refvid.media.inputs import Job, check_job_output
from refvid.media.output_plan import plan_output
from refvid.media.pipeline import CheckStop, run_pipeline
from refvid.media.reader import Frame, VideoReader, open_video
from refvid.media.sequence import numbered_path
from refvid.media.work_folder import WorkFolder
from refvid.progress import ProgressCallback
from refvid.rebuild.canvas import Canvas
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.chunks import Chunk, split_into_chunks
from refvid.rebuild.cuts import FRAMES_BEFORE, mark_shots
from refvid.rebuild.findings import ReferenceTally
from refvid.rebuild.hdr import domain_notes, find_domain
from refvid.rebuild.identity import identify_run
from refvid.rebuild.memory import plan_memory, remember_budget
from refvid.rebuild.options import RebuildOptions
from refvid.rebuild.out_of_memory import out_of_memory_errors
from refvid.rebuild.parts import Assembler, MakeParts, PartMaker
from refvid.rebuild.pixels import Pixels
from refvid.rebuild.plan import (
    Plan,
    Prepared,
    Report,
    Run,
    count_frames,
    prepare_run,
    read_source,
)
from refvid.rebuild.provenance import Provenance, how_rebuilt
from refvid.rebuild.rebuilder import Rebuilder
from refvid.rebuild.reference_feed import Moment
from refvid.rebuild.references import Conditioning, Conditions
from refvid.rebuild.result import create_result
from refvid.rebuild.resuming import (
    Boundary,
    Keeper,
    Pace,
    finish_work,
    finished_files,
    open_work,
    resumed,
    without_known_cuts,
)
from refvid.rebuild.session import Session
from refvid.rebuild.trial import Trial, Work
from refvid.rebuild.unchanged import what_changes

_MOST_TOLD = 12
"""References of which the summary says what frames they served."""


def prepare(
    job: Job, conditioning: Conditioning, options: RebuildOptions, loaded: LoadedBackbone
) -> Prepared:
    """Check everything that can be checked cheaply, and decide how the run will go.

    Raises:
        InputError: The source or what conditions the decoder cannot be read, or the source is HDR
            and that is not allowed.
        OutputError: The output cannot be written there or like that.
        OptionError: Options are impossible for this input or model.
        OutOfMemory: Frames of this size do not fit into memory.
    """
    info = read_source(job, options)
    check_job_output(job, overwrite=options.overwrite, images=conditioning.images)
    larger = options.enlargement.apply(info)
    canvas = Canvas(size=larger.size, domain=find_domain(info, options))
    output = plan_output(job.output, larger, options.encoding)
    remarks = [
        *options.enlargement.notes(info, larger),
        *domain_notes(info, canvas.domain),
        *conditioning.read(info, canvas),
    ]
    if options.strength == 0 and larger is info:
        remarks.append(what_changes(info, output))
    memory = plan_memory(
        loaded,
        info.path,
        larger.height,
        larger.width,
        partial(conditioning.held_bytes, canvas),
    )
    return prepare_run(
        "rebuild",
        job,
        loaded,
        info,
        memory,
        frames=count_frames(info, options),
        canvas=canvas,
        output=output,
        notes=(*output.notes, *remarks, *memory.notes),
        reference=conditioning.describe(),
    )


def plan_rebuild(
    job: Job,
    conditioning: Conditioning,
    options: RebuildOptions,
    loaded: LoadedBackbone,
    trial: Trial | None = None,
) -> Plan:
    """Tell what `rebuild` would do, and with a trial how long that would take."""
    prepared = prepare(job, conditioning, options, loaded)
    if trial is None or options.strength == 0:
        return prepared.plan
    work = Work(
        condition=lambda frame: conditioning.rehearse(frame, loaded), run=Session.rebuild_whole
    )
    return trial.plan(prepared, loaded, work)


def rebuild(
    job: Job,
    conditioning: Conditioning,
    options: RebuildOptions,
    loaded: LoadedBackbone,
    on_progress: ProgressCallback,
    make_parts: MakeParts | None = None,
) -> Report:
    """Take one video through the model.

    Reading, computing and writing overlap; at most 3 chunks of frames are alive at once. The
    output appears under its name when it is whole. Of an interrupted run, what was finished stays
    beside it in a hidden folder, and the next one of the same work goes on there.

    Args:
        job: The video, and where its result goes.
        conditioning: What the decoder is conditioned on.
        options: How it is rebuilt.
        loaded: The model.
        on_progress: Hears of every frame that is written.
        make_parts: Has other processes rebuild it, part by part.

    Raises:
        InputError, OutputError, OptionError: See `prepare`.
        OutOfMemory: It does not fit, even in the smallest chunks and tiles.
    """
    started = time.monotonic()
    prepared = prepare(job, conditioning, options, loaded)
    images, asked = conditioning.images, conditioning.asked
    identity = identify_run(job.source, options, loaded, images=images, conditions=asked)
    run = Run(job, started, prepared.plan, on_progress)
    if make_parts is not None:
        # Where a stretch ends no state is kept: one device alone cannot go on there.
        identity = {**identity, "number of devices": "several"}
    with open_work(job.output, prepared, identity, resume=options.resume) as work:
        found = _rebuild(
            job, conditioning, options, loaded, resumed(prepared, work), run, work, make_parts
        )
        finish_work(work)
    return run.report(**found)


def _rebuild(
    job: Job,
    conditioning: Conditioning,
    options: RebuildOptions,
    loaded: LoadedBackbone,
    prepared: Prepared,
    run: Run,
    work: WorkFolder | None,
    make_parts: MakeParts | None,
) -> dict[str, Any]:
    """Write the result; fields of the report about what was found on the way."""
    conditions = Conditions()
    if options.strength > 0 and make_parts is None:
        with out_of_memory_errors():
            conditions = conditioning.prepare(prepared.info, prepared.canvas, loaded)
    rebuilder = Rebuilder(
        loaded, conditions, prepared.budget, canvas=prepared.canvas, strength=options.strength
    )
    if make_parts is not None:
        rebuilder = Assembler(make_parts, rebuilder, work)
    lengths, (width, height) = prepared.budget.lengths, prepared.canvas.size
    keeper = Keeper(
        work,
        rebuilder,
        Pace.of(lengths),
        (height, width),
        has_model=options.strength > 0,
    )
    start, rebuilder.cuts = keeper.start, [*keeper.cuts]
    read_from = max(0, min(start.first, start.position - FRAMES_BEFORE))
    run.go_on(finished_files(work, job.output), start.frames)
    run.read = read_from
    # What is not to be changed goes from decoder to encoder, not by way of RGB.
    is_unchanged = options.strength == 0 and prepared.canvas.size == prepared.info.size
    how = how_rebuilt(conditioning.provenance(), options)
    assert prepared.output is not None
    source_type = conditioning.source_type.of(prepared.output.source_type)
    origin = Provenance(loaded.name, how).origin(source_type, job.source)
    zero = prepared.info.start_time
    with (
        closing(conditions),
        _open(job, options, prepared, keep_decoded=is_unchanged) as video,
        create_result(
            job,
            prepared,
            options.encoding,
            origin,
            overwrite=options.overwrite,
            trim=video.trim,
            work=work,
        ) as output,
    ):
        video.skip(read_from)

        def read(check_stop: CheckStop) -> Iterator[Chunk[Frame]]:
            if job.piped is not None:
                job.piped.check_stop = check_stop
            frames = run.count_read(video, check_stop)
            marked = mark_shots(
                frames, lambda frame: frame.pixels, detect_cuts=options.cut_detection
            )
            needed = without_known_cuts(marked, read_from, start)
            return split_into_chunks(
                needed,
                lengths,
                lookahead=loaded.backbone.limits.lookahead,
                index=start.first,
                starts_shot=start.starts_shot,
                shared=start.shared,
            )

        def compute(chunk: Chunk[Frame]) -> _Rebuilt:
            moments = [Moment(frame.index, frame.time - zero) for frame in chunk.frames]
            pictures = [frame.pixels for frame in chunk.frames]
            boundary = keeper.before_chunk(
                chunk.index,
                chunk.index,
                starts_shot=chunk.starts_shot,
                shared=chunk.shared,
                cuts=rebuilder.cuts,
            )
            if chunk.index < start.position:
                rebuilder.warm_up(chunk, pictures, moments)
                return _Rebuilt()
            return _Rebuilt(boundary, chunk.final, rebuilder.rebuild(chunk, pictures, moments))

        def write(rebuilt: _Rebuilt, check_stop: CheckStop) -> None:
            keeper.keep(rebuilt.before, output)
            for frame, pixels in zip(rebuilt.frames, rebuilt.pixels, strict=True):
                check_stop()
                if is_unchanged:
                    output.write_unchanged(frame)
                else:
                    output.write(pixels, frame)
                run.count_written(_file_of(frame, job.output))

        run_pipeline(read, compute, write)
        remember_budget(loaded, prepared, rebuilder.session.budget.now)
        # Inside the block: nothing is published if it fails.
        assert run.written == run.read, f"{run.read} in, {run.written} out"
    found = tell_references(rebuilder.session.uses, conditioning, conditions.remarks())
    return {"cuts": tuple(rebuilder.cuts), **found}


def _open(
    job: Job, options: RebuildOptions, prepared: Prepared, *, keep_decoded: bool
) -> VideoReader:
    if job.piped is not None:
        return job.piped.open(options.range, keep_decoded=keep_decoded)
    return open_video(job.source, options.range, info=prepared.info, keep_decoded=keep_decoded)


class _Rebuilt(NamedTuple):
    """What becomes of a chunk."""

    before: Boundary | None = None
    """The end of the stretch before it, if one ends there."""

    frames: tuple[Frame, ...] = ()
    pixels: Iterable[Pixels] = ()


def begin_parts(
    job: Job, conditioning: Conditioning, options: RebuildOptions, loaded: LoadedBackbone
) -> PartMaker:
    """Get ready to rebuild parts of one video, for the `make_parts` of `rebuild`; see `prepare`."""
    return PartMaker(
        job, prepare(job, conditioning, options, loaded), conditioning, options, loaded
    )


def tell_references(
    uses: ReferenceTally, conditioning: Conditioning, remarks: Sequence[str] = ()
) -> dict[str, Any]:
    """Fields of a report: what was found in references, and which of them served what."""
    names, findings = conditioning.names, uses.findings()
    served = uses.served(names)
    notes = [] if findings is None else [findings.describe()]
    if len(names) > 1:
        notes += [one.describe() for one in served[:_MOST_TOLD]]
        if len(served) > _MOST_TOLD:
            notes.append(f"and {len(served) - _MOST_TOLD} more references: --json has them all")
    return {
        "references": findings,
        "served": served,
        "notes": tuple(notes),
        "warnings": (*([] if findings is None else conditioning.judge(findings)), *remarks),
    }


def _file_of(frame: Frame, output: Path) -> Path:
    """The file that a frame goes to: an image of a sequence, or the one video."""
    return numbered_path(output, frame.index if frame.number is None else frame.number)
