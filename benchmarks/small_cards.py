"""`refvid enhance` with Wan 2.1 at full size on cards with less memory than the one that is there.

    python benchmarks/small_cards.py CLIP [--gigabytes 24 12 8 6] [--sizes 848x480 1280x720]
                                          [--frames 49]

Random weights, in 16 bits as the published ones. A card is made smaller by a limit on what PyTorch
may take of it, and by what the driver says to be free: so the program plans as it would on such a
card, and runs out of memory as it would. Frames per second are the command's own, without start-up,
with encoding, decoding and writing; memory is PyTorch's.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
from pathlib import Path

import torch
from decode_speed import fill
from safetensors.torch import save_file

import refvid.__main__
from refvid.models.wan.autoencoder import WanAutoencoder
from refvid.models.wan.config import WanConfig

GIB = 2**30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--gigabytes", nargs="+", type=float, default=[24, 12, 8, 6])
    parser.add_argument("--sizes", nargs="+", default=["848x480", "1280x720"])
    parser.add_argument("--frames", type=int, default=49)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("there is no CUDA card here")
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = folder / "random.safetensors"
        write_weights(weights)
        for size in arguments.sizes:
            for gigabytes in arguments.gigabytes:
                words = [
                    "enhance", str(arguments.clip), "--ref", "frame:0", "--size", size,
                    "--model", "wan2.1", "--weights", str(weights), "--device", "cuda",
                    "--frames", str(arguments.frames), "-y", "-o", str(folder / "out.mp4"),
                ]  # fmt: skip
                print(f"== {size}, {gigabytes:g} GiB", flush=True)
                process = context.Process(target=work, args=(gigabytes, words))
                process.start()
                process.join()


def write_weights(path: Path) -> None:
    torch.manual_seed(0)
    with torch.device("cuda"):
        model = WanAutoencoder(WanConfig()).bfloat16()
    fill(model)
    weights = {key: value.cpu().contiguous() for key, value in model.state_dict().items()}
    save_file(weights, path, metadata={"backbone": "wan2.1"})


def work(gigabytes: float, words: list[str]) -> None:
    """Run the program on a card of so many gigabytes; the program's own words go to stderr."""
    total = torch.cuda.mem_get_info()[1]
    torch.cuda.set_per_process_memory_fraction(gigabytes * GIB / total)

    def mem_get_info(device: object = None) -> tuple[int, int]:  # noqa: ARG001 -- PyTorch's
        here = int(gigabytes * GIB)
        return here - torch.cuda.memory_reserved(), here

    torch.cuda.mem_get_info = mem_get_info
    sys.argv = ["refvid", *words]
    try:
        refvid.__main__.main()
    finally:
        taken = torch.cuda.max_memory_allocated() / GIB, torch.cuda.max_memory_reserved() / GIB
        print(f"{taken[0]:.2f} GiB taken, {taken[1]:.2f} GiB reserved", flush=True)


if __name__ == "__main__":
    main()
