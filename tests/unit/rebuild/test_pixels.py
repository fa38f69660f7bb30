import numpy as np
import pytest
import torch

from refvid.rebuild.pixels import (
    blend,
    clip_to_frames,
    frames_to_clip,
    pad_clip,
    padded_size,
)

CPU = torch.device("cpu")


def test_every_uint8_value_comes_back() -> None:
    frames = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    clip = frames_to_clip(list(frames), CPU)
    assert clip.shape == (1, 3, 1, 16, 16)
    assert clip.dtype == torch.float32
    assert clip.min() == -1
    assert clip.max() == 1
    assert np.array_equal(clip_to_frames(clip, np.uint8), frames)


def test_every_uint16_value_comes_back() -> None:
    frames = np.arange(65536, dtype=np.uint16).reshape(1, 256, 256, 1).repeat(3, axis=3)
    back = clip_to_frames(frames_to_clip(list(frames), CPU), np.uint16)
    assert back.dtype == np.uint16
    assert np.array_equal(back, frames)


def test_axes_are_time_height_width_colour() -> None:
    frames = np.zeros((2, 3, 4, 3), np.uint8)
    frames[1, 2, 3, 0] = 255
    clip = frames_to_clip(list(frames), CPU)
    assert clip.shape == (1, 3, 2, 3, 4)
    assert clip[0, 0, 1, 2, 3] == 1
    assert clip.sum() == -clip.numel() + 2


def test_output_is_clamped_and_rounded_half_up() -> None:
    values = torch.tensor([-3.0, -1.0, 0.5 / 127.5 - 1, 0.49 / 127.5 - 1, 0.0, 1.0, 7.0])
    clip = values.reshape(1, 1, 1, 1, -1).expand(1, 3, 1, 1, -1)
    assert clip_to_frames(clip, np.uint8)[0, 0, :, 0].tolist() == [0, 0, 1, 0, 128, 255, 255]


def test_mixed_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        frames_to_clip([np.zeros((2, 2, 3), np.uint8), np.zeros((2, 3, 3), np.uint8)], CPU)
    with pytest.raises(ValueError, match="one pixel type"):
        frames_to_clip([np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint16)], CPU)
    with pytest.raises(ValueError, match="float32"):
        frames_to_clip([np.zeros((2, 2, 3), np.float32)], CPU)


def test_blend_happens_before_rounding() -> None:
    original, rebuilt = torch.zeros(1), torch.full((1,), 0.5, dtype=torch.bfloat16)
    assert blend(original, rebuilt, 0.25).item() == 0.125
    assert torch.equal(blend(original, rebuilt, 0.0), original)
    assert blend(original, rebuilt, 1.0).item() == 0.5


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (17, 16), (351, 241)])
def test_padding_repeats_the_border(size: tuple[int, int], fake_backbone) -> None:
    limits = fake_backbone().limits
    clip = torch.rand(1, 3, 2, *size)
    padded = pad_clip(clip, limits, frames=5)
    height, width = padded_size(*size, limits)
    assert padded.shape == (1, 3, 5, height, width)
    assert height % 8 == width % 8 == 0
    assert min(height, width) >= 16
    assert torch.equal(padded[:, :, :2, : size[0], : size[1]], clip)
    assert torch.equal(padded[:, :, 4, -1, -1], clip[:, :, -1, -1, -1])
    assert torch.equal(padded[:, :, 1, : size[0], -1], clip[:, :, 1, :, -1])


def test_a_clip_of_the_right_size_is_not_copied(fake_backbone) -> None:
    clip = torch.rand(1, 3, 5, 16, 24)
    assert pad_clip(clip, fake_backbone().limits, 5) is clip
