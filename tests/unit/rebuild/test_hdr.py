"""HDR through a model: what it sees, what comes back, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

import refvid
from benchmarks.hdr import condition_on
from refvid.errors import InputError
from refvid.evaluation.demo import sample_clip
from refvid.media.color import HLG, PQ, ColorInfo
from refvid.media.domain import WHITE_LEVEL, Domain, wrap_sdr
from refvid.media.encoding import Encoding
from refvid.media.pixel_conversion import RgbWriter
from refvid.media.stream_marks import DolbyVision
from refvid.media.video_info import VideoInfo, read_video_info
from refvid.metrics.psnr import psnr
from refvid.models.registry import MINI_STYLE
from refvid.rebuild.canvas import Canvas
from refvid.rebuild.choose_backbone import LoadedBackbone, choose_backbone
from refvid.rebuild.enlargement import Enlargement
from refvid.rebuild.frames import rebuild_frames
from refvid.rebuild.hdr import check_hdr, find_domain
from refvid.rebuild.memory import choose_budget
from refvid.rebuild.options import ModelOptions, SourceOptions
from refvid.rebuild.pixels import frames_to_clip
from refvid.rebuild.reference_options import ReferenceSource
from refvid.training.degradations import EVALUATION_DEGRADATIONS, degrade
from tests.asking import (
    DecodeOptions,
    EncodeOptions,
    EnhanceOptions,
    decode,
    encode,
    enhance,
    plan_enhance,
)
from tests.conftest import moving_pattern
from tests.hdr_pictures import write_png
from tests.lossless import read_frames

BT2020 = 9
SIZE = (96, 64)
COLORS = {name: ColorInfo(matrix=9, range=1, primaries=9, transfer=name) for name in (PQ, HLG)}
X265 = (
    "log-level=none:lossless=1:max-cll=900,300:master-display="
    "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
)
BOTH = pytest.mark.parametrize("transfer", [PQ, HLG])


def write_hdr(path: Path, sdr: np.ndarray, transfer: int) -> Path:
    """An SDR clip (T, H, W, 3) as 10 bits of HDR, as phones and discs have it."""
    to_picture = RgbWriter("yuv420p10le", COLORS[transfer])
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx265", rate=25, options={"x265-params": X265})
        stream.height, stream.width = sdr.shape[1:3]
        stream.pix_fmt = "yuv420p10le"
        context = stream.codec_context
        context.colorspace = context.color_primaries = BT2020
        context.color_trc, context.color_range = transfer, 1
        for frame in sdr:
            picture = to_picture.write(wrap_sdr(frame, transfer, BT2020))
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def load(backbone: Any) -> LoadedBackbone:
    return LoadedBackbone(
        backbone=backbone, device=torch.device("cpu"), dtype=torch.float32, reason="a test"
    )


@pytest.fixture
def still() -> np.ndarray:
    """A gray picture that does not move, which the fake filter keeps."""
    gray = moving_pattern(1, 64, 96)[..., :1]
    return np.repeat(np.repeat(gray, 3, axis=3), 3, axis=0)


@BOTH
def test_hdr_stays_what_it_is(tmp_path: Path, fake_backbone, still, transfer: int) -> None:
    """Codes, 10 bits, tags and static metadata; enlarged, too."""
    source = write_hdr(tmp_path / "in.mkv", still, transfer)
    before = read_video_info(source)
    assert before.hdr is not None
    assert "CONTENT_LIGHT_LEVEL" in before.side_data
    for wish in (Enlargement(), Enlargement(scale=2)):
        output = tmp_path / f"out{wish.scale}.mkv"
        options = EnhanceOptions(
            source=source,
            output=output,
            cut_detection=False,
            enlargement=wish,
            encoding=Encoding(encoder_options={"x265-params": "log-level=none:lossless=1"}),
        )
        report = enhance(options, load(fake_backbone()))
        assert any("HDR" in note for note in report.plan.notes)
        after = read_video_info(output)
        assert (after.color, after.bit_depth) == (before.color, 10)
        assert after.side_data == before.side_data
        if not wish:
            difference = read_frames(output).astype(int) - read_frames(source)
            assert np.abs(difference).max() < 65535 / 1023


@BOTH
def test_the_model_sees_sdr(tmp_path: Path, fake_backbone, still, transfer: int) -> None:
    source = write_hdr(tmp_path / "in.mkv", still, transfer)
    seen: list[torch.Tensor] = []

    class Watched(type(fake_backbone())):  # type: ignore[misc]
        def encode(self, clip: Any, state: Any = None) -> Any:
            seen.append(clip)
            return super().encode(clip, state)

    backbone = fake_backbone()
    backbone.__class__ = Watched
    photo = tmp_path / "photo.png"
    Image.fromarray(still[0]).save(photo)
    references: list[torch.Tensor] = []

    def note(reference: torch.Tensor) -> torch.Tensor:
        references.append(reference)
        return reference

    backbone.prepare_reference = note
    options = EnhanceOptions(
        source=source, output=tmp_path / "out.mkv", reference=ReferenceSource(image=photo)
    )
    enhance(options, load(backbone))
    as_sdr = frames_to_clip([still[0]], torch.device("cpu"))[0, :, 0]
    wanted = (as_sdr + 1) * WHITE_LEVEL - 1
    assert (seen[0][0, :, 0] - wanted).abs().max() < 0.02
    assert (references[0][0] - wanted).abs().max() < 0.02
    references.clear()
    own = EnhanceOptions(
        source=source, output=tmp_path / "own.mkv", reference=ReferenceSource(frame=0)
    )
    enhance(own, load(backbone))
    assert (references[0][0] - seen[0][0, :, 0]).abs().max() < 1e-3


@pytest.mark.parametrize("video", [None, PQ, HLG])
@pytest.mark.parametrize("photo", [PQ, HLG])
def test_hdr_photos_are_seen_as_what_they_show(
    tmp_path: Path, fake_backbone, still, video: int | None, photo: int
) -> None:
    """By SDR video, too: their code values would pass for a pale picture."""
    if video is None:
        source = tmp_path / "in"
        source.mkdir()
        for index, frame in enumerate(still):
            Image.fromarray(frame).save(source / f"{index}.png")
    else:
        source = write_hdr(tmp_path / "in.mkv", still, video)
    codes = wrap_sdr(still[0], photo, BT2020)
    picture = write_png(tmp_path / "photo.png", codes, photo, BT2020)
    references: list[torch.Tensor] = []
    backbone = fake_backbone()

    def note(reference: torch.Tensor) -> torch.Tensor:
        references.append(reference)
        return reference

    backbone.prepare_reference = note
    options = EnhanceOptions(
        source=source, output=tmp_path / "o_%d.png", reference=ReferenceSource(image=picture)
    )
    enhance(options, load(backbone))
    as_sdr = frames_to_clip([still[0]], torch.device("cpu"))[0, :, 0]
    wanted = as_sdr if video is None else (as_sdr + 1) * WHITE_LEVEL - 1
    assert (references[0][0] - wanted).abs().max() < 0.02


@BOTH
def test_latents_of_hdr_decode_to_hdr(tmp_path: Path, still, transfer: int) -> None:
    """Also to what it was coded as, where it went in so."""
    source = write_hdr(tmp_path / "in.mkv", still, transfer)
    mini = choose_backbone(ModelOptions(model="mini", device="cpu"))
    results = []
    for hdr in ("auto", "passthrough"):
        latents, output = tmp_path / f"{hdr}.safetensors", tmp_path / f"{hdr}_%d.png"
        encode(EncodeOptions(source=source, output=latents, hdr=hdr), mini)
        decode(DecodeOptions(source=latents, output=output), mini)
        results.append(read_frames(output).astype(int))
    assert np.abs(results[0] - results[1]).mean() < 0.01 * 65535
    assert np.abs(results[0] - read_frames(source)).mean() < 0.01 * 65535


def test_hdr_is_restyled_as_hdr(tmp_path: Path, still, style_weights: Path) -> None:
    """Painted with its own first frame as the keyframe: brought over, that is the frame."""
    source = write_hdr(tmp_path / "in.mkv", still, PQ)
    Image.fromarray(still[0]).save(tmp_path / "key.png")
    output = tmp_path / "out.mkv"
    refvid.stylize(
        source,
        output,
        keyframe=f"{tmp_path / 'key.png'}@0",
        model=refvid.load_model(MINI_STYLE, weights=style_weights, device="cpu"),
    )
    assert read_video_info(output).color == read_video_info(source).color
    difference = read_frames(output).astype(int) - read_frames(source)
    assert np.abs(difference).mean() < 0.01 * 65535


def test_refused_or_as_it_is(tmp_path: Path, fake_backbone, still) -> None:
    source = write_hdr(tmp_path / "in.mkv", still, PQ)
    output = tmp_path / "out.mkv"
    with pytest.raises(InputError, match=r"is HDR video \(smpte2084\).*--hdr refuse"):
        plan_enhance(
            EnhanceOptions(source=source, output=output, hdr="refuse"), load(fake_backbone())
        )
    as_it_is = EnhanceOptions(source=source, output=output, hdr="passthrough")
    plan = plan_enhance(as_it_is, load(fake_backbone()))
    assert not any("HDR" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("compatibility", "transfer", "seen"),
    [(1, 16, PQ), (6, 2, PQ), (4, 18, HLG), (4, 2, HLG), (2, 1, None), (2, 2, None)],
)
def test_dolby_vision_is_taken_for_what_lies_below(compatibility, transfer, seen) -> None:
    info = dolby_vision(compatibility, transfer)
    check_hdr(info, SourceOptions())
    domain = find_domain(info, SourceOptions())
    assert (domain.transfer if domain else None) == seen


@pytest.mark.parametrize("transfer", [2, 16])
def test_dolby_vision_alone_is_refused(transfer) -> None:
    info = dolby_vision(0, transfer)
    with pytest.raises(InputError, match="Dolby Vision, profile 5, whose colours only"):
        check_hdr(info, SourceOptions())
    check_hdr(info, SourceOptions(hdr="passthrough"))


def dolby_vision(compatibility: int, transfer: int) -> VideoInfo:
    profile = 5 if compatibility == 0 else 8
    return replace(
        _BLANK,
        color=ColorInfo(matrix=2, primaries=2, transfer=transfer),
        dolby_vision=DolbyVision(profile=profile, compatibility=compatibility),
    )


_BLANK = VideoInfo(
    path=Path("clip.mp4"),
    container="mp4",
    codec="hevc",
    pix_fmt="yuv420p10le",
    bit_depth=10,
    width=96,
    height=64,
    rotation=0,
    sample_aspect_ratio=1,  # type: ignore[arg-type]
    frame_rate=None,
    is_variable_rate=None,
    time_base=1,  # type: ignore[arg-type]
    duration=None,
    frame_count=None,
    frame_count_is_exact=False,
    color=ColorInfo(),
    metadata={},
)


@BOTH
def test_hdr_gains_what_sdr_gains(transfer: int) -> None:
    """Within 10 %, measured in the domain; `benchmarks/hdr.py` has it for camera clips."""
    mini = choose_backbone(ModelOptions(model="mini", device="cpu"))
    clean = sample_clip()[:4]
    degraded = degrade(clean, EVALUATION_DEGRADATIONS["half"])
    height, width = clean.shape[1:3]
    budget = choose_budget(mini.backbone.limits, height, width)

    def gain(frames: np.ndarray, truth: np.ndarray, domain: Domain | None) -> float:
        canvas = Canvas(size=(width, height), domain=domain)
        conditions = condition_on(canvas.bring(clean[0]), mini, canvas.size)
        rebuilt = rebuild_frames(mini, frames, conditions, budget, canvas=canvas)[0]
        better, worse, right = (
            [canvas.to_domain(frame) for frame in clip[1:]] for clip in (rebuilt, frames, truth)
        )
        return float(
            np.mean([psnr(b, r) - psnr(w, r) for b, w, r in zip(better, worse, right, strict=True)])
        )

    def wrap(clip: np.ndarray) -> np.ndarray:
        return np.stack([wrap_sdr(frame, transfer, BT2020) for frame in clip])

    as_sdr = gain(degraded, clean, None)
    as_hdr = gain(wrap(degraded), wrap(clean), Domain.of(COLORS[transfer]))
    assert as_sdr > 1
    assert as_hdr == pytest.approx(as_sdr, rel=0.1)
