"""VideoVAE+ in enhance, encode and decode, with a tiny random network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from refvid.errors import InputError, OptionError, OutOfMemory
from refvid.latents.recognise import recognise_latents
from refvid.latents.wishes import LatentWishes
from refvid.media.encoding import Encoding
from refvid.models.videovaeplus.autoencoder import VideoVaePlusAutoencoder, VideoVaePlusBackbone
from refvid.models.videovaeplus.config import VideoVaePlusConfig
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.choose_decoder import choose_decoder
from refvid.rebuild.options import ModelOptions
from refvid.rebuild.reference_options import ReferenceSource
from tests.asking import (
    DecodeOptions,
    EncodeOptions,
    EnhanceOptions,
    decode,
    encode,
    enhance,
    plan_decode,
    plan_enhance,
)
from tests.lossless import read_frames

TINY = VideoVaePlusConfig(
    base_channels=2,
    temporal_channels=2,
    norm_groups=2,
    transformer_blocks=1,
    heads=1,
    head_channels=8,
    feed_forward_channels=8,
)
CPU = torch.device("cpu")
LOSSLESS = Encoding(codec="ffv1")


def make_loaded(*, overlapping: bool = True) -> LoadedBackbone:
    torch.manual_seed(0)
    backbone = VideoVaePlusBackbone(
        VideoVaePlusAutoencoder(TINY), CPU, torch.float32, overlapping=overlapping
    )
    return LoadedBackbone(backbone=backbone, device=CPU, dtype=torch.float32, reason="a test")


@pytest.fixture(scope="module")
def loaded() -> LoadedBackbone:
    return make_loaded()


def rebuild(source: Path, loaded: LoadedBackbone, folder: str, **options) -> np.ndarray:
    """What `enhance` makes of a video, as images, which change no colours."""
    path = source.with_name(folder) / "%04d.png"
    path.parent.mkdir()
    enhance(EnhanceOptions(source=source, output=path, **options), loaded)
    return read_frames(path)


@pytest.mark.parametrize("frames", [1, 3, 16, 17, 30])
def test_as_many_frames_come_out(make_video, loaded, frames: int) -> None:
    source = make_video(frames)
    assert rebuild(source, loaded, "out").shape == read_frames(source).shape


def test_the_reference_counts(make_video, loaded) -> None:
    source = make_video(6)
    alone = rebuild(source, loaded, "alone")
    helped = rebuild(source, loaded, "helped", reference=ReferenceSource(frame=0))
    assert not np.array_equal(alone, helped)


@pytest.mark.parametrize(("frames", "chunk"), [(5, None), (29, None), (22, 8), (9, 4)])
def test_encode_and_decode_are_enhance(make_video, loaded, tmp_path, frames, chunk) -> None:
    source, latents = make_video(frames), tmp_path / "latents.safetensors"
    model = ModelOptions(chunk=chunk)
    report = encode(EncodeOptions(source=source, output=latents, model=model), loaded)
    assert report.frames == frames
    output = tmp_path / "decoded" / "%04d.png"
    output.parent.mkdir()
    decoded = decode(DecodeOptions(source=latents, output=output), loaded)
    assert decoded.frames == frames
    assert decoded.plan.chunk == (chunk or 16)
    assert np.array_equal(read_frames(output), rebuild(source, loaded, "direct", model=model))


def test_what_a_file_records(make_video, loaded, tmp_path) -> None:
    latents = tmp_path / "latents.safetensors"
    encode(EncodeOptions(source=make_video(29), output=latents), loaded)
    with safe_open(latents, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["backbone"] == "videovae+"
    assert (metadata["chunk_latents"], metadata["overlap_latents"]) == ("4", "2")
    found = recognise_latents(latents)
    assert (found.frames, found.length) == (29, 4 + 4 + 4)  # 16 frames, 8 + 8, 8 + 5
    assert [(c.latents.shape[2], c.shared, c.held_back) for c in found.chunks(9, 9)] == [
        (4, 0, 2),
        (4, 2, 2),
        (4, 2, 0),
    ]
    with pytest.raises(InputError, match="overlap"):
        recognise_latents(latents, LatentWishes(drop=1))


def test_less_memory_shortens_the_chunks_of_a_file(make_video, loaded, tmp_path) -> None:
    source, latents = make_video(29), tmp_path / "latents.safetensors"
    encode(EncodeOptions(source=source, output=latents), loaded)
    output = tmp_path / "decoded.mkv"
    options = DecodeOptions(
        source=latents, output=output, encoding=LOSSLESS, model=ModelOptions(chunk=8)
    )
    assert decode(options, loaded).plan.chunk == 8
    assert len(read_frames(output)) == 29


def test_latents_of_other_programs(loaded, tmp_path) -> None:
    """Sixteen channels, as Wan's have: said in so many words, and only --model decides."""
    path = tmp_path / "foreign.pt"
    torch.save(torch.randn(1, 16, 6, 4, 6, generator=torch.Generator().manual_seed(0)), path)
    taken_for_wan = recognise_latents(path)
    assert taken_for_wan.backbone == "wan2.1"
    assert "--model videovae+" in taken_for_wan.to_json()["backbone_reason"]
    output = tmp_path / "out.mkv"
    options = DecodeOptions(source=path, output=output, encoding=LOSSLESS)
    plan = plan_decode(options, loaded)
    assert plan.latents is not None
    assert (plan.frames, plan.latents["scale"]) == (24, "raw")
    assert decode(options, loaded).frames == 24
    wishes = LatentWishes(scale="normalized")
    with pytest.raises(InputError, match="raw latents only"):
        plan_decode(DecodeOptions(source=path, output=tmp_path / "b.mkv", wishes=wishes), loaded)


def test_a_file_says_which_model_it_needs(make_video, loaded, tmp_path, monkeypatch) -> None:
    latents = tmp_path / "latents.safetensors"
    encode(EncodeOptions(source=make_video(5), output=latents), loaded)
    asked = []

    def choose(options):
        asked.append(options.model)
        return loaded

    monkeypatch.setattr("refvid.rebuild.choose_decoder.choose_backbone", choose)
    chosen = choose_decoder(ModelOptions(), [latents])
    assert asked == ["videovae+"]
    assert "latents.safetensors" in chosen.reason


def test_chunks_without_overlap_as_published(make_video, tmp_path) -> None:
    loaded = make_loaded(overlapping=False)
    source = make_video(29)
    assert (
        plan_enhance(EnhanceOptions(source=source, output=tmp_path / "a.mkv"), loaded).chunks == 2
    )
    assert len(rebuild(source, loaded, "out")) == 29
    with pytest.raises(OptionError, match="independent"):
        encode(EncodeOptions(source=source, output=tmp_path / "a.safetensors"), loaded)


def test_plans(make_video, loaded, tmp_path) -> None:
    options = EnhanceOptions(source=make_video(29), output=tmp_path / "a.mkv")
    plan = plan_enhance(options, loaded)
    assert (plan.model, plan.chunk, plan.chunks) == ("videovae+", 16, 3)
    assert plan.memory_bytes > 0
    with pytest.raises(OptionError, match="16 of this size per call"):
        plan_enhance(_with_model(options, ModelOptions(chunk=20)), loaded)
    with pytest.raises(OutOfMemory, match="--memory"):
        plan_enhance(_with_model(options, ModelOptions(memory=2**20)), loaded)


def _with_model(options: EnhanceOptions, model: ModelOptions) -> EnhanceOptions:
    return EnhanceOptions(source=options.source, output=options.output, model=model)
