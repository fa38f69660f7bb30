"""README's commands do what they say, on small files of the same names."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from refvid.cli.app import app
from tests.conftest import moving_pattern
from tests.pages import page

# Measuring a model takes clips and time: tests/e2e/test_evaluate_cli.py does it.
RUN = [words for words in page("README.md").commands() if not words.startswith("evaluate ")]
WRITES = {
    "enhance": "clip_refvid.mp4",
    "stylize clip.mp4 --style art.jpg": "clip_art.mp4",
    "stylize clip.mp4 --keyframe painted.png@0": "clip_painted.mp4",
    "decode": "latents_refvid.mp4",
}
"""By what a command begins with; a style gives its name to the result."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_video) -> Path:
    """A clip of a second and a bit, pictures, latents, and a folder with another clip."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("REFVID_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("REFVID_MODEL", "mini")
    monkeypatch.setenv("REFVID_DEVICE", "cpu")
    (tmp_path / "videos" / "below").mkdir(parents=True)
    make_video(30, "clip.mp4")
    make_video(3, "videos/below/other.mp4")
    for name in ("photo.jpg", "art.jpg", "painted.png", "first.png"):
        Image.fromarray(moving_pattern(1)[0]).save(name)
    return tmp_path


@pytest.mark.parametrize("words", RUN)
def test_a_command_works(folder: Path, words: str) -> None:
    if "latents.pt" in words:
        encoded = folder / "latents.safetensors"
        made = CliRunner().invoke(app, ["encode", "clip.mp4", "--frames", "3", "-o", str(encoded)])
        assert made.exit_code == 0, made.output
        # Contents count, not names.
        shutil.move(encoded, "latents.pt")
    run = CliRunner().invoke(app, shlex.split(words))
    assert run.exit_code == 0, run.output
    written = [name for begin, name in WRITES.items() if words.startswith(begin)]
    if written:
        output = Path("results/below/other_refvid.mp4" if "videos/" in words else written[0])
        if "--preview" in words:
            output = output.with_stem(f"{output.stem}_preview")
        assert run.stdout.splitlines() == [str(output)]
        assert output.stat().st_size > 0
    assert Path("clip_refvid_compare.html").exists() == ("--compare" in words)
