"""An edited video and its original: what comes back outside of the edit, and what stays inside.

    python benchmarks/edited_video.py CLIP FOLDER [--frames 48]

Recolours an object of a clip (an ellipse that moves along with what it covers), degrades the whole
(half the size, H.264 at crf 36, enlarged again), and runs `refvid enhance` with the edited first
frame and the original as references, with the mask and without it. `refvid metrics --mask` measures
both sides of the edit against the clean edited clip. All files stay in FOLDER, with a sheet.png:
original, edited and degraded, result with the mask, result without, clean edited.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from refvid.evaluation.clips import read_clip
from refvid.media.image import write_image
from refvid.training.degradations import Degradation, degrade

Frames = NDArray[np.uint8]
RATE = Fraction(24)
DEGRADATION = Degradation(crf=36, scale=2.0)
SHOWN = (0, 1 / 3, 2 / 3, 1)
"""Frames of the sheet, as shares of the clip."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--model", default="mini")
    args = parser.parse_args()
    folder: Path = args.folder
    folder.mkdir(parents=True, exist_ok=True)
    original = read_clip(args.clip, args.frames)
    masks = follow_object(original)
    edited = recolor(original, masks)
    degraded = degrade(edited, DEGRADATION)
    solid = (masks > 0).astype(np.uint8) * 255
    write(folder / "original.mkv", original)
    write(folder / "edited_clean.mkv", edited)
    write(folder / "edited.mkv", degraded)
    write(folder / "mask.mkv", np.repeat(solid[..., None], 3, 3))
    write(folder / "outside.mkv", np.repeat(255 - solid[..., None], 3, 3))
    write_image(folder / "first.png", edited[0])
    enhance = ("enhance", "edited.mkv", "--ref", "first.png@0", "--ref-video", "original.mkv")
    enhance += ("-c", "ffv1", "-y", "--model", args.model)
    refvid(folder, *enhance, "--mask", "mask.mkv", "-o", "masked.mkv")
    refvid(folder, *enhance, "-o", "found.mkv")
    refvid(folder, *enhance[:4], *enhance[6:], "-o", "alone.mkv")
    print(f"\n{args.clip.stem}, {len(original)} frames, PSNR against the clean edited clip [dB]\n")
    print("| | outside of the edit | inside |")
    print("| --- | --- | --- |")
    for name, words in (
        ("edited", "edited and degraded"),
        ("alone", "with the edited first frame alone"),
        ("found", "and the original, without a mask"),
        ("masked", "and the original, with a mask"),
    ):
        sides = [measure(folder, name, mask) for mask in ("outside.mkv", "mask.mkv")]
        print(f"| {words} | {sides[0]:.2f} | {sides[1]:.2f} |")
    columns = [
        original,
        degraded,
        *(read(folder / f"{n}.mkv") for n in ("masked", "found")),
        edited,
    ]
    rows = [round(share * (len(original) - 1)) for share in SHOWN]
    sheet = np.concatenate([np.concatenate([c[row] for c in columns], 1) for row in rows])
    write_image(folder / "sheet.png", sheet)


def follow_object(frames: Frames) -> NDArray[np.float32]:
    """(T, H, W) in [0, 1]: a soft ellipse around the middle, carried along by the motion there."""
    height, width = frames.shape[1:3]
    center = np.array((width * 0.5, height * 0.52))
    axes = np.array((width * 0.15, height * 0.24))
    shades = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    y, x = np.mgrid[:height, :width]
    masks = []
    for index in range(len(frames)):
        if index:
            flow = search.calc(shades[index - 1], shades[index], None)  # type: ignore[call-overload]
            center = center + np.median(flow[masks[-1] > 0.5], axis=0)
        radius = np.hypot((x - center[0]) / axes[0], (y - center[1]) / axes[1])
        masks.append(np.clip((1.05 - radius) / 0.1, 0, 1).astype(np.float32))
    return np.stack(masks)


def recolor(frames: Frames, masks: NDArray[np.float32]) -> Frames:
    """Another hue, stronger and somewhat darker."""
    edited = []
    for frame, mask in zip(frames, masks, strict=True):
        hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV).astype(np.float32)
        hsv[..., 0] = (hsv[..., 0] + 60) % 180
        hsv[..., 1] = np.minimum(hsv[..., 1] * 1.4 + 60, 255)
        hsv[..., 2] *= 0.85
        other = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)
        mixed = frame + mask[..., None] * (other.astype(np.float32) - frame)
        edited.append(np.rint(mixed).astype(np.uint8))
    return np.stack(edited)


def write(path: Path, frames: Frames) -> None:
    """Write a video without loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, "rgb24").reformat(format="bgr0")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def read(path: Path) -> Frames:
    return read_clip(path, 10_000)


def refvid(folder: Path, *words: str) -> str:
    """Run the program; give what it prints."""
    print("refvid", *words, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "refvid", *words], cwd=folder, check=True, stdout=subprocess.PIPE
    )
    return done.stdout.decode()


def measure(folder: Path, name: str, mask: str) -> float:
    words = ("metrics", f"{name}.mkv", "--reference", "edited_clean.mkv", "--mask", mask)
    told = json.loads(refvid(folder, *words, "--measures", "psnr", "--json", "-q"))
    return float(told["results"][0]["summary"]["psnr"])


if __name__ == "__main__":
    main()
