"""`refvid evaluate --task style` on made clips, with a small untrained model."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner, Result

from refvid.evaluation.style import choose_styles
from refvid.evaluation.style_report import StyleReport, StyleResult, StyleScores
from refvid.evaluation.style_sheet import SheetCell, SheetRow, draw_sheet
from refvid.training.degradations import write_h264
from tests.conftest import moving_pattern


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two clips, and three styles of other sizes."""
    clips, styles = tmp_path_factory.mktemp("clips"), tmp_path_factory.mktemp("styles")
    for name, size, seed in (("a", (64, 96), 1), ("b", (72, 64), 2)):
        write_h264(moving_pattern(6, *size, seed=seed), clips / f"{name}.mp4", crf=8)
    rng = np.random.default_rng(0)
    for name, shape in (("x", (40, 60)), ("y", (100, 80)), ("z", (64, 96))):
        cells = rng.integers((155, 100, 0), (255, 200, 100), (shape[0] // 4, shape[1] // 4, 3))
        pixels = np.kron(cells, np.ones((4, 4, 1))).astype(np.uint8)
        Image.fromarray(pixels).save(styles / f"{name}.png")
    return clips, styles


@pytest.fixture
def evaluate(folders: tuple[Path, Path], style_weights: Path) -> Callable[..., Result]:
    from refvid.cli.app import app

    def run(*words: object) -> Result:
        given = ("evaluate", "--task", "style", folders[0], "--styles", folders[1])
        options = ("--frames", "5", "--weights", style_weights)
        return CliRunner().invoke(app, [str(word) for word in (*given, *options, *words)])

    return run


def test_everything_at_once(evaluate, tmp_path: Path) -> None:
    sheet, report = tmp_path / "sheet.png", tmp_path / "report.md"
    result = evaluate("--styles-per-clip", "2", "--sheet", sheet, "-o", report, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["model"] == "mini-style"
    pairs = [(entry["clip"], entry["style"]) for entry in document["results"]]
    assert len(set(pairs)) == 4
    assert {style for _, style in pairs} == {"x", "y", "z"}
    for entry in document["results"]:
        assert set(entry["scores"]) == {"input", "reinhard", "optimal", "model"}
        own = entry["scores"]["input"]
        assert own["structure"] == pytest.approx(1)
        # The least that the baselines promise: colours that come nearer to the style's.
        for kind in ("reinhard", "optimal"):
            assert entry["scores"][kind]["patch_distance"] < own["patch_distance"]
    means = document["summary"]
    assert means["input"]["distance_ratio"] == means["input"]["warping_ratio"] == 1
    assert means["model"]["style_distance"] == pytest.approx(
        np.mean([entry["scores"]["model"]["style_distance"] for entry in document["results"]])
    )
    text = report.read_text(encoding="utf-8")
    assert f"| stylize | {means['model']['style_distance']:.4f} |" in text
    for word in (
        "| a |",
        "| b |",
        "| x |",
        "| y |",
        "| z |",
        "| letterbox |",
        "structure at least 0.6",
    ):
        assert word in text
    with Image.open(sheet) as picture:
        width, height = picture.size
    assert width > 4 * 96
    assert height > 2 * 64


def test_the_same_again(evaluate) -> None:
    words = ("--styles-per-clip", "1", "--max-clips", "1", "--json")
    assert evaluate(*words).stdout == evaluate(*words).stdout


def test_markdown_on_stdout(evaluate) -> None:
    result = evaluate("--styles-per-clip", "1", "--max-clips", "1")
    assert result.exit_code == 0, result.stderr
    assert "| colour transfer (Reinhard) |" in result.stdout
    assert "| of 1 clips in a style |" in result.stdout


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--task", "style"], 2, "--styles"),
        (["--styles", "{styles}"], 2, "--task style"),
        (["--sheet", "x.png"], 2, "--task style"),
        (["--task", "style", "--styles", "{styles}", "--model", "mini"], 2, "--model"),
        (["--task", "style", "--styles", "missing"], 3, "no folder"),
        (["--task", "style", "--styles", "{clips}"], 3, "no images"),
        (["--task", "style", "--styles", "{styles}", "--sheet", "sheet.txt"], 4, "image"),
        (["--task", "style", "--styles", "{styles}", "--sheet", "no/s.png"], 4, "folder no"),
    ],
)
def test_what_goes_wrong(folders, words: list[str], code: int, says: str) -> None:
    from refvid.cli.app import app

    clips, styles = folders
    filled = [word.format(styles=styles, clips=clips) for word in words]
    result = CliRunner().invoke(app, ["evaluate", str(clips), *filled])
    assert result.exit_code == code, result.stderr
    assert says in result.stderr


@given(styles=st.integers(1, 60), clips=st.integers(1, 20), per_clip=st.integers(1, 9))
def test_styles_are_spread(styles: int, clips: int, per_clip: int) -> None:
    chosen = choose_styles(styles, clips, per_clip)
    assert len(chosen) == clips
    assert all(len(set(indices)) == len(indices) == min(per_clip, styles) for indices in chosen)
    used = Counter(index for indices in chosen for index in indices)
    times = [used[index] for index in range(styles)]
    assert max(times) - min(times) <= 1


def test_the_bars_are_shares() -> None:
    def scores(distance: float, structure: float, warping: float) -> StyleScores:
        return StyleScores(
            style_distance=distance,
            large_distance=distance,
            patch_distance=distance,
            features_distance=None,
            structure=structure,
            structure_matched=structure,
            contrast=structure,
            warping_error=warping,
        )

    def result(model: StyleScores) -> StyleResult:
        transfers = {"reinhard": scores(0.6, 0.9, 0.1), "optimal": scores(0.45, 0.9, 0.1)}
        return StyleResult(
            clip="c", style="s", scores={"input": scores(1, 1, 0.1), **transfers, "model": model}
        )

    models = [scores(0.5, 0.6, 0.13), scores(0.44, 0.59, 0.14), scores(0.7, 0.7, 0.1)]
    report = StyleReport(model="m", results=tuple(result(model) for model in models))
    assert list(report.bars().values()) == pytest.approx([2 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert report.summary()["model"]["distance_ratio"] == pytest.approx(1.64 / 3)


def test_a_sheet_shows_every_picture() -> None:
    def flat(value: int, height: int, width: int) -> np.ndarray:
        return np.full((height, width, 3), (value, 0, 255), np.uint8)

    cells = tuple(SheetCell(f"s{v}", flat(v, 50, 40), flat(v + 1, 60, 80)) for v in (20, 60))
    long_name = "a name much longer than its picture is wide " * 9 + "\udcff"
    sheet = draw_sheet(
        [SheetRow(long_name, flat(100, 60, 80), cells), SheetRow("b", flat(140, 600, 900), ())]
    )
    for value, area in (
        *((20, 40 * 50), (21, 80 * 60), (60, 40 * 50), (61, 80 * 60), (100, 80 * 60)),
        (140, 448 * 299),  # made smaller
    ):
        assert np.count_nonzero(np.all(sheet == (value, 0, 255), axis=-1)) == area
