"""The codec is an orthonormal rotation that keeps all luma and low chroma."""

import torch

from refvid.models.mini.codec import PatchCodec, patch_basis
from refvid.models.mini.config import MiniConfig


def test_basis_is_orthonormal() -> None:
    basis = patch_basis(MiniConfig())
    assert basis.shape == (96, 192)
    torch.testing.assert_close(basis @ basis.T, torch.eye(96), atol=1e-5, rtol=0)


def test_gray_pictures_survive_exactly(noise_frames: torch.Tensor) -> None:
    gray = noise_frames.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    codec = PatchCodec(MiniConfig())
    torch.testing.assert_close(codec.decode(codec.encode(gray)), gray, atol=1e-5, rtol=0)


def test_fine_chroma_is_all_that_is_lost(noise_frames: torch.Tensor) -> None:
    codec = PatchCodec(MiniConfig())
    lost = noise_frames - codec.decode(codec.encode(noise_frames))
    assert lost.abs().max() > 0.1, "noise has fine chroma"
    torch.testing.assert_close(lost.mean(1), torch.zeros_like(lost[:, 0]), atol=1e-5, rtol=0)
    coarse = torch.nn.functional.avg_pool2d(lost, 8)
    torch.testing.assert_close(coarse, torch.zeros_like(coarse), atol=1e-5, rtol=0)


def test_encoding_twice_changes_nothing_more(noise_frames: torch.Tensor) -> None:
    codec = PatchCodec(MiniConfig())
    latents = codec.encode(noise_frames)
    torch.testing.assert_close(codec.encode(codec.decode(latents)), latents, atol=1e-4, rtol=0)
