"""Give damaged files to everything that reads them, in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import signal
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

import av
import torch
from typer.testing import CliRunner

from refvid.checkpoints.cache import Cache
from refvid.checkpoints.load import load_backbone
from refvid.cli.app import app
from refvid.errors import RefvidError
from refvid.evaluation.report import read_summary
from refvid.latents.recognise import read_backbone_name, recognise_latents
from refvid.media.image import read_image
from refvid.training.read_config import build_config
from tests.tiny_files import WAN_SIZES

ADDRESS_SPACE = 8 << 30
"""What a process may reserve at most, so that a blow-up ends it and not the machine [bytes]."""

LONGEST_S = 60
"""A file that takes longer hangs [seconds of the processor: machines may be busy]."""

_HARD_STOP_S = 3 * LONGEST_S
"""When code of C, which no exception reaches, is ended with its process."""

_LONGEST_MESSAGE = 3000

UNCAUGHT = "uncaught errors"
PARTIAL = "partial results under final names"
LEFTOVERS = "leftovers"

EXIT_CODES = (0, 2, 3, 4, 5, 6)
"""Those that are documented; 1 is a bug."""

OTHER_FILES = frozenset({"cache", "REFVID_CACHE", "HF_HOME"})
"""What may lie beside results."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one file."""

    number: int
    faults: tuple[tuple[str, str], ...]
    """What nobody expected: of which kind, and in words."""

    refused: str
    """The words in which it was refused, if it was."""

    peak: int
    """Memory that the process has held so far [bytes]."""


class Fault(Exception):
    """What must not be: of which kind, and in words."""


def examine_all(kind: str, paths: list[Path], work: Path, home: Path, tell: Connection) -> None:
    """Examine files one after the other, and tell about each.

    Args:
        kind: Of the files.
        paths: Of the files.
        work: Where results and caches go.
        home: Where programs write that were not told where to.
        tell: Takes a `Finding` for each.
    """
    os.chdir(work)
    os.environ |= dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), str(home))
    os.environ |= {name: str(work / name) for name in ("REFVID_CACHE", "HF_HOME")}
    os.environ["HF_HUB_OFFLINE"] = "1"
    tempfile.tempdir = None
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    signal.signal(signal.SIGPROF, _take_too_long)
    torch.set_num_threads(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what libraries of C say
    for number, path in enumerate(paths):
        used = resource.getrusage(resource.RUSAGE_SELF)
        end = int(used.ru_utime + used.ru_stime) + _HARD_STOP_S
        resource.setrlimit(resource.RLIMIT_CPU, (end, resource.RLIM_INFINITY))
        signal.setitimer(signal.ITIMER_PROF, LONGEST_S)
        faults, refused = examine(kind, path, work, number)
        signal.setitimer(signal.ITIMER_PROF, 0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        tell.send(Finding(number, tuple(faults), refused, peak))


def _take_too_long(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"it takes longer than {LONGEST_S} s")


def examine(kind: str, path: Path, work: Path, number: int) -> tuple[list[tuple[str, str]], str]:
    """Give one file to everything that reads its kind: the faults, and the words of a refusal."""
    faults: list[tuple[str, str]] = []
    refused = ""
    for look in _LOOKS[kind](path, work, number):
        try:
            look()
        except RefvidError as error:
            refused = message = str(error)
            if len(message) > _LONGEST_MESSAGE:
                words = f"a message of {len(message)} characters: {message[:200]}"
                faults.append((UNCAUGHT, words))
        except Fault as fault:
            faults.append(fault.args)
        except BaseException as error:  # noqa: BLE001 -- whatever it is, it is what is looked for
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{last.filename}:{last.lineno}"
            faults.append((UNCAUGHT, f"{type(error).__name__}: {str(error)[:300]} ({place})"))
    return faults, refused


def _run(*words: str | Path) -> None:
    """Run the program as it is used; whatever it refuses is one `RefvidError` here."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    said = result.stderr.strip().rpartition("\n")[2]
    if result.exit_code not in EXIT_CODES:
        raise Fault(UNCAUGHT, f"{words[0]} ends with {result.exit_code}: {said[:500]}")
    if not isinstance(result.exception, SystemExit | None):
        raise Fault(UNCAUGHT, f"{words[0]}: {result.exception!r}")
    if any(character in result.output for character in ("\x1b", "\x9b", "\u202e")):
        raise Fault(UNCAUGHT, f"{words[0]}: control characters reach the terminal")
    if result.exit_code:
        raise RefvidError(said)


def _enhance(path: Path, output: Path, *words: str) -> None:
    """Make a result; it is whole, or there is none, and nothing else is left beside it."""
    try:
        _run("enhance", path, "--strength", "0", "-o", output, *words)
    except RefvidError:
        if output.exists():
            raise Fault(PARTIAL, output.name) from None
        raise
    else:
        _check_whole(output)
    finally:
        output.unlink(missing_ok=True)
        left = {file.name for file in output.parent.iterdir()} - OTHER_FILES
        for name in left:
            (output.parent / name).unlink()
        if left:
            raise Fault(LEFTOVERS, f"{left}")


def _check_whole(output: Path) -> None:
    try:
        with av.open(output) as container:
            count = sum(1 for _ in container.decode(video=0))
    except av.FFmpegError as error:
        raise Fault(PARTIAL, f"{output.name}: {error}") from error
    if not count:
        raise Fault(PARTIAL, f"{output.name} holds no pictures")


Look = Callable[[], Any]


def _videos(path: Path, work: Path, number: int) -> list[Look]:
    few = ("--frames", "8")
    ways: tuple[Look, ...] = (
        lambda: _enhance(path, work / "out.mkv", *few),
        lambda: _enhance(path, work / "out.mp4", *few),
        lambda: _run("metrics", path, "--reference", path, *few),
    )
    return [
        lambda: _run("info", path, "--json"),
        lambda: _run("info", path),
        ways[number % len(ways)],
    ]


def _images(path: Path, work: Path, number: int) -> list[Look]:
    looks: list[Look] = [
        lambda: read_image(path),
        lambda: read_image(path, may_shrink=True),
        lambda: _run("info", path, "--json"),
    ]
    if number % 4 == 0:
        output = work / ("out.mkv" if "moving" in path.name else "out.png")
        looks.append(lambda: _enhance(path, output))
    return looks


def _latents(path: Path, _work: Path, _number: int) -> list[Look]:
    def read() -> None:
        found = recognise_latents(path)
        json.dumps(found.to_json(), allow_nan=False)
        found.check()
        for piece, *_ in found.chunks(1, 2):
            assert torch.isfinite(piece).all()

    return [lambda: read_backbone_name(path), read, lambda: _run("info", path)]


def _weights(path: Path, work: Path, _number: int) -> list[Look]:
    cache = Cache(work / "cache")
    sizes = None if path.suffix == ".safetensors" else WAN_SIZES
    cpu = torch.device("cpu")
    return [lambda: load_backbone(path, cpu, torch.float32, cache=cache, sizes=sizes)]


def _documents(path: Path, _work: Path, _number: int) -> list[Look]:
    def settings() -> None:
        os.environ["REFVID_CONFIG"] = str(path)
        try:
            _run("models", "list")
        finally:
            del os.environ["REFVID_CONFIG"]

    looks: dict[str, Look] = {
        "settings": settings,
        "recipe": lambda: build_config(file=path, flags={"output": "run"}),
        "votes": lambda: _run("compare", "--votes", path),
        "report": lambda: read_summary(path),
    }
    return [look for name, look in looks.items() if name in path.name]


_LOOKS: Mapping[str, Callable[[Path, Path, int], list[Look]]] = {
    "videos": _videos,
    "images": _images,
    "latents": _latents,
    "weights": _weights,
    "documents": _documents,
}
