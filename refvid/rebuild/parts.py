"""One long video on several devices: parts that begin with a shot, where no state crosses.

Shot cuts are looked for first. Other processes rebuild the parts, each into a file of plain frames;
one process reads the video once more, takes the rebuilt frames in order, and writes the result as
it would without parts: times, sound and all else are handled in one place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from torch import Tensor

from refvid.errors import InputError
from refvid.media.inputs import Job
from refvid.media.pipeline import CheckStop, run_pipeline
from refvid.media.reader import Frame, VideoReader, open_video
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.chunks import Chunk, split_into_chunks
from refvid.rebuild.cuts import mark_shots
from refvid.rebuild.findings import ReferenceTally
from refvid.rebuild.memory import Budget
from refvid.rebuild.options import RebuildOptions
from refvid.rebuild.pixels import Pixels
from refvid.rebuild.plan import Prepared, read_source
from refvid.rebuild.rebuilder import Rebuilder
from refvid.rebuild.reference_feed import Moment
from refvid.rebuild.references import Conditioning
from refvid.rebuild.session import out_of_memory_errors

_PARTS_PER_DEVICE: Final = 8
"""How many there are about: with few, one device would work on the last while others wait."""

_LEAST_FRAMES: Final = 24


@dataclass(frozen=True, slots=True)
class Part:
    """Whole shots, one after the other."""

    first: int
    """Its first frame, counted in what is rebuilt."""

    frames: int
    cuts: frozenset[int] = frozenset()
    """Frames at which its further shots begin."""


@dataclass(frozen=True, slots=True)
class Made:
    """A part that is rebuilt."""

    path: Path
    """Its frames, one after the other, and nothing else."""

    shape: tuple[int, ...]
    """Of a frame: (H, W, 3)."""

    dtype: str
    frames: int
    uses: ReferenceTally
    """What was found in references."""

    budget: Budget
    """What fitted into memory."""


def find_parts(job: Job, options: RebuildOptions, devices: int) -> list[Part]:
    """Look for the cuts of a whole video, and have parts that so many devices can share.

    Raises:
        InputError: It cannot be read.
    """
    if not options.cut_detection:
        return []
    info = read_source(job, options)
    starts: list[int] = []
    total = 0
    with open_video(job.source, options.range, info=info) as video:
        for _, starts_shot in mark_shots(video, lambda frame: frame.pixels, detect_cuts=True):
            if starts_shot:
                starts.append(total)
            total += 1
    return join_shots(starts, total, max(_LEAST_FRAMES, total // (_PARTS_PER_DEVICE * devices)))


def join_shots(starts: Sequence[int], total: int, least: int) -> list[Part]:
    """Join shots to parts of at least so many frames, but for the last.

    Args:
        starts: First frames of the shots, the first one 0.
        total: Number of frames.
        least: Frames.
    """
    begins: list[int] = []
    for start in starts:
        if not begins or start - begins[-1] >= least:
            begins.append(start)
    ends = [*begins[1:], total]
    return [
        Part(begin, end - begin, frozenset(cut for cut in starts if begin < cut < end))
        for begin, end in zip(begins, ends, strict=True)
    ]


class PartMaker:
    """Rebuilds parts of one video, best in order: it goes on reading where the last one ended.

    Args:
        job: The video.
        prepared: What `rebuild` prepares.
        conditioning: What the decoder is conditioned on.
        options: How videos are rebuilt.
        loaded: The model.
    """

    def __init__(
        self,
        job: Job,
        prepared: Prepared,
        conditioning: Conditioning,
        options: RebuildOptions,
        loaded: LoadedBackbone,
    ) -> None:
        self._job, self._prepared, self._options = job, prepared, options
        with out_of_memory_errors():
            self._conditions = conditioning.prepare(prepared.info, prepared.canvas, loaded)
        self._rebuilder = Rebuilder(
            loaded,
            self._conditions,
            prepared.budget,
            canvas=prepared.canvas,
            strength=options.strength,
        )
        self._video: VideoReader | None = None
        self._position = 0

    def make(self, part: Part, path: Path) -> Made:
        """Rebuild a part into a file.

        Raises:
            InputError, OutOfMemory, OSError: As `rebuild`.
        """
        frames = self._read(part)
        zero = self._prepared.info.start_time
        shape: tuple[int, ...] = ()
        dtype = ""
        written = 0
        self._rebuilder.session.uses = uses = ReferenceTally()

        def read(check_stop: CheckStop) -> Iterator[Chunk[Frame]]:
            marked = ((frame, number in part.cuts) for number, frame in frames)
            for chunk in split_into_chunks(marked, self._prepared.budget.lengths):
                check_stop()
                yield replace(chunk, index=chunk.index + part.first)

        def compute(chunk: Chunk[Frame]) -> Iterable[Pixels]:
            moments = [Moment(frame.index, frame.time - zero) for frame in chunk.frames]
            return self._rebuilder.rebuild(chunk, [f.pixels for f in chunk.frames], moments)

        with path.open("wb") as file:

            def write(pictures: Iterable[Pixels], check_stop: CheckStop) -> None:
                nonlocal shape, dtype, written
                for picture in pictures:
                    check_stop()
                    shape, dtype = picture.shape, str(picture.dtype)
                    file.write(np.ascontiguousarray(picture).data)
                    written += 1

            run_pipeline(read, compute, write)
        if written != part.frames:
            raise InputError(f"{self._job.source} has changed while it was read.")
        budget = self._rebuilder.session.budget
        return Made(path, shape, dtype, written, uses, budget)

    def _read(self, part: Part) -> Iterator[tuple[int, Frame]]:
        if self._video is None or self._position > part.first:
            self.close()
            self._video = open_video(
                self._job.source, self._options.range, info=self._prepared.info
            )
            self._position = 0
        for _ in islice(self._video, part.first - self._position):
            pass
        self._position = part.first + part.frames
        return enumerate(islice(self._video, part.frames), part.first)

    def close(self) -> None:
        """Stop reading."""
        if self._video is not None:
            self._video.close()
            self._video = None


class Assembler(Rebuilder):
    """Stands where a `Rebuilder` does, and gives what others have made.

    Args:
        made: The parts in order; asked for when the first frame of one is needed.
        rebuilder: What would do the work here.
    """

    def __init__(self, made: Iterator[Made], rebuilder: Rebuilder) -> None:
        self.cuts = []
        self.session = rebuilder.session
        self._made = made
        self._frames: Iterator[Pixels] = iter(())

    def rebuild(
        self,
        chunk: Chunk[Any],
        pictures: Sequence[Pixels],  # noqa: ARG002 -- as for its base
        moments: Sequence[Moment],  # noqa: ARG002
    ) -> Iterable[Pixels]:
        if chunk.starts_shot and chunk.index:
            self.cuts.append(chunk.index)
        return [self._next() for _ in chunk.final]

    def snapshot(self, *, with_state: bool) -> tuple[Mapping[str, Tensor], dict[str, Any]]:  # noqa: ARG002 -- as for its base
        return self.session.snapshot(with_state=False)  # it is elsewhere

    def _next(self) -> Pixels:
        for frame in self._frames:
            return frame
        part = next(self._made)
        self.session.uses.join(part.uses)
        self.session.budget = part.budget
        self._frames = _frames_of(part)
        return next(self._frames)


def _frames_of(made: Made) -> Iterator[Pixels]:
    count = int(np.prod(made.shape))
    with made.path.open("rb") as file:
        for _ in range(made.frames):
            yield np.fromfile(file, made.dtype, count).reshape(made.shape)
    with suppress(OSError):
        made.path.unlink()
