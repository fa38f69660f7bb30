"""Imports point one way, and the words of the program load nothing heavy."""

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "diffusers",
    "numpy",
    "av",
    "cv2",
    "PIL",
    "rich",
    "huggingface_hub",
    "safetensors",
    "tqdm",
)


def loaded_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after running some code."""
    report = (
        f"{code}\nimport sys\nprint('LOADED', *{{name.partition('.')[0] for name in sys.modules}})"
    )
    run = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, encoding="utf-8", check=True
    )
    return set(run.stdout.rpartition("LOADED ")[2].split())


def loaded_by(*commands):
    """Top-level modules that a fresh interpreter holds after each of some command lines, which it
    runs one after the other.
    """
    code = (
        "import sys\n"
        "from refvid.cli.app import app\n"
        f"for number, words in enumerate({[command.split() for command in commands]!r}):\n"
        "    try: app(words)\n"
        "    except SystemExit: pass\n"
        "    names = {name.partition('.')[0] for name in sys.modules}\n"
        "    print('LOADED', number, *names)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=True
    )
    lines = [line.split() for line in run.stdout.splitlines() if line.startswith("LOADED")]
    assert len(lines) == len(commands)
    return {command: set(line[2:]) for command, line in zip(commands, lines, strict=True)}


def test_words_alone_load_nothing_heavy():
    loaded = loaded_by(
        "--help",
        "--version",
        "enhance --help",
        "stylize --help",
        "decode --help",
        "train --help",
        "evaluate --help",
        "enhance --bad",
        "doctor --help",
        "compare --help",
    )
    assert [words for words, names in loaded.items() if names & set(HEAVY)] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_loads_nothing_heavy(shell):
    code = (
        "import os, sys\n"
        f"os.environ['_REFVID_COMPLETE'] = 'complete_{shell}'\n"
        "os.environ['COMP_WORDS'] = os.environ['_TYPER_COMPLETE_ARGS'] = 'refvid enhance --'\n"
        "os.environ['COMP_CWORD'] = '2'\n"
        "os.environ['_TYPER_COMPLETE_FISH_ACTION'] = 'get-args'\n"
        "sys.argv = ['refvid']\n"
        "from refvid.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "if sys.modules.get('rich', 1) is None: del sys.modules['rich']"
    )
    assert not loaded_after(code) & set(HEAVY)


def test_cheap_failures_come_before_torch():
    loaded = loaded_by(
        "enhance missing.mp4",
        "enhance . --tile x",
        "stylize missing.mp4 --style pyproject.toml",
        "stylize . --style missing.png",
        "decode missing.pt",
        "decode pyproject.toml --ref missing.png",
        "encode missing.mp4",
        "compare missing.mp4 other.mp4",
        "compare --votes missing.json",
        "train missing -o run --set optimizer.rat=1",
        "train missing -o run --config missing.toml",
    )
    assert [words for words, names in loaded.items() if "torch" in names] == []


@pytest.mark.parametrize("module", ["refvid.media", "refvid.settings", "refvid.rebuild.options"])
def test_files_do_not_need_torch(module):
    code = (
        f"import importlib, pkgutil, {module} as top\n"
        "for entry in pkgutil.iter_modules(getattr(top, '__path__', [])):\n"
        "    importlib.import_module(f'{top.__name__}.{entry.name}')"
    )
    assert not loaded_after(code) & {"torch", "diffusers"}


def test_the_package_itself_is_light():
    assert not loaded_after("import refvid") & set(HEAVY)
    assert "diffusers" in loaded_after("from refvid import RefDecoderVAE")
