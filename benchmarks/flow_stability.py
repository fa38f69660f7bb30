"""Warping error of restyled clips with motion found by other means than refvid's own.

A check of `refvid evaluate --task style` in three ways, each from the input alone:

- `search`: OpenCV's dense inverse search (Kroeger et al., 2016);
- `farneback`: dense flow by polynomials (Farneback, 2003). On plain ground no flow is defined and
  the two part, where strokes are strongest; paint is carried between them;
- `tracks`: points with corners, followed by pyramids of Lucas and Kanade to a fraction of a pixel,
  and the pixels around them. Of these the paint knows nothing.

Dense flow is checked there and back to a pixel, tracks to a fifth of one.

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
Map = NDArray[np.float32]
Motion = tuple[Map, Map, NDArray[np.bool_]]
"""Places now and before (..., 2) [x, y] of the same shape, and which of them can be believed."""

_AGREEMENT, _TRACK_AGREEMENT = 1.0, 0.2
"""Motion there and back may differ by so much [pixels]."""

_WINDOW = 11
"""Side of the square of pixels around a track that are compared."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--styles", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=9)
    parser.add_argument("--weights", type=Path)
    options = parser.parse_args()
    loaded = choose_stylizer(ModelOptions(weights=options.weights))
    styles = sorted(p for p in options.styles.iterdir() if p.suffix in {".webp", ".png", ".jpg"})
    every: dict[str, list[tuple[float, float]]] = {name: [] for name in MOTIONS}
    for number, path in enumerate(find_clips(options.clips, None)):
        frames = read_clip(path, options.frames)
        style = styles[number * len(styles) // 9 % len(styles)]
        fitted = fit_style(read_image(style), (frames.shape[2], frames.shape[1]))
        prepared = prepare_styles(loaded.backbone, [(fitted, 1.0)], [], loaded.device)
        output = rebuild_conditioned(loaded, frames, Conditions(reference=prepared))
        picture = to_uint8(read_image(style))
        recoloured = [transfer_optimal(frame, picture) for frame in frames]
        words = []
        for name, find in MOTIONS.items():
            motions = [find(frames[t], frames[t - 1]) for t in range(1, len(frames))]
            own, tinted, restyled = (
                fmean(error(clip[t + 1], clip[t], motion) for t, motion in enumerate(motions))
                for clip in (frames, recoloured, output)
            )
            every[name].append((tinted / own, restyled / own))
            words.append(
                f"{name}: input {own:.4f}, colour transfer {tinted / own:.2f}, restyled "
                f"{restyled / own:.2f}"
            )
        print(f"{path.stem}, {style.stem}; {'; '.join(words)}", flush=True)
    for name, ratios in every.items():
        transfer, restyle = (fmean(column) for column in zip(*ratios, strict=True))
        print(f"{name}: mean of ratios: colour transfer {transfer:.2f}, restyled {restyle:.2f}")


def find_search(now: Frame, before: Frame) -> Motion:
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grays = gray(now), gray(before)
    return checked(search.calc(*grays, None), search.calc(*grays[::-1], None))


def find_farneback(now: Frame, before: Frame) -> Motion:
    grays = gray(now), gray(before)
    there, back = (
        cv2.calcOpticalFlowFarneback(*pair, None, 0.5, 5, 21, 5, 7, 1.5, 0)
        for pair in (grays, grays[::-1])
    )
    return checked(there, back)


def checked(there: Map, back: Map) -> Motion:
    """Dense motion, believed where the way back ends where it began."""
    height, width = there.shape[:2]
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    place = grid + there
    returned = cv2.remap(back, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = ((place >= 0) & (place <= (width - 1, height - 1))).all(-1)
    return grid, place, inside & (np.linalg.norm(there + returned, axis=-1) < _AGREEMENT)


def find_tracks(now: Frame, before: Frame) -> Motion:
    grays = gray(now), gray(before)
    points = cv2.goodFeaturesToTrack(grays[0], 1500, 0.005, 5)
    follow = {"winSize": (21, 21), "maxLevel": 4}
    places, found, _ = cv2.calcOpticalFlowPyrLK(*grays, points, None, **follow)
    returned, back, _ = cv2.calcOpticalFlowPyrLK(*grays[::-1], places, None, **follow)
    apart = np.linalg.norm(returned - points, axis=-1)[:, 0]
    sure = (found[:, 0] == 1) & (back[:, 0] == 1) & (apart < _TRACK_AGREEMENT)
    reach = np.arange(_WINDOW, dtype=np.float32) - _WINDOW // 2
    window = np.stack(np.meshgrid(reach, reach), -1).reshape(1, -1, 2)
    squares = [(ends[sure] + window).astype(np.float32) for ends in (points, places)]
    return squares[0], squares[1], np.ones(squares[0].shape[:2], np.bool_)


MOTIONS = {"search": find_search, "farneback": find_farneback, "tracks": find_tracks}


def gray(frame: Frame) -> Frame:
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def error(now: Frame, before: Frame, motion: Motion) -> float:
    """Mean |now - before where it was|; 1 is the whole pixel range."""
    here, there, valid = motion
    values = [
        cv2.remap(frame, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for frame, places in ((now, here), (before, there))
    ]
    return float(np.abs(values[0].astype(np.float32) - values[1])[valid].mean() / 255)


if __name__ == "__main__":
    main()
