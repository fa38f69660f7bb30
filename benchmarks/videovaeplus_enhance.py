"""`refvid enhance` with the full-size VideoVAE+ network, random weights: time and peak memory.

    python benchmarks/videovaeplus_enhance.py clip.mp4 [--size 128] [--frames 20] [--dtype auto]

The middle of the clip is cut out; its first frame is the reference. The whole command runs in a
process of its own, and the figure is its resident set, weights and libraries included.
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from processes import run_refvid
from safetensors.torch import save_file

from refvid.media.reader import open_video
from refvid.models.videovaeplus.autoencoder import VideoVaePlusAutoencoder
from refvid.models.videovaeplus.config import VideoVaePlusConfig
from refvid.training.degradations import write_h264

STORED = {"fp32": torch.float32, "fp16": torch.float16}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--dtype", default="auto", choices=["auto", "fp32", "bf16"])
    parser.add_argument("--stored", default="fp32", choices=STORED, help="precision of the file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights, source, output = (
            folder / part for part in ("random.safetensors", "clip.mp4", "out.mp4")
        )
        write_weights(weights, STORED[arguments.stored])
        with open_video(arguments.clip) as reader:
            pictures = [
                cut_middle(frame.pixels, arguments.size)
                for frame in islice(reader, arguments.frames)
            ]
        write_h264(iter(pictures), source, crf=20)
        ran = run_refvid(
            "enhance", str(source), "--ref", "frame:0", "--model", str(weights),
            "--device", "cpu", "--dtype", arguments.dtype, "-o", str(output),
        )  # fmt: skip
        with open_video(output) as reader:
            written = sum(1 for _ in reader)
    print(
        f"{arguments.size}x{arguments.size} {arguments.dtype}, weights in {arguments.stored}: "
        f"{len(pictures)} frames in, {written} out, {ran.seconds:.0f} s, "
        f"peak {ran.peak / 2**30:.2f} GiB"
    )


def write_weights(path: Path, dtype: torch.dtype) -> None:
    """Random weights that keep values in a sane range, under the network's keys."""
    with torch.device("meta"):
        shapes = VideoVaePlusAutoencoder(VideoVaePlusConfig()).state_dict()
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for key, tensor in shapes.items():
        noise = torch.rand(tensor.shape, generator=generator) * 2 - 1
        if tensor.ndim > 1:
            noise *= (3 / tensor[0].numel()) ** 0.5
        elif not key.endswith("bias"):
            noise = 1 + 0.25 * noise
        weights[key] = noise.to(dtype)
    save_file(weights, path, metadata={"backbone": "videovae+"})


def cut_middle(pixels: np.ndarray, size: int) -> np.ndarray:
    top, left = (pixels.shape[0] - size) // 2, (pixels.shape[1] - size) // 2
    return pixels[top : top + size, left : left + size]


if __name__ == "__main__":
    main()
