"""The drop-in VAE in the real pipelines, tiny and random."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan
from PIL import Image

import refvid
from refvid import RefDecoderVAE
from refvid.errors import CheckpointError, InputError
from refvid.models.wan.autoencoder import WanAutoencoder, WanBackbone
from refvid.models.wan.config import WanConfig

TINY: dict[str, Any] = {
    "base_dim": 4,
    "transformer_blocks": 1,
    "heads": 2,
    "head_channels": 12,
    "feed_forward_channels": 16,
}


@pytest.fixture
def vae() -> RefDecoderVAE:
    torch.manual_seed(0)
    return RefDecoderVAE(**TINY).eval()


@pytest.fixture
def stock(vae) -> AutoencoderKLWan:
    """diffusers' own VAE with the same weights."""
    stock = AutoencoderKLWan(base_dim=4).eval()
    keys = stock.state_dict().keys()
    state = {key.removeprefix("ae."): value for key, value in vae.state_dict().items()}
    stock.load_state_dict({key: state[key] for key in keys})
    return stock


@pytest.fixture
def image() -> Image.Image:
    random = np.random.default_rng(0)
    return Image.fromarray(random.integers(0, 256, (40, 50, 3), np.uint8))


@pytest.fixture
def latents() -> torch.Tensor:
    return torch.randn(1, 16, 6, 4, 6, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_encodes_as_diffusers_does(vae, stock):
    clip = torch.rand(2, 3, 11, 32, 48) * 2 - 1
    ours, theirs = vae.encode(clip).latent_dist, stock.encode(clip).latent_dist
    assert ours.mean.shape == theirs.mean.shape
    torch.testing.assert_close(ours.mode(), theirs.mode(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.std, theirs.std, atol=1e-4, rtol=1e-4)
    assert torch.equal(vae.encode(clip, return_dict=False)[0].mean, ours.mean)


@torch.no_grad()
def test_plain_decoder_is_diffusers_decoder(vae, stock, latents):
    vae.use_attention = False
    theirs = stock.decode(latents).sample
    torch.testing.assert_close(vae.decode(latents).sample, theirs, atol=1e-4, rtol=1e-4)
    (clip,) = vae.decode(latents, return_dict=False)
    assert clip.shape == (1, 3, 21, 32, 48)
    vae.enable_slicing()
    pair = vae.decode(latents.repeat(2, 1, 1, 1, 1)).sample
    torch.testing.assert_close(pair[1:], theirs, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_reference_is_used_and_forgotten(vae, latents, image, tmp_path):
    without = vae.decode(latents).sample
    with vae.using_reference(image) as same:
        assert same is vae
        inside = vae.decode(latents).sample
    assert vae.reference is None
    assert torch.equal(vae.decode(latents).sample, without)
    assert not torch.allclose(inside, without, atol=0.1)

    pixels = np.asarray(image)
    image.save(tmp_path / "a.png")
    as_floats = pixels.astype(np.float32) / 255
    for same_image in (
        pixels,
        as_floats,
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        torch.from_numpy(as_floats).permute(2, 0, 1) * 2 - 1,
        [image],
    ):
        vae.reference = same_image
        # Floats keep what rounding to 8 bits loses when an image is made larger or smaller.
        torch.testing.assert_close(vae.decode(latents).sample, inside, atol=0.05, rtol=0)
    vae.reference = None
    assert torch.equal(vae.decode(latents).sample, without)


@torch.no_grad()
def test_decodes_as_the_backbone_does(vae, latents, image):
    from refvid.media.fit import fit_image
    from refvid.rebuild.pixels import frames_to_clip

    backbone = WanBackbone(vae._network[0], torch.device("cpu"), torch.float32)
    fitted = fit_image(np.asarray(image), 48, 32, "cover")
    clip = frames_to_clip([fitted], torch.device("cpu"))
    reference = backbone.prepare_reference(clip[:, :, 0])
    first = backbone.decode(latents[:, :, :5], reference)
    second = backbone.decode(latents[:, :, 5:], reference, first.state)
    vae.reference = image
    expected = torch.cat([first.clip, second.clip], 2)
    torch.testing.assert_close(vae.decode(latents).sample, expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_references_per_item(vae, latents, image):
    other = image.rotate(90)
    vae.reference = [image, other]
    batch = vae.decode(latents.repeat(4, 1, 1, 1, 1)).sample
    assert torch.allclose(batch[0], batch[1], atol=1e-5)
    assert not torch.allclose(batch[1], batch[2], atol=1e-3)
    vae.enable_slicing()
    again = vae.decode(latents.repeat(4, 1, 1, 1, 1)).sample
    torch.testing.assert_close(again, batch, atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="2 references for 3 videos"):
        vae.decode(latents.repeat(3, 1, 1, 1, 1))


@pytest.mark.parametrize(
    "wrong",
    [[], torch.zeros(1, 2, 3), torch.zeros(3, 4, 4, dtype=torch.int32), np.zeros((4, 4)),
     np.zeros((4, 4, 3), np.int32), np.full((4, 4, 3), np.nan)],
    ids=lambda wrong: str(getattr(wrong, "shape", wrong)),
)  # fmt: skip
def test_wrong_references(vae, wrong):
    with pytest.raises(ValueError, match="reference"):
        vae.reference = wrong


@torch.no_grad()
def test_tiles_and_precision(vae, latents, image):
    vae.use_attention = False
    big = torch.randn(1, 16, 2, 12, 12, generator=torch.Generator().manual_seed(0))
    whole = vae.decode(big).sample
    vae.enable_tiling(64, 64, 48, 48)
    assert vae.decode(big).sample.shape == whole.shape
    vae.disable_tiling()
    assert torch.equal(vae.decode(big).sample, whole)
    half = vae.to(torch.bfloat16)
    assert half.dtype == torch.bfloat16
    half.use_attention = True
    half.reference = image
    assert half.decode(latents).sample.dtype == torch.float32
    assert half.encode(torch.zeros(1, 3, 5, 16, 16)).latent_dist.mode().dtype == torch.bfloat16


@torch.no_grad()
def test_saved_and_loaded(vae, latents, image, tmp_path):
    vae.save_pretrained(tmp_path)
    again = RefDecoderVAE.from_pretrained(tmp_path, torch_dtype=torch.float32)
    assert again.config == vae.config or dict(again.config)["base_dim"] == 4
    for model in (vae, again):
        model.reference = image
    assert torch.equal(again.decode(latents).sample, vae.decode(latents).sample)


@torch.no_grad()
def test_wraps_a_network(latents):
    network = WanAutoencoder(
        WanConfig(
            base_channels=4, transformer_blocks=1, heads=2, head_channels=12,
            feed_forward_channels=16,
        )
    )  # fmt: skip
    vae = RefDecoderVAE.from_network(network)
    assert vae.config.base_dim == 4
    assert len(list(vae.parameters())) == len(list(network.parameters()))
    assert vae.decode(latents).sample.shape == (1, 3, 21, 32, 48)


def test_checkpoints_of_other_models(tmp_path):
    with pytest.raises(InputError, match="mini"):
        RefDecoderVAE.from_checkpoint("mini")
    with pytest.raises(CheckpointError):
        RefDecoderVAE.from_checkpoint(tmp_path / "missing")


def test_package_names():
    with pytest.raises(AttributeError, match="Nothing"):
        _ = refvid.Nothing


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    """The other parts of a pipeline, tiny and random, without a download."""
    pytest.importorskip("transformers", reason="diffusers' Wan pipelines need transformers")
    from diffusers import FlowMatchEulerDiscreteScheduler, WanTransformer3DModel
    from transformers import UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    text = UMT5EncoderModel(
        UMT5Config(
            vocab_size=32, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2,
            relative_attention_num_buckets=4,
        )
    ).eval()  # fmt: skip

    def transformer(channels: int) -> Any:
        return WanTransformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12,
            in_channels=channels, out_channels=16, text_dim=16, freq_dim=16, ffn_dim=16,
            num_layers=1, cross_attn_norm=True, qk_norm="rms_norm_across_heads",
            rope_max_seq_len=32,
        ).eval()  # fmt: skip

    return {
        "text_encoder": text,
        "tokenizer": None,
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=7.0),
        "make_transformer": transformer,
    }


def make_pipeline(name: str, parts: dict[str, Any], vae: Any) -> Any:
    import diffusers

    shared = {key: parts[key] for key in ("text_encoder", "tokenizer", "scheduler")}
    channels = 36 if name == "WanImageToVideoPipeline" else 16
    extra = {}
    if name == "WanImageToVideoPipeline":
        extra = {"image_encoder": None, "image_processor": None}
    pipe = getattr(diffusers, name)(
        transformer=parts["make_transformer"](channels), vae=vae, **shared, **extra
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def run(name: str, pipe: Any, image: Image.Image, output_type: str) -> Any:
    inputs: dict[str, Any] = {
        "prompt_embeds": torch.ones(1, 4, 16),
        "negative_prompt_embeds": torch.zeros(1, 4, 16),
        "height": 16,
        "width": 32,
        "num_inference_steps": 2,
        "guidance_scale": 1.0,
        "generator": torch.Generator().manual_seed(0),
        "output_type": output_type,
    }
    if name == "WanImageToVideoPipeline":
        inputs |= {"image": image.resize((32, 16)), "num_frames": 9}
    elif name == "WanVideoToVideoPipeline":
        inputs["video"] = [image.resize((32, 16))] * 9
        inputs["strength"] = 1.0
    else:
        inputs["num_frames"] = 9
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pipe(**inputs).frames


PIPELINES = ["WanPipeline", "WanImageToVideoPipeline", "WanVideoToVideoPipeline"]


@pytest.mark.parametrize("name", PIPELINES)
def test_takes_the_place_of_the_stock_vae(name, parts, vae, stock, image):
    torch.manual_seed(0)
    pipe = make_pipeline(name, parts, vae)
    vae.use_attention = False
    ours = {kind: run(name, pipe, image, kind) for kind in ("np", "latent")}
    pipe.vae = stock
    theirs = {kind: run(name, pipe, image, kind) for kind in ("np", "latent")}
    assert ours["np"].shape == (1, 9, 16, 32, 3)
    assert ours["latent"].shape == (1, 16, 3, 2, 4)
    np.testing.assert_allclose(ours["np"], theirs["np"], atol=1e-3)
    torch.testing.assert_close(ours["latent"], theirs["latent"], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", PIPELINES)
def test_reference_in_a_pipeline(name, parts, vae, image):
    pipe = make_pipeline(name, parts, vae)
    without = run(name, pipe, image, "np")
    with pipe.vae.using_reference(image):
        inside = run(name, pipe, image, "np")
    assert np.abs(inside - without).max() > 1e-3
    assert np.array_equal(run(name, pipe, image, "np"), without)


def test_latents_of_a_pipeline_decode_the_same(parts, vae, image, tmp_path):
    from refvid.latents.recognise import recognise_latents

    pipe = make_pipeline("WanPipeline", parts, vae)
    torch.save(run("WanPipeline", pipe, image, "latent"), tmp_path / "a.pt")
    from refvid.latents.wishes import LatentWishes

    found = recognise_latents(tmp_path / "a.pt", LatentWishes(scale="normalized"))
    with torch.no_grad():
        clip = vae.decode(found.read(0, 3)).sample
    expected = run("WanPipeline", pipe, image, "np")[0]
    decoded = ((clip[0] + 1) / 2).permute(1, 2, 3, 0).numpy()
    np.testing.assert_allclose(decoded, expected, atol=1e-4)


def test_pipeline_is_saved_and_loaded(parts, vae, image, tmp_path):
    import diffusers

    pipe = make_pipeline("WanPipeline", parts, vae)
    pipe.save_pretrained(tmp_path)
    # diffusers loads this transformer only where accelerate is installed.
    again = diffusers.WanPipeline.from_pretrained(
        tmp_path, tokenizer=None, transformer=pipe.transformer
    )
    assert type(again.vae) is RefDecoderVAE
    again.set_progress_bar_config(disable=True)
    first, second = (run("WanPipeline", one, image, "np") for one in (pipe, again))
    np.testing.assert_allclose(first, second, atol=1e-5)
