"""A backbone that is registered from outside goes through every command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from refvid.checkpoints.load import load_backbone
from refvid.cli.app import app
from refvid.errors import CheckpointUnavailable, OptionError
from refvid.models import registry
from tests.toy_backbone import SPEC


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    from accelerate.state import AcceleratorState, GradientState

    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    registry.register(SPEC)
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("REFVID_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("REFVID_DEVICE", "cpu")
    monkeypatch.setenv("REFVID_DTYPE", "fp32")
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def run(*words: object) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def result_of(report: dict[str, Any]) -> dict[str, Any]:
    [result] = report["results"]
    return result["report"]


def test_every_command_takes_it(tmp_path: Path, make_video) -> None:
    video = make_video(6)
    (tmp_path / "videos").mkdir()
    for name in ("one", "two"):
        make_video(4, f"videos/{name}.mp4")
    trained = run(
        "train", tmp_path / "videos", "--backbone", "toy", "-o", tmp_path / "run",
        "--set", "samples.crop=32", "--set", "samples.reference_crop=32",
        "--set", "samples.clips=1", "--set", "run.valid_batches=1", "--set", "run.picture_steps=0",
        "--set", "network.width=6", "--set", "run.device=cpu", "--set", "data.workers=0",
    )  # fmt: skip
    weights = Path(trained["weights"])
    assert weights.name == "toy.safetensors"
    assert trained["steps"] == 2

    enhanced = result_of(
        run("enhance", video, "-o", tmp_path / "out.mp4", "--model", weights, "--ref", "frame:0")
    )
    assert enhanced["plan"]["model"] == "toy"
    assert enhanced["frames"] == 6
    latents = tmp_path / "latents.safetensors"
    encoded = result_of(run("encode", video, "-o", latents, "--model", "toy", "--weights", weights))
    assert encoded["latent_frames"] == 6
    decoded = result_of(run("decode", latents, "-o", tmp_path / "back.mp4", "--model", weights))
    assert decoded["plan"]["latents"]["backbone"] == "toy"
    assert decoded["frames"] == 6


def test_what_it_does_not_have_is_said(tmp_path: Path, style_weights: Path) -> None:
    cpu = torch.device("cpu")
    with pytest.raises(CheckpointUnavailable, match="toy has no weights of its own"):
        load_backbone("toy", cpu, torch.float32)
    with pytest.raises(OptionError, match=r"is for wan2\.1 and videovae\+: toy always"):
        load_backbone("toy", cpu, torch.float32, chunking="independent")
    with pytest.raises(OptionError, match="holds weights of mini-style, not of toy"):
        load_backbone("toy", cpu, torch.float32, weights=style_weights)
    with pytest.raises(CheckpointUnavailable, match=r"auto, mini, wan2\.1, videovae\+, toy"):
        load_backbone(tmp_path / "missing", cpu, torch.float32)
    with pytest.raises(ValueError, match="already"):
        registry.register(SPEC)


def test_names_stand_in_the_registry_alone() -> None:
    """Elsewhere code asks the registry; texts for people may say a name."""
    package = Path(registry.__file__).parents[1]
    spelled = [
        f"{path.relative_to(package)}: {word}"
        for path in package.rglob("*.py")
        for name in registry.names()
        for word in (f'"{name}"', f"'{name}'")
        if word in path.read_text(encoding="utf-8") and path != Path(registry.__file__)
    ]
    # What a user writes in Python, in a docstring.
    assert spelled == ['integrations/diffusers.py: "wan2.1"']
