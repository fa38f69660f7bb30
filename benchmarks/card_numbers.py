"""How far Wan 2.1's numbers on a graphics card are from those on the processor, by precision.

    python benchmarks/card_numbers.py [--device cuda]

Full-size network with random weights, 13 frames of 64x48 in three chunks: latents of the clip, and
what becomes of other latents with a reference. Printed are the mean and the largest difference to
fp32 on the processor.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from decode_speed import fill
from torch import Tensor

from refvid.models.wan import blocks, encoder
from refvid.models.wan.autoencoder import WanAutoencoder, WanBackbone
from refvid.models.wan.config import WanConfig

HEIGHT, WIDTH = 48, 64
ON_PROCESSOR = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda", type=torch.device)
    device = parser.parse_args().device
    torch.manual_seed(0)
    model = WanAutoencoder(WanConfig())
    fill(model)

    def run(place: torch.device, dtype: torch.dtype, **how: Any) -> tuple[Tensor, Tensor]:
        return encode_and_decode(WanBackbone(copy.deepcopy(model), place, dtype, **how))

    expected = run(ON_PROCESSOR, torch.float32)
    with changed(torch.backends.cudnn, "allow_tf32", False):
        report("fp32, without TF32", run(device, torch.float32), expected)
    report("fp32", run(device, torch.float32), expected)
    report("bf16", run(device, torch.bfloat16), expected)
    report("fp16", run(device, torch.float16), expected)
    with changed(encoder, "VALUES_PER_STRIP", 200_000):
        parked = run(device, torch.bfloat16, park_state=True)
        report("bf16, parked, in strips", parked, expected)
    with changed(blocks, "_STACKED_CHANNELS", range(0)):
        report("bf16, all convolutions 3-D", run(device, torch.bfloat16), expected)


def encode_and_decode(backbone: WanBackbone) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    clip = torch.rand(1, 3, 13, HEIGHT, WIDTH, generator=generator) * 2 - 1
    state: Any = None
    latents = []
    for part in clip.split((5, 4, 4), 2):
        encoded = backbone.encode(part, state)
        state = encoded.state
        latents.append(encoded.latents.cpu())
    noise = torch.randn(1, 16, 4, HEIGHT // 8, WIDTH // 8, generator=generator)
    reference = backbone.prepare_reference(clip[:, :, 0])
    state, frames = None, []
    for part in noise.split((2, 1, 1), 2):
        decoded = backbone.decode(part, reference, state)
        state = decoded.state
        frames.append(decoded.clip.cpu())
    return torch.cat(latents, 2), torch.cat(frames, 2)


def report(name: str, found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
    for what, one, other in zip(("latents", "frames"), found, expected, strict=True):
        difference = (one - other).abs()
        print(
            f"{name:28s} {what:8s} mean {difference.mean():.1e}, most {difference.max():.1e} "
            f"(of {other.abs().mean():.2f})",
            flush=True,
        )


@contextmanager
def changed(place: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(place, name)
    setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, before)


if __name__ == "__main__":
    main()
