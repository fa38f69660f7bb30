"""Give damaged files to everything that reads them, in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import signal
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from typer.testing import CliRunner

from refvid.checkpoints.cache import Cache
from refvid.checkpoints.load import load_backbone
from refvid.cli.app import app
from refvid.cli.exit_codes import BUG_EXIT_CODE
from refvid.errors import RefvidError
from refvid.evaluation.report import read_summary
from refvid.latents.recognise import read_backbone_name, recognise_latents
from refvid.media.image import read_image
from refvid.training.read_config import build_config

ADDRESS_SPACE = 8 << 30
"""What a process may reserve at most, so that a blow-up ends it and not the machine [bytes]."""

LONGEST_S = 60
"""A file that takes longer hangs."""

_LONGEST_MESSAGE = 3000


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one file."""

    number: int
    faults: tuple[str, ...]
    """Errors that nobody expected."""

    refused: bool
    """Whether it was refused in words."""

    peak: int
    """Memory that the process has held so far [bytes]."""


def examine_all(kind: str, paths: list[Path], work: Path, tell: Connection) -> None:
    """Examine files one after the other, and tell about each.

    Args:
        kind: Of the files.
        paths: Of the files.
        work: Where results go; everything else must stay as it is.
        tell: Takes a `Finding` for each.
    """
    os.chdir(work)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    signal.signal(signal.SIGALRM, _take_too_long)
    torch.set_num_threads(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what libraries of C say
    for number, path in enumerate(paths):
        signal.alarm(LONGEST_S)
        faults, refused = examine(kind, path, work, number)
        signal.alarm(0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        tell.send(Finding(number, tuple(faults), refused, peak))


def _take_too_long(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"it takes longer than {LONGEST_S} s")


def examine(kind: str, path: Path, work: Path, number: int) -> tuple[list[str], bool]:
    """Give one file to everything that reads its kind: the faults, and whether it was refused."""
    faults: list[str] = []
    refused = False
    for look in _LOOKS[kind](path, work, number):
        try:
            look()
        except RefvidError as error:
            refused = True
            if len(message := str(error)) > _LONGEST_MESSAGE:
                faults.append(f"a message of {len(message)} characters: {message[:200]}")
        except BaseException as error:  # noqa: BLE001 -- whatever it is, it is what is looked for
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{last.filename}:{last.lineno}"
            faults.append(f"{type(error).__name__}: {str(error)[:300]} ({place})")
    return faults, refused


def _run(*words: str | Path) -> None:
    """Run the program as it is used; whatever it refuses is one `RefvidError` here."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    said = result.stderr.strip().rpartition("\n")[2]
    if result.exit_code == BUG_EXIT_CODE or not isinstance(result.exception, SystemExit | None):
        raise AssertionError(f"{words[0]}: {said[:500] or result.exception!r}")
    if any(character in result.output for character in ("\x1b", "\x9b", "\u202e")):
        raise AssertionError(f"{words[0]}: control characters reach the terminal")
    if result.exit_code:
        raise RefvidError(said)


Look = Callable[[], Any]


def _videos(path: Path, work: Path, number: int) -> list[Look]:
    few = ("--frames", "8", "-y")
    ways: tuple[tuple[str | Path, ...], ...] = (
        ("enhance", path, "--strength", "0", "-o", work / "out.mkv", *few),
        ("enhance", path, "--strength", "0", "-o", work / "out.mp4", *few),
        ("metrics", path, "--reference", path, "--frames", "8"),
    )
    return [
        lambda: _run("info", path, "--json"),
        lambda: _run("info", path),
        lambda: _run(*ways[number % len(ways)]),
    ]


def _images(path: Path, work: Path, number: int) -> list[Look]:
    looks: list[Look] = [
        lambda: read_image(path),
        lambda: read_image(path, may_shrink=True),
        lambda: _run("info", path, "--json"),
    ]
    if number % 4 == 0:
        looks.append(lambda: _run("enhance", path, "--strength", "0", "-o", work / "out.png", "-y"))
    return looks


def _latents(path: Path, _work: Path, _number: int) -> list[Look]:
    def read() -> None:
        found = recognise_latents(path)
        json.dumps(found.to_json(), allow_nan=False)
        found.check()
        for piece, _, _ in found.chunks(1, 2):
            assert torch.isfinite(piece).all()

    return [lambda: read_backbone_name(path), read, lambda: _run("info", path)]


def _weights(path: Path, work: Path, number: int) -> list[Look]:
    cache = Cache(work / "cache")
    looks: list[Look] = [
        lambda: load_backbone(path, torch.device("cpu"), torch.float32, cache=cache)
    ]
    if number % 8 == 0:
        looks.append(lambda: _run("info", path))
    return looks


def _documents(path: Path, _work: Path, _number: int) -> list[Look]:
    def settings() -> None:
        os.environ["REFVID_CONFIG"] = str(path)
        try:
            _run("models", "list")
        finally:
            del os.environ["REFVID_CONFIG"]

    def recipe() -> None:
        build_config(file=path, flags={"output": "run"})

    if path.suffix == ".json":
        return [lambda: _run("compare", "--votes", path), lambda: read_summary(path)]
    return [recipe, settings] if path.suffix == ".toml" else [recipe]


_LOOKS: Mapping[str, Callable[[Path, Path, int], list[Look]]] = {
    "videos": _videos,
    "images": _images,
    "latents": _latents,
    "weights": _weights,
    "documents": _documents,
}
