"""The backbone keeps the protocol's promises: chunks, tiles, missing references, memory."""

from unittest.mock import patch

import pytest
import torch
from diffusers import AutoencoderKLWan
from hypothesis import given, settings
from hypothesis import strategies as st

from refvid.models.tiles import plan_windows
from refvid.models.wan import autoencoder, encoder, past
from refvid.models.wan.autoencoder import WanAutoencoder, WanBackbone
from refvid.models.wan.config import WanConfig
from refvid.models.wan.limits import LIMITS
from refvid.rebuild.chunks import ChunkLengths, choose_chunk_lengths, pad_length
from refvid.rebuild.memory import choose_budget
from tests.unit.rebuild.reconstruct import reconstruct

CPU = torch.device("cpu")
RECEPTIVE_FIELD_PX = 98
"""What the plain decoder sees to each side of a pixel, beyond its head."""


def decode_in_chunks(backbone, latents, reference, lengths, **how):
    state, parts = None, []
    for part in latents.split(lengths, 2):
        decoded = backbone.decode(part, reference, state, **how)
        state = decoded.state
        parts.append(decoded.clip)
    return torch.cat(parts, 2)


@st.composite
def cuts(draw, total=9):
    lengths: list[int] = []
    while (rest := total - sum(lengths)) > 0:
        lengths.append(draw(st.integers(1, rest)))
    return lengths


@settings(max_examples=8, deadline=None)
@given(lengths=cuts())
def test_plain_decoding_does_not_depend_on_the_cut(backbone, lengths):
    latents = torch.randn(1, 16, 9, 3, 4, generator=torch.Generator().manual_seed(0))
    plain = backbone.plain()
    whole = plain.decode(latents).clip
    assert whole.shape == (1, 3, 33, 24, 32)
    parts = decode_in_chunks(plain, latents, None, lengths)
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=0)


@settings(max_examples=8, deadline=None)
@given(lengths=cuts(5))
def test_encoding_does_not_depend_on_the_cut(backbone, lengths):
    clip = torch.rand(1, 3, 17, 32, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1
    whole = backbone.encode(clip).latents
    assert whole.shape == (1, 16, 5, 4, 3)
    state, parts = None, []
    for part in clip.split([1 + 4 * (lengths[0] - 1), *(4 * n for n in lengths[1:])], 2):
        encoded = backbone.encode(part, state)
        state = encoded.state
        parts.append(encoded.latents)
    torch.testing.assert_close(torch.cat(parts, 2), whole, atol=1e-5, rtol=0)


def test_plain_coding_is_that_of_diffusers(small_config, model, backbone, noise):
    stock = AutoencoderKLWan(base_dim=small_config.base_channels).eval()
    weights = {k: v for k, v in model.ae.state_dict().items() if "ref_conv_in" not in k}
    stock.load_state_dict(weights, strict=True)
    clip = noise(3, 21, 40, 24).clamp(-1, 1)
    with torch.inference_mode():
        expected = stock.encode(clip).latent_dist.mode()
        latents = backbone.encode(clip).latents
        torch.testing.assert_close(latents, expected, atol=1e-5, rtol=1e-5)
        decoded = backbone.plain().decode(latents).clip
        torch.testing.assert_close(decoded, stock.decode(latents).sample, atol=2e-5, rtol=1e-5)


def test_the_step_of_the_full_size_layers_does_not_matter(backbone, noise, monkeypatch):
    clip = noise(3, 9, 32, 32).clamp(-1, 1)
    reference = backbone.prepare_reference(noise(3, 32, 32))
    latents = backbone.encode(clip).latents
    whole = backbone.decode(latents, reference).clip
    monkeypatch.setattr(autoencoder, "_PIXELS_PER_STEP", 1)
    monkeypatch.setattr(encoder, "VALUES_PER_STEP", 1)
    torch.testing.assert_close(backbone.encode(clip).latents, latents, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(backbone.decode(latents, reference).clip, whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("parks", [False, True])
@pytest.mark.parametrize(("height", "width"), [(80, 24), (88, 16), (40, 40)])
def test_strips_give_what_whole_frames_give(model, noise, monkeypatch, height, width, parks):
    backbone = WanBackbone(model, CPU, torch.float32, park_state=parks)
    clip = noise(3, 17, height, width).clamp(-1, 1)
    whole = [part.latents for part in encoded_in_turn(backbone, clip)]
    channels = model.config.base_channels
    monkeypatch.setattr(encoder, "VALUES_PER_STRIP", 24 * width * channels)
    assert len(encoder.plan_level(model.config, 0, height, width).strips) > 1
    parts = encoded_in_turn(backbone, clip)
    for part, expected in zip(parts, whole, strict=True):
        torch.testing.assert_close(part.latents, expected, atol=1e-5, rtol=1e-5)
    # Later chunks may be cut otherwise: what is carried is of whole frames.
    monkeypatch.setattr(encoder, "VALUES_PER_STRIP", 40 * width * channels)
    last = backbone.encode(clip[:, :, 13:], parts[-2].state).latents
    torch.testing.assert_close(last, whole[-1], atol=1e-5, rtol=1e-5)


def encoded_in_turn(backbone, clip):
    parts = [backbone.encode(clip[:, :, :5])]
    for start in (5, 9, 13):
        parts.append(backbone.encode(clip[:, :, start : start + 4], parts[-1].state))
    return parts


@given(
    blocks=st.integers(1, 3),
    height=st.integers(1, 300).map(lambda half: 2 * half),
    width=st.integers(1, 300),
    number=st.integers(0, 3),
    limit=st.integers(1, 10**6),
)
def test_strips_cover_a_frame_once(blocks, height, width, number, limit):
    config = WanConfig(residual_blocks=blocks)
    with patch.object(encoder, "VALUES_PER_STRIP", limit):
        level = encoder.plan_level(config, number, height, width)
    cores = [core for core, _ in level.strips]
    assert [row for core in cores for row in range(*core)] == [*range(height)]
    for core, seen in level.strips:
        assert not core.start % 2
        assert not seen.start % 2
        assert (seen.start, seen.stop) == (
            max(0, core.start - 2 * blocks - 2),
            min(height, core.stop + 2 * blocks + 2),
        )


def test_a_reference_and_its_absence_both_count(backbone, noise):
    latents = noise(16, 3, 4, 4)
    clips = [
        backbone.decode(latents, backbone.prepare_reference(noise(3, 32, 32, seed=1))).clip,
        backbone.decode(latents, backbone.prepare_reference(noise(3, 32, 32, seed=2))).clip,
        backbone.decode(latents).clip,
        backbone.plain().decode(latents).clip,
    ]
    for index, clip in enumerate(clips):
        assert clip.shape == (1, 3, 9, 32, 32)
        assert clip.abs().max() <= 1
        for other in clips[:index]:
            assert (clip - other).abs().max() > 1e-4


def test_the_state_is_not_changed(backbone, noise):
    latents, reference = noise(16, 5, 4, 4), backbone.prepare_reference(noise(3, 32, 32))
    state = backbone.decode(latents[:, :, :3], reference).state
    first = backbone.decode(latents[:, :, 3:], reference, state).clip
    again = backbone.decode(latents[:, :, 3:], reference, state).clip
    anew = backbone.decode(latents[:, :, 2:], reference).clip
    assert torch.equal(first, again)
    assert (first[:, :, :2] - anew[:, :, 1:3]).abs().max() > 0.01


def test_independent_chunks_stand_alone(model, noise):
    alone = WanBackbone(model, CPU, torch.float32, chunking="independent")
    carrying = WanBackbone(model, CPU, torch.float32)
    lengths = choose_chunk_lengths(alone.limits)
    assert lengths == ChunkLengths(first=17, following=17)
    assert pad_length(3, False, alone.limits) == 5
    clip = noise(3, 22, 16, 16).clamp(-1, 1)
    reference = alone.prepare_reference(noise(3, 16, 16))
    budget = choose_budget(alone.limits, 16, 16)
    rebuilt = reconstruct(alone, clip, reference, None, budget).clip
    assert rebuilt.shape == clip.shape
    second = carrying.encode(clip[:, :, 17:]).latents
    torch.testing.assert_close(
        rebuilt[:, :, 17:], carrying.decode(second, reference).clip, atol=1e-5, rtol=0
    )


def test_carried_chunks_are_17_then_16_frames():
    assert choose_chunk_lengths(LIMITS) == ChunkLengths(first=17, following=16)


def test_an_odd_length_is_padded_and_cropped(backbone, noise):
    clip = noise(3, 19, 20, 28).clamp(-1, 1)
    rebuilt = reconstruct(backbone, clip, None, None, choose_budget(LIMITS, 20, 28)).clip
    assert rebuilt.shape == clip.shape


class TestTiles:
    @pytest.fixture
    def latents(self, noise):
        return noise(16, 3, 4, 60)

    def test_the_interior_is_exact_in_the_plain_decoder(self, backbone, latents):
        plain = backbone.plain()
        whole = decode_in_chunks(plain, latents, None, [2, 1])
        tiled = decode_in_chunks(plain, latents, None, [2, 1], tile=256)
        _, columns = plan_windows(4, 60, 32)
        assert len(columns) == 2
        difference = (tiled - whole).abs().amax((0, 1, 2, 3))
        # Exact where the only window that counts sees all it needs.
        left = 8 * columns[1].start
        right = 8 * columns[0].stop
        assert right - left >= 64
        interior = torch.cat((difference[: right - RECEPTIVE_FIELD_PX][:left], difference[right:]))
        assert len(interior) > 200
        assert interior.max() < 1e-5
        assert difference.mean() < 1e-2

    def test_large_enough_tiles_are_the_whole(self, backbone, latents, noise):
        reference = backbone.prepare_reference(noise(3, 32, 480))
        whole = backbone.decode(latents, reference).clip
        assert torch.equal(backbone.decode(latents, reference, tile=480).clip, whole)

    def test_a_window_sees_its_part_of_the_reference(self, backbone, latents, noise):
        image = noise(3, 32, 480)
        changed = image.clone()
        changed[..., :64] *= -1
        clips = [
            backbone.decode(latents, backbone.prepare_reference(picture), tile=256).clip
            for picture in (image, changed)
        ]
        difference = (clips[0] - clips[1]).abs().amax((0, 1, 2, 3))
        assert difference[:64].min() > 0
        assert difference[-160:].max() == 0

    def test_the_plan_may_change_between_chunks(self, backbone, latents):
        plain = backbone.plain()
        whole = plain.decode(latents).clip
        start = plain.decode(latents[:, :, :2], tile=256)
        rest = plain.decode(latents[:, :, 2:], None, start.state)
        assert len(start.state.bodies) > len(rest.state.bodies) == 1
        difference = (rest.clip - whole[:, :, 5:]).abs().amax((0, 1, 2, 3))
        assert difference[: 8 * 12].max() < 1e-5
        finer = plain.decode(latents[:, :, 2:], None, rest.state, tile=128)
        assert finer.clip.shape == rest.clip.shape

    def test_only_frames_beyond_the_trained_area_go_in_tiles(self):
        assert choose_budget(LIMITS, 480, 832).tile is None
        assert choose_budget(LIMITS, 832, 480).tile is None
        assert choose_budget(LIMITS, 720, 1280).tile == 632
        assert choose_budget(LIMITS, 720, 1280, tile="off").tile is None


class TestPrecision:
    def test_half_the_bits_come_close(self, model, noise):
        latents = noise(16, 3, 4, 4)
        exact = WanBackbone(model, CPU, torch.float32)
        weights = {key: value.clone() for key, value in model.state_dict().items()}
        copy = WanAutoencoder(model.config)
        copy.load_state_dict(weights)
        rough = WanBackbone(copy, CPU, torch.bfloat16)
        assert copy.ae.encoder.conv_in.weight.dtype == torch.float32
        reference = noise(3, 32, 32)
        difference = (
            rough.decode(latents, rough.prepare_reference(reference)).clip
            - exact.decode(latents, exact.prepare_reference(reference)).clip
        )
        assert 0 < difference.abs().mean() < 0.03

    def test_weights_of_16_bits_stay_so(self, small_config, noise):
        model = WanAutoencoder(small_config).bfloat16()
        backbone = WanBackbone(model, CPU, torch.float32)
        assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
        encoded = backbone.encode(noise(3, 5, 16, 16)).latents
        assert encoded.dtype == torch.float32
        assert backbone.decode(encoded).clip.dtype == torch.float32

    def test_the_network_can_be_built_without_memory(self, small_config, model):
        with torch.device("meta"):
            empty = WanAutoencoder(small_config)
        assert not list(empty.buffers())
        empty.load_state_dict(model.state_dict(), assign=True, strict=True)
        assert not any(parameter.is_meta for parameter in empty.parameters())


@pytest.fixture(scope="module")
def full():
    with torch.device("meta"):
        return WanAutoencoder(WanConfig()).bfloat16()


class TestMemory:
    """Live tensor bytes at full size, on the meta device: shapes without numbers."""

    def count(self, backbone, counter, height, width, tile):
        """Peak of a chunk after the first one, without the weights: both calls, and decoding."""
        meta = torch.device("meta")
        clip = torch.empty(1, 3, 17, height, width, device=meta)
        reference = backbone.prepare_reference(clip[:, :, 0])
        latents = torch.empty(1, 16, 5, height // 8, width // 8, device=meta)
        encoder = backbone.encode(clip).state
        decoder = backbone.decode(latents, reference, tile=tile).state
        counter.peak = 0
        encoder = backbone.encode(clip[:, :, 1:], encoder).state
        encoding, counter.peak = counter.peak, 0
        backbone.decode(latents[:, :, 1:], reference, decoder, tile=tile)
        assert encoder
        return max(encoding, counter.peak)

    @pytest.mark.parametrize(
        ("height", "width", "dtype", "tile"),
        [
            (128, 128, torch.float32, None),
            pytest.param(480, 832, torch.bfloat16, None, marks=pytest.mark.slow),
            pytest.param(480, 832, torch.float32, 384, marks=pytest.mark.slow),
            pytest.param(720, 1280, torch.bfloat16, 632, marks=pytest.mark.slow),
        ],
    )
    def test_the_estimate_is_honest(self, full, count_live_bytes, height, width, dtype, tile):
        backbone = WanBackbone(full, torch.device("meta"), dtype, park_state=False)
        with count_live_bytes(backbone) as counter:
            counted = self.count(backbone, counter, height, width, tile)
        estimate = backbone.working_bytes(height, width, 17, tile)
        assert counted < estimate < 1.3 * counted + 200e6

    @pytest.mark.parametrize(
        ("height", "width", "tile", "limit"),
        [
            (480, 832, None, 6e9),
            pytest.param(720, 1280, None, 12e9, marks=pytest.mark.slow),
            pytest.param(720, 1280, 632, 6.5e9, marks=pytest.mark.slow),
        ],
    )
    def test_the_targets_are_met(
        self, full, count_live_bytes, monkeypatch, height, width, tile, limit
    ):
        def bring(tensor, device):
            # Meta tensors have no numbers to bring to main memory and back: take any.
            return tensor if tensor.device == device else torch.empty_like(tensor, device=device)

        monkeypatch.setattr(past, "_bring", bring)
        backbone = WanBackbone(full, torch.device("meta"), torch.bfloat16, park_state=True)
        with count_live_bytes(backbone) as counter:
            counted = self.count(backbone, counter, height, width, tile)
        estimate = backbone.working_bytes(height, width, 17, tile)
        assert counted < estimate < 1.3 * counted + 200e6
        weights = sum(p.numel() * p.element_size() for p in full.parameters())
        assert weights + estimate < limit


def test_memory_does_not_grow_with_the_video(backbone, noise, count_live_bytes):
    reference = backbone.prepare_reference(noise(3, 32, 32))
    latents = noise(16, 5, 4, 4)
    state = backbone.decode(latents, reference).state
    with count_live_bytes(backbone) as counter:
        peaks = []
        for _ in range(5):
            state = backbone.decode(latents[:, :, 1:], reference, state).state
            peaks.append(counter.peak)
            counter.peak = 0
    assert max(peaks[1:]) <= 1.01 * peaks[1]


def test_several_references_at_once(backbone, noise) -> None:
    pictures = [noise(3, 32, 32, seed=seed) for seed in (1, 2)]
    one, two = (backbone.prepare_reference(picture) for picture in pictures)
    latents = noise(16, 3, 4, 4)
    alone = backbone.decode(latents, one).clip
    assert torch.equal(backbone.decode(latents, backbone.join_references([one])).clip, alone)
    both = backbone.decode(latents, backbone.join_references([one, two])).clip
    turned = backbone.decode(latents, backbone.join_references([two, one])).clip
    torch.testing.assert_close(both, turned, atol=1e-5, rtol=1e-4)
    for single in (alone, backbone.decode(latents, two).clip):
        assert (both - single).abs().max() > 1e-4
    tiled = backbone.decode(latents, backbone.join_references([one, two]), tile=16).clip
    assert tiled.shape == both.shape
