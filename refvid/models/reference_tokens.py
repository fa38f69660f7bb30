"""Reference tokens: the reference frame as features for the first decoder stage."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from refvid.models.convolution import layer_weights


class ReferenceTokens(nn.Module):
    """Space-to-depth, a 3x3 convolution and a norm (RefDecoder, arXiv:2605.15196, section 3).

    Args:
        patch: Side of the squares that become channels [pixels].
        channels: Channels of the first decoder stage.
        norm: Acts on (..., C); None: there is none.
        frames_axis: Whether the checkpoint keeps the kernel as (C, 3 * patch**2, 1, 3, 3).

    Attribute names are the checkpoint's.
    """

    def __init__(
        self, patch: int, channels: int, norm: nn.Module | None, *, frames_axis: bool = False
    ) -> None:
        super().__init__()
        self.patch = patch
        inputs = 3 * patch**2
        self.proj: nn.Conv2d | nn.Conv3d
        if frames_axis:
            self.proj = nn.Conv3d(inputs, channels, (1, 3, 3), padding=(0, 1, 1))
        else:
            self.proj = nn.Conv2d(inputs, channels, 3, padding=1)
        self.norm = norm or nn.Identity()

    def forward(self, reference: Tensor) -> Tensor:
        """Reference (B, 3, H, W) in [-1, 1] -> features (B, 1, H / patch, W / patch, C)."""
        # Channel order of the squares: colour, row, column.
        squares = functional.pixel_unshuffle(reference, self.patch)
        weight, bias = layer_weights(self.proj, reference)
        weight = weight.view(*weight.shape[:2], 3, 3)
        features = functional.conv2d(squares, weight, bias, padding=1)
        normed: Tensor = self.norm(features.permute(0, 2, 3, 1).unsqueeze(1).contiguous())
        return normed
