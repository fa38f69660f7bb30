"""One long video on several devices: parts that begin with a shot, where no state crosses.

Shot cuts are looked for first. Other processes rebuild the parts, each into a file of plain frames;
one process reads the video once more, takes the rebuilt frames in order, and writes the result as
it would without parts: times, sound and all else are handled in one place.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from torch import Tensor

from refvid.errors import InputError
from refvid.media.inputs import Job
from refvid.media.pipeline import CheckStop, run_pipeline
from refvid.media.reader import Frame, VideoReader, open_video
from refvid.media.work_folder import WorkFolder
from refvid.media.work_journal import FileEntry
from refvid.media.work_notes import Note
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.chunks import Chunk, split_into_chunks
from refvid.rebuild.cuts import mark_shots
from refvid.rebuild.findings import ReferenceTally
from refvid.rebuild.memory import Budget, pack_budget, unpack_budget
from refvid.rebuild.options import RebuildOptions
from refvid.rebuild.out_of_memory import out_of_memory_errors
from refvid.rebuild.pixels import Pixels
from refvid.rebuild.plan import Prepared, read_source
from refvid.rebuild.rebuilder import Rebuilder
from refvid.rebuild.reference_feed import Moment
from refvid.rebuild.references import Conditioning
from refvid.rebuild.resuming import finished_frames

_PARTS_PER_DEVICE: Final = 8
"""How many there are about: with few, one device would work on the last while others wait."""

_LEAST_FRAMES: Final = 24

_PART: Final = "part"
"""What a note calls one that was made ahead."""


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

    part: Part
    path: Path
    """Its frames, one after the other, and nothing else."""

    file: FileEntry
    """The same file, as it was when it was whole."""

    shape: tuple[int, ...]
    """Of a frame: (H, W, 3)."""

    dtype: str
    uses: ReferenceTally
    """What was found in references."""

    budget: Budget
    """What fitted into memory."""

    def note(self) -> Note:
        """Write it down for a run that goes on."""
        part = self.part
        facts = {
            "part": [part.first, part.frames, sorted(part.cuts)],
            "shape": self.shape,
            "dtype": self.dtype,
            "uses": self.uses.pack(),
            "budget": pack_budget(self.budget),
        }
        return Note({_PART: facts}, self.file)


MakeParts = Callable[[int, WorkFolder | None], Iterator[Made]]
"""Has parts made, beginning with that of a frame, and gives them in order. They wait in the work
folder, where those lie that an interrupted run has made ahead."""


def parts_made_before(work: WorkFolder) -> dict[Part, Made]:
    """What an interrupted run has made ahead, whole and as it was."""
    made: dict[Part, Made] = {}
    for note in work.notes:
        if _PART not in note.facts or note.file is None:
            continue
        facts = note.facts[_PART]
        (first, frames, cuts), uses = facts["part"], ReferenceTally()
        uses.unpack(facts["uses"])
        part = Part(first, frames, frozenset(cuts))
        made[part] = Made(
            part,
            work.path / note.file.name,
            note.file,
            tuple(facts["shape"]),
            facts["dtype"],
            uses,
            unpack_budget(facts["budget"]),
        )
    return made


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

    def make(self, part: Part, path: Path, *, secure: bool = False) -> Made:
        """Rebuild a part into a file.

        Args:
            part: The part.
            path: The file.
            secure: Have it safe on the disk.

        Raises:
            InputError, OutOfMemory, OSError: As `rebuild`.
        """
        frames = self._read(part)
        zero = self._prepared.info.start_time
        self._rebuilder.session.uses = uses = ReferenceTally()

        def read(check_stop: CheckStop) -> Iterator[Chunk[Frame]]:
            marked = ((frame, number in part.cuts) for number, frame in frames)
            lengths, limits = self._prepared.budget.lengths, self._rebuilder.session.backbone.limits
            for chunk in split_into_chunks(marked, lengths, lookahead=limits.lookahead):
                check_stop()
                yield replace(chunk, index=chunk.index + part.first)

        def compute(chunk: Chunk[Frame]) -> Iterable[Pixels]:
            moments = [Moment(frame.index, frame.time - zero) for frame in chunk.frames]
            return self._rebuilder.rebuild(chunk, [f.pixels for f in chunk.frames], moments)

        with path.open("wb") as file:
            written = _FrameFile(file)

            def write(pictures: Iterable[Pixels], check_stop: CheckStop) -> None:
                for picture in pictures:
                    check_stop()
                    written.write(picture)

            run_pipeline(read, compute, write)
            if secure:
                file.flush()
                os.fsync(file.fileno())
        if written.frames != part.frames:
            raise InputError(f"{self._job.source} has changed while it was read.")
        entry = FileEntry(path.name, written.size, written.checksum)
        budget = self._rebuilder.session.budget.now
        return Made(part, path, entry, written.shape, written.dtype, uses, budget)

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


class _FrameFile:
    """Writes frames as they are, and takes down what they are."""

    def __init__(self, file: BinaryIO) -> None:
        self.shape: tuple[int, ...] = ()
        self.dtype = ""
        self.frames = self.size = self.checksum = 0
        self._file = file

    def write(self, picture: Pixels) -> None:
        self.shape, self.dtype = picture.shape, str(picture.dtype)
        content = np.ascontiguousarray(picture).data
        self.checksum = zlib.crc32(content, self.checksum)
        self.size += self._file.write(content)
        self.frames += 1


class Assembler(Rebuilder):
    """Stands where a `Rebuilder` does, and gives what others have made.

    Args:
        make: Has the parts made; asked when the first frame is needed.
        rebuilder: What would do the work here.
        work: Where stretches of the result are kept: until their frames are in one, parts are, too.
    """

    def __init__(self, make: MakeParts, rebuilder: Rebuilder, work: WorkFolder | None) -> None:
        self.cuts = []
        self.session = rebuilder.session
        self._make, self._work = make, work
        self._made: Iterator[Made] | None = None
        self._left: deque[Made] = deque()
        """Parts whose files are there."""

        self._frames: Iterator[Pixels] = iter(())
        self._position = 0

    def rebuild(
        self,
        chunk: Chunk[Any],
        pictures: Sequence[Pixels],  # noqa: ARG002 -- as for its base
        moments: Sequence[Moment],  # noqa: ARG002
    ) -> Iterable[Pixels]:
        if chunk.starts_shot and chunk.index:
            self.cuts.append(chunk.index)
        if self._made is None:
            self._made, self._position = self._make(chunk.index, self._work), chunk.index
        return [self._next(self._made) for _ in chunk.final]

    def snapshot(self, *, with_state: bool) -> tuple[Mapping[str, Tensor], dict[str, Any]]:  # noqa: ARG002 -- as for its base
        """See its base: the state is elsewhere, and nothing before is needed to go on."""
        tensors, facts = self.session.snapshot(with_state=False)
        return tensors, {**facts, "shot": self._position}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        self.session.restore(tensors, facts)

    def _next(self, made: Iterator[Made]) -> Pixels:
        frame = next(self._frames, None)
        if frame is None:
            self._remove_spent()
            part = next(made)
            self._left.append(part)
            self._frames = _frames_of(part, self._position - part.part.first)
            frame = next(self._frames)
        self._position += 1
        part = self._left[-1]
        if self._position == part.part.first + part.part.frames:
            # Not before: where a run goes on in the middle of a part, it takes the part once more.
            self.session.uses.join(part.uses)
            self.session.budget.now = part.budget
        return frame

    def _remove_spent(self) -> None:
        safe = self._position if self._work is None else finished_frames(self._work)
        while self._left and self._left[0].part.first + self._left[0].part.frames <= safe:
            with suppress(OSError):
                self._left.popleft().path.unlink()


def _frames_of(made: Made, first: int) -> Iterator[Pixels]:
    count = int(np.prod(made.shape))
    with made.path.open("rb") as file:
        file.seek(first * count * np.dtype(made.dtype).itemsize)
        for _ in range(first, made.part.frames):
            yield np.fromfile(file, made.dtype, count).reshape(made.shape)
