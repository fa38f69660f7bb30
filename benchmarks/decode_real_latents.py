"""Decode real latents with the full-size Wan network, and report time and peak memory.

    python benchmarks/decode_real_latents.py LATENTS [--ref IMAGE] [--threads 1] [--keep out.mp4]

The weights are random, so the picture is noise: what is measured does not depend on it. They are
written once, in 16 bits as the published ones, and `refvid decode` runs in a process of its own,
as a user would start it. Peak memory is that process's resident set, mapped weights included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import torch
from safetensors.torch import save_file

from refvid.models.wan.autoencoder import WanAutoencoder
from refvid.models.wan.config import WanConfig


def write_random_weights(path: Path) -> None:
    """Write a full-size network under the published names."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    network = WanAutoencoder(WanConfig())
    torch.set_default_dtype(torch.float32)
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("latents", type=Path)
    parser.add_argument("--ref", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--keep", type=Path, help="keep the video there")
    parser.add_argument("--drop-latents", type=int, default=0, help="for a shorter run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        weights, output = Path(folder, "random.safetensors"), Path(folder, "out.mp4")
        write_random_weights(weights)
        command = [
            *(sys.executable, "-m", "refvid", "decode", arguments.latents, "--json", "-y"),
            *("-o", arguments.keep or output, "--model", weights),
            *("--device", "cpu", "--dtype", arguments.dtype),
            *("--drop-latents", arguments.drop_latents),
            *(() if arguments.ref is None else ("--ref", arguments.ref)),
        ]
        threads = str(arguments.threads)
        environment = {"OMP_NUM_THREADS": threads, "XDG_CACHE_HOME": folder, "HOME": folder}
        started = time.monotonic()
        process = subprocess.run(
            [str(word) for word in command],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env=os.environ | environment,
        )
        seconds = time.monotonic() - started
        with av.open(str(arguments.keep or output)) as container:
            frames = sum(1 for _ in container.decode(video=0))
    plan = json.loads(process.stdout)["results"][0]["report"]["plan"]
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    print(
        f"{frames} frames {plan['width']}x{plan['height']}, {plan['dtype']}, {threads} threads, "
        f"reference {'none' if arguments.ref is None else arguments.ref.name}: "
        f"{seconds:.0f} s, peak {peak / 1e9:.2f} GB (planned {plan['memory_bytes'] / 1e9:.2f} GB "
        f"beside weights, {plan['chunk']} frames per call)"
    )


if __name__ == "__main__":
    main()
