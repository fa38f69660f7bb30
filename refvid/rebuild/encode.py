"""`refvid encode`: video -> latents, for `refvid decode` and for other programs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from refvid import __version__
from refvid.errors import InputError
from refvid.latents.write import LatentWriter
from refvid.media.inputs import Job, check_job_output
from refvid.media.origin_marks import read_origin_marks
from refvid.media.pipeline import CheckStop, run_pipeline
from refvid.media.reader import Frame, open_video
from refvid.media.video_info import VideoInfo
from refvid.media.work_folder import WorkFolder
from refvid.progress import ProgressCallback, ignore_progress
from refvid.rebuild.canvas import Canvas
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.chunks import Chunk, split_into_chunks
from refvid.rebuild.hdr import domain_facts, domain_notes, find_domain
from refvid.rebuild.identity import identify_run
from refvid.rebuild.latents_options import check_latents_name
from refvid.rebuild.memory import Budget, plan_memory, remember_budget
from refvid.rebuild.options import SourceOptions
from refvid.rebuild.out_of_memory import out_of_memory_errors
from refvid.rebuild.pixels import padded_size
from refvid.rebuild.plan import (
    Plan,
    Prepared,
    Report,
    Run,
    count_frames,
    prepare_run,
    read_source,
    refuse_independent_chunks,
)
from refvid.rebuild.resuming import (
    Boundary,
    FedSession,
    Keeper,
    Pace,
    finish_work,
    open_work,
    resumed,
)
from refvid.rebuild.session import Session
from refvid.rebuild.trial import Trial, encoding


def plan_encode(
    job: Job, options: SourceOptions, loaded: LoadedBackbone, trial: Trial | None = None
) -> Plan:
    """Tell what `encode` would do, and raise what it would raise before its first frame.

    With a trial it also tells how long that would take.
    """
    prepared = _prepare(job, options, loaded)
    return prepared.plan if trial is None else trial.plan(prepared, loaded, encoding())


def encode(
    job: Job,
    options: SourceOptions,
    loaded: LoadedBackbone,
    on_progress: ProgressCallback = ignore_progress,
) -> Report:
    """Encode one video as a single shot, as pipelines do.

    Memory does not grow with the video. The output appears under its name when it is whole.

    Raises:
        InputError: The source cannot be read, or is HDR and not allowed.
        OutputError: The output cannot be written.
        OptionError: Options are impossible for this input or model.
        OutOfMemory: It does not fit, even in the shortest chunks.
    """
    started = time.monotonic()
    prepared = _prepare(job, options, loaded)
    identity = identify_run(job.source, options, loaded)
    run = Run(job, started, prepared.plan, on_progress)
    with open_work(job.output, prepared, identity, resume=options.resume) as work:
        latent_frames = _encode(job, options, loaded, resumed(prepared, work), run, work)
        finish_work(work)
    return run.report(latent_frames=latent_frames)


def _encode(
    job: Job,
    options: SourceOptions,
    loaded: LoadedBackbone,
    prepared: Prepared,
    run: Run,
    work: WorkFolder | None,
) -> int:
    """Write the result: the number of its latent frames."""
    session = Session(loaded.backbone, loaded.device, prepared.budget)
    lengths, size = prepared.budget.lengths, (prepared.info.height, prepared.info.width)
    keeper = Keeper(work, FedSession(session), Pace.of(lengths), size)
    start = keeper.start
    run.go_on([job.output], start.frames)
    run.read = start.first
    with (
        open_video(job.source, options.range, info=prepared.info) as video,
        LatentWriter(job.output, overwrite=job.may_replace(options.overwrite), work=work) as output,
    ):
        video.skip(start.first)

        def read(check_stop: CheckStop) -> Iterator[Chunk[Frame]]:
            frames = ((frame, False) for frame in run.count_read(video, check_stop))
            return split_into_chunks(
                frames, lengths, index=start.first, starts_shot=start.starts_shot
            )

        @out_of_memory_errors()
        @torch.inference_mode()
        def compute(chunk: Chunk[Frame]) -> _Encoded:
            boundary = None
            if chunk.index >= start.position:
                boundary = keeper.before_chunk(chunk.index, chunk.index, starts_shot=False)
            pictures = [frame.pixels for frame in chunk.frames]
            clip = prepared.canvas.to_clip(pictures, loaded.device)
            latents = session.encode(clip, index=chunk.index)
            if chunk.index < start.position:
                return _Encoded()
            return _Encoded(boundary, len(chunk.final), latents.cpu())

        def write(encoded: _Encoded, check_stop: CheckStop) -> None:
            check_stop()
            keeper.keep(encoded.before, output)
            if encoded.latents is not None:
                output.write(encoded.latents)
                run.count_written(job.output, encoded.frames)

        run_pipeline(read, compute, write)
        remember_budget(loaded, prepared, session.budget.now)
        output.metadata.update(
            _metadata(loaded, prepared.info, run.written, output.length, output.channels)
        )
        output.metadata.update(domain_facts(prepared.canvas.domain))
        output.metadata.update(_chunk_metadata(loaded, prepared.budget))
    return output.length


class _Encoded(NamedTuple):
    """What becomes of a chunk."""

    before: Boundary | None = None
    """The end of the stretch before it, if one ends there."""

    frames: int = 0
    latents: Tensor | None = None


def _prepare(job: Job, options: SourceOptions, loaded: LoadedBackbone) -> Prepared:
    check_latents_name(job.output)
    info = read_source(job, options)
    refuse_independent_chunks(loaded)
    check_job_output(job, overwrite=options.overwrite)
    frames = count_frames(info, options)
    memory = plan_memory(loaded, info.path, info.height, info.width)
    canvas = Canvas(size=info.size, domain=find_domain(info, options))
    notes = [*memory.notes, *domain_notes(info, canvas.domain)]
    if info.is_variable_rate:
        notes.append("latents have no timestamps: the variable frame rate becomes its average")
    if info.audio or info.subtitles:
        notes.append("latents hold no sound or subtitles")
    return prepare_run(
        "encode",
        job,
        loaded,
        info,
        memory,
        frames=frames,
        canvas=canvas,
        notes=notes,
        frame_rate=None if info.frame_rate is None else str(info.frame_rate),
    )


def _metadata(
    loaded: LoadedBackbone, info: VideoInfo, frames: int, latent_frames: int, channels: int
) -> dict[str, str]:
    """What `refvid.latents.write` documents."""
    if latent_frames == 0:
        raise InputError(f"{info.path} has no frames in the range asked for.")
    limits = loaded.backbone.limits
    tall, wide = padded_size(info.height, info.width, limits)
    values = {
        "refvid": __version__,
        "backbone": loaded.name,
        "scale": "raw",
        "frames": frames,
        "width": info.width,
        "height": info.height,
        "padded_width": wide,
        "padded_height": tall,
        "channels": channels,
        "temporal_stride": limits.temporal_stride,
        "first_chunk_extra": limits.first_chunk_extra,
        "bit_depth": info.bit_depth,
        "source": info.path.name,
        "primaries": info.color.primaries,
        "transfer": info.color.transfer,
    }
    source_type = read_origin_marks(info.path, info.metadata).source_type
    if source_type is not None:
        values["source_type"] = source_type
    if info.frame_rate is not None:
        values["frame_rate"] = info.frame_rate
    if info.sample_aspect_ratio != 1:
        values["sample_aspect_ratio"] = info.sample_aspect_ratio
    return {name: str(value) for name, value in values.items()}


def _chunk_metadata(loaded: LoadedBackbone, budget: Budget) -> dict[str, str]:
    """How the latents were cut, where each chunk must be decoded as it was encoded."""
    limits, lengths = loaded.backbone.limits, budget.lengths
    if not limits.overlap:
        return {}
    return {
        "chunk_latents": str(lengths.following // limits.temporal_stride),
        "overlap_latents": str(lengths.overlap // limits.temporal_stride),
    }
