"""Functions do what the commands do, by the same path."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

import refvid
from refvid.errors import InputError, OptionError, OutputError
from refvid.media.image import read_image, write_image
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.options import ModelOptions
from tests.conftest import moving_pattern


@pytest.fixture
def model(fake_backbone) -> LoadedBackbone:
    return LoadedBackbone(
        backbone=fake_backbone(),
        device=torch.device("cpu"),
        dtype=torch.float32,
        reason="a test",
        options=ModelOptions(chunk=5),
    )


def drifting(frames: int, seed: int) -> np.ndarray:
    """A shot with colours and a layout of its own."""
    random = np.random.default_rng(seed)
    coarse = 0.5 * random.integers(0, 256, (6, 8, 3)) + 0.5 * random.integers(0, 256, 3)
    wide = np.kron(coarse, np.ones((8, 8, 1)))
    return np.stack([np.roll(wide, index, axis=1) for index in range(frames)]).astype(np.uint8)


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    """Twenty images that are read as they are; after twelve, another shot begins."""
    (tmp_path / "shot").mkdir()
    shots = [*drifting(12, seed=1), *drifting(8, seed=2)]
    for index, picture in enumerate(shots):
        write_image(tmp_path / "shot" / f"{index:02d}.png", picture)
    return tmp_path / "shot" / "%02d.png"


def read_all(pattern: Path) -> np.ndarray:
    return np.stack([read_image(path) for path in sorted(pattern.parent.iterdir())])


def test_words_and_numbers_say_the_same(shot, model, tmp_path):
    (tmp_path / "out").mkdir()
    heard: list[Any] = []
    report = refvid.enhance(
        str(shot),
        tmp_path / "out" / "%02d.png",
        ref="frame:2",
        start=0.25,
        preview=Fraction(1, 2),
        rate=8,
        strength=0.5,
        model=model,
        on_progress=heard.append,
    )
    assert report.frames == 4
    assert report.plan.frames == 4
    assert report.plan.reference == "frame 2 of the input"
    assert report.plan.chunk == 5
    assert [progress.done for progress in heard] == [1, 2, 3, 4]
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == [
        "02.png", "03.png", "04.png", "05.png",
    ]  # fmt: skip


@pytest.mark.parametrize("ref", [None, "frame:3", "picture.png", "array"])
@pytest.mark.parametrize(
    "keywords", [{}, {"strength": 0.5, "cut_detection": False}, {"ref_fit": "contain"}]
)
def test_frames_in_memory_are_those_of_files(shot, model, tmp_path, monkeypatch, ref, keywords):
    monkeypatch.chdir(tmp_path)
    picture = moving_pattern(1, 40, 90, seed=5)[0]
    Image.fromarray(picture).save("picture.png")
    Path("out").mkdir()
    in_file = "picture.png" if ref == "array" else ref
    report = refvid.enhance(shot, "out/%02d.png", ref=in_file, model=model, **keywords)
    assert report.cuts == ((12,) if keywords.get("cut_detection", True) else ())
    frames = read_all(shot)
    heard: list[Any] = []
    made = refvid.enhance_frames(
        frames,
        ref=picture if ref == "array" else ref,
        model=model,
        on_progress=heard.append,
        **keywords,
    )
    assert np.array_equal(made, read_all(Path("out/%02d.png")))
    assert made.dtype == np.uint8
    assert heard[-1].done == heard[-1].total == 20
    assert not np.array_equal(made, frames)


def test_deep_frames_stay_deep(model):
    frames = moving_pattern(3, dtype=np.uint16)
    assert refvid.enhance_frames(frames, model=model).dtype == np.uint16
    assert np.array_equal(refvid.enhance_frames(frames, strength=0, model=model), frames)


@pytest.mark.parametrize(
    ("frames", "keywords", "error"),
    [
        (np.zeros((2, 8, 8), np.uint8), {}, OptionError),
        (np.zeros((2, 8, 8, 4), np.uint8), {}, OptionError),
        (np.zeros((0, 8, 8, 3), np.uint8), {}, OptionError),
        (np.zeros((2, 16, 16, 3), np.float32), {}, OptionError),
        (np.zeros((2, 16, 16, 3), np.uint8), {"ref": np.zeros((8, 8), np.uint8)}, OptionError),
        (np.zeros((2, 16, 16, 3), np.uint8), {"ref": "time:1"}, OptionError),
        (np.zeros((2, 16, 16, 3), np.uint8), {"ref": "frame:2"}, InputError),
        (np.zeros((2, 16, 16, 3), np.uint8), {"ref": "missing.png"}, InputError),
        (np.zeros((2, 16, 16, 3), np.uint8), {"strength": 2}, OptionError),
        (np.zeros((2, 16, 16, 3), np.uint8), {"ref_fit": "tight"}, OptionError),
    ],
)
def test_what_are_no_frames(model, frames, keywords, error):
    with pytest.raises(error):
        refvid.enhance_frames(frames, model=model, **keywords)


@pytest.mark.parametrize(
    ("keywords", "error"),
    [
        ({"start": "soon"}, OptionError),
        ({"start": -1}, OptionError),
        ({"start": float("nan")}, OptionError),
        ({"preview": "2s", "frames": 3}, OptionError),
        ({"hdr": "guess"}, OptionError),
        ({"audio": "loud"}, OptionError),
        ({"rate": "fast"}, OptionError),
        ({"ref_fit": "tight"}, OptionError),
        ({"strength": 2}, OptionError),
        ({"crf": -1}, OptionError),
        ({"ref": Path("frame:0")}, InputError),
        ({"ref": "missing.png"}, InputError),
        ({"source": "missing.mp4"}, InputError),
        ({"output": "missing/out.mp4"}, OutputError),
        ({"output": "video.mp4"}, OptionError),
        ({"output": "there.mp4"}, OutputError),
    ],
)
def test_cheap_failures_load_no_model(make_video, tmp_path, monkeypatch, keywords, error):
    monkeypatch.chdir(tmp_path)
    make_video(3)
    Path("there.mp4").write_bytes(b"precious")
    monkeypatch.setattr("refvid.rebuild.choose_backbone.choose_backbone", None)
    asked = {"source": "video.mp4", "output": "out.mp4", **keywords}
    with pytest.raises(error):
        refvid.enhance(**asked)
    assert Path("there.mp4").read_bytes() == b"precious"
    assert not Path("out.mp4").exists()


def test_strength_0_loads_no_model(make_video, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_video(3)
    Image.fromarray(moving_pattern(1)[0]).save("art.png")
    monkeypatch.setattr("refvid.rebuild.choose_backbone.choose_backbone", None)
    for report in (
        refvid.enhance("video.mp4", "same.mkv", ref="frame:0", strength=0, codec="ffv1"),
        refvid.stylize("video.mp4", "alike.mkv", style="art.png", strength=0),
    ):
        assert (report.frames, report.plan.model) == (3, "none")
    frames = moving_pattern(20)
    assert np.array_equal(refvid.enhance_frames(frames, ref="frame:0", strength=0), frames)


def test_models_do_their_own_work_alone(make_video, style_weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_video(3)
    Image.fromarray(moving_pattern(1)[0]).save("art.png")
    painter = refvid.load_model("mini-style", weights=style_weights, device="cpu", chunk=2)
    with pytest.raises(OptionError, match="stylize"):
        refvid.enhance("video.mp4", "out.mp4", model=painter)
    with pytest.raises(OptionError, match="stylize"):
        refvid.enhance("video.mp4", "out.mp4", model="mini-style")
    with pytest.raises(OptionError, match="mini-style"):
        refvid.stylize("video.mp4", "out.mp4", style="art.png", model="mini")
    report = refvid.stylize(
        "video.mp4", "out.mp4", style=["art.png:2", Path("art.png")], model=painter
    )
    assert report.frames == 3
    assert "67%" in (report.plan.reference or "")
    report = refvid.stylize("video.mp4", "a.mp4", keyframe="art.png@1", model=painter)
    assert "keyframe art.png at frame 1" in (report.plan.reference or "")
    with pytest.raises(OptionError, match="style"):
        refvid.stylize("video.mp4", "b.mp4", model=painter)


def test_latents_go_out_and_come_back(make_video, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_video(6)
    model = refvid.load_model("mini", device="cpu", dtype="fp32")
    report = refvid.encode("video.mp4", "it.safetensors", frames=5, model=model)
    assert report.latent_frames == 5
    with safe_open("it.safetensors", "pt") as file:
        assert file.metadata()["frames"] == "5"
    facts = refvid.info("it.safetensors")
    assert (facts.frames, facts.to_json()["kind"]) == (5, "latents")
    report = refvid.decode(
        "it.safetensors", "back.mp4", fps=23.976, encoder_options={"bf": 0}, model=model
    )
    assert report.plan.frame_rate == "24000/1001"
    video = refvid.info(Path("back.mp4"))
    assert (video.frame_count, video.width) == (5, 64)
    # Where none is asked for, the file says which model it needs.
    assert refvid.decode("it.safetensors", "b.mp4").plan.model_reason.endswith("holds its latents")


def test_pages_and_figures(make_video, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one, other = moving_pattern(4), moving_pattern(4, seed=1)
    for name, pixels in (("a.mp4", one), ("b.mp4", other), ("clean.mp4", one)):
        make_video(pixels, name)
    page = refvid.compare("a.mp4", "b.mp4", labels=["first", "second"], metrics=["psnr"])
    assert page.outputs["page"] == Path("a_compare.html")
    assert page.labels == ("first", "second")
    with pytest.raises(OutputError):
        refvid.compare("a.mp4", "b.mp4")
    with pytest.raises(OptionError):
        refvid.compare("a.mp4", "b.mp4", preview_codec="av1", overwrite=True)  # type: ignore[arg-type]
    with pytest.raises(OptionError):
        refvid.compare("a.mp4", overwrite=True)
    report = refvid.measure("a.mp4", "b.mp4", reference="clean.mp4", measures="psnr", csv="t.csv")
    first, second = (clip.summary()["psnr"] or 0.0 for clip in report.clips)
    assert first > second
    assert Path("t.csv").read_text().startswith("file,frame,time,psnr\n")
    with pytest.raises(OutputError):
        refvid.measure("a.mp4", reference="clean.mp4", csv="t.csv")
    with pytest.raises(OptionError):
        refvid.measure(reference="clean.mp4")
