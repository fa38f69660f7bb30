"""Every way of giving references, on camera clips: a few frames of each, through the program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from refvid.cli.app import app
from refvid.evaluation.clips import read_clip
from refvid.media.color import PQ
from refvid.media.domain import wrap_sdr
from refvid.media.image import write_image
from refvid.media.reader import open_video
from refvid.media.video_info import read_video_info
from refvid.metrics.psnr import psnr
from refvid.training.degradations import Degradation, degrade
from tests.hdr_pictures import write_avif, write_png
from tests.lossless import read_frames, write_lossless

FRAMES = 6
HLG_CLIP = "media/fixtures/hevc_10bit_hlg_rotated_phone.mp4"


@pytest.fixture(scope="module")
def clean(shared: Path) -> np.ndarray:
    """(T, H, W, 3), the middle of a camel at the fence."""
    frames = read_clip(shared / "media/valid/davis_camel.mp4", FRAMES)
    return np.ascontiguousarray(frames[:, 60:348, 160:544])


@pytest.fixture(scope="module")
def folder(clean: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("camel")
    write_lossless(path / "clip.mkv", degrade(clean, Degradation(crf=36)))
    write_lossless(path / "original.mkv", clean)
    (path / "refs/clip").mkdir(parents=True)
    write_image(path / "refs/clip/0.png", clean[0])
    write_image(path / "refs/clip/frame_0005.png", clean[5])
    return path


def run(command: str, source: Path, *words: object, output: Path) -> tuple[np.ndarray, Any]:
    """Frames of the result, and the report."""
    asked = [command, source, *words, "-o", output, "-c", "ffv1", "-y", "--json"]
    asked += ["--model", "mini", "--device", "cpu"]
    result = CliRunner().invoke(app, [str(word) for word in asked])
    assert result.exit_code == 0, result.stderr
    (document,) = json.loads(result.stdout)["results"]
    return read_frames(output), document["report"]


def quality(frames: np.ndarray, clean: np.ndarray, where: np.ndarray | None = None) -> float:
    """Mean PSNR [dB]."""
    weights = [None] * len(clean) if where is None else where.astype(np.float32)
    told = zip(frames, clean, weights, strict=True)
    return float(np.mean([min(psnr(a, b, weight), 99) for a, b, weight in told]))


def test_more_pictures_bring_more(folder: Path, clean: np.ndarray, tmp_path: Path) -> None:
    source, first = folder / "clip.mkv", folder / "refs/clip/0.png"
    none, _ = run("enhance", source, output=tmp_path / "none.mkv")
    one, _ = run("enhance", source, "--ref", f"{first}@0", output=tmp_path / "one.mkv")
    two, report = run("enhance", source, "--refs", folder / "refs", output=tmp_path / "two.mkv")
    assert quality(one, clean) > quality(none, clean) + 1
    assert quality(two, clean) > quality(one, clean) + 0.2
    assert [one["name"].rpartition("/")[2] for one in report["served"]] == [
        "0.png at frame 0",
        "frame_0005.png at frame 5",
    ]


@pytest.mark.parametrize("command", ["enhance", "decode"])
def test_the_original_as_a_video(
    folder: Path, clean: np.ndarray, tmp_path: Path, command: str
) -> None:
    """It is copied where there are frames to hold it against, and is a reference of latents."""
    source = folder / "clip.mkv"
    if command == "decode":
        source = tmp_path / "clip.safetensors"
        words = ["encode", folder / "clip.mkv", "-o", source, "--model", "mini", "-d", "cpu"]
        assert CliRunner().invoke(app, [str(word) for word in words]).exit_code == 0
    original = folder / "original.mkv"
    result, _ = run(command, source, "--ref-video", original, output=tmp_path / "out.mkv")
    gain = quality(result, clean) - quality(read_frames(folder / "clip.mkv"), clean)
    assert gain > (15 if command == "enhance" else 1.5)


@pytest.mark.parametrize("has_mask", [True, False])
def test_an_edit_stays(folder: Path, clean: np.ndarray, tmp_path: Path, has_mask: bool) -> None:
    """Outside of it at least 3 dB come back, and inside none is lost."""
    masks = np.zeros(clean.shape[:3], np.uint8)
    for index, mask in enumerate(masks):
        cv2.circle(mask, (180 + index, 150), 60, 255, -1)
    edited = np.where(masks[..., None] > 0, clean[..., [2, 0, 1]], clean)
    degraded = degrade(edited, Degradation(crf=36, scale=2))
    write_lossless(tmp_path / "edited.mkv", degraded)
    write_lossless(tmp_path / "mask.mkv", masks[..., None].repeat(3, 3))
    write_image(tmp_path / "first.png", edited[0])
    words = ["--ref", f"{tmp_path / 'first.png'}@0", "--ref-video", folder / "original.mkv"]
    words += ["--mask", tmp_path / "mask.mkv"] if has_mask else []
    result, _ = run("enhance", tmp_path / "edited.mkv", *words, output=tmp_path / "out.mkv")
    inside = masks > 0
    assert quality(result, edited, ~inside) > quality(degraded, edited, ~inside) + 3
    assert quality(result, edited, inside) > quality(degraded, edited, inside)


def test_twice_as_large(folder: Path, clean: np.ndarray, tmp_path: Path) -> None:
    small = np.stack([cv2.resize(f, None, fx=0.5, fy=0.5, interpolation=3) for f in clean])
    write_lossless(tmp_path / "small.mkv", degrade(small, Degradation(crf=23)))
    source = tmp_path / "small.mkv"
    words = ["--scale", 2, "--ref", folder / "refs/clip/0.png"]
    plain, _ = run("enhance", source, "--scale", 2, "--strength", 0, output=tmp_path / "a.mkv")
    result, _ = run("enhance", source, *words, output=tmp_path / "b.mkv")
    assert result.shape == clean.shape
    assert quality(result, clean) > quality(plain, clean) + 2


@pytest.mark.parametrize("suffix", [".png", ".avif"])
def test_a_photo_in_hdr(folder: Path, clean: np.ndarray, tmp_path: Path, suffix: str) -> None:
    """Whatever it is coded as, it brings what the same picture in SDR does."""
    write_photo = write_png if suffix == ".png" else write_avif
    photo = write_photo(tmp_path / f"photo{suffix}", wrap_sdr(clean[0], PQ, 9), PQ, 9)
    source = folder / "clip.mkv"
    as_sdr, _ = run(
        "enhance", source, "--ref", folder / "refs/clip/0.png", output=tmp_path / "s.mkv"
    )
    as_hdr, _ = run("enhance", source, "--ref", photo, output=tmp_path / "h.mkv")
    assert quality(as_hdr, clean) > quality(as_sdr, clean) - 0.3


def test_a_phone_in_hdr(shared: Path, tmp_path: Path) -> None:
    """With a frame of its own, and a larger result; what it is stays what it is."""
    source = shared / HLG_CLIP
    output = tmp_path / "out.mkv"
    words = ["--ref", "frame:0", "--frames", 2]
    result, report = run("enhance", source, *words, output=output)
    before, after = read_video_info(source), read_video_info(output)
    assert after.color.transfer == before.color.transfer
    assert after.bit_depth == 10
    assert any("HDR" in note for note in report["plan"]["notes"])
    with open_video(source, frames=2) as video:
        input_frames = np.stack([frame.pixels for frame in video])
    assert quality(result, input_frames) > 30
