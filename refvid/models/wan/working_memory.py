"""What encoding and decoding a chunk takes beside the weights, from live tensor bytes counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from refvid.models.wan.blocks import PAST_FRAMES
from refvid.models.wan.config import WanConfig
from refvid.models.wan.encoder import plan_level

_DECODER_STATE = 24.7
"""Values that the decoder carries per pixel of its windows, in units of `base_channels`."""

_MARGIN = 1.1
"""For what is not counted: scratch memory of convolutions, fragments."""

_WEIGHTS_CAST = 100_000_000
"""One layer's weights in the precision that is computed in [bytes]."""

_FLOAT = 4
"""Bytes of a value: the encoder computes in float32."""


class ClipSizes(NamedTuple):
    """What is worked on."""

    height: int
    width: int
    frames: int
    windows: Sequence[int]
    """Pixels of each window of the decoder."""

    step: int
    """Frames that its last layers work on at once."""

    element: int
    """Bytes of a value in it."""


def bytes_without_states(config: WanConfig, sizes: ClipSizes) -> int:
    """Peak of a device on which a state is while it is used [bytes]."""
    state = _decoder_state(config, sizes, max(sizes.windows))
    return _with_margin(max(_encoder_work(config, sizes), state + _decoder_work(config, sizes)))


def bytes_with_states(config: WanConfig, sizes: ClipSizes) -> int:
    """Peak where what encoder and decoder carry stays: old and new at once of the one at work."""
    encoder = _encoder_state(config, sizes)
    decoder = _decoder_state(config, sizes, sum(sizes.windows))
    return _with_margin(
        max(
            2 * encoder + decoder + _encoder_work(config, sizes, with_state=False),
            encoder + 2 * decoder + _decoder_work(config, sizes),
        )
    )


def _with_margin(count: float) -> int:
    return round(_MARGIN * count) + _WEIGHTS_CAST


def _decoder_work(config: WanConfig, sizes: ClipSizes) -> float:
    whole_clips = 2 if len(sizes.windows) == 1 else 3
    channels = config.base_channels * (1.6 + 6.8 * sizes.step + 0.5 * sizes.frames)
    clip = 3 * sizes.frames * sizes.height * sizes.width
    return sizes.element * max(sizes.windows) * channels + _FLOAT * whole_clips * clip


def _decoder_state(config: WanConfig, sizes: ClipSizes, pixels: int) -> float:
    return sizes.element * pixels * _DECODER_STATE * config.base_channels


def _encoder_state(config: WanConfig, sizes: ClipSizes) -> int:
    area = sizes.height * sizes.width
    levels = range(len(config.level_channels))
    return sum(_FLOAT * (area >> 2 * level) * _carried(config, level) for level in levels)


def _encoder_work(config: WanConfig, sizes: ClipSizes, *, with_state: bool = True) -> int:
    """Of the level that takes most: what it gets and gives, a strip, and the state of that."""
    height, width, frames = sizes[:3]
    clips = 2 * 3 * frames * height * width  # as it came, and channels last
    inputs, peak = 0, 0
    for number, channels in enumerate(config.level_channels):
        level = plan_level(config, number, height, width)
        made = level.frames(frames)
        given = frames * height * width * inputs
        gives = made * height * width // level.stride**2 * channels
        strip = max(seen.length for _, seen in level.strips) * width
        held = min(level.step + 1, frames)
        values = channels * (4 * held + 2 * PAST_FRAMES)
        if with_state:
            values += _carried(config, number)
        peak = max(peak, clips + given + gives + strip * values)
        height, width, frames, inputs = (
            height // level.stride, width // level.stride, made, channels
        )  # fmt: skip
    return _FLOAT * peak


def _carried(config: WanConfig, number: int) -> int:
    """Values per position that the layers of a level keep of a frame's past."""
    channels, blocks = config.level_channels[number], config.residual_blocks
    inputs = config.level_channels[number - 1] if number else channels
    kept = PAST_FRAMES * (inputs + (2 * blocks - 1) * channels)
    if number == 0:
        kept += PAST_FRAMES * 3
    if number == len(config.level_channels) - 1:
        kept += PAST_FRAMES * 5 * channels  # middle block and last convolution
    elif config.temporal_downsampling[number]:
        kept += channels // 4
    return kept
