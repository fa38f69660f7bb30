"""RefTok and VTok: shapes, determinism, and what a reference is good for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from refvid.models.mini_tokens import network as networks
from refvid.models.mini_tokens.config import (
    KeyFrameConfig,
    MiniReftok16Config,
    MiniReftokConfig,
    MiniReftokTwinConfig,
)
from refvid.models.mini_tokens.motion import (
    code_motion,
    find_motion,
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
    clip, block = drifting(7), tokenizer.facts.block
    first, state = tokenizer.encode(clip[:block], None)
    later, _ = tokenizer.encode(clip[block:], None, state)
    assert (first.grid.shape[0], first.vectors.shape) == (1, (block - 1, 16))
    assert (later.grid.shape[0], later.vectors.shape) == (0, (7 - block, 16))
    shown, carried = tokenizer.decode(first, block, None)
    rest, _ = tokenizer.decode(later, 7 - block, None, carried)
    assert torch.cat((shown, rest)).shape == clip.shape
    assert psnr(shown[0], rest[-1]) < psnr(shown[-1], rest[0]), "it goes on where it stopped"


def test_motion_survives_its_code() -> None:
    """A reference that is a ramp tells by its brightness where it was taken from."""
    speeds = torch.tensor([3.0, 4.0, 5.0, 6.0])
    cells = torch.zeros(1, 4, 2, 4, 4)
    cells[:, :, 0] = speeds.view(1, 4, 1, 1)
    cells[:, :, 1] = -0.5
    ramp = torch.arange(64.0).expand(1, 3, 64, 64) / 64
    moved = move_reference(ramp, code_motion(cells), 8)
    assert moved.shape == (1, 4, 3, 64, 64)
    found = (moved - ramp[:, None])[..., :50] * 64
    assert (found - speeds.view(1, 4, 1, 1, 1)).abs().max() < 0.5
    still = move_reference(ramp, code_motion(torch.zeros(1, 4, 2, 4, 4)), 8)
    assert (still - ramp[:, None]).abs().max() < 1e-5, "what rests stays where it is"


def moved_psnr(clip: Tensor, codes: Tensor) -> float:
    """Of the first frame, moved, against the others; borders come into view and do not count."""
    inner = (..., slice(16, -16), slice(24, -24))
    return psnr(move_reference(clip[:1], codes, 8)[0][inner], clip[1:][inner])


def test_a_reference_that_moves_is_found() -> None:
    clip = drifting(5)
    found, _ = search_motion(clip[1:], clip[0], (6, 6))
    still = code_motion(torch.zeros(1, 4, 2, 6, 6))
    searched = moved_psnr(clip, code_motion(found[None]))
    assert searched > moved_psnr(clip, still) + 6
    codes, _ = find_motion(clip[1:], clip[0], 8)
    # By 4.2 dB with OpenCV 5, by 2.8 with the oldest one, which rounds otherwise.
    assert moved_psnr(clip, codes) > searched + 2.5


@pytest.mark.parametrize("step", [1, 2, 8])
def test_refined_motion_is_nearer(step: int) -> None:
    clip = drifting(5, speed=3.3)
    found, _ = search_motion(clip[1:], clip[0], (6, 6))
    coarse = (code_motion(found[None]) - step).clamp(0, 63)
    fine = refine_motion(coarse, clip[1:], clip[0], 8, (step,))
    assert moved_psnr(clip, fine) > moved_psnr(clip, coarse) + 0.4
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


@pytest.mark.parametrize(
    "config", [MiniReftokConfig(), MiniReftok16Config(), MiniReftokTwinConfig(), KeyFrameConfig()]
)
@pytest.mark.parametrize("rows", [2, 4, 6])
def test_strips_show_no_seams(
    config: MiniReftokConfig, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large frames are worked on in strips, which change nothing but the last bits."""
    torch.manual_seed(0)
    network = MiniReftok(config).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, 0, 0.05)
    block, moved = torch.rand(2, 1, config.frames, 3, 160, 64) * 2 - 1
    told = (moved, moved[:, 0]) if config.reference else (None, None)
    with torch.inference_mode():
        numbers = network.encoder(block, told[0])
        codes = network.quantiser.quantise(numbers)
        whole = network.decoder(codes, *told)
        monkeypatch.setattr(networks, "_STRIP_PIXELS", rows * 8 * 64)
        assert torch.allclose(network.encoder(block, told[0]), numbers, atol=1e-4)
        assert torch.allclose(network.decoder(codes, *told), whole, atol=1e-4)
