"""The measures equal those of scikit-image, pytorch-msssim and FFmpeg."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
import torch
from pytorch_msssim import ms_ssim as their_ms_ssim
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from refvid.media.reader import open_video
from refvid.metrics.ffmpeg_ssim import ssim_ffmpeg
from refvid.metrics.psnr import psnr
from refvid.metrics.ssim import ms_ssim, ssim

DEPTHS = (np.uint8, np.uint16)
CLIPS = (
    "decoded_taew2_1.mp4",
    "h264_10bit.mp4",
    "h264_30fps_sign.mkv",
    "h264_mp3_25fps_chaplin.mp4",
    "made_odd351x241_vp9_road.webm",
    "made_vfr_h264_juggle.mp4",
    "vp9_10bit_23976_roadtrip.webm",
)


def ffmpeg(name: str, pictures: Sequence[np.ndarray], clean: Sequence[np.ndarray]) -> list[Any]:
    """What FFmpeg's filter `psnr` or `ssim` says of the same RGB values, frame by frame."""
    packed, planar = {1: ("rgb24", "gbrp"), 2: ("rgb48le", "gbrp16le")}[clean[0].itemsize]
    height, width, _ = clean[0].shape
    graph = av.filter.Graph()
    layout = av.VideoFormat(planar, width, height)
    sources = [
        graph.add_buffer(width=width, height=height, format=layout, time_base=Fraction(1, 25))
        for _ in range(2)
    ]
    measure, sink = graph.add(name), graph.add("buffersink")
    for index, source in enumerate(sources):
        source.link_to(measure, 0, index)
    measure.link_to(sink)
    graph.configure()
    results = []
    for pts, pair in enumerate(zip(pictures, clean, strict=True)):
        for source, pixels in zip(sources, pair, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format=packed).reformat(format=planar)
            frame.pts, frame.time_base = pts, Fraction(1, 25)
            source.push(frame)
        results.append(dict(sink.pull().metadata))
    return results


def ffmpeg_psnr(picture: np.ndarray, clean: np.ndarray) -> float:
    return float(ffmpeg("psnr", [picture], [clean])[0]["lavfi.psnr.psnr_avg"])


def ffmpeg_ssim(picture: np.ndarray, clean: np.ndarray) -> float:
    return float(ffmpeg("ssim", [picture], [clean])[0]["lavfi.ssim.All"])


def skimage_ssim(picture: np.ndarray, clean: np.ndarray) -> float:
    return float(
        structural_similarity(
            clean, picture, channel_axis=2, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False, data_range=np.iinfo(clean.dtype).max,
        )
    )  # fmt: skip


def pytorch_ms_ssim(picture: np.ndarray, clean: np.ndarray) -> float:
    one, other = (torch.from_numpy(p).double().permute(2, 0, 1)[None] for p in (picture, clean))
    return float(their_ms_ssim(one, other, data_range=np.iinfo(clean.dtype).max))


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("quality", [5, 40, None])
def test_psnr(make_pair, dtype, quality) -> None:
    noisy, clean = make_pair(quality=quality, dtype=dtype)
    assert psnr(noisy, clean) == pytest.approx(peak_signal_noise_ratio(clean, noisy), abs=1e-9)
    # FFmpeg prints six digits.
    assert psnr(noisy, clean) == pytest.approx(ffmpeg_psnr(noisy, clean), abs=1e-5)


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("size", [(192, 208), (101, 67), (11, 11), (11, 300)])
def test_ssim(make_pair, dtype, size) -> None:
    noisy, clean = make_pair(*size, dtype=dtype)
    assert ssim(noisy, clean) == pytest.approx(skimage_ssim(noisy, clean), abs=1e-5)


@pytest.mark.parametrize("level", [0, 40, 255])
def test_ssim_of_flat_pictures(level) -> None:
    """Variances of (nearly) nothing in large values."""
    clean = np.full((40, 50, 3), level, np.uint8)
    noisy = clean.copy()
    noisy[::7, ::5] ^= 3
    assert ssim(noisy, clean) == pytest.approx(skimage_ssim(noisy, clean), abs=1e-5)


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("size", [(176, 192), (161, 161), (171, 333), (240, 427)])
def test_ms_ssim(make_pair, dtype, size) -> None:
    noisy, clean = make_pair(*size, dtype=dtype)
    assert ms_ssim(noisy, clean) == pytest.approx(pytorch_ms_ssim(noisy, clean), abs=1e-5)


def test_ms_ssim_of_a_negative() -> None:
    """Negative structure counts as none."""
    clean = np.random.default_rng(0).integers(0, 256, (170, 170, 3), dtype=np.uint8)
    assert ms_ssim(255 - clean, clean) == pytest.approx(pytorch_ms_ssim(255 - clean, clean))


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("size", [(192, 208), (101, 67), (8, 8), (11, 300)])
def test_ssim_of_ffmpeg(make_pair, dtype, size) -> None:
    noisy, clean = make_pair(*size, dtype=dtype)
    # FFmpeg prints six digits.
    assert ssim_ffmpeg(noisy, clean) == pytest.approx(ffmpeg_ssim(noisy, clean), abs=2e-6)


def test_both_kinds_of_ssim_agree_on_the_order(make_pair) -> None:
    pairs = [make_pair(quality=quality) for quality in (3, 8, 20, 50, 90)]
    papers = [ssim(*pair) for pair in pairs]
    ffmpegs = [ssim_ffmpeg(*pair) for pair in pairs]
    assert papers == sorted(papers)
    assert ffmpegs == sorted(ffmpegs)
    assert papers == pytest.approx(ffmpegs, abs=0.05)


@pytest.mark.parametrize("name", CLIPS)
def test_real_clips(shared, name) -> None:
    """A frame of a real clip against the one after it."""
    with open_video(shared / "media" / "fixtures" / name, start=3, frames=2) as video:
        clean, noisy = (frame.pixels for frame in video)
    theirs = peak_signal_noise_ratio(clean, noisy)
    assert psnr(noisy, clean) == pytest.approx(theirs, abs=1e-9)
    assert psnr(noisy, clean) == pytest.approx(ffmpeg_psnr(noisy, clean), abs=1e-5)
    assert ssim(noisy, clean) == pytest.approx(skimage_ssim(noisy, clean), abs=1e-5)
    assert ssim_ffmpeg(noisy, clean) == pytest.approx(ffmpeg_ssim(noisy, clean), abs=2e-6)
    if min(clean.shape[:2]) > 160:
        assert ms_ssim(noisy, clean) == pytest.approx(pytorch_ms_ssim(noisy, clean), abs=1e-5)
