"""What a repainted clip is compared with where nobody knows how it should look.

It needs no network that was trained on photographs, but takes LPIPS where that can be had. Textures
are compared as distributions of patches (sliced Wasserstein distance, as in Elnekave and Weiss,
"Generating natural images with direct patch distributions matching", 2022), structure by the
gradient magnitude.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from refvid.metrics.st_lpips import SMALLEST_SIDE, load_st_lpips_network
from refvid.models.mini_style.motion import Motion, find_motion
from refvid.models.mini_style.smooth import box_mean
from refvid.training.loss_config import StyleLossConfig
from refvid.training.losses import load_lpips

_BANDS = 4
"""Octaves of texture; the last one is what remains, colours and shapes."""

_PATCH = 5
"""Side of the patches whose distribution is compared [pixels of the octave]."""

_PLACES = 1024
"""Patches taken of each picture and octave."""

_DIRECTIONS = 32
"""Random directions onto which patches are projected."""

_LEAST_SPREAD = 1e-2
"""Directions in which a style hardly varies are not weighed without bound."""

_SIZES = (2, 4)
"""By how much pictures are made smaller for trained features."""

_CONTENT_DEPTH = 2
"""Of five: shapes are told there, and texture no more."""

_FAINT = 0.02
"""Strokes fainter than this are lost on everybody."""

_SMOOTH = 9
"""What is smaller than this is detail [pixels]."""

_BLOCK = 8
"""Side of the blocks that move [pixels]."""


class StyleLoss(nn.Module):
    """Strokes, colours and texture of the style; edges of the content; steadiness in time.

    Raises:
        OptionError: LPIPS is asked for and cannot be had.
    """

    def __init__(self, config: StyleLossConfig) -> None:
        super().__init__()
        self.config = config
        self.lpips: Any = load_lpips(config.perceptual)
        self.vgg: Any = load_st_lpips_network("vgg") if config.features else None

    def describe(self) -> str:
        """What is compared, in words."""
        config = self.config
        words = (
            f"{config.style:g} texture + {config.strokes:g} strokes + {config.structure:g} "
            f"structure + {config.temporal:g} steadiness"
        )
        if self.vgg is not None:
            words += f" + {config.features:g} VGG features + {config.content:g} VGG content"
        return words if self.lpips is None else f"{words} + {config.perceptual_weight:g} LPIPS"

    def forward(self, output: Tensor, content: Tensor, style: Tensor, painted: Tensor) -> Tensor:
        """Judge a repainted clip.

        Args:
            output: (B, 3, T, H, W) in [-1, 1], T consecutive frames.
            content: Of the same shape, the clip that was repainted.
            style: (B, 3, h, w) in [-1, 1].
            painted: Of the shape of `output`, the clip made of patches of the style.
        """
        config = self.config
        output = output.float()
        frames, contents, paintings = (
            clip.transpose(1, 2).flatten(0, 1) for clip in (output, content, painted)
        )
        styles = style.repeat_interleave(output.shape[2], 0)
        loss = config.style * texture_distance(frames, styles)
        loss = loss + config.strokes * stroke_error(frames, paintings)
        likeness = structure_likeness(frames, contents)
        lost = (config.least_structure - likeness).clamp(min=0)
        loss = loss + config.structure * lost.mean()
        if self.lpips is not None:
            loss = loss + config.perceptual_weight * self.lpips(frames, paintings).mean()
        if self.vgg is not None:
            apart, lost = features_distance(self.vgg, frames, styles, contents)
            loss = loss + config.features * apart + config.content * lost
        if output.shape[2] > 1:
            loss = loss + config.temporal * unsteadiness(output, content)
        return loss


def texture_distance(output: Tensor, style: Tensor) -> Tensor:
    """Sliced Wasserstein distance between patches of pictures, octave by octave.

    Directions and places are drawn anew for every step that learns, and are the same for all that
    only measure.

    Args:
        output: (N, 3, H, W).
        style: (N, 3, h, w).

    Returns:
        A scalar: 0 for equal textures, 1 where projections are off by their standard deviation.
    """
    generator = None
    if not torch.is_grad_enabled():
        generator = torch.Generator(output.device).manual_seed(0)
    distances = []
    for ours, theirs in zip(_bands(output), _bands(style.float()), strict=True):
        if min(*ours.shape[2:], *theirs.shape[2:]) < _PATCH:
            break
        directions = torch.randn(
            3 * _PATCH**2, _DIRECTIONS, device=output.device, generator=generator
        )
        directions = functional.normalize(directions, dim=0)
        projected = (_patches(ours, generator) @ directions).sort(1).values
        wanted = (_patches(theirs, generator) @ directions).sort(1).values
        spread = wanted.std(1, keepdim=True) + _LEAST_SPREAD
        distances.append(((projected - wanted) / spread).abs().mean())
    return torch.stack(distances).mean()


def features_distance(
    network: Any, output: Tensor, style: Tensor, content: Tensor
) -> tuple[Tensor, Tensor]:
    """How far trained features are from the style's statistics, and from the content's shapes.

    Pictures are seen at a half and at a quarter of their size: strokes are a few positions of the
    deeper layers, and a step costs a quarter.

    Args:
        network: What `load_st_lpips_network` gives.
        output: (N, 3, H, W) in [-1, 1], at least twice `SMALLEST_SIDE` pixels a side.
        style: (N, 3, h, w).
        content: Of the shape of `output`.

    Returns:
        Two scalars: squared distances of Gram matrices, in sizes of the style's, over depths and
        sizes (Gatys et al. 2016); and of features at a middle depth whose mean and spread are taken
        away, so that colours do not count.
    """
    styles, contents = [], []
    for halvings in _SIZES:
        ours, theirs = (
            functional.avg_pool2d(picture.float(), halvings) for picture in (output, style)
        )
        if min(*ours.shape[2:], *theirs.shape[2:]) < SMALLEST_SIDE:
            continue
        features = network.features(ours)
        with torch.no_grad():
            wanted = [_gram(maps) for maps in network.features(theirs)]
            shown = network.features(functional.avg_pool2d(content.float(), halvings))
        for maps, gram in zip(features, wanted, strict=True):
            size = gram.square().sum((1, 2)) + _LEAST_SPREAD**2
            styles.append(((_gram(maps) - gram).square().sum((1, 2)) / size).mean())
        shapes, kept = (_standardised(maps[_CONTENT_DEPTH]) for maps in (features, shown))
        contents.append((shapes - kept).square().mean())
    if not styles:
        nothing = output.sum() * 0
        return nothing, nothing
    return torch.stack(styles).mean(), torch.stack(contents).mean()


def _standardised(features: Tensor) -> Tensor:
    """(N, C, h, w) with mean 0 and spread 1 in each map."""
    centred = features.float() - features.float().mean((2, 3), keepdim=True)
    variance = centred.square().mean((2, 3), keepdim=True)
    # Maps in which hardly anything is seen are not made as strong as the others.
    return centred / (variance + 0.1 * variance.mean(1, keepdim=True) + 1e-8).sqrt()


def _gram(features: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, C, C)."""
    flat = features.float().flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def stroke_error(output: Tensor, painted: Tensor) -> Tensor:
    """How far the strokes of a painting are missing, and its colours off.

    A distribution of patches does not tell strokes from noise of the same strength. The strokes are
    there where the detail of the output contains that of the painting, whatever else it contains;
    faint ones on a plain wall count as much as strong ones on leaves.

    Args:
        output: (N, 3, H, W).
        painted: Of the same shape.
    """
    smooth, smooth_painting = box_mean(output, _SMOOTH), box_mean(painted, _SMOOTH)
    detail, wanted = output - smooth, painted - smooth_painting
    contained = box_mean((detail * wanted).mean(1, keepdim=True), _SMOOTH)
    strength = box_mean(wanted.square().mean(1, keepdim=True), _SMOOTH)
    missing = (1 - contained / (strength + _FAINT**2)).clamp(min=0)
    return missing.mean() + (smooth - smooth_painting).abs().mean()


def structure_likeness(output: Tensor, content: Tensor) -> Tensor:
    """SSIM of the gradient magnitude of pictures (N, 3, H, W) in [-1, 1]: (N,)."""
    ours, theirs = _gradient(output), _gradient(content)
    both = torch.cat((ours, theirs, ours * ours, theirs * theirs, ours * theirs))
    smooth = _smooth(both).chunk(5)
    a, b = smooth[0], smooth[1]
    a_spread, b_spread, together = smooth[2] - a * a, smooth[3] - b * b, smooth[4] - a * b
    likeness = (2 * a * b + 1e-4) * (2 * together + 9e-4)
    likeness = likeness / ((a * a + b * b + 1e-4) * (a_spread + b_spread + 9e-4))
    return likeness.mean((1, 2, 3))


def unsteadiness(output: Tensor, content: Tensor) -> Tensor:
    """Mean |o_t - warp(o_s)|, s = t - 1, beyond that of the content, where this moves in blocks.

    Args:
        output: (B, 3, T, H, W).
        content: Of the same shape.
    """
    errors = []
    for clip, given in zip(output.unbind(0), content.unbind(0), strict=True):
        for t in range(1, clip.shape[1]):
            motion = find_motion(given[:, t], given[:, t - 1])
            changed = _block_change(clip[:, t], clip[:, t - 1], motion)
            own = _block_change(given[:, t], given[:, t - 1], motion)
            beyond = (changed - own).clamp(min=0)
            errors.append((beyond * motion.trust.flatten()).mean())
    return torch.stack(errors).mean()


def _bands(pictures: Tensor) -> list[Tensor]:
    """Octaves from fine to coarse, and what remains."""
    bands = []
    for _ in range(_BANDS - 1):
        coarse = functional.avg_pool2d(pictures, 2)
        smooth = functional.interpolate(coarse, size=pictures.shape[2:], mode="bilinear")
        bands.append(pictures - smooth)
        pictures = coarse
    return [*bands, pictures]


def _patches(pictures: Tensor, generator: torch.Generator | None) -> Tensor:
    """Patches from random places: (N, places, 3 * patch^2)."""
    count, _, height, width = pictures.shape
    device = pictures.device
    rows, columns = height - _PATCH + 1, width - _PATCH + 1
    place = torch.randint(rows * columns, (count, _PLACES), device=device, generator=generator)
    corner = place // columns * width + place % columns
    inside = torch.arange(_PATCH, device=device)
    inside = (inside[:, None] * width + inside).flatten()
    channel = torch.arange(3, device=device)[:, None] * (height * width)
    index = corner[..., None] + (channel + inside).flatten()
    return pictures.flatten(1).gather(1, index.flatten(1)).view(count, _PLACES, -1)


def _gradient(pictures: Tensor) -> Tensor:
    """Sobel magnitude of the luma in [0, 1]: (N, 1, H, W)."""
    weights = pictures.new_tensor((0.299, 0.587, 0.114)) / 2
    luma = (pictures * weights[:, None, None]).sum(1, keepdim=True)
    ramp = pictures.new_tensor(((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))) / 4
    kernels = torch.stack((ramp, ramp.T))[:, None]
    edges = functional.conv2d(functional.pad(luma, (1, 1, 1, 1), mode="replicate"), kernels)
    # A root has no gradient at zero.
    return (edges.square().mean(1, keepdim=True) + 1e-8).sqrt()


def _smooth(pictures: Tensor) -> Tensor:
    """Close to SSIM's Gaussian window, and many times faster for one channel."""
    for _ in range(3):
        pictures = functional.avg_pool2d(pictures, 3, stride=1)
    return pictures


def _block_change(now: Tensor, before: Tensor, motion: Motion) -> Tensor:
    """Mean absolute difference of each block of (3, H, W) from where it was: (blocks,)."""
    channels, height, width = now.shape
    inside = torch.arange(_BLOCK, device=now.device)
    inside = (inside[:, None] * width + inside).flatten()
    corner = motion.position[..., 0] * width + motion.position[..., 1]
    index = (corner.flatten()[:, None] + inside).flatten()
    was = before.flatten(1)[:, index].view(channels, -1, _BLOCK, _BLOCK)
    here = now.view(channels, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    here = here.permute(0, 1, 3, 2, 4).reshape(channels, -1, _BLOCK, _BLOCK)
    return (here - was).abs().mean((0, 2, 3))
