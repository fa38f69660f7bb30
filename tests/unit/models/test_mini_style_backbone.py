"""The style backbone keeps the protocol's promises: chunks, tiles, references, colours."""

import pytest
import torch
from torch import Tensor

from refvid.models.backbone import Keyframe
from refvid.models.mini_style.autoencoder import MAX_STYLE_PIXELS, MiniStyleBackbone
from refvid.models.mini_style.config import MiniStyleConfig
from refvid.models.mini_style.decoder import MiniStyleDecoder
from refvid.models.mini_style.style_index import STATISTICS

CPU = torch.device("cpu")
CONFIG = MiniStyleConfig(widths=(8, 8, 8), depths=(1, 1, 1, 1, 1))


@pytest.fixture
def decoder() -> MiniStyleDecoder:
    """A small one whose weights do something."""
    torch.manual_seed(3)
    made = MiniStyleDecoder(CONFIG)
    torch.nn.init.normal_(made.pyramid.out.weight, std=0.05)
    return made


@pytest.fixture
def backbone(decoder: MiniStyleDecoder) -> MiniStyleBackbone:
    return MiniStyleBackbone(decoder, CONFIG, CPU, torch.float32)


@pytest.fixture
def clip(texture: Tensor) -> Tensor:
    """(1, 3, 5, 128, 192): the texture on the move."""
    return torch.stack([torch.roll(texture, (3 * t, -4 * t), (2, 3)) for t in range(5)], 2)


@pytest.fixture
def style(texture: Tensor) -> Tensor:
    """(1, 3, 96, 64)."""
    return texture[..., 16:112, 40:104].flip(1).contiguous()


def test_a_fresh_decoder_takes_the_detail_of_both() -> None:
    fresh = MiniStyleDecoder(CONFIG)
    frame, painted = texture_and_wall()
    made = fresh(frame, painted, torch.zeros(1, STATISTICS))
    # Plain walls have no detail: what the other picture has comes through.
    inner = (..., slice(8, 24), slice(8, 24))
    assert made[inner].std() > 0.75 * frame[inner].std()
    mean = (frame.mean() + painted.mean()) / 2
    torch.testing.assert_close(made[inner].mean(), mean, atol=0.1, rtol=0)


def test_it_adds_light_and_no_colour(decoder: MiniStyleDecoder) -> None:
    """Where both pictures are yellow, so is the result."""
    generator = torch.Generator().manual_seed(5)
    recoloured, painted = (torch.rand(1, 3, 32, 32, generator=generator) for _ in range(2))
    for picture in (recoloured, painted):
        picture[:, 1] = picture[:, 0]
    made = decoder(recoloured, painted, torch.randn(1, STATISTICS, generator=generator))
    torch.testing.assert_close(made[:, 0], made[:, 1])
    assert (made[:, 2] - made[:, 0]).abs().max() > 0.1


def texture_and_wall() -> tuple[Tensor, Tensor]:
    """(1, 3, 32, 32) each."""
    noise = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    return noise * 0.2 + 0.3, torch.full((1, 3, 32, 32), -0.3)


@pytest.mark.parametrize("lengths", [(1, 4), (2, 2, 1), (1, 1, 1, 1, 1)])
def test_chunks_equal_the_whole(
    backbone: MiniStyleBackbone, clip: Tensor, style: Tensor, lengths: tuple[int, ...]
) -> None:
    reference = backbone.prepare_reference(style)
    latents = backbone.encode(clip).latents
    whole = backbone.decode(latents, reference).clip
    assert whole.shape == clip.shape
    state, parts = None, []
    for part in latents.split(lengths, 2):
        decoded = backbone.decode(part, reference, state)
        state = decoded.state
        parts.append(decoded.clip)
    assert torch.equal(torch.cat(parts, 2), whole)


def test_windows_equal_the_whole_frame(
    backbone: MiniStyleBackbone, clip: Tensor, style: Tensor
) -> None:
    reference = backbone.prepare_reference(style)
    latents = backbone.encode(clip[:, :, :2]).latents
    whole = backbone.decode(latents, reference).clip
    torch.testing.assert_close(
        backbone.decode(latents, reference, tile=64).clip, whole, atol=1e-4, rtol=0
    )


def test_without_a_reference_frames_are_what_the_codec_gives(
    backbone: MiniStyleBackbone, clip: Tensor
) -> None:
    latents = backbone.encode(clip).latents
    decoded = backbone.decode(latents).clip
    torch.testing.assert_close(decoded, clip.clamp(-1, 1), atol=0.5, rtol=0)
    expected = backbone.codec.decode(latents[0, :, 1:2].transpose(0, 1))[0].clamp(-1, 1)
    torch.testing.assert_close(decoded[0, :, 1], expected)


def test_weights_of_styles_are_ratios(
    backbone: MiniStyleBackbone, clip: Tensor, style: Tensor
) -> None:
    latents = backbone.encode(clip[:, :, :1]).latents
    made = [
        backbone.decode(latents, backbone.prepare_styles([(style, w), (style.flip(1), 2 * w)])).clip
        for w in (1.0, 5.0)
    ]
    torch.testing.assert_close(made[0], made[1], atol=1e-4, rtol=0)


def test_a_keyframe_comes_out_as_it_was_painted(
    backbone: MiniStyleBackbone, clip: Tensor, style: Tensor
) -> None:
    latents = backbone.encode(clip).latents
    seen = backbone.codec.decode(latents[0].transpose(0, 1))[2:3].clamp(-1, 1)
    mine = seen.flip(1) * 0.8
    for styles in ([], [(style, 1.0)]):
        reference = backbone.prepare_styles(styles, [Keyframe(mine, seen)])
        made = backbone.decode(latents, reference).clip
        torch.testing.assert_close(made[:, :, 2], mine, atol=5e-3, rtol=0)


def test_huge_styles_are_shrunk(backbone: MiniStyleBackbone) -> None:
    reference = backbone.prepare_reference(torch.rand(1, 3, 1024, 1536) * 2 - 1)
    height, width = reference.style.pictures.shape[1:3]
    assert height == width <= 1256
    assert (reference.style.pictures[0].amax((1, 2)) > 0).sum() * width <= 1.6 * MAX_STYLE_PIXELS


def test_needs_a_style_or_a_keyframe(backbone: MiniStyleBackbone) -> None:
    with pytest.raises(ValueError, match="at least one style"):
        backbone.prepare_styles([])


def test_memory_grows_with_the_frame_and_shrinks_with_the_tile(
    backbone: MiniStyleBackbone,
) -> None:
    small, large = (backbone.working_bytes(side, side, 8, None) for side in (256, 1024))
    assert large > 4 * small
    assert backbone.working_bytes(1024, 1024, 8, 256) < large
