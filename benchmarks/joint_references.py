"""What it costs the large models to see several references at once, and how much that changes.

    python benchmarks/joint_references.py

The networks in small, with random weights: what joint attention does to pictures cannot be measured
without trained ones. Of the second chunk of a shot of 128x192: operations, counted and not timed,
and the mean change against one reference, in shares of what leaving that one out changes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from refvid.models.videovaeplus.autoencoder import VideoVaePlusAutoencoder, VideoVaePlusBackbone
from refvid.models.videovaeplus.config import VideoVaePlusConfig
from refvid.models.wan.autoencoder import WanAutoencoder, WanBackbone
from refvid.models.wan.config import WanConfig

CPU = torch.device("cpu")
SIZE = (128, 192)
ATTENTION = {"transformer_blocks": 2, "heads": 2, "head_channels": 20, "feed_forward_channels": 24}


def main() -> None:
    print("| network in small | references | operations | change |")
    print("| --- | --- | --- | --- |")
    wan = WanAutoencoder(WanConfig(base_channels=8, **ATTENTION))
    report("wan2.1", WanBackbone(with_weights(wan), CPU, torch.float32))
    plus = VideoVaePlusAutoencoder(
        VideoVaePlusConfig(base_channels=32, norm_groups=8, temporal_channels=32, **ATTENTION)
    )
    report("videovae+", VideoVaePlusBackbone(with_weights(plus), CPU, torch.float32))


def with_weights(network: Any) -> Any:
    """Random ones that keep values in a sane range."""
    assert isinstance(network, nn.Module)
    generator = torch.Generator().manual_seed(3)
    for parameter in network.parameters():
        spread = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1
        mean = 1.0 if parameter.numel() == parameter.shape[0] else 0.0
        parameter.data = torch.randn(parameter.shape, generator=generator) * spread + mean
    return network


def report(name: str, backbone: WanBackbone | VideoVaePlusBackbone) -> None:
    """Print a row for each number of references."""
    generator = torch.Generator().manual_seed(0)
    pictures = [torch.rand(1, 3, *SIZE, generator=generator) * 2 - 1 for _ in range(3)]
    prepared = [backbone.prepare_reference(picture) for picture in pictures]
    rows, columns = SIZE[0] // 8, SIZE[1] // 8
    latents = torch.randn(1, 16, 4, rows, columns, generator=generator)
    state: Any = backbone.decode(latents, prepared[0]).state

    def decode(reference: Tensor | None) -> tuple[Tensor, int]:
        with FlopCounterMode(display=False) as counter:
            clip = backbone.decode(latents, reference, state).clip
        return clip, counter.get_total_flops()

    (alone, once), (without, _) = decode(prepared[0]), decode(None)
    whole = (alone - without).abs().mean()
    for words, given in (
        ("1", prepared[:1]),
        ("the same one twice", prepared[:1] * 2),
        ("2", prepared[:2]),
        ("3", prepared),
    ):
        clip, count = decode(backbone.join_references(given))
        change = (clip - alone).abs().mean() / whole
        print(f"| {name} | {words} | {count / once:.2f} | {change:.2f} |", flush=True)


if __name__ == "__main__":
    main()
