"""References as people give them, through the program and the bundled model."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from refvid.cli.app import app
from refvid.evaluation.demo import sample_clip
from refvid.media.image import write_image
from refvid.metrics.psnr import psnr
from refvid.training.degradations import Degradation, degrade
from tests.lossless import read_frames, write_lossless

FRAMES = 12
RATE = 24


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    """(T, H, W, 3) of the demo's clip: part of it, since time counts."""
    return np.ascontiguousarray(sample_clip()[:FRAMES, 40:232, 60:316])


@pytest.fixture(scope="module")
def folder(clean: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("references")
    write_lossless(path / "clip.mkv", degrade(clean, Degradation(crf=34)))
    write_lossless(path / "original.mkv", clean)
    for index in (0, FRAMES - 1):
        write_image(path / f"{index}.png", clean[index])
    return path


def quality(frames: np.ndarray, clean: np.ndarray) -> float:
    return float(np.mean([psnr(a, b) for a, b in zip(frames, clean, strict=True)]))


@pytest.fixture
def enhance(folder: Path, tmp_path: Path) -> Callable[..., tuple[np.ndarray, dict[str, Any]]]:
    def run(*words: object, source: str = "clip.mkv") -> tuple[np.ndarray, dict[str, Any]]:
        output = tmp_path / "out.mkv"
        result = invoke(folder / source, *words, "-o", output, "-c", "ffv1", "-y", "--json")
        assert result.exit_code == 0, result.stderr
        (document,) = json.loads(result.stdout)["results"]
        return read_frames(output), document["report"]

    return run


def invoke(source: Path, *words: object) -> Result:
    asked = ["enhance", source, *words, "--model", "mini", "--device", "cpu"]
    return CliRunner().invoke(app, [str(word) for word in asked])


def test_several_pictures_with_places(enhance, folder: Path, clean: np.ndarray) -> None:
    first, last = f"{folder / '0.png'}@0", f"{folder / '11.png'}@{FRAMES - 1}"
    alone, report = enhance("--ref", first)
    assert [one["frames"] for one in report["served"]] == [FRAMES]
    both, report = enhance("--ref", first, "--ref", last)
    assert quality(both, clean) > quality(alone, clean) + 0.2
    assert [one["reference"] for one in report["served"]] == [0, 1]
    assert report["served"][1]["name"].endswith("11.png at frame 11")
    assert report["served"][1]["ranges"][-1][-1] == FRAMES - 1
    assert all(one["found"] > 0.5 and one["helped"] != "nothing" for one in report["served"])


def test_a_folder_and_frames_of_the_input(enhance, folder: Path, tmp_path: Path) -> None:
    inside = tmp_path / "refs/clip"
    inside.mkdir(parents=True)
    for name, target in (("0s.png", "0.png"), ("frame_0011.png", "11.png")):
        (inside / name).write_bytes((folder / target).read_bytes())
    _, report = enhance("--refs", tmp_path / "refs", "--ref", "frame:5", "--ref", "time:0.25")
    names = [one["name"] for one in report["served"]]
    assert names[0] == "frame 5 of the input"
    assert names[1] == "the input's frame at 0.25 s"
    assert names[2].endswith("0s.png at 0 s")
    assert names[3].endswith("frame_0011.png at frame 11")


@pytest.mark.parametrize("kind", ["same", "larger", "faster", "slower", "shorter"])
def test_the_original_of_another_kind(
    enhance, folder: Path, clean: np.ndarray, tmp_path: Path, kind: str
) -> None:
    height, width = clean.shape[1:3]
    original, rate = clean, RATE
    if kind == "larger":
        original = np.stack([cv2.resize(one, (width * 2, height * 2)) for one in clean])
    elif kind == "faster":
        original, rate = clean.repeat(2, 0), 2 * RATE
    elif kind == "slower":
        original, rate = clean[::4], RATE // 4
    elif kind == "shorter":
        original = clean[: FRAMES // 2]
    write_lossless(tmp_path / "original.mkv", original, rate)
    result, report = enhance("--ref-video", tmp_path / "original.mkv")
    before, after = quality(read_frames(folder / "clip.mkv"), clean), quality(result, clean)
    assert after > before + (1 if kind in ("slower", "shorter") else 3)
    if kind in ("same", "faster"):
        assert after > 45
    warned = any("does not cover 6 frames (6 to 11)" in one for one in report["warnings"])
    assert warned == (kind == "shorter")
    noted = any("aligned by time" in one for one in report["plan"]["notes"])
    assert noted == (kind in ("faster", "slower"))


@pytest.fixture(scope="module")
def edited(clean: np.ndarray, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The clean edited clip, and where it is edited: something recoloured that moves."""
    masks = np.zeros(clean.shape[:3], np.uint8)
    for index, mask in enumerate(masks):
        cv2.circle(mask, (120 + index, 90), 36, 255, -1)
    tinted = clean[..., [1, 2, 0]] * 0.85
    frames = np.where(masks[..., None] > 0, tinted, clean).astype(np.uint8)
    write_lossless(folder / "edited.mkv", degrade(frames, Degradation(crf=36, scale=2)))
    write_lossless(folder / "mask.mkv", np.repeat(masks[..., None], 3, 3))
    write_image(folder / "edited_first.png", frames[0])
    return frames, masks


@pytest.mark.parametrize("has_mask", [True, False])
def test_an_edit_stays_and_the_rest_comes_back(
    enhance, folder: Path, edited: tuple[np.ndarray, np.ndarray], has_mask: bool
) -> None:
    truth, masks = edited
    words = ["--ref", f"{folder / 'edited_first.png'}@0", "--ref-video", folder / "original.mkv"]
    words += ["--mask", folder / "mask.mkv"] if has_mask else []
    result, report = enhance(*words, source="edited.mkv")
    before = read_frames(folder / "edited.mkv")

    def measure(frames: np.ndarray, inside: bool) -> float:
        weights = (masks > 0 if inside else masks == 0).astype(np.float32)
        told = zip(frames, truth, weights, strict=True)
        return float(np.mean([min(psnr(a, b, weight), 99) for a, b, weight in told]))

    assert measure(result, inside=False) > measure(before, inside=False) + 3
    assert measure(result, inside=True) > measure(before, inside=True)
    assert [one["frames"] for one in report["served"]] == [FRAMES, FRAMES]


@pytest.fixture(scope="module")
def latents(folder: Path) -> Path:
    path = folder / "latents.safetensors"
    words = ["encode", folder / "clip.mkv", "-o", path, "--model", "mini", "--device", "cpu"]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.stderr
    return path


@pytest.mark.parametrize("kind", ["same", "shorter", "masked"])
def test_latents_with_the_original(
    folder: Path, latents: Path, clean: np.ndarray, tmp_path: Path, kind: str
) -> None:
    """Frames of each chunk's time are references; a mask hides what is edited."""

    def decode(*words: object) -> tuple[np.ndarray, dict[str, Any]]:
        output = tmp_path / "out.mkv"
        asked = ["decode", latents, *words, "-o", output, "-c", "ffv1", "-y", "--json"]
        result = CliRunner().invoke(app, [str(word) for word in [*asked, "--device", "cpu"]])
        assert result.exit_code == 0, result.stderr
        (document,) = json.loads(result.stdout)["results"]
        return read_frames(output), document["report"]

    original = clean[: FRAMES // 2] if kind == "shorter" else clean
    write_lossless(tmp_path / "original.mkv", original)
    white = tmp_path / "white.png"
    write_image(white, np.full(clean.shape[1:], 255, np.uint8))
    words: list[object] = ["--ref-video", tmp_path / "original.mkv"]
    result, report = decode(*words, *(["--mask", white] if kind == "masked" else []))
    before, after = quality(read_frames(folder / "clip.mkv"), clean), quality(result, clean)
    if kind == "masked":
        assert after < before + 0.5, "nothing of it counts"
    else:
        assert after > before + 1
        assert report["served"][0]["name"].endswith("original.mkv")
    warned = any("does not cover 6 frames (6 to 11)" in one for one in report["warnings"])
    assert warned == (kind == "shorter")


def test_latents_and_a_bad_original(folder: Path, latents: Path) -> None:
    for words, code, said in (
        (("--ref-video", "nowhere.mp4"), 3, "there is no such file"),
        (("--mask", folder / "0.png"), 2, "give --ref-video, too"),
        (("--ref-video", folder / "original.mkv", "--baseline"), 2, "takes no reference"),
    ):
        asked = ["decode", latents, *words, "-o", folder / "never.mkv", "--device", "cpu"]
        result = CliRunner().invoke(app, [str(word) for word in asked])
        assert result.exit_code == code, result.stderr
        assert said in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--ref", "0.png@12"), 3, "has no frame 12 for the reference"),
        (("--ref", "0.png@0", "--ref", "11.png@0s"), 2, "Two references for"),
        (("--ref", "0.png@0", "--ref", "frame:0"), 2, "Two references for frame 0"),
        (("--ref", "0.png@now"), 2, "is no place in a video"),
        (("--ref", "text.png"), 3, "text.png is not an image"),
        (("--refs", "empty"), 3, "holds no picture for"),
        (("--refs", "nowhere"), 3, "there is no folder"),
        (("--ref-video", "nowhere.mp4"), 3, "there is no such file"),
        (("--ref-video", "text.png"), 2, "is a single picture"),
        (("--ref-video", "sound.mka"), 3, "sound.mka"),
        (("--mask", "0.png"), 2, "give --ref-video, too"),
        (("--ref-video", "original.mkv", "--mask", "small.png"), 3, "same shape"),
        (("--ref-video", "original.mkv", "--mask", "text.png"), 3, "text.png is not an image"),
    ],
)
@pytest.mark.parametrize("is_dry", [True, False])
def test_bad_references_are_named_before_the_first_frame(
    folder: Path, tmp_path: Path, monkeypatch, words, code: int, said: str, is_dry: bool
) -> None:
    monkeypatch.chdir(folder)
    clip = tmp_path / "clip.mp4"
    with av.open(str(clip), "w") as container:  # an index tells how many frames there are
        stream = container.add_stream("libx264", rate=Fraction(RATE))
        stream.height, stream.width = 192, 256
        stream.pix_fmt = "yuv420p"
        for pixels in read_frames(folder / "clip.mkv"):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode(None))
    Path("text.png").write_text("no picture")
    Path("empty").mkdir(exist_ok=True)
    write_image(Path("small.png"), np.zeros((64, 64, 3), np.uint8))
    with av.open("sound.mka", "w") as container:
        sound: Any = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        block = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        block.rate = 8000
        container.mux(sound.encode(block))
    output = tmp_path / "out.mkv"
    result = invoke(clip, *words, "-o", output, *(["--dry-run"] if is_dry else []))
    assert result.exit_code == code, result.stderr
    assert said in result.stderr
    assert "%" not in result.stderr.partition("error:")[0], "no frame was done"
    assert not output.exists()


def test_one_video_and_many_inputs(folder: Path, tmp_path: Path) -> None:
    source = folder / "clip.mkv"
    words = ["enhance", source, folder / "edited.mkv", "--ref-video", folder / "original.mkv"]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 2
    assert "belongs to one input" in result.stderr
