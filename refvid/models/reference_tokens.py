"""Reference tokens: the reference frame as features for the first decoder stage."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class ReferenceTokens(nn.Module):
    """Space-to-depth, a 3x3 convolution and a norm (RefDecoder, arXiv:2605.15196, section 3).

    Args:
        patch: Side of the squares that become channels [pixels].
        channels: Channels of the first decoder stage.
        norm: Acts on (..., C).

    Attribute names are the checkpoint's.
    """

    def __init__(self, patch: int, channels: int, norm: nn.Module) -> None:
        super().__init__()
        self.patch = patch
        self.proj = nn.Conv2d(3 * patch**2, channels, 3, padding=1)
        self.norm = norm

    def forward(self, reference: Tensor) -> Tensor:
        """Reference (B, 3, H, W) in [-1, 1] -> features (B, 1, H / patch, W / patch, C)."""
        # Channel order of the squares: colour, row, column.
        squares = functional.pixel_unshuffle(reference, self.patch)
        weight = self.proj.weight.to(reference.dtype)
        bias = None if self.proj.bias is None else self.proj.bias.to(reference.dtype)
        features = functional.conv2d(squares, weight, bias, padding=1)
        normed: Tensor = self.norm(features.permute(0, 2, 3, 1).unsqueeze(1).contiguous())
        return normed
