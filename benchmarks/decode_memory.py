"""Peak memory of decoding with the full-size Wan network, by length of the clip.

    python benchmarks/decode_memory.py [--size 128x128] [--frames 17 169] [--dtype bf16]

Random weights (16 bits, as the published ones) and latents, with reference attention. Each length
runs in a process of its own; the figure is its resident set, weights and libraries included.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time

import torch

from refvid.models.wan.autoencoder import WanAutoencoder, WanBackbone
from refvid.models.wan.config import WanConfig

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="128x128", help="height x width")
    parser.add_argument("--frames", type=int, nargs="+", default=[17, 169])
    parser.add_argument("--dtype", default="bf16", choices=DTYPES)
    arguments = parser.parse_args()
    for frames in arguments.frames:
        process = multiprocessing.get_context("spawn").Process(
            target=decode, args=(arguments.size, frames, arguments.dtype)
        )
        process.start()
        process.join()


def decode(size: str, frames: int, dtype: str) -> None:
    height, width = (int(side) for side in size.split("x"))
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    network = WanAutoencoder(WanConfig())
    torch.set_default_dtype(torch.float32)
    backbone = WanBackbone(network, torch.device("cpu"), DTYPES[dtype])
    reference = backbone.prepare_reference(torch.rand(1, 3, height, width) * 2 - 1)
    started = time.perf_counter()
    state, done = None, 0
    while done < frames:
        latents = torch.randn(1, 16, 5 if state is None else 4, height // 8, width // 8)
        decoded = backbone.decode(latents, reference, state)
        state = decoded.state
        done += decoded.clip.shape[2]
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{size} {dtype}, {done} frames: {peak:.0f} MiB, {seconds:.0f} s")


if __name__ == "__main__":
    main()
