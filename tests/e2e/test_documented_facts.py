"""Tables and files in the texts say what the code does."""

from __future__ import annotations

import json
import re
import signal
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from refvid import errors
from refvid.checkpoints.catalog import CATALOG
from refvid.cli.app import app
from refvid.cli.exit_codes import BUG_EXIT_CODE, exit_code_of_signal
from refvid.evaluation.cases import CASES
from refvid.latents.write import FORMAT_VERSION
from refvid.media.encoding import CODEC_PRESETS
from refvid.media.image import IMAGE_SUFFIXES
from refvid.media.inputs import VIDEO_SUFFIXES
from refvid.metrics.catalog import MEASURES
from refvid.models.registry import bundled_names
from refvid.rebuild.findings import Finding, Findings
from refvid.rebuild.plan import Plan, Report
from refvid.settings import KEYS, load_settings
from tests.pages import Page, code_in, page


def names_in(one: Page, *header: str) -> set[str]:
    """All code in the first column of a table."""
    return {name for row in one.table(*header) for name in code_in(row[0])}


def test_exit_codes_are_whole() -> None:
    table = {int(row[0]) for row in page("docs/scripts.md").table("exit code", "meaning")}
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    ours = {cls.exit_code for cls in classes if issubclass(cls, errors.RefvidError)}
    ours |= {0, BUG_EXIT_CODE}
    ours |= {exit_code_of_signal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    ours |= {errors.BATCH_EXIT_CODE, errors.INTERRUPTED_EXIT_CODE}
    assert table == ours


def test_json_has_the_documented_fields() -> None:
    scripts = page("docs/scripts.md")
    assert names_in(scripts, "in a plan", "what") == {f.name for f in fields(Plan)} - {"kind"}
    # Notes are for the screen.
    assert names_in(scripts, "in a report", "what") == {f.name for f in fields(Report)} - {"notes"}
    finding = Finding(
        shot=0, reference=0, frames=3, found=0.5, sharper=2.0, worth=1.0, is_registered=True
    ).to_json()
    shown = names_in(scripts, "in `references`, and in each of its `shots`", "what")
    assert shown == set(finding)


def test_the_json_of_an_error_is_as_shown() -> None:
    [code] = page("docs/scripts.md").blocks("json")
    run = CliRunner().invoke(app, ["enhance", "clip.mp4", "-q", "-v", "--json"])
    assert json.loads(code) == json.loads(run.stdout)


def test_every_setting_works_as_shown(tmp_path: Path) -> None:
    one = page("docs/configuration.md")
    rows = one.table("config file", "variable", "default")
    assert [code_in(row[1])[0] for row in rows] == [f"REFVID_{key.upper()}" for key in KEYS]
    [example] = one.blocks("toml")
    for index, text in enumerate(["\n".join(code_in(row[0])[0] for row in rows), example]):
        file = tmp_path / f"{index}.toml"
        file.write_text(text, encoding="utf-8")
        load_settings({"REFVID_CONFIG": str(file)})


def test_the_recipe_is_one(tmp_path: Path) -> None:
    pytest.importorskip("pydantic", reason="needs what refvid train needs")
    from refvid.training.read_config import build_config

    [recipe] = page("docs/train.md").blocks("toml")
    file = tmp_path / "wan.toml"
    file.write_text(recipe, encoding="utf-8")
    config = build_config(file=file)
    assert config.samples.token_dropout == 0.7
    assert [stage.frames for stage in config.stages] == [5, 17]


def test_what_the_small_model_learns_from() -> None:
    pytest.importorskip("pydantic", reason="needs what refvid train needs")
    from refvid.training.read_config import build_config

    config = build_config(flags={"output": "run", "data": {"videos": "videos"}})
    text = page("docs/train.md").text
    assert f"learns from {config.data.made} clips made by code" in text
    assert f"mini: {config.data.made}\n" in text
    assert config.samples.made == 0.35
    assert "35 % of its samples" in text
    assert config.run.checkpoint_minutes == 5
    assert build_config(flags={"output": "run", "backbone": "wan2.1"}).run.checkpoint_minutes == 20


def test_measures_are_whole() -> None:
    shown = names_in(page("docs/metrics.md"), "measure", "what")
    assert shown == {name.replace("_", "-") for name in MEASURES}


def test_cases_are_whole() -> None:
    assert names_in(page("docs/evaluate.md"), "case", "reference", "what counts") == set(CASES)


def test_models_are_whole() -> None:
    shown = names_in(page("docs/models.md"), "name", "what", "size", "runs on")
    assert shown == {*bundled_names(), *CATALOG.models}
    assert names_in(page("README.md"), "name", "what", "runs on") == shown


def test_formats_are_whole() -> None:
    one = page("docs/formats.md")
    rows = one.table("`--codec`", "encoder", "settings")
    assert {code_in(row[0])[0]: row[1] for row in rows} == {
        name: preset.encoder for name, preset in CODEC_PRESETS.items()
    }
    for codec, _, settings in rows:
        crf = re.search(r"crf (\d+)", settings)
        asked = CODEC_PRESETS[code_in(codec)[0]].options.get("crf")
        assert (crf and crf[1]) == asked
    shown = set(one.inline())
    assert shown >= VIDEO_SUFFIXES
    assert shown >= IMAGE_SUFFIXES


def test_the_format_of_latents_is_as_documented(tmp_path: Path, make_video) -> None:
    from safetensors import safe_open

    output = tmp_path / "latents.safetensors"
    words = ["encode", str(make_video(3)), "-o", str(output), "--model", "mini", "-d", "cpu"]
    assert CliRunner().invoke(app, words).exit_code == 0
    with safe_open(output, framework="pt") as file:
        written = file.metadata()
        assert list(file.keys()) == ["latents"]
    shown = names_in(page("docs/formats.md"), "key", "what")
    # Only of models whose chunks stand alone, of HDR, and of pixels that are not square.
    rare = {"chunk_latents", "overlap_latents", "domain", "sample_aspect_ratio"}
    assert shown - rare == set(written)
    assert written["format_version"] == FORMAT_VERSION


def test_readme_quotes_what_is_printed() -> None:
    [line] = page("README.md").blocks("text")
    found = re.search(r"(\d+)% of .* found in it, ([\d.]+) times as sharp", line)
    assert found is not None
    total = Finding(
        shot=None, reference=None, frames=33, found=int(found[1]) / 100, sharper=float(found[2]),
        worth=1.0, is_registered=True,
    )  # fmt: skip
    assert line.strip() == f"input.mp4: {Findings(total=total, shots=()).describe()}"


def test_gains_are_those_of_the_model_card() -> None:
    card = page("refvid/assets/MODEL_CARD.md")
    bars = {
        (case, what): float(measured.split()[0])
        for case, what, measured, *_ in card.table("case", "what", "measured", "bar", "met", "goal")
        if measured.endswith(" dB")
    }
    near = dict(card.table("frames from the reference", "gain, dB"))
    measured = [
        bars["exact", "gain, frames 1-16"],
        float(near["1-4"]),
        bars["exact", "the same, worst clip"],
        bars["none", "gain, frames 1-16"],
        bars["unrelated", "over no reference"],
    ]
    rows = page("README.md").table("frames", "gain over the input (PSNR)")
    assert [f"{gain:.1f} dB" for gain in measured] == [row[1] for row in rows]
    limits = page("docs/limits.md").text
    assert f"falls from\n  {float(near['1-4']):.1f} dB within four frames" in limits
    assert f"to {float(near['33-48']):.1f} dB at 33 to 48 frames" in limits
    assert f"gains little**: {bars['none', 'gain, frames 1-16']:.1f} dB" in limits
