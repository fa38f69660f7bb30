"""Frames and latents in memory come out as those of files do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import refvid
from refvid.errors import InputError, OptionError
from refvid.media.image import read_image, write_image
from refvid.media.reader import open_video
from refvid.models.wan.autoencoder import WanAutoencoder, WanBackbone
from refvid.models.wan.config import WanConfig
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.options import ModelOptions
from tests.conftest import moving_pattern


@pytest.fixture(scope="module")
def wan() -> LoadedBackbone:
    torch.manual_seed(0)
    config = WanConfig(
        base_channels=4,
        transformer_blocks=1,
        heads=2,
        head_channels=12,
        feed_forward_channels=16,
    )
    backbone = WanBackbone(WanAutoencoder(config), torch.device("cpu"), torch.float32)
    return LoadedBackbone(
        backbone=backbone,
        device=torch.device("cpu"),
        dtype=torch.float32,
        reason="a test",
        options=ModelOptions(chunk=9),
    )


@pytest.fixture
def latents() -> torch.Tensor:
    """Smooth latents of 21 frames 48x32, normalised."""
    random = torch.Generator().manual_seed(1)
    steps = torch.randn(1, 16, 6, 4, 6, generator=random)
    return torch.randn(1, 16, 1, 4, 6, generator=random) + 0.1 * steps.cumsum(2)


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    path = tmp_path / "art.png"
    Image.fromarray(moving_pattern(1, 40, 90, seed=5)[0]).save(path)
    return path


@pytest.mark.parametrize(
    "keywords",
    [
        {},
        {"strength": 0.5, "style_scale": 0.5, "cut_detection": False},
        {"preserve_color": True},
        {"strength": 0},
        {"scale": 2},
    ],
)
def test_restyled_frames_are_those_of_files(style_weights, painting, tmp_path, keywords):
    frames = moving_pattern(5)
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    for index, pixels in enumerate(frames):
        write_image(tmp_path / "in" / f"{index}.png", pixels)
    model = refvid.load_model("mini-style", weights=style_weights, device="cpu", chunk=2)
    refvid.stylize(
        tmp_path / "in" / "%d.png",
        tmp_path / "out" / "%d.png",
        style=painting,
        model=model,
        **keywords,
    )
    heard: list[Any] = []
    style = read_image(painting)
    made = refvid.stylize_frames(
        frames, style=style, model=model, on_progress=heard.append, **keywords
    )
    files = sorted((tmp_path / "out").iterdir())
    assert np.array_equal(made, np.stack([read_image(path) for path in files]))
    assert heard[-1].done == heard[-1].total == 5
    again = refvid.stylize_frames(frames, style=painting, model=model, **keywords)
    assert np.array_equal(again, made)


def test_several_styles_have_weights(style_weights, painting):
    model = refvid.load_model("mini-style", weights=style_weights, device="cpu")
    frames, other = moving_pattern(2), moving_pattern(1, seed=3)[0]

    def restyle(*styles):
        return refvid.stylize_frames(frames, style=styles, model=model)

    assert np.array_equal(restyle(painting, other), restyle(f"{painting}:1", other))
    assert not np.array_equal(restyle(painting, other), restyle(f"{painting}:9", other))


@pytest.mark.parametrize(
    ("keywords", "error"),
    [
        ({"style": []}, OptionError),
        ({"style": np.zeros((8, 8), np.uint8)}, OptionError),
        ({"style": "missing.png"}, InputError),
        ({"style_scale": 9}, OptionError),
        ({"strength": 2}, OptionError),
        ({"frames": np.zeros((8, 8, 3), np.uint8)}, OptionError),
        ({"model": "mini"}, OptionError),
    ],
)
def test_what_cannot_be_restyled(style_weights, painting, keywords, error):
    asked = {
        "frames": moving_pattern(2),
        "style": painting,
        "model": refvid.load_model("mini-style", weights=style_weights, device="cpu"),
        **keywords,
    }
    with pytest.raises(error):
        refvid.stylize_frames(asked.pop("frames"), **asked)


@pytest.mark.parametrize("ref", [None, "art.png", "array"])
@pytest.mark.parametrize("scale", ["raw", "normalized", None])
def test_decoded_latents_are_those_of_files(latents, wan, painting, tmp_path, ref, scale):
    torch.save(latents, tmp_path / "it.pt")
    refvid.decode(
        tmp_path / "it.pt",
        tmp_path / "out.mkv",
        ref=ref and painting,
        latent_scale=scale,
        codec="ffv1",
        model=wan,
    )
    with open_video(tmp_path / "out.mkv") as video:
        written = np.stack([frame.pixels for frame in video])
    heard: list[Any] = []
    given = {"art.png": painting, "array": read_image(painting)}.get(ref or "")
    keywords = {"latent_scale": scale, "model": wan, "on_progress": heard.append}
    made = refvid.decode_latents(latents, ref=given, **keywords)
    assert made.shape == (21, 32, 48, 3)
    assert np.array_equal(made, written)
    assert heard[-1].done == heard[-1].total == 21
    deep = refvid.decode_latents(latents.numpy(), ref=given, bit_depth=16, **keywords)
    assert deep.dtype == np.uint16
    assert abs(deep / 257 - made).max() <= 0.51


def test_latents_with_references_in_their_places(latents, wan, painting, tmp_path):
    other = moving_pattern(1, 32, 48, seed=7)[0]
    Image.fromarray(other).save(tmp_path / "other.png")
    torch.save(latents, tmp_path / "it.pt")
    words = [f"{painting}@0", f"{tmp_path / 'other.png'}@16"]
    keywords = {"latent_scale": "raw", "model": wan}
    refvid.decode(tmp_path / "it.pt", tmp_path / "o.mkv", ref=words, codec="ffv1", **keywords)
    with open_video(tmp_path / "o.mkv") as video:
        written = np.stack([frame.pixels for frame in video])
    for ref in (words, [(read_image(painting), 0), (other, 16)]):
        assert np.array_equal(refvid.decode_latents(latents, ref=ref, **keywords), written)
    with pytest.raises(OptionError, match="where they belong"):
        refvid.decode_latents(latents, ref=[painting, other], **keywords)


def test_one_video_of_a_batch(latents, wan):
    pair = torch.cat([latents, latents.flip(2)])
    with pytest.raises(InputError, match="2 videos"):
        refvid.decode_latents(pair, latent_scale="raw", model=wan)
    made = refvid.decode_latents(pair, latent_scale="raw", item=1, model=wan)
    alone = refvid.decode_latents(pair[1:], latent_scale="raw", model=wan)
    assert np.array_equal(made, alone)


def test_the_plain_decoder(latents, wan, painting):
    keywords = {"latent_scale": "raw", "model": wan}
    plain = refvid.decode_latents(latents, baseline=True, **keywords)
    assert not np.array_equal(plain, refvid.decode_latents(latents, ref=painting, **keywords))
    with pytest.raises(OptionError, match="takes no reference"):
        refvid.decode_latents(latents, baseline=True, ref=painting, **keywords)


@pytest.mark.parametrize(
    ("change", "keywords", "words"),
    [
        (lambda it: it[:, :12], {}, "16 channels"),
        (lambda it: it[0, 0], {}, "4 or 5 axes"),
        (lambda it: it.to(torch.int32), {}, "floating-point"),
        (lambda it: it * float("nan"), {}, "NaN"),
        (torch.ones_like, {}, "raw or normalised"),
        (lambda it: it, {"latent_scale": "loud"}, "raw or normalized"),
        (lambda it: it, {"bit_depth": 10}, "8 or 16"),
        (lambda it: it, {"ref": "frame:1"}, "no image file"),
        (lambda it: it, {"ref": "missing.png"}, "missing.png"),
        (lambda it: it, {"ref_fit": "tight"}, "tight"),
    ],
)
def test_what_are_no_latents(latents, wan, change, keywords, words):
    with pytest.raises((InputError, OptionError), match=words):
        refvid.decode_latents(change(latents), model=wan, **keywords)


def test_numbers_that_speak_against_what_is_said(latents, wan, caplog):
    refvid.decode_latents(latents, latent_scale="raw", model=wan)
    assert "the numbers look normalized" in caplog.text
