"""The words of `refvid train`."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from refvid.cli.app import app
from refvid.training import train as workflow
from refvid.training.read_config import save_config


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the workflow was called with; it pretends to have been stopped by nobody."""
    calls: list[Any] = []

    def train(config: Any, on_progress: Any, *, resume: bool) -> workflow.TrainReport:
        calls.append((config, resume))
        return workflow.TrainReport(
            weights=config.output / "mini.safetensors",
            steps=5,
            minutes=1.0,
            loss=0.5,
            compared="L1",
            valid_loss=None,
            finished=len(calls) == 1,
            signal=None if len(calls) < 3 else 2,
            is_main=True,
        )

    monkeypatch.setattr(workflow, "train", train)
    return calls


def invoke(*words: object) -> Any:
    return CliRunner().invoke(app, ["train", *map(str, words)])


def test_flags_words_and_file_become_one_config(asked: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("run: {steps: 7, log_steps: 3}\nsamples: {clips: 9}\n", encoding="utf-8")
    result = invoke(
        "videos", "-o", tmp_path / "run", "--config", file, "--images", "photos", "--steps", 8,
        "--exclude", "a.mp4", "--exclude", "b.mp4", "--set", "samples.clips=2", "--seed", 4,
        "--max-minutes", 3, "--latents", "saved",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(tmp_path / "run" / "mini.safetensors")
    ((config, resume),) = asked
    assert not resume
    assert (config.run.steps, config.run.log_steps, config.run.max_minutes) == (8, 3, 3)
    assert (config.samples.clips, config.seed) == (2, 4)
    assert (config.data.videos, config.data.images) == (Path("videos"), Path("photos"))
    assert config.data.exclude == ("a.mp4", "b.mp4")
    assert config.latents.folder == Path("saved")


def test_the_folder_may_be_named_in_the_file(asked: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(f"output: {tmp_path / 'run'}\nrun: {{steps: 7}}\n", encoding="utf-8")
    assert invoke("videos", "--config", file).exit_code == 0
    save_config(asked[0][0], tmp_path / "run" / "config.yaml")
    assert invoke("--config", file, "--resume", "--seed", 5).exit_code == 0
    (first, _), (again, resume) = asked
    assert resume
    assert again == replace(first, seed=5)
    for words in (["videos"], ["--export", tmp_path / "run"]):
        missing = invoke(*words)
        assert missing.exit_code == 2
        assert "--output is missing" in missing.stderr


def test_what_is_reported(asked: list[Any], tmp_path: Path) -> None:
    first = invoke("videos", "-o", tmp_path, "--json")
    assert json.loads(first.stdout)["loss_function"] == "L1"
    assert "--resume" not in first.stderr
    second = invoke("videos", "-o", tmp_path)
    assert second.exit_code == 0
    assert "stopped at step 5; --resume goes on" in second.stderr
    assert invoke("videos", "-o", tmp_path).exit_code == 130


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--set", "optimizer.rat=1"], 2, "did you mean 'rate'"),
        (["--config", "missing.toml"], 2, "missing.toml"),
        (["--backbone", "huge"], 2, "none of mini"),
        (["--init", "missing.safetensors"], 5, "missing.safetensors"),
        (["--images", "missing"], 3, "missing is no folder"),
        (["--minutes", "-1"], 2, "minutes is more than 0"),
        (["--export", "missing"], 5, "no folder missing"),
    ],
    ids=str,
)
def test_mistakes_end_with_their_code(
    tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    result = invoke(tmp_path, "-o", tmp_path / "run", *words)
    assert result.exit_code == code
    assert message in result.stderr
    assert not (tmp_path / "run").exists()


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(sys.modules, "refvid.training.read_config", raising=False)
    monkeypatch.setitem(sys.modules, "yaml", None)
    result = invoke(tmp_path, "-o", tmp_path / "run")
    assert result.exit_code == 2
    assert "pip install accelerate pydantic pyyaml" in result.stderr
