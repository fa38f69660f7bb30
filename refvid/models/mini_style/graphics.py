"""What is no picture stays as it is: black bars, titles in pure black and white, and letters."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refvid.models.bars import Content, find_content
from refvid.models.mini_style.letters import Mask

_BLACK, _WHITE = 14, 241
"""Pure black and white, with what an encoder leaves of them [levels]."""

_NEUTRAL = 14
"""Largest difference of red, green and blue of a gray pixel [levels]."""

_WINDOW = 17
"""Side of the windows in which letters are looked for [pixels of 480 lines]."""

_LEAST_BLACK, _LEAST_WHITE, _LEAST_PURE, _LEAST_NEUTRAL = 0.2, 0.04, 0.7, 0.96
"""Shares of a window that letters on black, or on white, have."""

_LEAST_PAGE = 0.7
"""Of the picture between bars is pure black and white: less is a picture with dark things in it."""

_LINES = 480


def find_graphics(frame: Tensor, before: Content | None) -> tuple[Tensor | None, Content]:
    """Find what must not be painted.

    Args:
        frame: (3, H, W) in [-1, 1].
        before: What was between bars in the frame before: within a shot, bars only become narrower.

    Returns:
        (H, W) from 0 to 1, or None where there is nothing; and what is between bars.
    """
    levels = frame.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    planes = levels.cpu().numpy()
    height, width = planes.shape[1:]
    pixels = np.ascontiguousarray(planes.transpose(1, 2, 0))
    gray = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    content = _widened(find_content(gray), before)
    letters = _letters(planes, content)
    whole = content == Content(top=0, bottom=height, left=0, right=width)
    if whole and not letters.any():
        return None, content
    outside = ~content.mask((height, width))
    kept = np.asarray(cv2.blur((letters | outside).astype(np.float32), (3, 3)), np.float32)
    kept[outside] = 1
    return torch.from_numpy(kept).to(frame.device), content


def with_letters(graphics: Tensor | None, letters: Mask | None, frame: Tensor) -> Tensor | None:
    """Add letters (h, w) to what `find_graphics` found in a frame (3, H, W)."""
    if letters is None:
        return graphics
    height, width = frame.shape[1:]
    mask = cv2.resize(letters.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    kept = torch.from_numpy(np.asarray(cv2.blur(mask, (3, 3)), np.float32)).to(frame.device)
    return kept if graphics is None else torch.maximum(kept, graphics)


def _widened(found: Content, before: Content | None) -> Content:
    if before is None:
        return found
    return Content(
        top=min(found.top, before.top),
        bottom=max(found.bottom, before.bottom),
        left=min(found.left, before.left),
        right=max(found.right, before.right),
    )


def _letters(planes: NDArray[np.uint8], content: Content) -> NDArray[np.bool_]:
    """(H, W) letters in pure black and white, and the plain ground that they stand on."""
    height, width = planes.shape[1:]
    least, most = planes.min(0), planes.max(0)
    inside = content.mask((height, width))
    black, white = (most <= _BLACK) & inside, (least >= _WHITE) & inside
    neutral = most - least <= _NEUTRAL
    ground = black | white
    if ground.sum() < _LEAST_PAGE * inside.sum():
        return np.zeros((height, width), np.bool_)
    side = round(_WINDOW * max(1, min(height, width) / _LINES)) | 1

    def share(of: NDArray[np.bool_]) -> NDArray[np.float32]:
        return np.asarray(cv2.blur(of.astype(np.float32), (side, side)), np.float32)

    some: NDArray[np.bool_] = (share(black) >= _LEAST_BLACK) & (share(white) >= _LEAST_WHITE)
    seeds = some & (share(ground) >= _LEAST_PURE)
    seeds &= share(neutral) >= _LEAST_NEUTRAL
    if not seeds.any():
        return seeds
    # The ground goes on beyond the letters.
    _, labels = cv2.connectedComponents(ground.astype(np.uint8), connectivity=4)
    touched = np.unique(labels[seeds & ground])
    found = seeds | (np.isin(labels, touched[touched > 0]) & ground)
    closed = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((side, side)))
    kept: NDArray[np.bool_] = (np.asarray(closed) > 0) & neutral
    return kept
