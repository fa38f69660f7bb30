"""`refvid decode`: latents that a pipeline saved -> video, with a reference image."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from refvid.errors import InputError
from refvid.latents.latents import LatentChunk, Latents
from refvid.latents.recognise import recognise_latents
from refvid.latents.wan import DEFAULT_RATE
from refvid.media.inputs import Job, check_job_output
from refvid.media.output_plan import plan_output
from refvid.media.pipeline import CheckStop, run_pipeline
from refvid.media.reader import Frame
from refvid.media.sequence import numbered_path
from refvid.media.work_folder import WorkFolder
from refvid.progress import ProgressCallback, ignore_progress
from refvid.rebuild.canvas import Canvas
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.choose_decoder import check_model, plain_decoder
from refvid.rebuild.hdr import stored_domain
from refvid.rebuild.identity import identify_run
from refvid.rebuild.implied_video import describe_latents
from refvid.rebuild.latent_chunks import first_frame, look_at, pace_of, stored_lengths
from refvid.rebuild.latents_options import DecodeOptions, LatentReferences
from refvid.rebuild.memory import plan_memory, remember_budget
from refvid.rebuild.out_of_memory import out_of_memory_errors
from refvid.rebuild.pixels import Pixels
from refvid.rebuild.plan import (
    Plan,
    Prepared,
    Report,
    Run,
    prepare_run,
)
from refvid.rebuild.provenance import PLAIN, Provenance, how_decoded
from refvid.rebuild.references import SceneReferences
from refvid.rebuild.result import create_result
from refvid.rebuild.resuming import (
    Boundary,
    FedSession,
    Keeper,
    finish_work,
    finished_files,
    open_work,
    resumed,
)
from refvid.rebuild.session import Session
from refvid.rebuild.trial import Trial, decoding
from refvid.rebuild.video import tell_references


def plan_decode(
    job: Job,
    references: LatentReferences,
    options: DecodeOptions,
    loaded: LoadedBackbone,
    trial: Trial | None = None,
) -> Plan:
    """Tell what `decode` would do, and raise what it would raise before its first frame.

    With a trial it also tells how long that would take.
    """
    source = _prepare(job, references, options, loaded)
    if trial is None:
        return source.prepared.plan
    if references.baseline:
        loaded = replace(loaded, backbone=plain_decoder(loaded.backbone))
    latents, reference = source.latents, source.reference
    channels, _, rows, _ = latents.tensor.shape
    stride = latents.padded_height // rows
    work = decoding(
        loaded.backbone.limits, channels, stride, lambda frame: reference.rehearse(frame, loaded)
    )
    return trial.plan(source.prepared, loaded, work)


def decode(
    job: Job,
    references: LatentReferences,
    options: DecodeOptions,
    loaded: LoadedBackbone,
    on_progress: ProgressCallback = ignore_progress,
    on_plan: Callable[[Plan], None] = lambda _plan: None,
) -> Report:
    """Decode one file of latents.

    Reading, computing and writing overlap; at most 3 chunks are alive at once. The output appears
    under its name when it is whole. `on_plan` hears what was decided before the work begins.

    Raises:
        InputError: The latents or the reference cannot be read, are damaged, made for another
            model, or leave open what they are.
        OutputError: The output cannot be written.
        OptionError: Options are impossible for this input or model.
        OutOfMemory: It does not fit, even in the smallest chunks and tiles.
    """
    started = time.monotonic()
    source = _prepare(job, references, options, loaded)
    prepared, picture = source.prepared, source.reference
    on_plan(prepared.plan)
    backbone = plain_decoder(loaded.backbone) if references.baseline else loaded.backbone
    identity = identify_run(
        job.source, options, loaded, images=picture.images, conditions=picture.asked
    )
    identity["baseline"] = str(references.baseline)
    run = Run(job, started, prepared.plan, on_progress)
    with open_work(job.output, prepared, identity, resume=options.resume) as work:
        source = replace(source, prepared=resumed(prepared, work))
        found = _decode(job, source, options, replace(loaded, backbone=backbone), run, work)
        finish_work(work)
    return run.report(**found)


def _decode(
    job: Job,
    source: _Source,
    options: DecodeOptions,
    loaded: LoadedBackbone,
    run: Run,
    work: WorkFolder | None,
) -> dict[str, Any]:
    """Write the result; fields of the report about what was found in references."""
    prepared, latents, info = source.prepared, source.latents, source.prepared.info
    with out_of_memory_errors():
        conditions = source.reference.prepare(info, prepared.canvas, loaded)
    feed = conditions.feed
    session = Session(loaded.backbone, loaded.device, prepared.budget)
    lengths = prepared.budget.lengths
    pace = pace_of(latents, lengths)
    keeper = Keeper(work, FedSession(session, feed), pace, (info.height, info.width))
    start = keeper.start
    run.go_on(finished_files(work, job.output), start.frames)
    dtype = np.dtype(np.uint16) if info.bit_depth > 8 else np.dtype(np.uint8)
    with (
        closing(conditions),
        create_result(
            job,
            prepared,
            options.encoding,
            Provenance(prepared.plan.model, source.how).origin(latents.source_type, None),
            overwrite=options.overwrite,
            work=work,
        ) as output,
    ):

        def read(check_stop: CheckStop) -> Iterator[LatentChunk]:
            for piece in latents.chunks(
                pace.first,
                pace.following,
                lengths.overlap // latents.temporal_stride,
                start=start.first,
                starts_shot=start.starts_shot,
            ):
                check_stop()
                yield piece

        def decode_chunk(chunk: LatentChunk) -> Tensor:
            first = first_frame(chunk, latents, loaded.backbone.limits)
            if feed is not None:
                rate = info.frame_rate or Fraction(DEFAULT_RATE)
                view = look_at(chunk, first, latents, rate)
                session.take_reference(feed.feed(view), first, len(view.moments))
            return session.decode(
                chunk.latents.to(loaded.device),
                (latents.padded_height, latents.padded_width),
                index=first,
                shared=chunk.shared,
                held_back=chunk.held_back,
                is_last=chunk.position + chunk.latents.shape[2] == latents.length,
            )

        @out_of_memory_errors()
        def compute(chunk: LatentChunk) -> tuple[Boundary | None, Pixels]:
            boundary = keeper.before_chunk(
                chunk.position, run.read, starts_shot=chunk.position == 0
            )
            if chunk.position < start.position:
                with session.untold():
                    decode_chunk(chunk)
                return None, np.empty((0, info.height, info.width, 3), dtype)
            clip = decode_chunk(chunk)
            # Without what encoding had padded.
            wanted = clip[:, :, : latents.frames - run.read, : info.height, : info.width]
            run.read += wanted.shape[2]
            return boundary, prepared.canvas.to_frames(wanted, dtype)

        def write(decoded: tuple[Boundary | None, Pixels], check_stop: CheckStop) -> None:
            boundary, pixels = decoded
            keeper.keep(boundary, output)
            for picture in pixels:
                check_stop()
                frame = Frame(
                    shown=picture,
                    index=run.written,
                    pts=run.written,
                    time_base=info.time_base,
                    duration=1,
                )
                output.write(picture, frame)
                run.count_written(numbered_path(job.output, frame.index))

        run_pipeline(read, compute, write)
        remember_budget(loaded, prepared, session.budget.now)
        # Inside the block: nothing is published if it fails.
        assert run.written == latents.frames, f"{latents.frames} planned, {run.written} out"
    return tell_references(session.uses, source.reference, conditions.remarks())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Latents with the reference that belongs to them, and what will be done."""

    prepared: Prepared
    latents: Latents
    reference: SceneReferences
    how: str
    """See `Provenance`."""


def _prepare(
    job: Job, references: LatentReferences, options: DecodeOptions, loaded: LoadedBackbone
) -> _Source:
    """Check everything that can be checked cheaply, and decide how the run will go."""
    latents = recognise_latents(job.source, replace(options.wishes, backbone=loaded.name))
    latents.check()
    if latents.items > 1 and options.wishes.item is None:
        raise InputError(
            f"{latents.path} holds {latents.items} videos: choose one with --item, from 0."
        )
    check_model(latents, loaded)
    if references.baseline:
        plain_decoder(loaded.backbone)
    rate, rate_reason = _choose_rate(options, latents)
    info = describe_latents(latents, rate, options.encoding)
    chosen = references.references.of(job.source, latents.image_name)
    picture = SceneReferences(chosen, has_pictures=False)
    canvas = Canvas(size=info.size, domain=stored_domain(latents.metadata, info.color))
    remarks = picture.read(info, canvas)
    check_job_output(job, overwrite=options.overwrite, images=picture.images)
    output = plan_output(job.output, info, options.encoding)
    memory = plan_memory(
        loaded, latents.path, info.height, info.width, partial(picture.held_bytes, canvas)
    )
    lengths = stored_lengths(latents, memory.budget.lengths)
    memory = memory._replace(budget=replace(memory.budget, lengths=lengths))
    prepared = prepare_run(
        "decode",
        job,
        loaded,
        info,
        memory,
        frames=latents.frames,
        canvas=canvas,
        output=output,
        notes=(*latents.warnings, *remarks, *output.notes, *memory.notes),
        latents=latents.to_json(),
        frame_rate=str(rate),
        frame_rate_reason=rate_reason,
        reference=picture.describe() + PLAIN * references.baseline,
    )
    return _Source(
        prepared=prepared,
        latents=latents,
        reference=picture,
        how=how_decoded(chosen, baseline=references.baseline),
    )


def _choose_rate(options: DecodeOptions, latents: Latents) -> tuple[Fraction, str]:
    if options.frame_rate is not None:
        return options.frame_rate, "as asked"
    if latents.frame_rate is not None:
        return latents.frame_rate, "stored in the file"
    return Fraction(DEFAULT_RATE), "what Wan's models generate; the file does not say"
