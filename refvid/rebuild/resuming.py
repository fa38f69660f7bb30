"""Long runs in stretches: where one ends, what is kept of it, and how the same command goes on.

Whether or not a run is interrupted, its stretches end at the same chunks, so that its result is the
same to the last bit that the model and the encoder give again. At the end of a stretch the state
that goes on to the next chunk is kept where a backbone can write it down; what the last frames left
in it may be missing, and is computed once more. Where its memory has an end instead, so many chunks
before are computed once more; and where neither is so, stretches end with shots only: no state goes
beyond.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol, Self, TypeVar

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from refvid.media.sequence import is_image_sequence, is_pattern
from refvid.media.unfinished import cannot_write
from refvid.media.video_writer import Part
from refvid.media.work_folder import WorkFolder, forget_work
from refvid.media.work_journal import Stretch
from refvid.media.work_notes import Note
from refvid.models.backbone import BackboneLimits
from refvid.rebuild.chunk_starts import ChunkStart, ChunkStarts
from refvid.rebuild.chunks import ChunkLengths
from refvid.rebuild.memory import Shrunk, pack_budget, unpack_budget
from refvid.rebuild.plan import Prepared
from refvid.rebuild.reference_feed import ReferenceFeed
from refvid.rebuild.session import Session
from refvid.safetensors_file import open_safetensors

logger = logging.getLogger(__name__)

T = TypeVar("T")

LEAST_FRAMES: Final = 96
"""Of a stretch: each begins with a key frame, which takes room."""

LEAST_PIXELS: Final = 40_000_000
"""Of a stretch, all frames together: finishing one takes some milliseconds."""

_SHRUNK: Final = "shrunk"
"""What a note calls a place where memory ran out."""

_MORE_WITHOUT_MODEL: Final = 10
"""A stretch of frames that are only encoded is so much longer: it takes no longer to lose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How chunks of a shot follow each other, in frames or in latents."""

    first: int
    """Length of the first one."""

    following: int
    """Of every later one, what it shares included."""

    advance: int
    """From the start of one to that of the next."""

    @classmethod
    def of(cls, lengths: ChunkLengths) -> Self:
        """That of frames."""
        advance = lengths.following - lengths.overlap
        return cls(first=lengths.first, following=lengths.following, advance=advance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where a run begins; positions count as chunks do, in frames or in latents."""

    position: int = 0
    """What comes before is there."""

    frames: int = 0
    """Frames that are there."""

    first: int = 0
    """From here on chunks are computed: those before `position` for the state alone."""

    starts_shot: bool = True
    """Whether the first of these chunks begins without a state."""

    shared: int = 0
    """Frames that the first of these chunks begins with and the one before has had, too: of a model
    that looks ahead."""


class Boundary:
    """What is kept where a stretch ends."""

    def __init__(self, facts: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
        self.facts = facts
        self.tensors = tensors


class StretchWriter(Protocol):
    """Whoever writes a result in stretches."""

    def end_stretch(self) -> Part: ...


class Stateful(Protocol):
    """What goes from one stretch to the next: a session, and what is around it."""

    @property
    def session(self) -> Session: ...

    def snapshot(self, *, with_state: bool) -> tuple[Mapping[str, Tensor], dict[str, Any]]: ...

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None: ...


class FedSession:
    """A session, and what chooses references for it."""

    def __init__(self, session: Session, feed: ReferenceFeed | None = None) -> None:
        self.session = session
        self._feed = feed

    def snapshot(self, *, with_state: bool) -> tuple[Mapping[str, Tensor], dict[str, Any]]:
        """What the next chunk needs; see `Session.snapshot`."""
        tensors, facts = self.session.snapshot(with_state=with_state)
        return tensors, {**facts, "feed": None if self._feed is None else self._feed.pack()}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Go on from a snapshot."""
        self.session.restore(tensors, facts)
        if self._feed is not None:
            self._feed.unpack(facts["feed"])


class Keeper:
    """Ends stretches, and begins where the last finished one ended.

    Args:
        work: Where they are kept; None keeps nothing.
        worker: Whose state goes from one to the next; it is set up to go on.
        pace: How chunks follow each other.
        size: Height and width of the frames [pixels].
        has_model: Whether a model takes part.
    """

    def __init__(
        self,
        work: WorkFolder | None,
        worker: Stateful,
        pace: Pace,
        size: tuple[int, int],
        *,
        has_model: bool = True,
    ) -> None:
        self.start = Start()
        self.cuts: list[int] = []
        """Indices of shots' first frames that were found before the start."""

        self._work = work
        self._worker, self._session = worker, worker.session
        limits = worker.session.backbone.limits
        self._carries = limits.packs_state or limits.memory is not None
        self._chunk_starts = ChunkStarts(limits.recomputed)
        self._shortest = shortest_stretch(*size, has_model=has_model)
        if work is not None and work.stretches:
            self._go_on(work.stretches, pace)
        if work is not None:
            known = [note.facts[_SHRUNK] for note in work.notes if _SHRUNK in note.facts]
            budget = self._session.budget
            budget.expect(map(Shrunk.unpack, known))
            budget.on_shrink = lambda shrunk: work.note(Note({_SHRUNK: shrunk.pack()}))
        self._frames = self.start.frames
        self._uses_kept, self._cuts_kept = self._session.uses.pack(), len(self.cuts)

    def before_chunk(
        self,
        position: int,
        frames: int,
        *,
        starts_shot: bool,
        shared: int = 0,
        cuts: list[int] | None = None,
    ) -> Boundary | None:
        """Tell whether a stretch ends before a chunk, and what is to be kept.

        Chunks that are computed once more are among those that it must hear of.

        Args:
            position: Of its first frame or latent; those before are done.
            frames: How many frames these are.
            starts_shot: Whether no state goes beyond.
            shared: Frames at its start that the chunk before has had, too.
            cuts: Indices of shots' first frames so far.
        """
        if self._work is None:
            return None
        ends = frames - self._frames >= self._shortest and (starts_shot or self._carries)
        if not ends and not self._chunk_starts.are_needed:
            return None
        tensors, state = self._worker.snapshot(with_state=not starts_shot)
        start = ChunkStart(
            position=position,
            shared=shared if self._session.backbone.limits.lookahead else 0,
            starts_shot=starts_shot,
            tensors=tensors,
            facts=state,
        )
        self._chunk_starts.add(start)
        return self._end_stretch(start, frames, cuts or []) if ends else None

    def _end_stretch(self, start: ChunkStart, frames: int, cuts: list[int]) -> Boundary:
        begin = self._chunk_starts.begin()
        uses = self._session.uses.pack()
        facts = {
            "position": start.position,
            "frames": frames,
            "first": begin.position,
            "starts_shot": begin.starts_shot,
            "shared": begin.shared,
            "cuts": cuts[self._cuts_kept :],
            "uses": {key: row for key, row in uses.items() if self._uses_kept.get(key) != row},
            "state": {**start.facts, "model": begin.facts["model"]},
        }
        self._frames, self._uses_kept, self._cuts_kept = frames, uses, len(cuts)
        return Boundary(facts, begin.tensors)

    def keep(self, boundary: Boundary | None, writer: StretchWriter) -> None:
        """End a stretch, if one ends here; what follows belongs to the next.

        Raises:
            OutputError: It cannot be written.
        """
        if boundary is None:
            return
        assert self._work is not None, "else there are no boundaries"
        part = writer.end_stretch()
        state: Path | None = None
        if boundary.tensors:
            state = self._work.file("state")
            try:
                save_file(dict(boundary.tensors), state)
            except SafetensorError as error:  # that of the system is only in its words
                raise cannot_write(self._work.output, error) from error
        facts = {"writer": part.facts, "run": boundary.facts}
        self._work.commit(Stretch(files=tuple(part.files), facts=facts, state=state))

    def _go_on(self, stretches: Iterable[Stretch], pace: Pace) -> None:
        facts: Mapping[str, Any] = {}
        uses: dict[str, Any] = {}
        for stretch in stretches:
            facts, state = stretch.facts["run"], stretch.state
            self.cuts += facts["cuts"]
            uses |= facts["uses"]
        self._session.uses.unpack(uses)
        self._worker.restore({} if state is None else _load(state), facts["state"])
        first, starts_shot = facts["first"], facts["starts_shot"]
        if not starts_shot:
            limits = self._session.backbone.limits
            first = first_needed(facts["first"], facts["state"]["shot"], pace, limits)
            starts_shot = first < facts["first"]
        self.start = Start(
            position=facts["position"],
            frames=facts["frames"],
            first=first,
            starts_shot=starts_shot,
            shared=facts["shared"],
        )


def open_work(
    output: Path, prepared: Prepared, identity: Mapping[str, str], *, resume: bool
) -> AbstractContextManager[WorkFolder | None]:
    """Open the folder in which the stretches of a result are kept.

    A single image has none, and neither has what is not to be resumed: what is there is removed.

    Entering it raises:
        OutputError: See `WorkFolder`.
    """
    if is_image_sequence(output) and not is_pattern(output):
        return nullcontext()
    if not resume:
        forget_work(output)
        return nullcontext()
    return WorkFolder(output, identity, {"budget": pack_budget(prepared.budget)})


def resumed(prepared: Prepared, work: WorkFolder | None) -> Prepared:
    """The same with the chunks of the interrupted run, whatever memory is free now."""
    if work is None or not work.goes_on:
        return prepared
    logger.warning("%s: going on with what an interrupted run has finished", prepared.plan.output)
    return replace(prepared, budget=unpack_budget(work.begin["budget"]))


def finished_frames(work: WorkFolder) -> int:
    """How many frames lie in finished stretches."""
    return int(work.stretches[-1].facts["run"]["frames"]) if work.stretches else 0


def finished_files(work: WorkFolder | None, output: Path) -> list[Path]:
    """Where the frames of finished stretches go."""
    if not is_pattern(output):
        return [output]
    if work is None:
        return []
    return [output.with_name(path.name) for stretch in work.stretches for path in stretch.files]


def finish_work(work: WorkFolder | None) -> None:
    """Note that the result is there."""
    if work is not None:
        work.finish()


def shortest_stretch(height: int, width: int, *, has_model: bool = True) -> int:
    """Frames after which a stretch ends with the next chunk. Nothing but the size decides, so that
    a run that was interrupted has the same stretches as one that was not.
    """
    frames = max(LEAST_FRAMES, LEAST_PIXELS // (height * width))
    return frames if has_model else _MORE_WITHOUT_MODEL * frames


def first_needed(position: int, shot: int, pace: Pace, limits: BackboneLimits) -> int:
    """Where to begin so that the state at the start of a chunk is right in every bit.

    Args:
        position: Of the chunk.
        shot: Of its shot's first one.
        pace: How chunks follow each other.
        limits: Of the backbone.

    Returns:
        The position itself where nothing must be computed once more; else from where on, beginning
        with a chunk of the first one's length.
    """
    memory = limits.memory
    if limits.packs_state or memory is None:
        return position
    chunks = -(-limits.overlap // pace.advance)
    if memory.frames or memory.chunks:
        # One more: the first is not of the length that it had.
        chunks += 1 + memory.chunks - (-memory.frames // pace.advance)
    if not chunks:
        return position
    first = position - chunks * pace.advance + pace.following - pace.first
    return max(first, shot)


def without_known_cuts(
    marked: Iterable[tuple[T, bool]], read_from: int, start: Start
) -> Iterator[tuple[T, bool]]:
    """Leave out what was read for the search for cuts alone, and cuts that are known.

    Args:
        marked: Frames, with whether a shot starts there.
        read_from: Position of the first.
        start: Where the run begins.
    """
    for position, (frame, is_cut) in enumerate(marked, read_from):
        if position >= start.first:
            yield frame, is_cut and position > start.position


def _load(path: Path) -> dict[str, Tensor]:
    with open_safetensors(path) as file:
        return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
