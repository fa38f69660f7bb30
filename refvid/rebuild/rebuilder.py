"""What becomes of a video's chunks between reading and writing, in files and in memory alike."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from refvid.rebuild.canvas import Canvas
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.chunks import Chunk
from refvid.rebuild.memory import Budget
from refvid.rebuild.out_of_memory import out_of_memory_errors
from refvid.rebuild.pixels import Pixels, blend
from refvid.rebuild.reference_feed import ChunkView, Moment
from refvid.rebuild.references import Conditions
from refvid.rebuild.resuming import FedSession
from refvid.rebuild.same_moment import Copied
from refvid.rebuild.session import Session

logger = logging.getLogger(__name__)


class Rebuilder:
    """Takes chunks through the session, and mixes the result with the input.

    Args:
        loaded: The model.
        conditions: What it is given beside the frames.
        budget: How much is computed at once.
        canvas: How it sees the video.
        strength: 0 gives the input back, 1 the model's full result.
    """

    def __init__(
        self,
        loaded: LoadedBackbone,
        conditions: Conditions,
        budget: Budget,
        *,
        canvas: Canvas,
        strength: float = 1.0,
    ) -> None:
        self.cuts: list[int] = []
        """Index of the first frame of every shot but the first."""

        self.session = Session(loaded.backbone, loaded.device, budget, conditions.reference)
        self._canvas = canvas
        self._feed = conditions.feed
        self._copied: Copied | None = None
        self._shot = 0
        self._strength = strength
        self._finish = conditions.finish

    @out_of_memory_errors()
    @torch.inference_mode()
    def rebuild(
        self, chunk: Chunk[Any], pictures: Sequence[Pixels], moments: Sequence[Moment]
    ) -> Iterable[Pixels]:
        """Rebuild a chunk.

        Args:
            chunk: Where it lies in its shot.
            pictures: Its frames, (h, w, 3) each, as they are in the video.
            moments: Where these lie in their video.

        Returns:
            Its frames that are final.

        Raises:
            OutOfMemory: It does not fit, even in the smallest chunks and tiles.
        """
        if chunk.starts_shot and chunk.index:
            self.cuts.append(chunk.index)
            logger.info("Shot cut at frame %s.", chunk.index)
        dtype = pictures[0].dtype
        if self._strength == 0:
            pictures = pictures[: len(chunk.final)]
            if not self._canvas.enlarges(pictures[0]):
                return pictures
            clip = self._canvas.to_clip(pictures, self.session.device)
            return self._canvas.to_frames(clip, dtype)
        self._choose_reference(chunk, pictures, moments)
        clip = self._canvas.to_clip(pictures, self.session.device)
        rebuilt = self.session.rebuild(clip, chunk)
        original = clip[:, :, : rebuilt.shape[2]]
        if self._copied is not None:
            rebuilt = self._copied.put_into(rebuilt)
        if self._finish is not None:
            rebuilt = self._finish(original, rebuilt)
        return self._canvas.to_frames(blend(original, rebuilt, self._strength), dtype)

    @out_of_memory_errors()
    @torch.inference_mode()
    def warm_up(
        self, chunk: Chunk[Any], pictures: Sequence[Pixels], moments: Sequence[Moment]
    ) -> None:
        """Compute a chunk once more for the state that it leaves, in the shot that goes on."""
        chunk = replace(chunk, starts_shot=False)
        with self.session.untold():
            self._choose_reference(chunk, pictures, moments)
            self.session.rebuild(self._canvas.to_clip(pictures, self.session.device), chunk)

    def snapshot(self, *, with_state: bool) -> tuple[Mapping[str, Tensor], dict[str, Any]]:
        """What the next chunk needs; see `Session.snapshot`."""
        return FedSession(self.session, self._feed).snapshot(with_state=with_state)

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Go on from a snapshot."""
        FedSession(self.session, self._feed).restore(tensors, facts)
        self._shot = facts["shot"]

    def _choose_reference(
        self, chunk: Chunk[Any], pictures: Sequence[Pixels], moments: Sequence[Moment]
    ) -> None:
        if self._feed is None:
            return
        view = ChunkView(
            moments=moments,
            starts_shot=chunk.starts_shot,
            picture=lambda number: self._canvas.to_picture(pictures[number]),
        )
        fed = self._feed.feed(view)
        if chunk.starts_shot:
            self._shot = chunk.index
        self.session.take_reference(fed, chunk.index, len(pictures))
        self.session.uses.add(self._shot, chunk.index, fed.uses)
        self._copied = fed.copied
