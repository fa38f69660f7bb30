"""Warping error of restyled clips with optical flow instead of refvid's own block motion.

A check of `refvid evaluate --task style` by other means: OpenCV's dense inverse search (Kroeger et
al., 2016) finds the motion of the input, forward and backward; where both agree, the frame before
is moved bilinearly and compared. Needs `pip install opencv-python-headless`.

    python benchmarks/flow_stability.py CLIPS --styles PAINTINGS
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean

import cv2
import numpy as np
from numpy.typing import NDArray

from refvid.evaluation.clips import find_clips, read_clip
from refvid.evaluation.color_transfer import transfer_optimal
from refvid.evaluation.rebuilding import rebuild_conditioned
from refvid.media.image import read_image
from refvid.media.pixel_conversion import to_uint8
from refvid.rebuild.options import ModelOptions
from refvid.rebuild.references import Conditions
from refvid.rebuild.style import prepare_styles
from refvid.rebuild.stylize import choose_stylizer, fit_style

Frame = NDArray[np.uint8]

_AGREEMENT = 1.0
"""Forward and backward flow may differ by so much [pixels]."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--styles", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=9)
    parser.add_argument("--weights", type=Path)
    options = parser.parse_args()
    loaded = choose_stylizer(ModelOptions(weights=options.weights))
    styles = sorted(p for p in options.styles.iterdir() if p.suffix in {".webp", ".png", ".jpg"})
    ratios = []
    for number, path in enumerate(find_clips(options.clips, None)):
        frames = read_clip(path, options.frames)
        style = styles[number * len(styles) // 9 % len(styles)]
        fitted = fit_style(read_image(style), (frames.shape[2], frames.shape[1]))
        prepared = prepare_styles(loaded.backbone, [(fitted, 1.0)], [], loaded.device)
        output = rebuild_conditioned(loaded, frames, Conditions(reference=prepared))
        picture = to_uint8(read_image(style))
        recoloured = [transfer_optimal(frame, picture) for frame in frames]
        own, tinted, restyled = [], [], []
        for t in range(1, len(frames)):
            flow, valid = find_flow(frames[t], frames[t - 1])
            own.append(error(frames[t], frames[t - 1], flow, valid))
            tinted.append(error(recoloured[t], recoloured[t - 1], flow, valid))
            restyled.append(error(output[t], output[t - 1], flow, valid))
        ratios.append((fmean(tinted) / fmean(own), fmean(restyled) / fmean(own)))
        print(
            f"{path.stem:24} {style.stem:32} input {fmean(own):.4f}  to it: colour transfer "
            f"{ratios[-1][0]:.2f}, restyled {ratios[-1][1]:.2f}",
            flush=True,
        )
    transfer, restyle = (fmean(column) for column in zip(*ratios, strict=True))
    print(f"mean of ratios: colour transfer {transfer:.2f}, restyled {restyle:.2f}")


def find_flow(now: Frame, before: Frame) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where every pixel was (H, W, 2) [x, y], and whether that can be believed."""
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grays = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (now, before)]
    there = search.calc(grays[0], grays[1], None)
    back = search.calc(grays[1], grays[0], None)
    height, width = grays[0].shape
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    place = grid + there
    returned = cv2.remap(back, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = ((place >= 0) & (place <= (width - 1, height - 1))).all(-1)
    return place, inside & (np.linalg.norm(there + returned, axis=-1) < _AGREEMENT)


def error(now: Frame, before: Frame, place: NDArray[np.float32], valid: NDArray[np.bool_]) -> float:
    """Mean |now - moved before|; 1 is the whole pixel range."""
    moved = cv2.remap(before, place, None, cv2.INTER_LINEAR).astype(np.float32)
    return float(np.abs(now.astype(np.float32) - moved)[valid].mean() / 255)


if __name__ == "__main__":
    main()
