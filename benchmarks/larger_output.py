"""What `--scale` brings: clips shrunk and compressed, enlarged again, and compared with themselves.

    python benchmarks/larger_output.py CLIPS [--scale 2] [--frames 17] [--crf 23] [--sheet FILE]

The first frame is the reference, once as large as the result and once as large as the shrunken
clip; PSNR is that of the frames after it. The sheet shows the middle of the last frame of every
clip, 240 pixels a side: interpolated, with the small reference, with the large one, original.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refvid.evaluation.clips import find_clips, read_clip
from refvid.evaluation.measures import frame_psnr
from refvid.rebuild.choose_backbone import LoadedBackbone, choose_backbone
from refvid.rebuild.enlargement import Enlargement
from refvid.rebuild.frames import enhance_frames
from refvid.rebuild.options import ModelOptions, RebuildOptions
from refvid.training.degradations import h264_round_trip

Frames = NDArray[np.uint8]
"""(T, H, W, 3) RGB."""

_WAYS = ("bicubic", "lanczos", "small, then bicubic", "small reference", "large reference", "none")
_SHOWN = ("bicubic", "small reference", "large reference")
_SIDE = 240


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--scale", type=int, default=2, choices=(2, 3, 4))
    parser.add_argument("--frames", type=int, default=17)
    parser.add_argument("--crf", type=int, default=23, help="of the shrunken clip")
    parser.add_argument("--sheet", type=Path, help="draw the results")
    arguments = parser.parse_args()
    loaded = choose_backbone(ModelOptions(model="mini"))
    rows, gains = [], []
    print("| clip |", " | ".join(_WAYS), "|")
    print("| --- |", " | ".join("---" for _ in _WAYS), "|")
    for path in find_clips(arguments.clips):
        clean = read_clip(path, arguments.frames)
        grid = 2 * arguments.scale  # H.264 in 4:2:0 has even sides
        height, width = (side // grid * grid for side in clean.shape[1:3])
        clean = np.ascontiguousarray(clean[:, :height, :width])
        results = enlarge_all(loaded, clean, arguments.scale, arguments.crf)
        scores = [fmean(frame_psnr(results[way][1:], clean[1:])) for way in _WAYS]
        gains.append(scores)
        print(f"| {path.stem} |", " | ".join(f"{score:.2f}" for score in scores), "|", flush=True)
        rows.append(np.hstack([_middle(f[-1]) for f in [*(results[w] for w in _SHOWN), clean]]))
    print(
        "| mean |", " | ".join(f"{fmean(column):.2f}" for column in zip(*gains, strict=True)), "|"
    )
    if arguments.sheet is not None:
        Image.fromarray(np.vstack(rows)).save(arguments.sheet)


def enlarge_all(loaded: LoadedBackbone, clean: Frames, scale: int, crf: int) -> dict[str, Frames]:
    """Shrink and compress a clip, and enlarge it again in every way."""
    height, width = clean.shape[1:3]
    shrunk = _resized(clean, (width // scale, height // scale), Image.Resampling.BICUBIC)
    small = np.stack(h264_round_trip(list(shrunk), crf=crf))
    larger = RebuildOptions(enlargement=Enlargement(scale=scale), cut_detection=False)
    as_it_is = RebuildOptions(cut_detection=False)
    rebuilt = enhance_frames(small, shrunk[0], as_it_is, loaded)
    return {
        "bicubic": _resized(small, (width, height), Image.Resampling.BICUBIC),
        "lanczos": _resized(small, (width, height), Image.Resampling.LANCZOS),
        "small, then bicubic": _resized(rebuilt, (width, height), Image.Resampling.BICUBIC),
        "small reference": enhance_frames(small, shrunk[0], larger, loaded),
        "large reference": enhance_frames(small, clean[0], larger, loaded),
        "none": enhance_frames(small, None, larger, loaded),
    }


def _resized(frames: Frames, size: tuple[int, int], how: Image.Resampling) -> Frames:
    return np.stack([np.asarray(Image.fromarray(frame).resize(size, how)) for frame in frames])


def _middle(frame: Frames) -> Frames:
    top, left = ((side - _SIDE) // 2 for side in frame.shape[:2])
    return frame[top : top + _SIDE, left : left + _SIDE]


if __name__ == "__main__":
    main()
