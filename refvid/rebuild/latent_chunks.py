"""How chunks of latents follow each other, and which frames they stand for."""

from __future__ import annotations

from fractions import Fraction

from refvid.latents.latents import LatentChunk, Latents
from refvid.models.backbone import BackboneLimits
from refvid.rebuild.chunks import ChunkLengths, count_frames
from refvid.rebuild.reference_feed import ChunkView, Moment
from refvid.rebuild.resuming import Pace


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


def stored_lengths(latents: Latents, lengths: ChunkLengths) -> ChunkLengths:
    """The chunks that the latents were encoded in, where they stand alone and are no longer."""
    stored = latents.chunk_latents * latents.temporal_stride
    if not 0 < stored <= lengths.longest:
        return lengths
    return ChunkLengths(stored, stored, latents.overlap_latents * latents.temporal_stride)
