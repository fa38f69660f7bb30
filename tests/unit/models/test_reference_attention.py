"""3-D rotary positions and the joint attention, against direct formulas."""

import math
import weakref
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from refvid.models.reference_attention import (
    Features,
    ReferenceAttention,
    TokenGrid,
    rotary_table,
    rotate,
)

CPU = torch.device("cpu")


def rotate_directly(vector: list[float], position: tuple[int, int, int]) -> list[float]:
    """One token of one head, by the textbook: pairs turn by position / 10000^(2i / channels)."""
    side = 2 * (len(vector) // 6)
    angles = [
        place / 10000 ** (2 * i / channels)
        for place, channels in zip(position, (len(vector) - 2 * side, side, side), strict=True)
        for i in range(channels // 2)
    ]
    turned = []
    for index, angle in enumerate(angles):
        a, b = vector[2 * index : 2 * index + 2]
        turned += [
            a * math.cos(angle) - b * math.sin(angle),
            a * math.sin(angle) + b * math.cos(angle),
        ]
    return turned


@pytest.mark.parametrize("channels", [20, 128])
def test_rotation_is_the_formula(channels: int) -> None:
    grid = TokenGrid(3, 2, 4)
    x = torch.randn(1, 24, 2, channels, generator=torch.Generator().manual_seed(0))
    turned = rotate(x.clone(), rotary_table(grid, channels, CPU))
    for token, position in ((0, (0, 0, 0)), (5, (0, 1, 1)), (23, (2, 1, 3))):
        for head in range(2):
            expected = rotate_directly(x[0, token, head].tolist(), position)
            torch.testing.assert_close(
                turned[0, token, head], torch.tensor(expected), atol=1e-5, rtol=0
            )


def test_of_128_channels_time_has_44() -> None:
    table = rotary_table(TokenGrid(2, 1, 1), 128, CPU)
    turns = (table[1, 0].imag != 0).tolist()
    assert turns == [True] * 22 + [False] * 42


@pytest.fixture
def attention() -> ReferenceAttention:
    torch.manual_seed(0)
    return ReferenceAttention(((6, 2), (4, 4)), 2, 2, 12, 16).eval().requires_grad_(False)


def attend_directly(
    attention: Any, stage: int, reference: Tensor | None, video: Tensor
) -> tuple[Tensor | None, Tensor]:
    """The same by convolutions over channels-first features, one token at a time where it hurts."""
    channels, patch = attention.stages[stage]
    joined = video if reference is None else torch.cat((reference, video), 1)
    height, width = joined.shape[2:4]
    x = joined.permute(0, 4, 1, 2, 3)
    x = functional.pad(x, (0, -width % patch, 0, -height % patch))
    embedding = attention.patch_embeddings[stage]
    x = functional.conv3d(x, embedding.weight, embedding.bias, stride=(1, patch, patch))
    grid = TokenGrid(*x.shape[2:])
    x = x.flatten(2).transpose(1, 2)
    positions = [
        (t, h, w) for t in range(grid.frames) for h in range(grid.rows) for w in range(grid.columns)
    ]

    def heads(vectors: Tensor, *, turn: bool) -> Tensor:
        split = vectors.unflatten(-1, (2, 12)).transpose(1, 2)  # (B, heads, N, d)
        if turn:
            rows = [
                [
                    [rotate_directly(v, p) for v, p in zip(head, positions, strict=True)]
                    for head in b
                ]
                for b in split.tolist()
            ]
            split = torch.tensor(rows)
        return split

    for block in attention.transformer.blocks:
        a = block.attn1
        h = functional.layer_norm(x, (24,), eps=1e-6)
        q = functional.rms_norm(a.to_q(h), (24,), a.norm_q.weight, 1e-6)
        k = functional.rms_norm(a.to_k(h), (24,), a.norm_k.weight, 1e-6)
        q, k, v = heads(q, turn=True), heads(k, turn=True), heads(a.to_v(h), turn=False)
        scores = (q @ k.transpose(-1, -2) / math.sqrt(12)).softmax(-1)
        x = x + a.to_out[0]((scores @ v).transpose(1, 2).flatten(2))
        h = functional.layer_norm(x, (24,), eps=1e-6)
        x = x + block.ffn.net[2](functional.gelu(block.ffn.net[0].proj(h), approximate="tanh"))
    x = attention.proj_outs[stage](functional.layer_norm(x, (24,), eps=1e-6))
    x = x.view(-1, *grid[:3], patch, patch, channels)
    rows = torch.cat(x.unbind(3), 4) if patch == 1 else x.permute(0, 1, 2, 4, 3, 5, 6)
    x = rows.reshape(-1, grid.frames, grid.rows * patch, grid.columns * patch, channels)
    x = x[:, :, :height, :width]
    return (None, x) if reference is None else (x[:, :1], x[:, 1:])


@pytest.mark.parametrize("stage", [0, 1])
@pytest.mark.parametrize("has_reference", [True, False])
@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
def test_attention_is_the_formula(
    attention: ReferenceAttention, stage: int, has_reference: bool, size: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(1)
    channels = attention.stages[stage][0]
    video = torch.randn(2, 3, *size, channels, generator=generator)
    reference = torch.randn(2, 1, *size, channels, generator=generator) if has_reference else None
    expected_reference, expected = attend_directly(attention, stage, reference, video)
    got_reference, got = attention(stage, Features(reference, video)).take()
    torch.testing.assert_close(got, expected, atol=2e-5, rtol=1e-4)
    if expected_reference is None:
        assert got_reference is None
    else:
        torch.testing.assert_close(got_reference, expected_reference, atol=2e-5, rtol=1e-4)


def test_several_references_stand_at_one_time(attention: ReferenceAttention) -> None:
    """Their order says nothing, and each is as far from the video as a single one."""
    grid = TokenGrid(5, 1, 1, references=3)
    table = rotary_table(grid, 12, CPU)
    alone = rotary_table(TokenGrid(3, 1, 1, references=1), 12, CPU)
    assert torch.equal(table[:3], alone[:1].expand(3, -1, -1))
    assert torch.equal(table[2:], alone)
    generator = torch.Generator().manual_seed(1)
    video = torch.randn(2, 2, 8, 8, 6, generator=generator)
    references = torch.randn(2, 3, 8, 8, 6, generator=generator)
    swapped = references[:, [2, 0, 1]]
    got, clip = attention(0, Features(references.clone(), video.clone())).take()
    other, same = attention(0, Features(swapped.clone(), video.clone())).take()
    assert got is not None
    assert other is not None
    torch.testing.assert_close(clip, same, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(got[:, [2, 0, 1]], other, atol=1e-5, rtol=1e-4)
    one, _ = attention(0, Features(references[:, :1].clone(), video.clone())).take()
    assert one is not None
    assert (one - got[:, :1]).abs().max() > 1e-3, "they see each other"


@settings(max_examples=20, deadline=None)
@given(step=st.integers(1, 40))
def test_steps_do_not_change_the_result(step: int) -> None:
    torch.manual_seed(0)
    attention = ReferenceAttention(((6, 2),), 1, 2, 12, 16).eval().requires_grad_(False)
    video, reference = torch.randn(1, 4, 6, 6, 6), torch.randn(1, 1, 6, 6, 6)
    whole = attention(0, Features(reference, video)).take()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("refvid.models.reference_attention._TOKENS_PER_STEP", step)
        parts = attention(0, Features(reference, video)).take()
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_the_attention_has_the_room_of_what_it_replaces(attention: Any) -> None:
    """The caller still holds the holder, not what was in it."""
    reference, video = torch.randn(1, 1, 8, 8, 6), torch.randn(1, 3, 8, 8, 6)
    held = [weakref.ref(reference), weakref.ref(video)]
    features = Features(reference, video)
    del reference, video
    alive = []
    hook = attention.transformer.blocks[0].register_forward_pre_hook(
        lambda *_: alive.append([tensor() is not None for tensor in held])
    )
    attention(0, features)
    hook.remove()
    assert alive == [[False, False]]
    with pytest.raises(AssertionError, match="taken already"):
        features.take()
