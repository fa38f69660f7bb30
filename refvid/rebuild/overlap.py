"""Where chunks overlap: cross-fade what two model calls made of the same frames.

For models that carry no state from chunk to chunk. Each call is computed as if it were alone, so
at a hard seam the picture would jump; over the shared frames one result fades into the other.
"""

from __future__ import annotations

import torch
from torch import Tensor


def cross_fade(before: Tensor, after: Tensor, shared: int) -> tuple[Tensor, Tensor]:
    """Join two results, (B, C, T, H, W) each, whose last and first `shared` frames are the same.

    Returns:
        What is left of the first without those frames, and the second with them, faded in
        linearly.
    """
    frames = before.shape[2]
    faded = fade(before[:, :, frames - shared :], after[:, :, :shared])
    return before[:, :, : frames - shared], torch.cat((faded, after[:, :, shared:]), 2)


def fade(before: Tensor, after: Tensor) -> Tensor:
    """Two results (B, C, T, H, W) of the same frames, one fading linearly into the other."""
    frames = after.shape[2]
    weights = (torch.arange(frames, device=after.device) + 0.5) / frames
    return torch.lerp(before, after, weights.view(-1, 1, 1))


class ChunkJoiner:
    """Puts the results of a shot's chunks together, holding back what the next one shares."""

    def __init__(self) -> None:
        self._tail: Tensor | None = None

    def join(self, clip: Tensor, shared: int, held_back: int) -> Tensor:
        """Give the frames of a chunk's result that are final.

        Args:
            clip: (B, C, T, H, W).
            shared: Frames at its start that the chunk before had too; 0 at the start of a shot.
            held_back: Frames at its end that the next chunk has too.

        Returns:
            (B, C, T - held_back, H, W).
        """
        if shared:
            assert self._tail is not None, "the chunk before has held back what is shared"
            _, clip = cross_fade(self._tail, clip, shared)
        final = clip.shape[2] - held_back
        self._tail = clip[:, :, final:].clone() if held_back else None
        return clip[:, :, :final]
