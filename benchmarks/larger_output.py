"""What `--scale` brings: clips shrunk and compressed, enlarged again, and compared with themselves.

    python benchmarks/larger_output.py CLIPS [--scale 2 3 4] [--frames 17] [--crf 23] [--sheet FILE]

The first frame is the reference, once as large as the result and once as large as the shrunken
clip; PSNR is that of the frames after it. The sheet shows the middle of the last frame of every
clip, 240 pixels a side: interpolated, with the small reference, with the large one, original; of
the first scale. Its last row is of text that is drawn here.

Speed is frames per second of processor time with the large reference, whatever else runs: what the
model does for a result of that size, without reading and writing.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from refvid.evaluation.clips import find_clips, read_clip
from refvid.evaluation.measures import frame_psnr
from refvid.rebuild.choose_backbone import LoadedBackbone, choose_backbone
from refvid.rebuild.enlargement import Enlargement
from refvid.rebuild.frames import enhance_frames
from refvid.rebuild.options import ModelOptions, RebuildOptions
from refvid.rebuild.reference_feed import GivenReference
from refvid.training.degradations import h264_round_trip

Frames = NDArray[np.uint8]
"""(T, H, W, 3) RGB."""

_WAYS = ("bicubic", "lanczos", "small, then bicubic", "small reference", "large reference", "none")
_SHOWN = ("bicubic", "small reference", "large reference")
_SIDE = 240


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--scale", type=int, nargs="+", default=[2, 3, 4], choices=(2, 3, 4))
    parser.add_argument("--frames", type=int, default=17)
    parser.add_argument("--crf", type=int, default=23, help="of the shrunken clip")
    parser.add_argument("--sheet", type=Path, help="draw the results")
    arguments = parser.parse_args()
    loaded = choose_backbone(ModelOptions(model="mini"))
    paths = find_clips(arguments.clips)
    means = {}
    for scale in arguments.scale:
        print(f"\n| --scale {scale} |", " | ".join([*_WAYS, "frames/s"]), "|")
        print("| --- |", " | ".join("---" for _ in ["", *_WAYS]), "|")
        rows, found = [], []
        for path in [*paths, None]:
            clean = (
                draw_text(arguments.frames) if path is None else read_clip(path, arguments.frames)
            )
            clean = cut_to_grid(clean, 2 * scale)  # H.264 in 4:2:0 has even sides
            results, speed = enlarge_all(loaded, clean, scale, arguments.crf)
            scores = [fmean(frame_psnr(results[way][1:], clean[1:])) for way in _WAYS]
            print_row("text" if path is None else path.stem, [*scores, speed])
            shown = [*(results[way] for way in _SHOWN), clean]
            rows.append(np.hstack([_middle(frames[-1]) for frames in shown]))
            if path is not None:
                found.append([*scores, speed])
        means[scale] = [fmean(column) for column in zip(*found, strict=True)]
        print_row("mean", means[scale])
        if arguments.sheet is not None and scale == arguments.scale[0]:
            Image.fromarray(np.vstack(rows)).save(arguments.sheet)
    print("\n| means |", " | ".join([*_WAYS, "frames/s"]), "|")
    print("| --- |", " | ".join("---" for _ in ["", *_WAYS]), "|")
    for scale, mean in means.items():
        print_row(f"--scale {scale}", mean)


def cut_to_grid(frames: Frames, grid: int) -> Frames:
    height, width = (side // grid * grid for side in frames.shape[1:3])
    return np.ascontiguousarray(frames[:, :height, :width])


def print_row(name: str, scores: list[float]) -> None:
    print(f"| {name} |", " | ".join(f"{score:.2f}" for score in scores), "|", flush=True)


def draw_text(frames: int) -> Frames:
    """Lines of 11 to 34 pixels that move by two pixels a frame: 480x256."""
    page = Image.new("RGB", (480 + 2 * frames, 256 + frames), (236, 232, 220))
    draw = ImageDraw.Draw(page)
    for line, size in enumerate((11, 13, 16, 20, 26, 34)):
        text = f"The quick brown fox jumps over 0123456789 ({size})"
        font = ImageFont.load_default(size)
        draw.text((20, 10 + line * 44), text, fill=(30, 30, 60), font=font)
    return np.stack(
        [np.asarray(page.crop((2 * i, i, 2 * i + 480, i + 256))) for i in range(frames)]
    )


def enlarge_all(
    loaded: LoadedBackbone, clean: Frames, scale: int, crf: int
) -> tuple[dict[str, Frames], float]:
    """Shrink and compress a clip, and enlarge it again in every way; frames per second of one."""
    height, width = clean.shape[1:3]
    shrunk = _resized(clean, (width // scale, height // scale), Image.Resampling.BICUBIC)
    small = np.stack(h264_round_trip(list(shrunk), crf=crf))
    larger = RebuildOptions(enlargement=Enlargement(scale=scale), cut_detection=False)
    as_it_is = RebuildOptions(cut_detection=False)
    rebuilt = enhance_frames(small, give(shrunk[0]), as_it_is, loaded)
    started = time.process_time()
    best = enhance_frames(small, give(clean[0]), larger, loaded)
    speed = len(best) / (time.process_time() - started)
    results = {
        "bicubic": _resized(small, (width, height), Image.Resampling.BICUBIC),
        "lanczos": _resized(small, (width, height), Image.Resampling.LANCZOS),
        "small, then bicubic": _resized(rebuilt, (width, height), Image.Resampling.BICUBIC),
        "small reference": enhance_frames(small, give(shrunk[0]), larger, loaded),
        "large reference": best,
        "none": enhance_frames(small, [], larger, loaded),
    }
    return results, speed


def give(picture: Frames) -> list[GivenReference]:
    return [GivenReference(name="first frame", read=lambda: picture)]


def _resized(frames: Frames, size: tuple[int, int], how: Image.Resampling) -> Frames:
    return np.stack([np.asarray(Image.fromarray(frame).resize(size, how)) for frame in frames])


def _middle(frame: Frames) -> Frames:
    top, left = ((side - _SIDE) // 2 for side in frame.shape[:2])
    return frame[top : top + _SIDE, left : left + _SIDE]


if __name__ == "__main__":
    main()
