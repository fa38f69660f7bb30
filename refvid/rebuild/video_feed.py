"""A video as reference, beside pictures: frames of the same moments are copied where they match.

Where there are none of the same moment, or where they do not match, the frames around a chunk are
references like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from refvid.media.video_info import VideoInfo
from refvid.models.backbone import ReferenceUse
from refvid.rebuild.edit_mask import EditMask
from refvid.rebuild.pixels import Pixels
from refvid.rebuild.reference_feed import (
    NO_MORE,
    Choices,
    ChunkView,
    Fed,
    GivenReference,
    ReferenceFeed,
)
from refvid.rebuild.reference_video import OriginalFrame, held_bytes
from refvid.rebuild.same_moment import COMPARED_BYTES, Copied, SameMoment
from refvid.wording import counted

_NEARLY_ALL = 0.9
"""Share of a chunk's frames that must have one of the same moment: else copied frames and rebuilt
ones would take turns, and flicker."""


class FramesInStep(Protocol):
    """Frames of another recording, by the times of the video's; see `ReferenceVideo`."""

    @property
    def name(self) -> str:
        """In words, for people."""
        ...

    def go_to(self, times: Sequence[Fraction]) -> None:
        """Make ready for frames of some times [s], in order."""
        ...

    def at(self, time: Fraction) -> OriginalFrame | None:
        """The frame of the same time; None where there is none."""
        ...

    def around(self, time: Fraction) -> list[OriginalFrame]:
        """The frame shown at a time and the one behind it."""
        ...

    def covers(self, time: Fraction) -> bool:
        """Whether it goes on at a time."""
        ...

    def close(self) -> None:
        """End what reads along."""
        ...


class MasksInStep(Protocol):
    """Masks by the times of the video's frames; see `EditMask`."""

    def go_to(self, times: Sequence[Fraction]) -> None:
        """Make ready for frames of some times [s], in order."""
        ...

    def at(self, time: Fraction) -> NDArray[np.float32]:
        """(H, W) in [0, 1]: 1 where the frame shows something else."""
        ...

    def close(self) -> None:
        """End what reads along."""
        ...


class VideoFeed:
    """`ReferenceFeed` with a video beside what another feed chooses from.

    Args:
        pictures: Chooses among the pictures, and among frames of the video.
        count: How many pictures there are.
        video: The video.
        mask: Where it shows something else; None finds that out.
    """

    def __init__(
        self,
        pictures: ReferenceFeed,
        count: int,
        video: FramesInStep,
        mask: MasksInStep | None,
    ) -> None:
        self._pictures, self._count = pictures, count
        self._video, self._mask = video, mask
        self._same = SameMoment()
        self._lacking: tuple[int, int] | None = None
        """First and last frame that the video does not cover."""

        self._lacking_count = 0
        self._copies: Choices[bool] = Choices()
        """Whether frames were copied."""

    def pack(self) -> dict[str, Any]:
        return {
            "pictures": self._pictures.pack(),
            "same": self._same.pack(),
            "copies": self._copies.pack(),
            "lacking": [self._lacking, self._lacking_count],
        }

    def unpack(self, facts: Mapping[str, Any]) -> None:
        self._pictures.unpack(facts["pictures"])
        self._same.unpack(facts["same"])
        self._copies.unpack((frame, copies) for frame, copies in facts["copies"])
        lacking, self._lacking_count = facts["lacking"]
        self._lacking = None if lacking is None else (lacking[0], lacking[1])

    def close(self) -> None:
        """Stop reading."""
        self._video.close()
        if self._mask is not None:
            self._mask.close()

    def remarks(self) -> list[str]:
        """What the user should know, at the end."""
        if self._lacking is None:
            return []
        first, last = self._lacking
        name, frames = self._video.name, counted(self._lacking_count, "frame")
        remark = f"{name} does not cover {frames} ({first} to {last}): they were rebuilt without it"
        return [remark]

    def feed(self, view: ChunkView, more: Mapping[int, GivenReference] = NO_MORE) -> Fed:
        times = [moment.time for moment in view.moments]
        self._video.go_to(times)
        if self._mask is not None:
            self._mask.go_to(times)
        self._count_lacking(view)
        masks = [None if self._mask is None else self._mask.at(time) for time in times]
        copied = None if self._copies.is_known(view) else self._copy(view, masks)
        if not self._copies.make(view, lambda: copied is not None):
            middle = len(times) // 2
            around = self._video.around(times[middle])
            given = {self._number(one): self._give(one, masks[middle]) for one in around}
            fed = self._pictures.feed(view, {**more, **given})
            return replace(fed, video=self._count)
        if copied is None:
            # Once more, for the model's state alone.
            return replace(self._pictures.feed(view, more), video=self._count)
        use = ReferenceUse(
            reference=self._count,
            frames=len(times),
            found=copied.share,
            sharper=copied.sharper,
            worth=copied.worth,
            is_registered=True,
        )
        fed = self._pictures.feed(view, more)
        return replace(fed, copied=copied, uses=(use,), video=self._count)

    def _copy(self, view: ChunkView, masks: Sequence[NDArray[np.float32] | None]) -> Copied | None:
        """What frames of the same moments show, too; None where that cannot be told: latents have
        no pictures to hold them against.
        """
        others = [self._video.at(moment.time) for moment in view.moments]
        together = sum(other is not None for other in others)
        if view.picture is None or together < _NEARLY_ALL * len(others):
            return None
        return self._same.copy(
            [view.picture(number) for number in range(len(others))],
            [None if other is None else other.pixels for other in others],
            masks,
            starts_shot=view.starts_shot,
        )

    def _number(self, frame: OriginalFrame) -> int:
        return self._count + frame.index

    def _give(self, frame: OriginalFrame, mask: NDArray[np.float32] | None) -> GivenReference:
        return GivenReference(
            name=f"frame {frame.index} of {self._video.name}",
            read=lambda: frame.pixels if mask is None else _paint_over(frame.pixels, mask),
            time=frame.time,
        )

    def _count_lacking(self, view: ChunkView) -> None:
        seen = -1 if self._lacking is None else self._lacking[1]
        for moment in view.moments:
            if moment.index > seen and not self._video.covers(moment.time):
                first = moment.index if self._lacking is None else self._lacking[0]
                self._lacking = first, moment.index
                self._lacking_count += 1


def held_in_step(
    video: VideoInfo, mask: EditMask | None, size: tuple[int, int], frames: int
) -> int:
    """What a video and its mask take beside the model's work, for chunks of so many frames of a
    size (width, height) [bytes].
    """
    area = size[0] * size[1]
    pixel = 3 if video.bit_depth == 8 else 6
    copied = area * frames * (pixel + 1)
    masks = 0 if mask is None else mask.held_bytes(frames)
    return held_bytes(video, size, frames) + copied + masks + area * COMPARED_BYTES


def _paint_over(pixels: Pixels, mask: NDArray[np.float32]) -> Pixels:
    """A picture (h, w, 3) in plain gray where a mask (H, W) of another size is, for nothing of it
    shall be found there.
    """
    rows = np.arange(pixels.shape[0]) * mask.shape[0] // pixels.shape[0]
    columns = np.arange(pixels.shape[1]) * mask.shape[1] // pixels.shape[1]
    where = mask[rows[:, None], columns] > 0
    plain = np.iinfo(pixels.dtype).max // 2 + 1
    return np.where(where[..., None], pixels.dtype.type(plain), pixels)
