"""What callers plan with: the clips that the Wan 2.1 backbone takes, and how far it looks back."""

from __future__ import annotations

from refvid.models.backbone import BackboneLimits, Memory
from refvid.models.wan.blocks import PAST_FRAMES
from refvid.models.wan.config import WanConfig

TRAINED_PIXELS = 480 * 832
"""Area of the frames that the reference attention was trained with."""

LIMITS = BackboneLimits(
    size_multiple=8,
    min_size=16,
    temporal_stride=4,
    first_chunk_extra=1,
    default_chunk=16,
    max_chunk=17,
    chunk_tokens=1560 * 18,  # of the last decoder stage, which is the first to reach its limit
    trained_pixels=TRAINED_PIXELS,
    joins_references=True,
)


def measure_memory(config: WanConfig) -> Memory:
    """How far back encoder and decoder look together, when one goes on where the other ends."""
    block = 2 * PAST_FRAMES  # of two convolutions
    # Encoder and decoder, from the highest frame rate to the lowest.
    frames, step = 0, 1
    for level in range(len(config.channel_multipliers)):
        frames += step * block * config.residual_blocks
        if level < len(config.temporal_downsampling) and config.temporal_downsampling[level]:
            frames += step * PAST_FRAMES
            step *= 2
    stride = step
    middle = 2 * block + PAST_FRAMES  # its blocks, and the convolution before or after it
    frames += PAST_FRAMES + stride * 2 * middle
    for in_time in (*config.temporal_upsampling, False):
        frames += step * block * (config.residual_blocks + 1)
        if in_time:
            frames += step * PAST_FRAMES
            step //= 2
    # The first frame of a shot makes a latent of its own: the one after it differs, too.
    return Memory(frames + PAST_FRAMES + stride, chunks=len(config.stages))
