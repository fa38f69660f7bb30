"""The one path of a video through a model: read, chunks, decode, write.

`enhance` and `stylize` are this with something of their own to condition the decoder on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from refvid import __version__
from refvid.media.inputs import Job
from refvid.media.output_plan import plan_output
from refvid.media.partial_file import check_target
from refvid.media.pipeline import CheckStop, run_pipeline
from refvid.media.reader import Frame, open_video
from refvid.media.sequence import numbered_path
from refvid.media.writer import create_video
from refvid.progress import ProgressCallback
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.chunks import Chunk, split_into_chunks
from refvid.rebuild.cuts import mark_cuts
from refvid.rebuild.findings import sum_up
from refvid.rebuild.memory import plan_memory
from refvid.rebuild.options import RebuildOptions
from refvid.rebuild.pixels import Pixels, blend, clip_to_frames, frames_to_clip
from refvid.rebuild.plan import (
    Prepared,
    Report,
    Run,
    check_replaces_no,
    count_frames,
    prepare_run,
    read_source,
)
from refvid.rebuild.references import Conditioning, Conditions
from refvid.rebuild.session import Session, out_of_memory_errors

logger = logging.getLogger(__name__)


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
    check_replaces_no(job.output, (job.source, *conditioning.images), "an input")
    output = plan_output(job.output, info, options.encoding)
    check_target(job.output, overwrite=options.overwrite)
    remarks = conditioning.read(info)
    memory = plan_memory(loaded, info.path, info.height, info.width)
    return prepare_run(
        "rebuild",
        job,
        loaded,
        info,
        memory,
        frames=count_frames(info, options),
        output=output,
        notes=(*output.notes, *remarks, *memory.notes),
        reference=conditioning.describe(),
    )


def rebuild(
    job: Job,
    conditioning: Conditioning,
    options: RebuildOptions,
    loaded: LoadedBackbone,
    on_progress: ProgressCallback,
) -> Report:
    """Take one video through the model.

    Reading, computing and writing overlap; at most 3 chunks of frames are alive at once. The
    output appears under its name when it is whole, also after an interruption there is nothing
    else.

    Raises:
        InputError, OutputError, OptionError: See `prepare`.
        OutOfMemory: It does not fit, even in the smallest chunks and tiles.
    """
    started = time.monotonic()
    prepared = prepare(job, conditioning, options, loaded)
    conditions = Conditions()
    if options.strength > 0:
        with out_of_memory_errors():
            conditions = conditioning.prepare(prepared.info, loaded)
    rebuilder = _Rebuilder(options.strength, loaded, conditions, prepared)
    run = Run(started, prepared.plan, on_progress)
    with (
        open_video(job.source, options.range, info=prepared.info) as video,
        create_video(
            job.output,
            like=prepared.info,
            encoding=options.encoding,
            plan=prepared.output,
            trim=video.trim,
            overwrite=options.overwrite,
            provenance={
                "comment": f"refvid {__version__}, model {loaded.name}, "
                f"{conditioning.provenance()}, strength {options.strength:g}"
            },
        ) as output,
    ):

        def read(check_stop: CheckStop) -> Iterator[Chunk[Frame]]:
            frames = run.count_read(video, check_stop)
            marked = _mark_shots(frames, detect_cuts=options.cut_detection)
            return split_into_chunks(marked, prepared.budget.lengths)

        def write(chunk: _RebuiltChunk, check_stop: CheckStop) -> None:
            for frame, pixels in zip(chunk.frames, chunk.pixels, strict=True):
                check_stop()
                output.write(pixels, frame)
                run.count_written(_file_of(frame, job.output))

        run_pipeline(read, rebuilder.rebuild, write)
        # Inside the block: nothing is published if it fails.
        assert run.written == run.read, f"{run.read} in, {run.written} out"
    findings = sum_up(rebuilder.session.uses)
    if findings is None:
        return run.report(cuts=tuple(rebuilder.cuts))
    return run.report(
        cuts=tuple(rebuilder.cuts),
        references=findings,
        notes=(findings.describe(),),
        warnings=tuple(conditioning.judge(findings)),
    )


@dataclass(frozen=True, slots=True)
class _RebuiltChunk:
    frames: tuple[Frame, ...]
    pixels: Iterable[Pixels]
    """(H, W, 3) for each frame."""


class _Rebuilder:
    """Takes chunks through the session, and mixes the result with the input."""

    def __init__(
        self,
        strength: float,
        loaded: LoadedBackbone,
        conditions: Conditions,
        prepared: Prepared,
    ) -> None:
        self.cuts: list[int] = []
        self._strength = strength
        self._finish = conditions.finish
        self.session = Session(
            loaded.backbone, loaded.device, prepared.budget, conditions.reference
        )

    @out_of_memory_errors()
    @torch.inference_mode()
    def rebuild(self, chunk: Chunk[Frame]) -> _RebuiltChunk:
        if chunk.starts_shot and chunk.index:
            self.cuts.append(chunk.index)
            logger.info("Shot cut at frame %s.", chunk.index)
        pictures = [frame.pixels for frame in chunk.frames]
        if self._strength == 0:
            return _RebuiltChunk(chunk.final, pictures[: len(chunk.final)])
        clip = frames_to_clip(pictures, self.session.device)
        rebuilt = self.session.rebuild(clip, chunk)
        original = clip[:, :, : rebuilt.shape[2]]
        if self._finish is not None:
            rebuilt = self._finish(original, rebuilt)
        blended = blend(original, rebuilt, self._strength)
        return _RebuiltChunk(chunk.final, clip_to_frames(blended, pictures[0].dtype))


def _file_of(frame: Frame, output: Path) -> Path:
    """The file that a frame goes to: an image of a sequence, or the one video."""
    return numbered_path(output, frame.index if frame.number is None else frame.number)


def _mark_shots(frames: Iterator[Frame], *, detect_cuts: bool) -> Iterator[tuple[Frame, bool]]:
    if detect_cuts:
        return mark_cuts(frames, lambda frame: frame.pixels)
    return ((frame, False) for frame in frames)
