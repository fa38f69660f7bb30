"""Encode and decode with fake and tiny models: the way over a file changes nothing."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from refvid.errors import CheckpointError, InputError, OptionError, OutOfMemory, OutputError
from refvid.latents.recognise import recognise_latents
from refvid.latents.wishes import LatentWishes
from refvid.media.encoding import Encoding
from refvid.media.frame_range import FrameRange
from refvid.media.image import read_image, write_image
from refvid.media.reader import open_video
from refvid.media.video_info import read_video_info
from refvid.models.backbone import Encoded
from refvid.models.wan.autoencoder import WanAutoencoder, WanBackbone
from refvid.models.wan.config import WanConfig
from refvid.progress import Progress
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.choose_decoder import choose_decoder, plain_decoder
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
    plan_encode,
)
from tests.conftest import moving_pattern
from tests.lossless import read_frames
from tests.unit.media.conftest import build_video

TINY = WanConfig(
    base_channels=4,
    channel_multipliers=(1, 2, 4, 4),
    transformer_blocks=1,
    heads=2,
    head_channels=12,
    feed_forward_channels=16,
)


class PackingBackbone:
    """The fake model with real latents: `temporal_stride` frames go into one latent frame."""

    def __init__(self, fake: Any) -> None:
        self.fake = fake

    def __getattr__(self, name: str) -> Any:
        return getattr(self.fake, name)

    def encode(self, clip: Any, state: Any = None) -> Any:
        encoded = self.fake.encode(clip, state)
        frames, stride = encoded.latents, self.limits.temporal_stride
        if state is None and self.limits.first_chunk_extra:
            frames = torch.cat([frames[:, :, :1].repeat(1, 1, stride - 1, 1, 1), frames], 2)
        latents = frames.unflatten(2, (-1, stride)).transpose(2, 3).flatten(1, 2)
        return Encoded(latents, encoded.state)

    def decode(
        self, latents: Any, reference: Any = None, state: Any = None, *, tile: int | None = None
    ) -> Any:
        stride = self.limits.temporal_stride
        frames = latents.unflatten(1, (-1, stride)).transpose(2, 3).flatten(2, 3)
        if state is None and self.limits.first_chunk_extra:
            frames = frames[:, :, stride - 1 :]
        return self.fake.decode(frames, reference, state, tile=tile)


@pytest.fixture
def packing_backbone(fake_backbone):
    def make(**options: Any) -> PackingBackbone:
        return PackingBackbone(fake_backbone(**options))

    return make


def load(backbone: Any) -> LoadedBackbone:
    return LoadedBackbone(
        backbone=backbone, device=torch.device("cpu"), dtype=torch.float32, reason="a test"
    )


@pytest.fixture
def loaded(packing_backbone) -> LoadedBackbone:
    return load(packing_backbone())


@pytest.fixture(scope="module")
def wan() -> LoadedBackbone:
    torch.manual_seed(0)
    backbone = WanBackbone(WanAutoencoder(TINY), torch.device("cpu"), torch.float32)
    return load(backbone)


@pytest.fixture
def wan_file(tmp_path) -> Path:
    """Smooth latents of 21 frames 48x32, as a pipeline saves them."""
    random = torch.Generator().manual_seed(1)
    steps = torch.randn(1, 16, 6, 4, 6, generator=random)
    start = torch.randn(1, 16, 1, 4, 6, generator=random)
    torch.save({"latents": start + 0.1 * steps.cumsum(2)}, tmp_path / "latents.pt")
    return tmp_path / "latents.pt"


@pytest.fixture
def picture(tmp_path) -> Path:
    path = tmp_path / "reference.png"
    random = np.random.default_rng(0)
    write_image(path, random.integers(0, 256, (50, 70, 3), np.uint8))
    return path


def images_of(folder: Path) -> np.ndarray:
    return np.stack([read_image(path) for path in sorted(folder.iterdir())])


def to_images(folder: Path) -> Path:
    folder.mkdir()
    return folder / "%04d.png"


@pytest.mark.parametrize("count", [1, 5, 12, 22])
@pytest.mark.parametrize("stride", [(4, 1), (4, 0), (1, 0)])
def test_over_a_file_equals_enhance(make_video, tmp_path, picture, packing_backbone, count, stride):
    video = make_video(count, "in.mp4")
    loaded = load(packing_backbone(temporal_stride=stride[0], first_chunk_extra=stride[1]))
    model = ModelOptions(chunk=9)
    enhance(
        EnhanceOptions(
            source=video,
            output=to_images(tmp_path / "direct"),
            reference=ReferenceSource(image=picture),
            cut_detection=False,
            model=model,
        ),
        loaded,
    )
    latents = tmp_path / "latents.safetensors"
    encoded = encode(EncodeOptions(source=video, output=latents, model=model), loaded)
    seen: list[Progress] = []
    report = decode(
        DecodeOptions(
            source=latents, output=to_images(tmp_path / "over"), reference=picture, model=model
        ),
        loaded,
        seen.append,
    )

    assert encoded.frames == report.frames == count
    assert seen[-1] == Progress(count, count)
    json.dumps([encoded.to_json(), report.to_json()])
    direct, over = images_of(tmp_path / "direct"), images_of(tmp_path / "over")
    assert np.array_equal(direct, over)


def test_rate_size_and_part_are_kept(make_video, tmp_path, loaded):
    rate = Fraction(30000, 1001)
    video = make_video(12, rate=rate)
    latents, result = tmp_path / "a.safetensors", tmp_path / "b.mp4"
    encode(EncodeOptions(source=video, output=latents, range=FrameRange(start=2, frames=7)), loaded)
    with safe_open(latents, framework="pt") as file:
        metadata = file.metadata()
        assert file.get_tensor("latents").shape == (1, 12, 3, 48, 64)
    assert metadata["backbone"] == "fake"
    assert metadata["frames"] == "7"
    assert metadata["frame_rate"] == "30000/1001"
    assert (metadata["width"], metadata["height"]) == ("64", "48")

    decode(DecodeOptions(source=latents, output=result), loaded)
    with open_video(result) as again:
        assert again.info.frame_rate == rate
        assert again.info.size == (64, 48)
        assert again.info.color.matrix_name == "bt709"
        times = [frame.time for frame in again]
    assert len(times) == 7
    assert all(abs(time - index / rate) < Fraction(1, 10_000) for index, time in enumerate(times))


@pytest.mark.parametrize(("aspect", "name"), [(Fraction(16, 15), "b.mp4"), (Fraction(2), "b.mkv")])
def test_the_shape_of_pixels_is_kept(tmp_path, loaded, aspect, name):
    video = build_video(tmp_path / "in.mp4", size=(64, 48), aspect=aspect)
    latents, result = tmp_path / "a.safetensors", tmp_path / name
    encode(EncodeOptions(source=video, output=latents), loaded)
    decode(DecodeOptions(source=latents, output=result), loaded)
    assert read_video_info(result).sample_aspect_ratio == aspect


@pytest.mark.parametrize("text", ["0/1", "1/0", "-1", "nan", "9" * 50, "1/2/3", "²"])
def test_a_shape_of_pixels_that_is_none(make_video, tmp_path, loaded, text):
    latents = tmp_path / "a.safetensors"
    encode(EncodeOptions(source=make_video(2), output=latents), loaded)
    with safe_open(latents, framework="pt") as file:
        facts, tensor = file.metadata(), file.get_tensor("latents")
    save_file({"latents": tensor}, latents, metadata=facts | {"sample_aspect_ratio": text})
    decode(DecodeOptions(source=latents, output=tmp_path / "b.mp4"), loaded)
    assert read_video_info(tmp_path / "b.mp4").sample_aspect_ratio == 1


def test_refvid_s_own_latents_are_no_noise(make_video, tmp_path, loaded):
    """Of a video whose frames have nothing in common, such as a slide show."""
    noise = np.random.default_rng(0).integers(0, 256, (6, 48, 64, 3), np.uint8)
    latents = tmp_path / "a.safetensors"
    encode(EncodeOptions(source=make_video(noise), output=latents), loaded)
    assert recognise_latents(latents).warnings == ()


def test_deep_video_stays_deep(make_video, tmp_path, loaded):
    video = make_video(5, pix_fmt="yuv420p10le", codec="libx265", options={"crf": "4"})
    encode(EncodeOptions(source=video, output=tmp_path / "a.safetensors"), loaded)
    plan = plan_decode(
        DecodeOptions(source=tmp_path / "a.safetensors", output=tmp_path / "b.mkv"), loaded
    )
    assert plan.pix_fmt == "yuv420p10le"


def test_mini_round_trip(make_video, tmp_path):
    """A clean clip comes back as it was, or nearly."""
    # Not smaller: on a few pixels even waves look like what was blurred.
    video = make_video(moving_pattern(6, 240, 320))
    loaded = choose_decoder(ModelOptions(model="mini", device="cpu", dtype="fp32"), [])
    latents, result = tmp_path / "a.safetensors", tmp_path / "b.mkv"
    encode(EncodeOptions(source=video, output=latents), loaded)
    again = choose_decoder(ModelOptions(device="cpu", dtype="fp32"), [latents])
    assert again.name == "mini"
    assert "a.safetensors" in again.reason
    encoding = Encoding(codec="ffv1")
    decode(DecodeOptions(source=latents, output=result, encoding=encoding), again)
    error = read_frames(video).astype(float) - read_frames(result)
    assert np.square(error).mean() < 1  # 48 dB


def test_wan_latents_become_a_video(wan, wan_file, tmp_path, picture):
    result = tmp_path / "out.mp4"
    plans: list[Any] = []
    report = decode(
        DecodeOptions(source=wan_file, output=result, reference=picture),
        wan,
        on_plan=plans.append,
    )
    plan = report.plan
    assert plans == [plan]
    assert (report.frames, plan.width, plan.height) == (21, 48, 32)
    assert (plan.frame_rate, plan.chunk) == ("16", 17)
    assert plan.frame_rate_reason is not None
    assert plan.latents is not None
    assert "Wan" in plan.frame_rate_reason
    assert plan.latents["scale"] == "normalized"
    assert plan.codec == "h264"
    with av.open(str(result)) as container:
        assert container.streams.video[0].average_rate == 16
        assert "reference.png" in container.metadata["comment"]
        assert str(tmp_path) not in container.metadata["comment"]


@pytest.mark.parametrize(
    ("codec", "pix_fmt"), [("ffv1", "bgr0"), ("png", "rgb24"), ("h264", "yuv420p")]
)
def test_lossless_codecs_get_the_decoder_s_own_rgb(wan, wan_file, tmp_path, codec, pix_fmt):
    result = tmp_path / ("out.mov" if codec == "png" else "out.mkv")
    encoding = Encoding(codec=codec)
    report = decode(DecodeOptions(source=wan_file, output=result, encoding=encoding), wan)
    assert report.plan.pix_fmt == pix_fmt
    if codec == "h264":
        return
    pictures = tmp_path / "%d.png"
    decode(DecodeOptions(source=wan_file, output=pictures), wan)
    first = read_frames(result)[0]
    with av.open(str(tmp_path / "0.png")) as container:
        exact = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert np.array_equal(first, exact)


def test_plain_decoder_does_not_depend_on_chunks(wan, wan_file, tmp_path):
    results = []
    for chunk in (5, 9, 17):
        folder = tmp_path / str(chunk)
        decode(
            DecodeOptions(
                source=wan_file,
                output=to_images(folder),
                baseline=True,
                model=ModelOptions(chunk=chunk),
            ),
            wan,
        )
        results.append(images_of(folder).astype(int))
    assert np.abs(results[0] - results[1]).max() <= 1
    assert np.abs(results[0] - results[2]).max() <= 1
    latents = recognise_latents(wan_file).read(0, 6)
    whole = wan.backbone.plain().decode(latents).clip
    expected = ((whole[0] + 1) * 127.5).permute(1, 2, 3, 0).round().int().numpy()
    assert np.abs(results[2] - expected).max() <= 1


def test_reference_and_baseline_change_the_result(wan, wan_file, tmp_path, picture):
    results = []
    for name, change in {"a": {}, "b": {"reference": picture}, "c": {"baseline": True}}.items():
        decode(DecodeOptions(source=wan_file, output=to_images(tmp_path / name), **change), wan)
        results.append(images_of(tmp_path / name))
    assert not np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


def test_wan_round_trip_keeps_length_and_size(wan, make_video, tmp_path):
    video = make_video(np.zeros((7, 34, 50, 3), np.uint8))
    latents = tmp_path / "a.safetensors"
    report = encode(EncodeOptions(source=video, output=latents), wan)
    assert report.latent_frames == 3
    found = recognise_latents(latents)
    assert (found.backbone, found.scale.value) == ("wan2.1", "raw")
    result = decode(DecodeOptions(source=latents, output=tmp_path / "b.mp4"), wan)
    assert read_frames(tmp_path / "b.mp4").shape == (7, 34, 50, 3)
    assert result.frames == 7


def test_out_of_memory_takes_smaller_pieces(make_video, tmp_path, packing_backbone):
    video = make_video(np.random.default_rng(0).integers(0, 256, (14, 136, 160, 3), np.uint8))
    latents = tmp_path / "a.safetensors"
    encode(EncodeOptions(source=video, output=latents), load(packing_backbone()))
    decode(
        DecodeOptions(source=latents, output=to_images(tmp_path / "a")), load(packing_backbone())
    )
    tight = packing_backbone(fail_untiled_above=128)
    decode(DecodeOptions(source=latents, output=to_images(tmp_path / "b")), load(tight))
    assert {tile for _, tile in tight.calls[-3:]} == {128}
    assert np.array_equal(images_of(tmp_path / "a"), images_of(tmp_path / "b"))
    with pytest.raises(OutOfMemory):
        decode(
            DecodeOptions(source=latents, output=tmp_path / "c.mp4"),
            load(packing_backbone(fail_untiled_above=8)),
        )
    assert not (tmp_path / "c.mp4").exists()

    few = packing_backbone(fail_above_frames=5)
    encode(EncodeOptions(source=video, output=tmp_path / "b.safetensors"), load(few))
    first, second = (recognise_latents(tmp_path / f"{name}.safetensors") for name in "ab")
    torch.testing.assert_close(first.read(0, 5), second.read(0, 5))


def test_a_failure_leaves_nothing(make_video, tmp_path, packing_backbone):
    def stop(_call: int) -> None:
        raise KeyboardInterrupt

    video = make_video(12)
    before = set(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        encode(
            EncodeOptions(source=video, output=tmp_path / "a.safetensors"),
            load(packing_backbone(on_encode=stop)),
        )
    assert set(tmp_path.iterdir()) == before


def test_latents_of_another_model(wan, wan_file, loaded, tmp_path, make_video):
    with pytest.raises(InputError, match=r"--model wan2\.1"):
        plan_decode(DecodeOptions(source=wan_file, output=tmp_path / "a.mp4"), loaded)
    encode(EncodeOptions(source=make_video(5), output=tmp_path / "b.safetensors"), loaded)
    with pytest.raises(InputError, match="--model fake"):
        plan_decode(
            DecodeOptions(source=tmp_path / "b.safetensors", output=tmp_path / "a.mp4"), wan
        )


def test_latents_too_small_for_the_model(wan, tmp_path):
    torch.save(torch.randn(1, 16, 3, 1, 1), tmp_path / "a.pt")
    options = DecodeOptions(
        source=tmp_path / "a.pt",
        output=tmp_path / "a.mp4",
        wishes=LatentWishes(scale="raw"),
    )
    with pytest.raises(InputError, match="8x8"):
        plan_decode(options, wan)


def test_independent_chunks_are_for_videos(wan, wan_file, tmp_path, make_video):
    network = wan.backbone.model
    cpu = torch.device("cpu")
    alone = load(WanBackbone(network, cpu, torch.float32, chunking="independent"))
    with pytest.raises(OptionError, match="one continuous shot"):
        plan_decode(DecodeOptions(source=wan_file, output=tmp_path / "a.mp4"), alone)
    with pytest.raises(OptionError, match="one continuous shot"):
        plan_encode(EncodeOptions(source=make_video(5), output=tmp_path / "a.safetensors"), alone)


def test_several_videos_are_asked_about(wan, wan_file, tmp_path):
    latents = torch.load(wan_file)["latents"]
    torch.save(latents.repeat(2, 1, 1, 1, 1), wan_file)
    options = DecodeOptions(source=wan_file, output=tmp_path / "a.mp4")
    with pytest.raises(InputError, match="--item"):
        plan_decode(options, wan)


def test_plans(wan, wan_file, tmp_path, picture, make_video, loaded):
    plan = plan_decode(
        DecodeOptions(
            source=wan_file,
            output=tmp_path / "a.mp4",
            frame_rate=Fraction(24),
            wishes=LatentWishes(drop=1),
            reference=picture,
        ),
        wan,
    )
    assert (plan.frames, plan.chunks, plan.frame_rate) == (17, 1, "24")
    assert plan.reference == str(picture)
    json.dumps(plan.to_json())
    noisy = make_video(6)
    json.dumps(
        plan_encode(
            EncodeOptions(source=noisy, output=tmp_path / "a.safetensors"), loaded
        ).to_json()
    )
    assert not (tmp_path / "a.mp4").exists()


def test_outputs_are_not_lost(wan, wan_file, tmp_path, picture, loaded, make_video):
    video = make_video(5)
    with pytest.raises(OutputError, match="exists"):
        plan_decode(DecodeOptions(source=wan_file, output=video), wan)
    for same in (wan_file, picture):
        options = DecodeOptions(source=wan_file, output=same, reference=picture, overwrite=True)
        with pytest.raises(OptionError, match="output"):
            plan_decode(options, wan)
    existing = tmp_path / "a.safetensors"
    existing.touch()
    with pytest.raises(OutputError, match="exists"):
        plan_encode(EncodeOptions(source=video, output=existing), loaded)


def test_impossible_options(picture, wan_file, loaded):
    with pytest.raises(OptionError, match="plain decoder"):
        DecodeOptions(source=wan_file, output=Path(), reference=picture, baseline=True)
    with pytest.raises(OptionError, match="frame rate"):
        DecodeOptions(source=wan_file, output=Path(), frame_rate=Fraction(0))
    with pytest.raises(OptionError, match="no plain decoder"):
        plain_decoder(loaded.backbone)
    with pytest.raises(OptionError, match="safetensors"):
        EncodeOptions(source=wan_file, output=Path("latents.pt"))


def test_model_is_chosen_by_the_latents(wan_file, tmp_path):
    bad = tmp_path / "bad.pt"
    bad.write_bytes(b"x")
    options = ModelOptions(device="cpu")
    with pytest.raises(InputError, match="no tensors"):
        choose_decoder(options, [bad])
    no_weights = ModelOptions(device="cpu", model=str(tmp_path / "missing"))
    with pytest.raises(CheckpointError):
        choose_decoder(no_weights, [wan_file])
