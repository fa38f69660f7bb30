"""The frozen encoder: clip -> posterior, one resolution after the other.

It has the decoder's parts instead of diffusers' encoder: the same numbers in five sixths of the
time, less memory, and the state in plain sight. What a resolution works on at once is bounded: a
few frames of a strip. A strip gets the rows around it that its result depends on, so it has the
numbers that the whole frame would have given.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from refvid.models.tiles import Span
from refvid.models.wan.blocks import (
    CausalConv3d,
    ChannelNorm,
    Downsample,
    MiddleBlock,
    ResidualBlock,
)
from refvid.models.wan.config import WanConfig
from refvid.models.wan.past import Past, put_rows, take_rows

VALUES_PER_STEP = 48_000_000
"""A layer works on about so many values at once, those of half a million pixels of the full size;
more is hardly faster."""

LONGEST_STEP = 4
"""Frames that are worked on at once, at most."""

VALUES_PER_STRIP = 32_000_000
"""Of a frame at some resolution that is not cut into strips."""


class Level(NamedTuple):
    """How the layers of one resolution go through a clip."""

    strips: tuple[tuple[Span, Span], ...]
    """Rows that count, and the rows that are seen for them."""

    step: int
    """Frames at once; even where the frame rate is halved."""

    stride: int
    """Rows that become one."""

    in_time: bool
    """Whether the frame rate is halved, too: a shot's first frame stays one."""

    def frames(self, count: int) -> int:
        """How many become of so many."""
        return -(-count // 2) if self.in_time else count

    def steps(self, x: Tensor) -> Iterator[Tensor]:
        """Cut frames (B, T, h, w, C) into what is worked on at once."""
        stop = self.step + (x.shape[1] % 2 if self.in_time else 0)
        yield x[:, :stop]
        if stop < x.shape[1]:
            yield from torch.split(x[:, stop:], self.step, 1)

    def put(self, whole: Tensor, part: Tensor, core: Span, seen: Span) -> None:
        """Write the rows that count where they belong, both behind the layers."""
        start, stop, first = (row // self.stride for row in (*core, seen.start))
        whole[:, :, start:stop] = part[:, :, start - first : stop - first]


class WanEncoder(nn.Module):
    """Clip (B, T, H, W, 3) -> mean and log variance of the posterior, before `quant_conv`.

    Attribute names are the checkpoint's.
    """

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        levels = config.level_channels
        self.config = config
        self.conv_in = CausalConv3d(3, levels[0])
        self.down_blocks = nn.ModuleList()
        inputs = levels[0]
        for level, outputs in enumerate(levels):
            for _ in range(config.residual_blocks):
                self.down_blocks.append(ResidualBlock(inputs, outputs))
                inputs = outputs
            if level < len(levels) - 1:
                in_time = config.temporal_downsampling[level]
                self.down_blocks.append(Downsample(outputs, in_time=in_time))
        self.mid_block = MiddleBlock(inputs)
        self.norm_out = ChannelNorm(inputs)
        self.conv_out = CausalConv3d(inputs, 2 * config.latent_channels)

    def forward(self, clip: Tensor, past: Past, home: torch.device | None = None) -> Tensor:
        """Encode frames that make whole latent frames.

        Args:
            clip: (B, T, H, W, 3) in [-1, 1].
            past: Empty at the start of a shot; changed for the next frames. On any device: what a
                strip needs is brought to the clip's.
            home: Where what the next frames need is put; None: nowhere.

        Returns:
            (B, t, H / 8, W / 8, 2 * latent channels).
        """
        x = clip
        for level in range(len(self.config.level_channels)):
            x = self._go_through(level, x, past, home)
        return x

    def _go_through(self, number: int, x: Tensor, past: Past, home: torch.device | None) -> Tensor:
        """Frames (B, T, h, w, C) through the layers of one resolution."""
        frames, height, width = x.shape[1:4]
        level = plan_level(self.config, number, height, width)
        blocks = self._blocks(number)
        layers = [layer for block in blocks for layer in block.modules()]
        before = {layer: past.pop(layer) for layer in layers if layer in past}
        whole: Tensor | None = None
        for core, seen in level.strips:
            strip = take_rows(before, seen, height, x.device)
            done = 0
            for part in level.steps(x[:, :, seen.start : seen.stop]):
                encoded = self._run(blocks, part, strip)
                if whole is None:
                    shape = level.frames(frames), height // level.stride, *encoded.shape[3:]
                    whole = encoded.new_empty(len(encoded), *shape)
                stop = done + encoded.shape[1]
                level.put(whole[:, done:stop], encoded, core, seen)
                done = stop
            if home is not None:
                put_rows(past, strip, core, seen, height, home)
        assert whole is not None, "there are frames"
        return whole

    def _blocks(self, number: int) -> list[nn.Module]:
        """All layers of a resolution, in their order."""
        per_level = self.config.residual_blocks + 1
        blocks = list(self.down_blocks[number * per_level : (number + 1) * per_level])
        if number == 0:
            blocks.insert(0, self.conv_in)
        if number == len(self.config.level_channels) - 1:
            blocks += [self.mid_block, self.conv_out]
        return blocks

    def _run(self, blocks: list[nn.Module], x: Tensor, past: Past) -> Tensor:
        for block in blocks:
            x = block(x, past, self.norm_out) if block is self.conv_out else block(x, past)
        return x


def plan_level(config: WanConfig, number: int, height: int, width: int) -> Level:
    """Say how the layers of one resolution go through frames of its size."""
    channels = config.level_channels[number]
    deepest = number == len(config.level_channels) - 1
    in_time = not deepest and config.temporal_downsampling[number]
    row = width * channels
    # The deepest level's attention sees the frame.
    count = 1 if deepest else min(-(-height * row // VALUES_PER_STRIP), height // 2)
    around = 2 * config.residual_blocks + 2  # convolutions: one row each
    edges = [2 * (height // 2 * index // count) for index in range(count)] + [height]
    strips = tuple(
        (Span(top, bottom), Span(max(top - around, 0), min(bottom + around, height)))
        for top, bottom in pairwise(edges)
    )
    most = max(seen.length for _, seen in strips) * row
    step = max(1, min(VALUES_PER_STEP // most, LONGEST_STEP))
    return Level(strips, step + step % 2 if in_time else step, 1 if deepest else 2, in_time)
