"""The reference attention: a transformer over reference and video tokens (arXiv:2605.15196).

At each decoder stage the features of the reference and of the video are cut into patches that
cover 16x16 pixels, embedded, and sent as one sequence, the reference first, through blocks that
all stages share. Every token sees every other one. Patch embedding and projection back belong to
the stage. Features are (B, T, H, W, C), channels last, which is also how patches come out of the
projection.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

ROPE_THETA = 10000.0
EPSILON = 1e-6
"""Of every LayerNorm and of the RMSNorm on queries and keys."""

_TOKENS_PER_STEP = 4096
"""Embedding, feed-forward and projection work on so many tokens at once: this bounds memory."""

_VALUES_PER_STEP = 64_000_000
"""Embedding and projection cut or join so many values at once: a token may stand for 65536."""


class TokenGrid(NamedTuple):
    """Shape of a token sequence, the references' frames included."""

    frames: int
    rows: int
    columns: int
    references: int = 0
    """How many of the frames are references: the first ones."""


class Features:
    """Reference and video on their way through the decoder, (B, T, H, W, C) each.

    A stage replaces both, and its attention needs the room that they take. Who `take`s them is
    the only one to hold them, and can let go of them, however many callers hold this object.
    """

    def __init__(self, reference: Tensor | None, video: Tensor) -> None:
        self.reference = reference
        self._video: Tensor | None = video

    def take(self) -> tuple[Tensor | None, Tensor]:
        """Give reference and video; nothing stays in here."""
        reference, video = self.reference, self._video
        assert video is not None, "these features are taken already"
        self.reference = self._video = None
        return reference, video


def apart(references: Tensor) -> Tensor:
    """References (B, R, H, W, C) as clips of one frame each, (B * R, 1, H, W, C)."""
    return references.flatten(0, 1).unsqueeze(1)


def together(references: Tensor, batch: int) -> Tensor:
    """The inverse of `apart`."""
    return references.reshape(batch, -1, *references.shape[2:])


class Linear(nn.Linear):
    """A linear layer whose weights may be stored in another precision than it computes in."""

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return functional.linear(x, self.weight.to(x.dtype), bias)


class HeadsNorm(nn.Module):
    """RMSNorm over the channels of all heads together."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, N, D), which may be overwritten; float32, for the rotation follows."""
        shape = self.weight.shape
        if torch.is_grad_enabled():
            return functional.rms_norm(x.float(), shape, self.weight.float(), EPSILON)
        if x.is_cuda and x.dtype != torch.float32:
            # One kernel, which computes in float32 and rounds, in place of five.
            return functional.rms_norm(x, shape, self.weight.to(x.dtype), EPSILON).float()
        x = x.float()
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = length.square_().div_(x.shape[-1]).add_(EPSILON).rsqrt_()
        return x.mul_(scale).mul_(self.weight.float())


class SelfAttention(nn.Module):
    """Multi-head attention with rotary positions. Attribute names are the checkpoint's."""

    def __init__(self, heads: int, head_channels: int) -> None:
        super().__init__()
        channels = heads * head_channels
        self.heads = heads
        self.to_q = Linear(channels, channels)
        self.to_k = Linear(channels, channels)
        self.to_v = Linear(channels, channels)
        self.to_out = nn.ModuleList([Linear(channels, channels)])
        self.norm_q = HeadsNorm(channels)
        self.norm_k = HeadsNorm(channels)

    def forward(self, x: Tensor, rotation: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D); `rotation` comes from `rotary_table`."""
        query = rotate(self._split(self.norm_q(self.to_q(x))), rotation).to(x.dtype)
        key = rotate(self._split(self.norm_k(self.to_k(x))), rotation).to(x.dtype)
        value = self._split(self.to_v(x))
        attended = functional.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        )  # (B, heads, N, D / heads)
        joined: Tensor = self.to_out[0](attended.transpose(1, 2).flatten(2))
        return joined

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1)  # (B, N, heads, D / heads)


class Gelu(nn.Module):
    """Linear layer and tanh-approximated GELU."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.proj = Linear(channels, hidden)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.proj(x)
        # In place: the hidden layer is the widest tensor of the block.
        activated: Tensor = torch.ops.aten.gelu_(hidden, approximate="tanh")
        return activated


class FeedForward(nn.Module):
    """Two linear layers around a GELU, some tokens at a time. The 1 in `net` is a dropout's place.

    Attribute names are the checkpoint's.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.net = nn.ModuleList([Gelu(channels, hidden), nn.Identity(), Linear(hidden, channels)])

    def forward(self, x: Tensor) -> Tensor:
        widen, _, narrow = self.net
        steps = [narrow(widen(part)) for part in torch.split(x, _TOKENS_PER_STEP, 1)]
        return steps[0] if len(steps) == 1 else torch.cat(steps, 1)


class TransformerBlock(nn.Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x)); the norms have no parameters."""

    def __init__(self, heads: int, head_channels: int, hidden: int) -> None:
        super().__init__()
        self.attn1 = SelfAttention(heads, head_channels)
        self.ffn = FeedForward(heads * head_channels, hidden)

    def forward(self, x: Tensor, rotation: Tensor) -> Tensor:
        """(B, N, D); `x` is overwritten where no gradient is needed."""
        if torch.is_grad_enabled():
            x = x + self.attn1(_layer_norm(x), rotation)
            return x + cast("Tensor", self.ffn(_layer_norm(x)))
        x += self.attn1(_layer_norm(x), rotation)
        x += self.ffn(_layer_norm(x))
        return x


class _Blocks(nn.Module):
    """Gives the blocks the name that they have in checkpoints: `transformer.blocks`."""

    def __init__(self, blocks: int, heads: int, head_channels: int, hidden: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            TransformerBlock(heads, head_channels, hidden) for _ in range(blocks)
        )


class _PatchEmbedding(nn.Module):
    """Weights of a convolution whose kernel and stride are the patch; (D, C, 1, p, p)."""

    def __init__(self, channels: int, patch: int, embedded: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(embedded, channels, 1, patch, patch))
        self.bias = nn.Parameter(torch.empty(embedded))
        if not self.weight.is_meta:
            nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
            nn.init.zeros_(self.bias)


class ReferenceAttention(nn.Module):
    """Joint attention of reference and video, RefDecoder section 3 (decoder stages).

    Args:
        stages: Channels and patch side of each stage.
        blocks: Transformer blocks, shared by the stages.
        heads: Attention heads.
        head_channels: Channels per head.
        hidden: Width of the feed-forward layers.

    Attribute names are the checkpoint's.
    """

    def __init__(
        self,
        stages: tuple[tuple[int, int], ...],
        blocks: int,
        heads: int,
        head_channels: int,
        hidden: int,
    ) -> None:
        super().__init__()
        width = heads * head_channels
        self.stages, self.head_channels = stages, head_channels
        self.transformer = _Blocks(blocks, heads, head_channels, hidden)
        self.patch_embeddings = nn.ModuleList(
            _PatchEmbedding(channels, patch, width) for channels, patch in stages
        )
        self.proj_outs = nn.ModuleList(
            Linear(width, channels * patch**2) for channels, patch in stages
        )

    def forward(self, stage: int, features: Features) -> Features:
        """Attend at one stage.

        Args:
            stage: Its index, from the lowest resolution up.
            features: The reference has one frame, or there is none. They are taken. It may have
                several, each a reference of its own; the published networks have not learned that.

        Returns:
            What replaces them, in the same shapes.
        """
        reference, video = features.take()
        grid, size = self.grid(stage, reference, video), (video.shape[2], video.shape[3])
        tokens = self.embed(stage, reference, video)
        del reference, video  # room for the attention
        tokens = self.attend(tokens, grid)
        return self.project(stage, tokens, grid, size)

    def grid(self, stage: int, reference: Tensor | None, video: Tensor) -> TokenGrid:
        """Shape of the token sequence of such features."""
        patch = self.stages[stage][1]
        references = 0 if reference is None else reference.shape[1]
        rows, columns = (-(-side // patch) for side in video.shape[2:4])
        return TokenGrid(video.shape[1] + references, rows, columns, references)

    def embed(self, stage: int, reference: Tensor | None, video: Tensor) -> Tensor:
        """Cut features into patches and embed them: tokens (B, N, D), in the order T, H, W."""
        patch = self.stages[stage][1]
        module = self.patch_embeddings[stage]
        assert isinstance(module, _PatchEmbedding)
        grid = self.grid(stage, reference, video)
        # (D, p * p * C): channels last, as the features are.
        weight = module.weight.to(video.dtype).squeeze(2).permute(0, 2, 3, 1).flatten(1)
        bias = module.bias.to(video.dtype)
        batch, per_frame = video.shape[0], grid.rows * grid.columns
        tokens = video.new_empty(batch, grid.frames * per_frame, weight.shape[0])
        position = 0
        for features in (video,) if reference is None else (reference, video):
            for part in torch.split(features, _frames_per_step(per_frame, weight.shape[1]), 1):
                patches = _cut_patches(part, patch)
                count = patches.shape[1]
                tokens[:, position : position + count] = functional.linear(patches, weight, bias)
                position += count
        return tokens

    def attend(self, tokens: Tensor, grid: TokenGrid) -> Tensor:
        """Run the shared blocks over tokens (B, N, D), which are overwritten."""
        rotation = rotary_table(grid, self.head_channels, tokens.device)
        for block in self.transformer.blocks:
            tokens = block(tokens, rotation)
        return tokens

    def project(
        self, stage: int, tokens: Tensor, grid: TokenGrid, size: tuple[int, int]
    ) -> Features:
        """Turn tokens (B, N, D) into features of this size (H, W)."""
        channels, patch = self.stages[stage]
        batch, per_frame = tokens.shape[0], grid.rows * grid.columns
        first = grid.references
        reference = tokens.new_empty(batch, first, *size, channels) if first else None
        video = tokens.new_empty(batch, grid.frames - first, *size, channels)
        longest = _frames_per_step(per_frame, channels * patch**2)
        for start, stop in _steps(grid.frames, longest, first):
            part = tokens[:, start * per_frame : stop * per_frame]
            patches = self.proj_outs[stage](_layer_norm(part))
            features = _join_patches(patches, grid._replace(frames=stop - start), patch, size)
            if reference is not None and start == 0:
                reference.copy_(features)
            else:
                video[:, start - first : stop - first] = features
        return Features(reference, video)


def rotary_table(grid: TokenGrid, head_channels: int, device: torch.device) -> Tensor:
    """Rotations for 3-D rotary positions.

    Positions count from 0 along each axis, so a reference is at time 0 and the video's first
    frame at time 1. Several references share that time: what the network has learned of the
    distance to one holds for each. Of a head's channels, height and width get
    2 * (head_channels // 6) each and time the rest.

    Returns:
        (N, 1, head_channels / 2) complex64 of magnitude 1, tokens in the order T, H, W.
    """
    side = 2 * (head_channels // 6)
    angles = []
    shape_of_all = grid[:3]
    for axis, (length, channels) in enumerate(
        zip(shape_of_all, (head_channels - 2 * side, side, side), strict=True)
    ):
        exponents = torch.arange(0, channels, 2, dtype=torch.float64) / channels
        positions = torch.arange(length, dtype=torch.float64)
        if axis == 0 and grid.references > 1:
            positions = (positions - (grid.references - 1)).clamp(min=0)
        table = torch.outer(positions, ROPE_THETA**-exponents)
        shape = [1, 1, 1, table.shape[1]]
        shape[axis] = length
        angles.append(table.view(shape).expand(*shape_of_all, -1))
    angle = torch.cat(angles, -1).flatten(0, 2).unsqueeze(1)
    # Double precision up to here, as in the published code; some devices have none.
    return torch.complex(angle.cos().float(), angle.sin().float()).to(device)


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Rotate neighbouring pairs of channels of (B, N, heads, D) float32; `x` may be overwritten."""
    pairs = torch.view_as_complex(x.view(*x.shape[:-1], -1, 2))
    if torch.is_grad_enabled():
        return torch.view_as_real(pairs * rotation).flatten(-2)
    return torch.view_as_real(pairs.mul_(rotation)).flatten(-2)


def _layer_norm(x: Tensor) -> Tensor:
    """LayerNorm without parameters; PyTorch computes it in float32 for 16-bit tensors too."""
    return functional.layer_norm(x, x.shape[-1:], eps=EPSILON)


def _frames_per_step(tokens_per_frame: int, values_per_token: int) -> int:
    tokens = min(_TOKENS_PER_STEP, _VALUES_PER_STEP // values_per_token)
    return max(1, tokens // tokens_per_frame)


def _steps(frames: int, longest: int, first: int) -> Iterator[tuple[int, int]]:
    """Cut frames into steps; the first `first` frames make one of their own."""
    if first:
        yield 0, first
    for start in range(first, frames, longest):
        yield start, min(start + longest, frames)


def _cut_patches(features: Tensor, patch: int) -> Tensor:
    """(B, T, H, W, C) -> (B, T * h * w, p * p * C), padded with zeros to whole patches."""
    down, right = -features.shape[2] % patch, -features.shape[3] % patch
    if down or right:
        features = functional.pad(features, (0, 0, 0, right, 0, down))
    batch, frames, height, width, channels = features.shape
    rows, columns = height // patch, width // patch
    cut = features.reshape(batch, frames, rows, patch, columns, patch, channels)
    return cut.transpose(3, 4).reshape(batch, frames * rows * columns, -1)


def _join_patches(patches: Tensor, grid: TokenGrid, patch: int, size: tuple[int, int]) -> Tensor:
    """The inverse of `_cut_patches`: (B, T, H, W, C), a view where no copy is needed."""
    cut = patches.view(patches.shape[0], *grid[:3], patch, patch, -1)
    joined = cut.transpose(3, 4).flatten(4, 5).flatten(2, 3)
    return joined[:, :, : size[0], : size[1]]
