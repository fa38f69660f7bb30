"""The codec is an orthonormal rotation; what it keeps of chroma can be chosen."""

import pytest
import torch

from refvid.models.patch_codec import PatchCodec, patch_basis


@pytest.mark.parametrize(("chroma", "channels"), [(8, 192), (4, 96), (2, 72)])
def test_basis_is_orthonormal(chroma: int, channels: int) -> None:
    basis = patch_basis(8, chroma)
    assert basis.shape == (channels, 192)
    torch.testing.assert_close(basis @ basis.T, torch.eye(channels), atol=1e-5, rtol=0)


def test_what_is_kept_first_is_the_same_for_all() -> None:
    assert torch.equal(patch_basis(8, 8)[:96], patch_basis(8, 4))


def test_everything_survives_exactly(noise_frames: torch.Tensor) -> None:
    codec = PatchCodec()
    torch.testing.assert_close(
        codec.decode(codec.encode(noise_frames)), noise_frames, atol=1e-5, rtol=0
    )


def test_gray_pictures_survive_without_fine_chroma(noise_frames: torch.Tensor) -> None:
    gray = noise_frames.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    codec = PatchCodec(chroma=4)
    torch.testing.assert_close(codec.decode(codec.encode(gray)), gray, atol=1e-5, rtol=0)


def test_fine_chroma_is_all_that_is_lost(noise_frames: torch.Tensor) -> None:
    codec = PatchCodec(chroma=4)
    lost = noise_frames - codec.decode(codec.encode(noise_frames))
    assert lost.abs().max() > 0.1, "noise has fine chroma"
    torch.testing.assert_close(lost.mean(1), torch.zeros_like(lost[:, 0]), atol=1e-5, rtol=0)
    coarse = torch.nn.functional.avg_pool2d(lost, 8)
    torch.testing.assert_close(coarse, torch.zeros_like(coarse), atol=1e-5, rtol=0)


def test_latents_of_version_0_1_can_be_decoded(noise_frames: torch.Tensor) -> None:
    """They hold 96 channels: the same ones, without the upper chroma frequencies."""
    old = PatchCodec(chroma=4)
    latents = old.encode(noise_frames)
    torch.testing.assert_close(PatchCodec().decode(latents), old.decode(latents))


def test_encoding_twice_changes_nothing_more(noise_frames: torch.Tensor) -> None:
    codec = PatchCodec(chroma=4)
    latents = codec.encode(noise_frames)
    torch.testing.assert_close(codec.encode(codec.decode(latents)), latents, atol=1e-4, rtol=0)
