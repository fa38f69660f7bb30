"""What a seam between two chunks of VideoVAE+ shows, by overlap and by how chunks are joined.

    python benchmarks/chunk_overlap.py [--video clip.mp4] [--size 64] [--frames 100]

The network in small, random weights, encoding and decoding with reference attention. Each step from
a frame to the next is compared with the same step in a chunk that has it in its middle: the mean
absolute difference of the two, in units of the mean step. Chunks disagree everywhere (inside), and
more where one ends: the figures say how much, for pixels and for means of 16x16 pixels, which is
what shows as a change of brightness. `hard` changes from one chunk to the next in the middle of
what they share; `fade` cross-fades over it, mean of its steps. The cost is the model's work
against no overlap.
"""

from __future__ import annotations

import argparse
import math
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from refvid.media.reader import open_video
from refvid.models.videovaeplus.autoencoder import VideoVaePlusAutoencoder, VideoVaePlusBackbone
from refvid.models.videovaeplus.config import VideoVaePlusConfig
from refvid.rebuild.overlap import cross_fade
from refvid.rebuild.pixels import frames_to_clip

SMALL = VideoVaePlusConfig(
    base_channels=32,
    temporal_channels=32,
    transformer_blocks=2,
    heads=2,
    head_channels=20,
    feed_forward_channels=96,
)
CHUNK, STRIDE = 16, 4
CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--video", type=Path, help="a clip; default: a drifting pattern")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    clip = read_clip(arguments.video, arguments.size, arguments.frames)
    rows = [measure(clip, seed) for seed in arguments.seeds]
    print("                     pixels                 16x16 means")
    print("overlap  cost  inside   hard   fade   inside   hard   fade")
    for overlap in rows[0]:
        figures = np.mean([row[overlap] for row in rows], axis=0)
        print(
            f"{overlap:>7} {CHUNK / (CHUNK - overlap):5.2f}"
            + "  {:6.3f} {:6.3f} {:6.3f}".format(*figures[:3])
            + "   {:6.3f} {:6.3f} {:6.3f}".format(*figures[3:])
        )


def read_clip(video: Path | None, size: int, frames: int) -> Tensor:
    if video is None:
        y, x = np.mgrid[0:size, 0:size] / size
        angles = [6.3 * (2 * x + 3 * y) - 0.05 * t for t in range(frames)]
        waves = [np.stack([np.sin(a + k) for k in range(3)], -1) for a in angles]
        pictures = [((wave * 0.4 + 0.5) * 255).astype(np.uint8) for wave in waves]
    else:
        with open_video(video) as reader:
            pictures = [middle(frame.pixels, size) for frame in islice(reader, frames)]
    return frames_to_clip(pictures, CPU)


def middle(pixels: np.ndarray, size: int) -> np.ndarray:
    top, left = (pixels.shape[0] - size) // 2, (pixels.shape[1] - size) // 2
    return pixels[top : top + size, left : left + size]


@torch.inference_mode()
@torch.inference_mode()
@torch.inference_mode()
def measure(clip: Tensor, seed: int) -> dict[int, list[float]]:
    """Disagreement inside chunks, at hard seams and in fades, twice, by overlap."""
    backbone = make_backbone(seed)
    reference = backbone.prepare_reference(clip[:, :, 0])
    # Every chunk that any overlap needs, each once.
    rebuilt = {
        start: backbone.decode(
            backbone.encode(clip[:, :, start : start + CHUNK]).latents, reference
        ).clip
        for start in range(0, clip.shape[2] - CHUNK + 1, STRIDE)
    }
    pooled = {start: functional.avg_pool3d(chunk, (1, 16, 16)) for start, chunk in rebuilt.items()}
    results = {}
    for overlap in (0, 4, 8):
        results[overlap] = []
        for chunks in (rebuilt, pooled):
            hard, inside = disagreement(*join(chunks, overlap, fade=False), chunks)
            fade, _ = disagreement(*join(chunks, overlap, fade=True), chunks)
            results[overlap] += [inside, hard, fade]
    return results


def make_backbone(seed: int) -> VideoVaePlusBackbone:
    generator = torch.Generator().manual_seed(seed)
    model = VideoVaePlusAutoencoder(SMALL)
    for name, parameter in model.named_parameters():
        noise = torch.rand(parameter.shape, generator=generator) * 2 - 1
        if name.endswith("bias"):
            parameter.data = 0.1 * noise
        elif parameter.ndim == 1:
            parameter.data = 1 + 0.25 * noise
        else:
            parameter.data = noise * math.sqrt(3 / parameter[0].numel())
    return VideoVaePlusBackbone(model, CPU, torch.float32)


def join(rebuilt: dict[int, Tensor], overlap: int, *, fade: bool) -> tuple[Tensor, list[range]]:
    """Join chunks, by their first frame; give the clip with the steps that lie in each seam."""
    parts: list[Tensor] = []
    seams = []
    for start in range(0, max(rebuilt) + 1, CHUNK - overlap):
        chunk = rebuilt[start].clone()
        if parts and fade:
            if overlap:
                parts[-1], chunk = cross_fade(parts[-1], chunk, overlap)
            seams.append(range(start - 1, start + overlap))  # step k: from frame k to k + 1
        elif parts:
            half = overlap // 2
            parts[-1] = parts[-1][:, :, : parts[-1].shape[2] - overlap + half]
            chunk = chunk[:, :, half:]
            seams.append(range(start + half - 1, start + half))
        parts.append(chunk)
    return torch.cat(parts, 2), seams


def disagreement(
    clip: Tensor, seams: list[range], rebuilt: dict[int, Tensor]
) -> tuple[float, float]:
    """Mean of the steps in seams, and of those in none."""
    found = {}
    for step in range(CHUNK // 2, clip.shape[2] - CHUNK // 2):
        start = (step - CHUNK // 2 + 1 + STRIDE // 2) // STRIDE * STRIDE
        if start not in rebuilt:
            continue
        middle_of = rebuilt[start]
        wanted = middle_of[:, :, step + 1 - start] - middle_of[:, :, step - start]
        actual = clip[:, :, step + 1] - clip[:, :, step]
        found[step] = float((actual - wanted).abs().mean() / wanted.abs().mean())
    in_seams = {step for seam in seams for step in seam}
    at_seams = [value for step, value in found.items() if step in in_seams]
    inside = [value for step, value in found.items() if step not in in_seams]
    return float(np.mean(at_seams)), float(np.mean(inside)) if inside else math.nan


if __name__ == "__main__":
    main()
