"""Frames around a frame help it where it lost something, and only there."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from refvid.models.mini.autoencoder import MiniBackbone, to_shades
from refvid.models.mini.condition import CONDITION_CHANNELS
from refvid.models.mini.config import MiniConfig
from refvid.models.mini.decoder import MiniDecoder, NeighbourShare
from refvid.models.mini.neighbours import (
    REACH,
    Rebuilt,
    around,
    needed_later,
    see,
    with_neighbours,
)
from tests.in_chunks import join

CPU = torch.device("cpu")


def moving(texture: torch.Tensor, frames: int = 2 * REACH + 1) -> list[torch.Tensor]:
    return [torch.roll(texture, (2 * t, -3 * t), (2, 3)) for t in range(frames)]


def rebuilt(frames: list[torch.Tensor], share: float = 1.0) -> list[Rebuilt]:
    return [Rebuilt(f, share, see(f, to_shades(f), to_shades(f))) for f in frames]


def noisy(frames: list[torch.Tensor], levels: float = 6.0) -> list[torch.Tensor]:
    """With errors as video codecs leave them: those of colours are twice as coarse."""
    torch.manual_seed(1)
    return [(f + errors_like(f) * levels / 127.5).clamp(-1, 1) for f in frames]


def errors_like(frame: torch.Tensor) -> torch.Tensor:
    colors = torch.randn_like(frame[..., ::2, ::2]).repeat_interleave(2, 2).repeat_interleave(2, 3)
    return (torch.randn_like(frame[:, :1]) + colors) / 2**0.5


def inner(frame: torch.Tensor) -> torch.Tensor:
    """Without the border, where neighbours show other things."""
    return frame[..., 16:-16, 16:-16]


def error(frame: torch.Tensor, clean: torch.Tensor) -> float:
    return float((inner(frame) - inner(clean)).square().mean())


@pytest.fixture
def soft(texture: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(texture, 5, stride=1, padding=2)


def test_errors_of_a_moving_picture_become_smaller(soft: torch.Tensor) -> None:
    clean = moving(soft)
    frames = rebuilt(noisy(clean))
    result = with_neighbours(frames, REACH)
    before = frames[REACH].frame
    assert before is not None
    assert error(result, clean[REACH]) < 0.6 * error(before, clean[REACH])
    half = with_neighbours([replace(frame, share=0.5) for frame in frames], REACH)
    torch.testing.assert_close(half, (result + before) / 2, atol=1e-5, rtol=0)


def test_what_shows_something_else_has_no_say(soft: torch.Tensor) -> None:
    light, dark = torch.full_like(soft, 0.9), torch.full_like(soft, -0.9)
    flash = rebuilt([*[dark] * REACH, soft, *[light] * REACH])
    assert torch.equal(with_neighbours(flash, REACH), soft)
    cut = rebuilt([*moving(soft)[:REACH], torch.roll(soft, (4, -6), (2, 3)), *[light] * REACH])
    assert error(with_neighbours(cut, REACH), torch.roll(soft, (4, -6), (2, 3))) < (1 / 127.5) ** 2


def test_the_ends_of_a_shot_and_clean_frames_stay(soft: torch.Tensor) -> None:
    frames = rebuilt(noisy(moving(soft)))
    for end in (0, len(frames) - 1):
        assert with_neighbours(*_at(frames, end)) is frames[end].frame
    clean = [replace(frame, share=0.0) for frame in frames]
    assert with_neighbours(clean, REACH) is clean[REACH].frame


def _at(frames: list[Rebuilt], position: int) -> tuple[list[Rebuilt], int]:
    near, place = around(frames, position)
    return list(near), place


@given(st.integers(1, 12), st.data())
def test_frames_around(length: int, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, length - 1))
    near, place = around(range(length), position)
    assert near[place] == position
    assert [*near] == [n for n in range(length) if abs(n - position) <= REACH]


def test_what_is_needed_later(soft: torch.Tensor) -> None:
    frames = rebuilt(moving(soft, 7))
    kept = needed_later(frames)
    assert [frame.frame is None for frame in kept] == [True] * REACH + [False] * REACH
    assert kept[0].seen is frames[7 - 2 * REACH].seen
    assert len(needed_later(frames[:1])) == 1


@pytest.fixture
def backbone(small_config: MiniConfig, small_decoder: MiniDecoder) -> MiniBackbone:
    """One for which neighbours count in full."""
    small_decoder.neighbours = NeighbourShare()
    torch.nn.init.constant_(small_decoder.neighbours.bias, 10.0)
    config = replace(small_config, weighs_neighbours=True)
    return MiniBackbone(small_decoder, config, CPU, torch.float32)


@pytest.mark.parametrize("lengths", [(8,), (1,) * 8, (5, 1, 2), (2, 2, 2, 2), (3, 5)])
def test_chunks_of_any_length_give_the_same(
    backbone: MiniBackbone, soft: torch.Tensor, lengths: tuple[int, ...]
) -> None:
    latents = backbone.encode(torch.stack(noisy(moving(soft, 8)), 2)).latents
    reference = backbone.prepare_reference(soft)
    whole = backbone.decode(latents, reference).clip
    state = done = None
    for part in latents.split(lengths, 2):
        decoded = backbone.decode(part, reference, state)
        state = decoded.state
        before = 0 if done is None else done.shape[2]
        assert decoded.revised == min(REACH, before)
        done = join(done, decoded)
    assert done is not None
    assert torch.equal(done, whole)
    plain = MiniBackbone(backbone.decoder, replace(backbone.config), CPU, torch.float32)
    plain.decoder.neighbours = None
    assert not torch.equal(plain.decode(latents, reference).clip, whole)


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_a_state_is_whole_again_after_some_frames(
    backbone: MiniBackbone, soft: torch.Tensor, frames: int
) -> None:
    """As it is written down and read again."""
    latents = backbone.encode(torch.stack(noisy(moving(soft, 12)), 2)).latents
    reference = backbone.prepare_reference(soft)
    calm = backbone.decode(latents[:, :, :3], reference).state
    resumed = backbone.unpack_state(backbone.pack_state(calm), reference, (128, 192))
    done = 3
    for part in latents[:, :, 3:].split(frames, 2):
        wanted, found = (backbone.decode(part, reference, state) for state in (calm, resumed))
        calm, resumed = wanted.state, found.state
        if done - 3 >= backbone.limits.recomputed:
            assert wanted.revised == found.revised == REACH
            assert torch.equal(wanted.clip, found.clip)
        done += part.shape[2]
    assert done > 3 + backbone.limits.recomputed


def test_a_state_holds_no_frames(backbone: MiniBackbone, soft: torch.Tensor) -> None:
    latents = backbone.encode(torch.stack(moving(soft, 8), 2)).latents
    state = backbone.decode(latents, backbone.prepare_reference(soft)).state
    packed = backbone.pack_state(state)
    held = sum(tensor.nbytes for tensor in packed.tensors.values())
    assert held < 3 * soft.shape[2] * soft.shape[3]  # bytes for each pixel


def test_weights_without_it_know_no_neighbours(
    small_config: MiniConfig, small_decoder: MiniDecoder
) -> None:
    backbone = MiniBackbone(small_decoder, small_config, CPU, torch.float32)
    assert backbone.limits.lookahead == backbone.limits.recomputed == 0
    assert "neighbours.weight" not in small_decoder.state_dict()


def test_little_is_nothing() -> None:
    share = NeighbourShare()
    condition = torch.zeros(2, CONDITION_CHANNELS)
    assert share(condition).tolist() == [0, 0]
    torch.nn.init.constant_(share.bias, 0.0)
    assert share(condition).tolist() == [0.5, 0.5]
