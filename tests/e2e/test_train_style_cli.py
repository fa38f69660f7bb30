"""`refvid train --task style` as users run it: from paintings or triplets, resumed, exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from refvid.training.degradations import write_h264
from tests import program

CONFIG = """
[network]
bands = 3
hidden = 4
[data]
workers = 0
[samples]
clips = 1
frames = 2
crop = 32
reference_crop = 32
[optimizer]
rate = 5e-3
warmup_steps = 5
[loss]
perceptual = "none"
[style_loss]  # what so few steps can learn for styles that they have not seen
style = 0.0
structure = 0.0
[run]
steps = 20
log_steps = 1
valid_steps = 10
valid_batches = 3
picture_steps = 20
precision = "fp32"
device = "cpu"
"""


def waves(height: int, width: int, seed: int) -> np.ndarray:
    """A smooth picture in colours of its own, (height, width, 3)."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 12
    channels = [
        random.uniform(60, 200) + 50 * np.sin(random.uniform(0.3, 1.5) * y + phase + x)
        for phase in random.uniform(0, 6, 3)
    ]
    return np.stack(channels, -1).clip(0, 255).astype(np.uint8)


def save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips and pictures to repaint, paintings, triplets with faults, and a config file."""
    folder = tmp_path_factory.mktemp("style")
    (folder / "videos").mkdir()
    for seed, name in enumerate(("one", "two", "three", "four", "five")):
        picture = waves(48, 80, seed)
        pan = [picture[:, 2 * t : 64 + 2 * t] for t in range(4)]
        write_h264(pan, folder / "videos" / f"{name}.mp4", crf=10)
    for seed in range(6):
        painting = waves(40, 56, 10 + seed)
        strokes = np.random.default_rng(seed).integers(-40, 40, (10, 14, 1)).repeat(4, 0)
        painting = (painting + strokes.repeat(4, 1)).clip(0, 255).astype(np.uint8)
        save(painting, folder / "styles" / f"{'abcdef'[seed]}.png")
        content = waves(48, 64, seed)
        save(content, folder / "triplets" / "content" / f"{seed}.png")
        save(painting, folder / "triplets" / "style" / f"{seed}.png")
        # Less contrast, in the painting's colour.
        stylised = (content - content.mean((0, 1))) / 4 + painting.mean((0, 1))
        save(stylised.astype(np.uint8), folder / "triplets" / "stylised" / f"{seed}.png")
    (folder / "triplets" / "content" / "0.png").write_bytes(b"nothing")
    (folder / "triplets" / "style" / "1.png").unlink()
    (folder / "run.toml").write_text(CONFIG, encoding="utf-8")
    return folder


def refvid(*words: object) -> tuple[int, str, str]:
    done = program.run_in_words(*words)
    return done.returncode, done.stdout, done.stderr


def told(output: Path, key: str) -> dict[int, Any]:
    text = (output / "metrics.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    return {line["step"]: line[key] for line in lines if key in line}


def unpaired(folder: Path) -> list[object]:
    return [
        "train", folder / "videos", "--task", "style", "--styles", folder / "styles",
        "--valid-styles", "b.png", "--config", folder / "run.toml",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    """An unpaired run that nothing happened to."""
    output = folder / "whole"
    code, out, err = refvid(*unpaired(folder), "-o", output, "--json", "-v")
    assert code == 0, err
    report = json.loads(out)
    assert (report["steps"], report["finished"]) == (20, True)
    assert Path(report["weights"]) == output / "mini-style.safetensors"
    assert "styles held out: b.png" in err
    return output


def test_it_learns(whole: Path) -> None:
    valid = told(whole, "valid_loss")
    assert list(valid) == [0, 10, 20]
    assert valid[20] < valid[0]
    assert "structure" in told(whole, "loss_function")[0]


def test_pictures_show_the_painting_and_the_style(whole: Path) -> None:
    with Image.open(whole / "pictures" / "step-00000020.png") as sheet:
        assert sheet.size == (4 * 32, 32), "content, painted, output, style"


def test_a_stopped_run_goes_on_as_if_nothing_had_happened(
    folder: Path, whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    cache = ("--set", f"data.cache={whole / 'cache'}")
    words = (*unpaired(folder), "-o", output, *cache)
    code, _, err = refvid(*words, "--max-minutes", "0.00001")
    assert code == 0, err
    assert "stopped at step" in err
    assert len(told(output, "loss")) < 20
    code, _, err = refvid("train", "-o", output, "--resume")
    assert code == 0, err
    assert told(output, "loss") == told(whole, "loss")
    assert told(output, "valid_loss") == told(whole, "valid_loss")
    expected = load_file(whole / "mini-style.safetensors")
    found = load_file(output / "mini-style.safetensors")
    assert expected.keys() == found.keys()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_exported_weights_restyle_a_video_and_begin_another_run(
    folder: Path, whole: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "mine.safetensors"
    code, out, err = refvid("train", "--export", whole, "-o", weights)
    assert (code, out.strip()) == (0, str(weights)), err
    with safe_open(weights, framework="pt") as file:
        assert file.metadata()["backbone"] == "mini-style"
        assert "bands" in json.loads(file.metadata()["config"])
    result = tmp_path / "out.mp4"
    video, style = folder / "videos" / "one.mp4", folder / "styles" / "a.png"
    code, _, err = refvid("stylize", video, "--style", style, "--weights", weights, "-o", result)
    assert code == 0, err
    assert result.exists()
    output = tmp_path / "more"
    words = ("--init", weights, "--set", "run.steps=1", "--set", "optimizer.rate=1e-12")
    cache = ("--set", f"data.cache={whole / 'cache'}")
    assert refvid(*unpaired(folder), "-o", output, *words, *cache)[0] == 0
    assert told(output, "valid_loss")[0] == pytest.approx(told(whole, "valid_loss")[20])


def test_triplets_teach_too(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    words = ("--task", "style", "--triplets", folder / "triplets", "-o", output)
    # Four styles in twenty steps teach nothing about a fifth: all are learned from.
    share = ("--set", "data.valid_share=0")
    code, out, err = refvid("train", *words, "--config", folder / "run.toml", *share, "--json")
    assert code == 0, err
    assert "1 of 6 triplets lack a file" in err
    assert "1 of 5 triplets cannot be used" in err
    report = json.loads(out)
    assert "Charbonnier" in report["loss_function"]
    valid = told(output, "valid_loss")
    assert valid[20] < valid[0]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--task", "style", "VIDEOS"], 3, "There is no style to learn from"),
        (["--task", "style", "--triplets", "TRIPLETS", "--styles", "STYLES"], 2, "not both"),
    ],
    ids=["no styles", "both routes"],
)
def test_mistakes_are_named(
    folder: Path, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    given = [str(folder / word.lower()) if word.isupper() else word for word in words]
    cache = ("--set", f"data.cache={folder / 'whole' / 'cache'}")
    config = ("--config", folder / "run.toml")
    found, _, err = refvid("train", *given, "-o", tmp_path / "run", *config, *cache)
    assert (found, message in " ".join(err.split())) == (code, True), err
