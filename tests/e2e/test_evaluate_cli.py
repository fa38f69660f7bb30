"""`refvid evaluate --task restore` as users call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from refvid.training.degradations import write_h264
from tests.conftest import moving_pattern


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for seed in (1, 2):
        write_h264(moving_pattern(4, 64, 96, seed=seed), folder / f"{seed}.mp4", crf=8)
    return folder


def test_cases_are_chosen_and_bars_decide_no_exit_code(clips: Path) -> None:
    from refvid.cli.app import app

    words = ["evaluate", str(clips), "--model", "mini", "--cases", "soft,exact", "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["cases"] == ["exact", "soft"]
    assert {"exact", "soft"} < set(document["summary"])
    assert {bar["met"] for bar in document["bars"]} <= {True, False, None}
    assert len(document["runs"]) == 2 * 3 * 3, "and without a reference, to compare with"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--cases", "exact,nome"], 2, "Unknown case 'nome'"),
        (["--cases", ""], 2, "--cases is empty"),
        (["--task", "style", "--styles", ".", "--cases", "exact"], 2, "--task restore"),
        (["--task", "style", "--styles", ".", "--against", "x.json"], 2, "--task restore"),
        (["--against", "missing.json"], 3, "Cannot read missing.json"),
        (["--max-clips", "1"], 3, "at least two"),
    ],
)
def test_what_goes_wrong(clips: Path, words: list[str], code: int, says: str) -> None:
    from refvid.cli.app import app

    result = CliRunner().invoke(app, ["evaluate", str(clips), *words])
    assert result.exit_code == code, result.stderr
    assert says in " ".join(result.stderr.split())
