"""What a run may choose references from for a chunk, and what it is told of the chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

from refvid.models.backbone import ReferenceUse
from refvid.rebuild.pixels import Pixels
from refvid.rebuild.same_moment import Copied

T = TypeVar("T")

_MOST_REMEMBERED = 256
"""Chunks: more than any model looks back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenReference:
    """A reference as it is given to a run."""

    name: str
    """In words, for people."""

    read: Callable[[], Pixels]
    """Gives (h, w, 3), uint8 or uint16, of any size."""

    frame: int | None = None
    """The frame that it belongs to, as `Moment.index`."""

    time: Fraction | None = None
    """Or the time, as `Moment.time` [s]; with neither it is for the whole video."""

    @property
    def is_placed(self) -> bool:
        """Whether it belongs somewhere."""
        return self.frame is not None or self.time is not None


NO_MORE: Mapping[int, GivenReference] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a frame lies in its video."""

    index: int
    """Counted from 0 over the whole video."""

    time: Fraction
    """From the first frame on [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkView:
    """What a feed may look at of a chunk."""

    moments: Sequence[Moment]
    starts_shot: bool
    picture: Callable[[int], Pixels] | None
    """Gives one of its frames (H, W, 3) as the model sees it, counted from the first; None where
    they are not known before decoding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fed:
    """What a chunk is decoded with."""

    reference: Any
    """What `Backbone.decode` takes as `reference`."""

    fade_from: Any = None
    """What the chunk before was decoded with, where this one must fade over from it."""

    numbers: tuple[int, ...] = ()
    """The references, where the feed chose; none: the model tells."""

    copied: Copied | None = None
    """What is put into the model's result, from frames of the very same moments."""

    uses: Sequence[ReferenceUse] = ()
    """What the feed itself has found."""

    video: int | None = None
    """References with this number and higher ones are frames of one video."""


class ReferenceFeed(Protocol):
    """Chooses for one video, chunk by chunk, in order."""

    def feed(self, view: ChunkView, more: Mapping[int, GivenReference] = ...) -> Fed:
        """Choose for the next chunk, among references that are for this chunk alone, too."""
        ...

    def pack(self) -> dict[str, Any]:
        """What the next chunks need of those before, in plain JSON types."""
        ...

    def unpack(self, facts: Mapping[str, Any]) -> None:
        """Go on after the chunks of which `pack` told. The last of them may come once more: they
        get what they got then.
        """
        ...


class Choices(Generic[T]):
    """What was chosen for the last chunks of a video, by their first frames."""

    def __init__(self) -> None:
        self._made: dict[int, T] = {}
        self._known: dict[int, T] = {}

    def make(self, view: ChunkView, choose: Callable[[], T]) -> T:
        """Choose for a chunk, unless that is known from an interrupted run."""
        frame = view.moments[0].index
        choice = self._known[frame] if frame in self._known else choose()
        self._made.pop(frame, None)
        self._made[frame] = choice
        if len(self._made) > _MOST_REMEMBERED:
            del self._made[next(iter(self._made))]
        return choice

    def is_known(self, view: ChunkView) -> bool:
        """Whether a chunk comes once more."""
        return view.moments[0].index in self._known

    def pack(self) -> list[tuple[int, T]]:
        """Write them down."""
        return list(self._made.items())

    def unpack(self, made: Iterable[tuple[int, T]]) -> None:
        """Read what `pack` wrote."""
        self._known = dict(made)
        self._made = dict(self._known)


def frames_from(reference: GivenReference, moment: Moment, rate: Fraction) -> Fraction | None:
    """How many frames a reference lies behind a moment, about; None where it has no place."""
    if reference.frame is not None:
        return Fraction(reference.frame - moment.index)
    return None if reference.time is None else (reference.time - moment.time) * rate


def neighbours(
    given: Mapping[int, GivenReference], moments: Sequence[Moment], rate: Fraction
) -> list[int]:
    """Numbers of those that may serve a chunk: the last before its end and the first behind it,
    the nearer one first; then those without a place.
    """
    places = {
        number: frames_from(reference, moments[0], rate)
        for number, reference in given.items()
        if reference.is_placed
    }
    known = {number: place for number, place in places.items() if place is not None}
    middle = Fraction(len(moments) - 1, 2)
    before = max((n for n in known if known[n] <= middle), key=known.__getitem__, default=None)
    behind = min((n for n in known if known[n] > middle), key=known.__getitem__, default=None)
    near = sorted(
        (number for number in (before, behind) if number is not None),
        key=lambda number: abs(known[number] - middle),
    )
    return [*near, *(number for number in given if number not in known)]
