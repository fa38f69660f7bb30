"""The style backbone keeps the protocol's promises: chunks, tiles, references, colours."""

import pytest
import torch
from torch import Tensor

from refvid.models.backbone import Keyframe
from refvid.models.mini_style.autoencoder import MiniStyleBackbone
from refvid.models.mini_style.bands import lightness, split_bands
from refvid.models.mini_style.config import MiniStyleConfig
from refvid.models.mini_style.decoder import MiniStyleDecoder
from refvid.models.mini_style.similarity import gradient_similarity
from refvid.models.mini_style.style_index import MAX_STYLE_PIXELS, STATISTICS

CPU = torch.device("cpu")
CONFIG = MiniStyleConfig(bands=3, hidden=4)


@pytest.fixture
def decoder() -> MiniStyleDecoder:
    """A small one whose weights do something."""
    torch.manual_seed(3)
    made = MiniStyleDecoder(CONFIG)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
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


def test_a_fresh_decoder_keeps_what_stands_out_and_paints_the_rest() -> None:
    """A faint edge on a wall, under strong strokes: the edge is the frame's, the wall painted."""
    frame = torch.full((1, 3, 64, 96), -0.1)
    frame[..., 48:] = 0.1
    noise = torch.randn(1, 1, 64, 96, generator=torch.Generator().manual_seed(4)) * 0.1
    strokes = noise.expand(-1, 3, -1, -1).contiguous()
    decoder = MiniStyleDecoder(MiniStyleConfig()).requires_grad_(False)
    made = decoder(frame, strokes, torch.zeros(1, STATISTICS))
    step = made[..., 48:50].mean((1, 2, 3)) - made[..., 46:48].mean((1, 2, 3))
    assert step > 0.15

    def likeness(columns: slice) -> float:
        pair = torch.stack([p[0, 0, :, columns].diff(dim=0).flatten() for p in (made, strokes)])
        return float(torch.corrcoef(pair)[0, 1])

    assert likeness(slice(4, 24)) > 0.9
    assert likeness(slice(47, 49)) < likeness(slice(4, 24))


def test_structure_goes_from_the_painting_to_the_frame() -> None:
    generator = torch.Generator().manual_seed(6)
    frame, painted = (
        torch.randn(1, 1, 64, 64, generator=generator).mul(0.2).repeat(1, 3, 1, 1) for _ in range(2)
    )
    decoder = MiniStyleDecoder(MiniStyleConfig()).requires_grad_(False)
    apart = [
        float((decoder(frame, painted, torch.zeros(1, STATISTICS), value) - frame).abs().mean())
        for value in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert apart == sorted(apart, reverse=True)
    assert apart[-1] < 0.5 * apart[0]


def test_grain_of_the_painting_is_weaker_unless_nearly_all_is_painted() -> None:
    generator = torch.Generator().manual_seed(7)
    painted = torch.randn(1, 1, 64, 64, generator=generator).mul(0.2).repeat(1, 3, 1, 1)
    plain = torch.zeros_like(painted)
    decoder = MiniStyleDecoder(MiniStyleConfig()).requires_grad_(False)
    wanted = split_bands(lightness(painted), 1)[0].std()
    grain = [
        split_bands(lightness(decoder(plain, painted, torch.zeros(1, STATISTICS), value)), 1)[
            0
        ].std()
        for value in (0.0, 0.5)
    ]
    assert grain[0] > 0.95 * wanted
    assert grain[1] < 0.75 * wanted


def test_it_adds_light_and_no_colour(decoder: MiniStyleDecoder) -> None:
    """Where both pictures are yellow, so is the result."""
    generator = torch.Generator().manual_seed(5)
    recoloured, painted = (torch.rand(1, 3, 32, 32, generator=generator) for _ in range(2))
    for picture in (recoloured, painted):
        picture[:, 1] = picture[:, 0]
    made = decoder(recoloured, painted, torch.randn(1, STATISTICS, generator=generator))
    torch.testing.assert_close(made[:, 0], made[:, 1])
    assert (made[:, 2] - made[:, 0]).abs().max() > 0.1


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


def test_huge_styles_are_painted_on_a_smaller_canvas(backbone: MiniStyleBackbone) -> None:
    style = backbone.prepare_reference(torch.rand(1, 3, 1536, 1600) * 2 - 1).style
    assert style.canvas == 2
    assert style.pictures.shape[1] == style.pictures.shape[2] == 800
    assert MAX_STYLE_PIXELS >= 768 * 800


def test_a_frame_is_painted_whole_on_a_smaller_canvas(
    backbone: MiniStyleBackbone, clip: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refvid.models.mini_style.style_index.MAX_STYLE_PIXELS", 1 << 13)
    reference = backbone.prepare_reference(clip[:, :, 0].flip(1))
    assert reference.style.canvas == 2
    latents = backbone.encode(clip[..., :120, :184]).latents
    made = backbone.decode(latents, reference).clip
    assert made.shape == (1, 3, 5, 120, 184)
    assert torch.isfinite(made).all()


def test_needs_a_style_or_a_keyframe(backbone: MiniStyleBackbone) -> None:
    with pytest.raises(ValueError, match="at least one style"):
        backbone.prepare_styles([])


def test_memory_grows_with_the_frame(backbone: MiniStyleBackbone) -> None:
    small, large = (backbone.working_bytes(side, side, 8, None) for side in (256, 1024))
    assert large > 4 * small


class TestThreshold:
    @staticmethod
    def pictures(likeness: float) -> tuple[Tensor, Tensor]:
        """A frame of blobs (1, 3, 96, 128), and strokes that follow its contours so far."""
        generator = torch.Generator().manual_seed(8)
        blobs, strokes = (
            torch.nn.functional.interpolate(
                torch.randn(1, 1, 24, 32, generator=generator), scale_factor=4, mode="bilinear"
            ).expand(-1, 3, -1, -1)
            * 0.3
            for _ in range(2)
        )
        return blobs, torch.lerp(strokes, blobs, likeness)

    def test_paint_that_hides_little_of_a_frame_covers_more(self) -> None:
        decoder = MiniStyleDecoder(MiniStyleConfig()).requires_grad_(False)
        least, most = (
            decoder.fit_threshold(frame, frame, painted, 0.5)
            for frame, painted in map(self.pictures, (0.0, 0.95))
        )
        assert most > least + 0.3
        frame, painted = self.pictures(0.95)
        usual, fitted = (
            lightness(decoder(frame, painted, torch.zeros(1, STATISTICS), 0.5, threshold))
            for threshold in (None, most)
        )
        wanted = lightness(frame)
        assert gradient_similarity(fitted, wanted) < gradient_similarity(usual, wanted)

    def test_all_of_the_structure_is_never_painted_over(self) -> None:
        """At 1 nothing is asked to go."""
        decoder = MiniStyleDecoder(MiniStyleConfig()).requires_grad_(False)
        frame, painted = self.pictures(0.5)
        fitted = decoder.fit_threshold(frame, frame, painted, 1.0)
        made = decoder(frame, painted, torch.zeros(1, STATISTICS), 1.0, fitted)
        usual = decoder(frame, painted, torch.zeros(1, STATISTICS), 1.0)
        torch.testing.assert_close(made, usual, atol=1e-3, rtol=0)

    def test_it_is_kept_for_a_shot_and_drifts(
        self, backbone: MiniStyleBackbone, clip: Tensor
    ) -> None:
        """It may begin in black, of which nothing is told."""
        black = torch.cat((torch.full_like(clip[:, :, :1], -1), clip, clip), 2)
        reference = backbone.prepare_reference(clip[:, :, 0])
        latents = backbone.encode(black).latents
        state, found = None, []
        for part in latents.split(1, 2):
            state = backbone.decode(part, reference, state).state
            found.append(float(state.threshold))
        assert found[0] == found[3]
        assert found[4] == found[7] != found[0]
        again = backbone.unpack_state(backbone.pack_state(state), reference, (128, 192))
        assert again is not None
        assert again.threshold is not None
        assert torch.equal(again.threshold, state.threshold)
        torch.testing.assert_close(again.shot.shifts, state.shot.shifts)
