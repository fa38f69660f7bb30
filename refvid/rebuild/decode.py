"""`refvid decode`: latents that a pipeline saved -> video, with a reference image."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from refvid.errors import InputError, OptionError
from refvid.latents.latents import LatentChunk, Latents
from refvid.latents.recognise import read_backbone_name, recognise_latents
from refvid.latents.wan import DEFAULT_RATE
from refvid.media.color import (
    PRIMARIES_NAMES,
    RANGE_LIMITED,
    TRANSFER_NAMES,
    UNSPECIFIED,
    ColorInfo,
)
from refvid.media.encoding import Encoding, preset_for
from refvid.media.inputs import Job, check_job_output
from refvid.media.output_plan import plan_output
from refvid.media.pipeline import CheckStop, run_pipeline
from refvid.media.pixel_formats import is_lossless
from refvid.media.reader import Frame
from refvid.media.sequence import numbered_path
from refvid.media.video_info import VideoInfo
from refvid.media.work_folder import WorkFolder
from refvid.media.writer import create_video
from refvid.models.backbone import Backbone, BackboneLimits
from refvid.progress import ProgressCallback, TransferCallback, ignore_progress, ignore_transfer
from refvid.rebuild.canvas import Canvas
from refvid.rebuild.choose_backbone import LoadedBackbone, choose_backbone
from refvid.rebuild.chunks import ChunkLengths
from refvid.rebuild.hdr import stored_domain
from refvid.rebuild.identity import identify_run
from refvid.rebuild.latents_options import DecodeOptions, LatentReferences
from refvid.rebuild.memory import plan_memory, remember_budget
from refvid.rebuild.options import ModelOptions
from refvid.rebuild.pixels import Pixels, padded_size
from refvid.rebuild.plan import (
    Plan,
    Prepared,
    Report,
    Run,
    prepare_run,
    refuse_independent_chunks,
)
from refvid.rebuild.provenance import PLAIN, Provenance, how_decoded
from refvid.rebuild.reference_feed import ChunkView, Moment
from refvid.rebuild.references import SceneReferences
from refvid.rebuild.resuming import (
    Boundary,
    FedSession,
    Keeper,
    Pace,
    finish_work,
    finished_files,
    open_work,
    resumed,
)
from refvid.rebuild.session import Session, count_frames, out_of_memory_errors
from refvid.rebuild.trial import Trial, decoding
from refvid.rebuild.video import tell_references

_BT709 = 1
_BT2020 = 9
"""Numbers of H.273. Generated video has no tags of its own: BT.709 is what players show."""


def choose_decoder(
    options: ModelOptions,
    sources: Sequence[Path],
    on_transfer: TransferCallback = ignore_transfer,
    *,
    may_fetch: bool = True,
) -> LoadedBackbone:
    """Load the model that the latents are made for, or the one that was asked for.

    `may_fetch` as for `choose_backbone`.

    Raises:
        InputError: No model is asked for, and no source says which it needs.
        CheckpointError, DeviceError, OptionError: See `choose_backbone`.
    """
    chosen, reason = name_decoder(options, sources)
    loaded = choose_backbone(chosen, on_transfer, may_fetch=may_fetch)
    return replace(loaded, reason=reason or loaded.reason)


def name_decoder(options: ModelOptions, sources: Iterable[Path]) -> tuple[ModelOptions, str]:
    """Tell which model the latents are made for, unless one is asked for.

    Returns:
        Options with its name, and why it is this one; nothing if it was asked for.

    Raises:
        InputError: No model is asked for, and no source says which it needs.
    """
    if options.model != "auto" or options.weights is not None:
        return options, ""
    failure: InputError | None = None
    for source in sources:
        try:
            name = read_backbone_name(source)
        except InputError as error:
            failure = error
            continue
        return replace(options, model=name), f"{source.name} holds its latents"
    assert failure is not None, "there is a source"
    raise failure


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
    run = Run(started, prepared.plan, on_progress)
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
    run.go_on([] if job.sink else finished_files(work, job.output), start.frames)
    dtype = np.dtype(np.uint16) if info.bit_depth > 8 else np.dtype(np.uint8)
    with (
        closing(conditions),
        create_video(
            job.output,
            like=info,
            encoding=options.encoding,
            plan=prepared.output,
            overwrite=options.overwrite or bool(job.replaces),
            create_folder=job.create_folder,
            origin=Provenance(prepared.plan.model, source.how).origin(latents.source_type, None),
            work=work,
            sink=job.sink,
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
            if chunk.position < start.position:
                with session.untold():
                    decode_chunk(chunk)
                return None, np.empty((0, info.height, info.width, 3), dtype)
            boundary = keeper.before_chunk(chunk.position, run.read, starts_shot=False)
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
                    pixels=picture,
                    index=run.written,
                    pts=run.written,
                    time_base=info.time_base,
                    duration=1,
                )
                output.write(picture, frame)
                run.count_written(None if job.sink else numbered_path(job.output, frame.index))

        run_pipeline(read, compute, write)
        remember_budget(loaded, prepared, session.budget)
        # Inside the block: nothing is published if it fails.
        assert run.written == latents.frames, f"{latents.frames} planned, {run.written} out"
    run.piped_bytes = job.sink.written if job.sink else 0
    return tell_references(session.uses, source.reference, conditions.remarks())


def pace_of(latents: Latents, lengths: ChunkLengths) -> Pace:
    """How chunks of latents follow each other."""
    stride, stored = latents.temporal_stride, latents.chunk_latents
    if stored:
        # They hold what they share themselves.
        return Pace(first=stored, following=stored, advance=stored)
    following = max(1, lengths.following // stride)
    # The first chunk of a shot has an extra frame where it has an extra latent.
    first = max(1, -(-lengths.first // stride))
    return Pace(first=first, following=following, advance=following - lengths.overlap // stride)


def first_frame(chunk: LatentChunk, latents: Latents, limits: BackboneLimits) -> int:
    """The number of a chunk's first frame that is not shared with the one before."""
    position = chunk.position
    if latents.chunk_latents:
        number = position // latents.chunk_latents
        position -= number * latents.overlap_latents
    first = count_frames(position, limits, starts_shot=True) if position else 0
    return first + chunk.shared * latents.temporal_stride


def look_at(chunk: LatentChunk, start: int, latents: Latents, rate: Fraction) -> ChunkView:
    """What can be told of a chunk whose first frame that is not shared has this number."""
    stride = latents.temporal_stride
    first = start - chunk.shared * stride
    stop = min(start + (chunk.latents.shape[2] - chunk.shared) * stride, latents.frames)
    moments = [Moment(index, index / rate) for index in range(first, max(stop, first + 1))]
    return ChunkView(moments=moments, starts_shot=start == 0, picture=None)


def plain_decoder(backbone: Backbone) -> Backbone:
    """The same model with its reference attention skipped.

    Raises:
        OptionError: It has no such decoder.
    """
    decoder = backbone.plain()
    if decoder is None:
        raise OptionError(
            f"The model {backbone.name} has no plain decoder to compare with: leave out --baseline."
        )
    return decoder


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
    info = _describe(latents, rate, options.encoding)
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


def stored_lengths(latents: Latents, lengths: ChunkLengths) -> ChunkLengths:
    """The chunks that the latents were encoded in, where they stand alone and are no longer."""
    stored = latents.chunk_latents * latents.temporal_stride
    if not 0 < stored <= lengths.longest:
        return lengths
    return ChunkLengths(stored, stored, latents.overlap_latents * latents.temporal_stride)


def check_model(latents: Latents, loaded: LoadedBackbone) -> None:
    """Raise `InputError` where latents are not for a model."""
    refuse_independent_chunks(loaded)
    limits = loaded.backbone.limits
    if latents.backbone != loaded.name:
        raise InputError(
            f"{latents.path} holds latents of {latents.backbone}, which the model {loaded.name} "
            f"cannot read. Use --model {latents.backbone}."
        )
    size = (latents.padded_height, latents.padded_width)
    if padded_size(latents.height, latents.width, limits) != size:
        raise InputError(
            f"{latents.path} decodes to {size[1]}x{size[0]}, but the model {loaded.name} takes "
            f"multiples of {limits.size_multiple} from {limits.min_size} on."
        )
    if latents.temporal_stride != limits.temporal_stride:
        raise InputError(f"{latents.path} was written by another version of {loaded.name}.")


def _choose_rate(options: DecodeOptions, latents: Latents) -> tuple[Fraction, str]:
    if options.frame_rate is not None:
        return options.frame_rate, "as asked"
    if latents.frame_rate is not None:
        return latents.frame_rate, "stored in the file"
    return Fraction(DEFAULT_RATE), "what Wan's models generate; the file does not say"


def _describe(latents: Latents, rate: Fraction, encoding: Encoding) -> VideoInfo:
    """The video that the latents stand for: what the writer takes over as far as it can."""
    depth = 10 if latents.metadata.get("bit_depth") in ("10", "12", "16") else 8
    # The decoder gives RGB, which is kept where nothing is to be lost. Elsewhere what every player
    # knows is no less than anybody expects.
    keeps_rgb = encoding.codec is not None and is_lossless(preset_for(encoding.codec).encoder)
    pix_fmt = "gbrp" if keeps_rgb else "yuv420p"
    return VideoInfo(
        path=latents.path,
        container="latents",
        codec="h264",
        pix_fmt=pix_fmt if depth == 8 else f"{pix_fmt}10le",
        bit_depth=depth,
        width=latents.width,
        height=latents.height,
        rotation=0,
        sample_aspect_ratio=Fraction(1),
        frame_rate=rate,
        is_variable_rate=False,
        time_base=1 / rate,
        duration=latents.frames / rate,
        frame_count=latents.frames,
        frame_count_is_exact=True,
        color=_color(latents),
        metadata={},
        is_image_sequence=True,  # there are no other tracks to copy
    )


def _color(latents: Latents) -> ColorInfo:
    primaries = _known_tag(latents, "primaries", PRIMARIES_NAMES)
    return ColorInfo(
        matrix=_BT2020 if primaries == _BT2020 else _BT709,
        range=RANGE_LIMITED,
        primaries=primaries,
        transfer=_known_tag(latents, "transfer", TRANSFER_NAMES),
    )


def _known_tag(latents: Latents, name: str, known: Mapping[int, str]) -> int:
    value = latents.metadata.get(name)
    numbers = {str(number): number for number in known if number != UNSPECIFIED}
    return numbers.get(value or "", _BT709)
