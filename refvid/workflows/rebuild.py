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
from refvid.inference.chunks import Chunk, split_into_chunks
from refvid.inference.cuts import mark_cuts
from refvid.inference.memory import Budget
from refvid.inference.overlap import ChunkJoiner
from refvid.inference.pixels import Pixels, blend, clip_to_frames, frames_to_clip
from refvid.inference.reconstruct import ShotState, reconstruct
from refvid.media.reader import Frame, VideoReader, open_video
from refvid.media.sequence import numbered_path
from refvid.media.writer import create_video
from refvid.workflows.choose_model import LoadedBackbone
from refvid.workflows.pipeline import CheckStop, run_pipeline
from refvid.workflows.plan import out_of_memory_errors
from refvid.workflows.progress import Progress, ProgressCallback
from refvid.workflows.rebuild_options import RebuildOptions
from refvid.workflows.rebuild_plan import Conditioning, Conditions, RebuildReport, prepare

logger = logging.getLogger(__name__)


def rebuild(
    options: RebuildOptions,
    conditioning: Conditioning,
    loaded: LoadedBackbone,
    on_progress: ProgressCallback,
) -> RebuildReport:
    """Take one video through the model.

    Reading, computing and writing overlap; at most 3 chunks of frames are alive at once. The
    output appears under its name when it is whole, also after an interruption there is nothing
    else.

    Raises:
        InputError: The source or what conditions the decoder cannot be read, or the source is HDR
            and that is not allowed.
        OutputError: The output cannot be written.
        OptionError: Options are impossible for this input or model.
        OutOfMemory: It does not fit, even in the smallest chunks and tiles.
    """
    started = time.monotonic()
    preparation = prepare(options, conditioning, loaded)
    conditions = Conditions()
    if options.strength > 0:
        with out_of_memory_errors():
            conditions = conditioning.prepare(preparation.info, loaded)
    with (
        _open_source(options) as video,
        create_video(
            options.output,
            like=video.info,
            encoding=options.encoding,
            trim=video.trim,
            overwrite=options.overwrite,
            provenance={
                "comment": f"refvid {__version__}, model {preparation.plan.model}, "
                f"{conditioning.provenance()}, strength {options.strength:g}"
            },
        ) as output,
    ):
        rebuilder = _Rebuilder(options, loaded, conditions, preparation.budget)
        counter = _Counter(options.output, preparation.plan.frames, on_progress)

        def read(check_stop: CheckStop) -> Iterator[Chunk[Frame]]:
            frames = counter.count_read(video, check_stop)
            marked = _mark_shots(frames, detect_cuts=options.cut_detection)
            return split_into_chunks(marked, preparation.budget.lengths)

        def write(chunk: _RebuiltChunk, check_stop: CheckStop) -> None:
            for frame, pixels in zip(chunk.frames, chunk.pixels, strict=True):
                check_stop()
                output.write(pixels, frame)
                counter.count_written(frame)

        run_pipeline(read, rebuilder.rebuild, write)
        # Inside the block: nothing is published if it fails.
        assert counter.written == counter.read, f"{counter.read} in, {counter.written} out"
    return RebuildReport(
        plan=preparation.plan,
        frames=counter.written,
        cuts=tuple(rebuilder.cuts),
        seconds=time.monotonic() - started,
        bytes_written=sum(path.stat().st_size for path in counter.files),
    )


@dataclass(frozen=True, slots=True)
class _RebuiltChunk:
    frames: tuple[Frame, ...]
    pixels: Iterable[Pixels]
    """(H, W, 3) for each frame."""


class _Rebuilder:
    """Takes chunks through the model, with the state of the shot they belong to."""

    def __init__(
        self,
        options: RebuildOptions,
        loaded: LoadedBackbone,
        conditions: Conditions,
        budget: Budget,
    ) -> None:
        self.cuts: list[int] = []
        self._strength = options.strength
        self._loaded = loaded
        self._conditions = conditions
        self._budget = budget
        self._state: ShotState | None = None
        self._joiner = ChunkJoiner()

    @torch.inference_mode()
    def rebuild(self, chunk: Chunk[Frame]) -> _RebuiltChunk:
        if chunk.starts_shot:
            self._state = None
            if chunk.index:
                self.cuts.append(chunk.index)
                logger.info("Shot cut at frame %s.", chunk.index)
        pictures = [frame.pixels for frame in chunk.frames]
        if self._strength == 0:
            return _RebuiltChunk(chunk.final, pictures[: len(chunk.final)])
        with out_of_memory_errors():
            clip = frames_to_clip(pictures, self._loaded.device)
            result = reconstruct(
                self._loaded.backbone, clip, self._conditions.reference, self._state, self._budget
            )
            self._state, self._budget = result.state, result.budget
            joined = self._joiner.join(result.clip, chunk.shared, chunk.held_back)
            original = clip[:, :, : joined.shape[2]]
            if self._conditions.finish is not None:
                joined = self._conditions.finish(original, joined)
            blended = blend(original, joined, self._strength)
            return _RebuiltChunk(chunk.final, clip_to_frames(blended, pictures[0].dtype))


class _Counter:
    """Counts frames on both sides, so that none is lost or doubled."""

    def __init__(self, output: Path, total: int | None, on_progress: ProgressCallback) -> None:
        self.read = self.written = 0
        self.files: set[Path] = set()
        self._output = output
        self._total = total
        self._on_progress = on_progress

    def count_read(self, video: VideoReader, check_stop: CheckStop) -> Iterator[Frame]:
        for frame in video:
            check_stop()
            self.read += 1
            yield frame

    def count_written(self, frame: Frame) -> None:
        self.written += 1
        self.files.add(_file_of(frame, self._output))
        # An estimate of the total may be too low.
        total = None if self._total is None else max(self._total, self.written)
        self._on_progress(Progress(self.written, total))


def _file_of(frame: Frame, output: Path) -> Path:
    """The file that a frame goes to: an image of a sequence, or the one video."""
    return numbered_path(output, frame.index if frame.number is None else frame.number)


def _open_source(options: RebuildOptions) -> VideoReader:
    part = options.range
    return open_video(
        options.source,
        start=part.start,
        end=part.end,
        frames=part.frames,
        rate=options.sequence_rate,
    )


def _mark_shots(frames: Iterator[Frame], *, detect_cuts: bool) -> Iterator[tuple[Frame, bool]]:
    if detect_cuts:
        return mark_cuts(frames, lambda frame: frame.pixels)
    return ((frame, False) for frame in frames)
