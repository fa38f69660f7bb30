"""RefTok's principle in a small network: a block and its reference -> tokens -> the block again.

RefTok, arXiv:2507.02862: a block of frames is encoded and decoded given a reference that is not
quantised. Here a token has two parts. One says how the reference moves (`motion`). The other is
learned: the encoder sees the block beside the moved reference, which the decoder will have, and
need not say again what that shows. The decoder joins tokens of the reference and of the block by
the reference attention (RefDecoder, arXiv:2605.15196), and mixes the moved reference with what it
makes itself, frequency by frequency. Frames of a block are channels of one picture: there is no
convolution over time.

Both sides begin as a transform codec: the code is the block's, or its difference's, lowest
frequencies. Training fits the decoder's by least squares, and learns
what comes on top.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from refvid.models.mini.fusion import start_at_zero
from refvid.models.mini_tokens.config import WINDOW, MiniReftokConfig
from refvid.models.patch_codec import patch_basis
from refvid.models.quantiser import Quantiser
from refvid.models.reference_attention import Features, ReferenceAttention
from refvid.models.reference_tokens import ReferenceTokens

PATCH = 8
"""Side of the patches that the network works on [pixels]."""

CELL = 4
"""Side of the cells in which it puts frames together [pixels]."""

CELL_VALUES = 3 * CELL**2
_PATCH_VALUES = 3 * PATCH**2

_STRIP_PIXELS = 1 << 19
"""Of a frame, that are seen or made at a time at full size."""

_MARGIN = 4
"""Rows of patches around a strip that what is made of it depends on: three, made even."""

_KEEP_START = 4.0
"""A gate starts at sigmoid(4): nearly all of the moved reference is kept."""

_SPREAD = 1.3
"""Of typical numbers, what the quantiser takes as one."""


class MiniReftok(nn.Module):
    """Encoder, quantiser and decoder."""

    def __init__(self, config: MiniReftokConfig) -> None:
        super().__init__()
        self.config = config
        self.quantiser = Quantiser(config.levels)
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        if next(self.parameters()).is_meta:
            return
        begin_as_transform(self)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                # Twice as fast on CPUs.
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, block: Tensor, moved: Tensor | None, reference: Tensor | None) -> Tensor:
        """Encode and decode blocks.

        Args:
            block: (B, T, 3, H, W) in [-1, 1], H and W multiples of 16, or of 32 where a token
                stands for 16 pixels a side.
            moved: The same shape: what the decoder will have of the reference.
            reference: (B, 3, H, W) in [-1, 1].

        Returns:
            (B, T, 3, H, W), near [-1, 1], float32.
        """
        codes = self.quantiser.quantise(self.encoder(block, moved))
        frames: Tensor = self.decoder(codes, moved, reference)
        return frames


class Encoder(nn.Module):
    """Blocks and what the decoder will have of the reference -> numbers for the quantiser."""

    def __init__(self, config: MiniReftokConfig) -> None:
        super().__init__()
        values = config.frames * _PATCH_VALUES
        inputs = values * (2 if config.reference else 1)
        across = config.side // PATCH
        self.embed = nn.Conv2d(inputs, config.width, 1)
        self.blocks = _blocks(config.width, config.depths[0])
        self.out = nn.Conv2d(config.width, len(config.levels), across, stride=across)
        self.linear = nn.Conv2d(values, len(config.levels), 1)

    def forward(self, block: Tensor, moved: Tensor | None) -> Tensor:
        """(B, T, 3, H, W) in [-1, 1] -> (B, D, H / side, W / side)."""
        embedded, base = [], []
        for strip in _strips(block.shape[-2] // PATCH, block.shape[-1]):
            shown = _rows(block, strip)
            difference = _squares(shown if moved is None else shown - _rows(moved, strip), PATCH)
            inputs = difference
            if moved is not None:
                inputs = torch.cat((_squares(shown, PATCH), difference), 1)
            embedded.append(self.embed(inputs))
            base.append(self.linear(difference))
        numbers: Tensor = self.out(self.blocks(torch.cat(embedded, 2)))
        across = base[0].shape[-1] // numbers.shape[-1]
        return numbers + functional.avg_pool2d(torch.cat(base, 2), across)


class Decoder(nn.Module):
    """Codes and a reference -> frames."""

    basis: Tensor

    def __init__(self, config: MiniReftokConfig) -> None:
        super().__init__()
        self.frames = config.frames
        width, fine, codes = config.width, config.fine, len(config.levels)
        across = config.side // PATCH
        self.register_buffer("basis", patch_basis(CELL, CELL), persistent=False)
        self.embed = nn.ConvTranspose2d(codes, width, across, stride=across)
        self.before = _blocks(width, config.depths[1])
        self.after = _blocks(width, config.depths[2])
        self.up = nn.ConvTranspose2d(width, fine, 2, stride=2)
        self.fine = _blocks(fine, config.depths[3])
        self.side, self.quantiser = config.side, Quantiser(config.levels)
        self.linear = nn.Conv2d(codes, config.frames * 3 * config.side**2, 3, padding=1)
        outputs = (2 if config.reference else 1) * config.frames * CELL_VALUES
        self.out = nn.Conv2d(fine, outputs, 3, padding=1)
        if config.reference:
            self.reference = ReferenceTokens(PATCH, width, None)
            self.attention = ReferenceAttention(
                ((width, 2),), config.attention, config.heads, config.head_channels, config.hidden
            )
            self.moved = nn.Conv2d(config.frames * CELL_VALUES, fine, 3, padding=1)

    def forward(self, codes: Tensor, moved: Tensor | None, reference: Tensor | None) -> Tensor:
        """Make frames.

        Args:
            codes: (B, D, h, w) in [-1, 1].
            moved: (B, T, 3, H, W): the reference where the tokens say that it goes, or None.
            reference: (B, 3, H, W) in [-1, 1], or None.

        Returns:
            (B, T, 3, H, W), near [-1, 1], float32.
        """
        x = self.before(self.embed(codes.to(self.embed.weight.dtype)))
        x = self.after(x if reference is None else x + self._attend(x, reference))
        strips = list(_strips(x.shape[2], PATCH * x.shape[3]))
        if len(strips) == 1:
            return self._finish(x, codes, moved)
        size = PATCH * x.shape[2], PATCH * x.shape[3]
        frames = torch.empty(len(x), self.frames, 3, *size, device=x.device)
        for strip in strips:
            around = slice(max(0, strip.start - _MARGIN), strip.stop + _MARGIN)
            across = slice(around.start * PATCH // self.side, around.stop * PATCH // self.side)
            known = None if moved is None else _rows(moved, around)
            made: Tensor = self._finish(x[:, :, around], codes[:, :, across], known)
            inner = slice(strip.start - around.start, strip.stop - around.start)
            _rows(frames, strip).copy_(_rows(made, inner))
        return frames

    def _finish(self, x: Tensor, codes: Tensor, moved: Tensor | None) -> Tensor:
        """Features at 1/8, codes, and the moved reference -> frames, some rows or all."""
        y = self.up(x)
        if moved is None:
            made = _by_frame(self.out(self.fine(y)).float())
        else:
            y = y + self.moved(_squares(moved, CELL).to(x.dtype))
            made, gates = map(_by_frame, self.out(self.fine(y)).float().chunk(2, 1))
            made = made + torch.sigmoid(gates) * self._frequencies(moved)
        frames: Tensor = self._linearly(codes) + self._pixels(made)
        return frames

    def _linearly(self, codes: Tensor) -> Tensor:
        """What the codes around it say of every pixel: (B, T, 3, H, W)."""
        with _full_precision(codes):
            values = self.linear(self.quantiser.expand(codes))
            frames = functional.pixel_shuffle(_by_frame(values, 3 * self.side**2), self.side)
        return frames.reshape(-1, self.frames, *frames.shape[1:])

    def _attend(self, x: Tensor, reference: Tensor) -> Tensor:
        """What the block's features (B, C, h, w) take from the reference, window by window."""
        tokens = self.reference(reference.to(x.dtype))  # (B, 1, h, w, C)
        side, height, width = WINDOW // PATCH, *x.shape[-2:]
        video = x.permute(0, 2, 3, 1)[:, None]
        cut = Features(_windows(tokens, side), _windows(video, side))
        found = self.attention(0, cut).take()[1]
        return _join_windows(found, side, height, width)

    def _frequencies(self, frames: Tensor) -> Tensor:
        """(B, T, 3, H, W) -> (B * T, 48, H/4, W/4)."""
        return change_basis(functional.pixel_unshuffle(frames.flatten(0, 1), CELL), self.basis)

    def _pixels(self, frequencies: Tensor) -> Tensor:
        """The inverse of `_frequencies`."""
        frames = functional.pixel_shuffle(change_basis(frequencies, self.basis.T), CELL)
        return frames.reshape(-1, self.frames, *frames.shape[1:])


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.second(functional.silu(self.first(functional.silu(x))))
        return x + residual


@torch.no_grad()
def begin_as_transform(network: MiniReftok) -> None:
    """Let all that is learned give zeros, and let code and frames be the lowest frequencies."""
    encoder, decoder, config = network.encoder, network.decoder, network.config
    silent: list[nn.Module] = [encoder.out, encoder.linear, decoder.linear, decoder.out]
    silent += [block.second for block in network.modules() if isinstance(block, ResidualBlock)]
    if config.reference:
        silent.append(decoder.attention.proj_outs[0])
    for layer in silent:
        start_at_zero(layer)
    if config.reference:
        _gates(decoder)[:] = _KEEP_START
    basis = patch_basis(PATCH, PATCH)
    always = torch.ones(config.frames)
    change = torch.where(torch.arange(config.frames) < config.frames / 2, -always, always)
    for number, (row, spread, changes) in enumerate(_numbers(config)):
        over_time = change if changes else always
        wave = torch.outer(over_time, basis[row]).flatten()
        encoder.linear.weight[number, :, 0, 0] = wave / (config.frames * _SPREAD * spread)
        wave = _SPREAD * spread * torch.outer(over_time, basis[row])
        if config.side > PATCH:
            larger = functional.interpolate(wave.view(-1, 3, PATCH, PATCH), config.side)
            wave = larger.flatten(1)
        decoder.linear.weight[:, number, 1, 1] = wave.flatten()


def _gates(decoder: Decoder) -> Tensor:
    bias = decoder.out.bias
    assert bias is not None, "it has one"
    return bias[decoder.frames * CELL_VALUES :]


def _numbers(config: MiniReftokConfig) -> list[tuple[int, float, bool]]:
    """What the first numbers of a code begin as: row of the basis, its spread, whether it is the
    change over time. Rows 0, 1, 8 and 9 are luma, 64 and 80 chroma.
    """
    if config.reference:
        return [(0, 1.76, False), (64, 0.5, False), (80, 0.25, False), (0, 0.6, True)]
    last = (9, 0.4, False) if config.frames == 1 else (0, 0.8, True)
    return [
        (0, 6.0, False), (1, 0.8, False), (8, 0.95, False),
        (64, 2.0, False), (80, 1.0, False), last,
    ]  # fmt: skip


def _blocks(channels: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(depth)))


def half_precision(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Compute in half precision, if that is the type."""
    is_half = dtype != torch.float32
    return torch.autocast(device.type, dtype if is_half else None, enabled=is_half)


def _full_precision(like: Tensor) -> torch.autocast:
    """What is nearly exact stays so, whatever the caller's autocast says."""
    return torch.autocast(like.device.type, enabled=False)


def change_basis(cells: Tensor, matrix: Tensor) -> Tensor:
    """(N, 48, h, w) in other frequencies, in float32."""
    with _full_precision(cells):
        return functional.conv2d(cells.float(), matrix.float()[:, :, None, None])


def _strips(rows: int, width: int) -> Iterator[slice]:
    """Cut so many rows of patches, of so many pixels, into strips: this bounds memory.

    Their ends lie at even rows, where tokens of any size end.
    """
    length = max(2, _STRIP_PIXELS // (PATCH * width) // 2 * 2)
    return (slice(start, min(rows, start + length)) for start in range(0, rows, length))


def _rows(frames: Tensor, strip: slice) -> Tensor:
    """Some rows of patches of (B, T, 3, H, W)."""
    return frames[..., strip.start * PATCH : strip.stop * PATCH, :]


def _squares(frames: Tensor, side: int) -> Tensor:
    """(B, T, 3, H, W) -> (B, T * 3 * side * side, H / side, W / side)."""
    cells = functional.pixel_unshuffle(frames.flatten(0, 1), side)
    return cells.reshape(frames.shape[0], -1, *cells.shape[2:])


def _by_frame(x: Tensor, values: int = CELL_VALUES) -> Tensor:
    """(B, T * C, h, w) -> (B * T, C, h, w)."""
    return x.reshape(-1, values, *x.shape[2:])


def _windows(x: Tensor, side: int) -> Tensor:
    """(B, 1, h, w, C) -> (B * n, 1, side or less, ..., C); what reaches over is zero."""
    height, width = x.shape[2:4]
    tall, wide = min(side, height), min(side, width)
    x = functional.pad(x, (0, 0, 0, -width % wide, 0, -height % tall))
    rows, columns = x.shape[2] // tall, x.shape[3] // wide
    cut = x.reshape(x.shape[0], rows, tall, columns, wide, -1)
    return cut.transpose(2, 3).reshape(-1, 1, tall, wide, x.shape[-1])


def _join_windows(x: Tensor, side: int, height: int, width: int) -> Tensor:
    """The inverse of `_windows`, as (B, C, h, w)."""
    tall, wide = min(side, height), min(side, width)
    rows, columns = math.ceil(height / tall), math.ceil(width / wide)
    cut = x.view(-1, rows, columns, tall, wide, x.shape[-1])
    joined = cut.transpose(2, 3).reshape(-1, rows * tall, columns * wide, x.shape[-1])
    return joined[:, :height, :width].permute(0, 3, 1, 2)
