"""RefTok and VTok: shapes, determinism, and what a reference is good for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from refvid.models.mini_tokens.config import MiniReftokConfig, MiniReftokTwinConfig
from refvid.models.mini_tokens.motion import (
    code_motion,
    decode_motion,
    move_reference,
    refine_motion,
    search_motion,
)
from refvid.models.mini_tokens.network import MiniReftok
from refvid.models.registry import find_backbone, names
from refvid.models.tokenizer import Tokenizer


def make(name: str, seed: int = 0) -> Tokenizer:
    """A tokenizer with the weights that training begins with."""
    spec = find_backbone(name)
    assert spec is not None
    parts = spec.parts()
    sizes: Any = parts.sizes()
    torch.manual_seed(seed)
    made: Tokenizer = parts.backbone(
        parts.network(sizes), sizes, torch.device("cpu"), torch.float32, "carry"
    )
    return made


def drifting(frames: int, speed: float = 2.0, side: int = 96) -> Tensor:
    """Something with detail that moves sideways: (T, 3, side, side) in [-1, 1]."""
    generator = torch.Generator().manual_seed(3)
    wide = torch.rand(1, 3, side // 3, side, generator=generator)
    wide = torch.nn.functional.interpolate(wide, scale_factor=3, mode="bicubic").clamp(0, 1)
    starts = [round(20 + speed * frame) for frame in range(frames)]
    return torch.stack([wide[0, :, :, at : at + side] * 2 - 1 for at in starts])


def psnr(a: Tensor, b: Tensor) -> float:
    return float(10 * torch.log10(4 / (a.clamp(-1, 1) - b).square().mean()))


@pytest.mark.parametrize("name", names("tokens"))
@pytest.mark.parametrize("length", [1, 2, 8])
def test_what_is_encoded_is_decoded(name: str, length: int) -> None:
    tokenizer = make(name)
    facts = tokenizer.facts
    clip = drifting(length)[:, :, :64]
    frames = clip[: facts.block]
    tokens, _ = tokenizer.encode(frames, clip[0])
    rows, columns = 64 // facts.side, 96 // facts.side
    assert tokens.grid.shape == (1, rows, columns)
    assert 0 <= int(tokens.grid.min()) <= int(tokens.grid.max()) < np.prod(facts.levels)
    assert len(tokens.vectors) == (len(frames) - 1 if facts.vector else 0)
    decoded, _ = tokenizer.decode(tokens, len(frames), clip[0])
    assert decoded.shape == frames.shape
    again, _ = tokenizer.encode(frames, clip[0])
    assert all(torch.equal(*pair) for pair in zip(tokens, again, strict=True)), "deterministic"


def test_a_vector_is_made_per_later_frame() -> None:
    tokenizer = make("mini-vtok")
    clip = drifting(11)
    first, state = tokenizer.encode(clip[:8], None)
    later, _ = tokenizer.encode(clip[8:], None, state)
    assert (first.grid.shape[0], first.vectors.shape) == (1, (7, 16))
    assert (later.grid.shape[0], later.vectors.shape) == (0, (3, 16))
    shown, carried = tokenizer.decode(first, 8, None)
    rest, _ = tokenizer.decode(later, 3, None, carried)
    assert torch.cat((shown, rest)).shape == clip.shape


def test_motion_survives_its_code() -> None:
    flow = torch.zeros(1, 4, 2, 64, 64)
    flow[:, :, 0] = torch.tensor([3.0, 4.0, 5.0, 6.0]).view(1, 4, 1, 1)
    flow[:, :, 1] = -0.5
    decoded = decode_motion(code_motion(flow, 8), 8)
    assert decoded.shape == flow.shape
    assert (decoded - flow).abs().max() < 0.5
    still = decode_motion(code_motion(torch.zeros(1, 4, 2, 64, 64), 8), 8)
    assert still.abs().max() == 0, "what rests stays exactly where it is"


def test_a_reference_that_moves_is_found() -> None:
    clip = drifting(5)
    flow, _ = search_motion(clip[1:], clip[0])
    moves = decode_motion(code_motion(flow[None], 8), 8)
    moved = move_reference(clip[:1], moves)[0]
    inner = (..., slice(16, -16), slice(24, -24))
    still = psnr(clip[:1].expand(4, -1, -1, -1)[inner], clip[1:][inner])
    assert psnr(moved[inner], clip[1:][inner]) > still + 6


def test_refined_motion_is_nearer() -> None:
    clip = drifting(5, speed=3.3)
    flow, _ = search_motion(clip[1:], clip[0])
    coarse = code_motion(flow[None] + 1.5, 8)
    fine = refine_motion(coarse, clip[1:], clip[0], 8)
    errors = [
        (move_reference(clip[:1], decode_motion(codes, 8))[0] - clip[1:]).square().mean()
        for codes in (coarse, fine)
    ]
    assert errors[1] < 0.9 * errors[0]
    assert int(fine.min()) >= 0
    assert int(fine.max()) < 64


def test_a_reference_helps_from_the_start() -> None:
    """Before any training, at equal token bits."""
    clip = drifting(5)
    with_reference, twin = make("mini-reftok"), make("mini-reftok-twin")
    assert np.prod(with_reference.facts.levels) == np.prod(twin.facts.levels)
    results = []
    for tokenizer in (with_reference, twin):
        tokens, _ = tokenizer.encode(clip[1:], clip[0])
        results.append(psnr(tokenizer.decode(tokens, 4, clip[0])[0], clip[1:]))
    assert results[0] > results[1] + 1.5


def test_the_twin_has_as_many_weights() -> None:
    counts = [
        sum(p.numel() for p in MiniReftok(config).parameters())
        for config in (MiniReftokConfig(), MiniReftokTwinConfig())
    ]
    assert abs(counts[0] - counts[1]) < 0.01 * counts[0]


def test_the_hash_is_of_the_weights() -> None:
    assert make("mini-reftok").facts.sha256 == make("mini-reftok").facts.sha256
    assert make("mini-reftok").facts.sha256 != make("mini-reftok", seed=1).facts.sha256


def test_windows_do_not_see_each_other() -> None:
    """Attention goes on within 128 pixels: what is in other windows changes nothing."""
    torch.manual_seed(0)
    network = MiniReftok(MiniReftokConfig()).eval()
    for parameter in network.decoder.attention.proj_outs.parameters():
        torch.nn.init.normal_(parameter)
    features, references = torch.randn(1, 64, 20, 40), torch.rand(2, 3, 160, 320)
    references[1, :, :, :256] = references[0, :, :, :256]
    with torch.inference_mode():
        found = [network.decoder._attend(features, one[None]) for one in references]
    assert torch.equal(found[0][..., :16], found[1][..., :16])
    assert not torch.equal(found[0][..., 32:], found[1][..., 32:])
