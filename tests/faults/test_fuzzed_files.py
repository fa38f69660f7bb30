"""Thousands of damaged files: a sentence for each, no crash, no memory beyond measure.

How many: REFVID_FAULTS_FILES, 2000 unless set. The damage is drawn from REFVID_FAULTS_SEED.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests import tiny_files
from tests.faults import warm
from tests.faults.mutations import damage, damage_text
from tests.program import SERVER

if os.name == "posix":
    from tests.faults import examine

FILES = int(os.environ.get("REFVID_FAULTS_FILES", "2000"))
SEED = int(os.environ.get("REFVID_FAULTS_SEED", "0"))
MOST_BYTES = 1_500_000_000
"""Memory that any file may take."""

REFUSED = "old.pt"
"""Whole, and refused: the oldest format of torch.save."""

AT_ONCE = 50
"""Files that one process examines."""

LONGEST_WAIT_S = 1800
"""A process that says nothing for so long waits for what never comes; busy ones end themselves."""

SHARES = {"videos": 0.25, "images": 0.3, "latents": 0.15, "weights": 0.1, "documents": 0.2}

SETTINGS = 'device = "cpu"\ndtype = "fp32"\ncrf = 18.5\nmodel = "mini"\nlog_level = "normal"\n'
RECIPE_TOML = """
backbone = "wan2.1"
seed = 7
[optimizer]
rate = 3e-4
betas = [0.9, 0.99]
[data]
exclude = ["a.mp4"]
photo_size = [448, 320]
[network]
base_channels = 4
[run]
steps = 100
minutes = 2.5
[[stages]]
frames = 5
share = 3
"""
RECIPE_YAML = """
backbone: wan2.1
seed: 7
optimizer: {rate: 3.0e-4, betas: [0.9, 0.99]}
data:
  exclude: [a.mp4]
  photo_size: [448, 320]
run: {steps: 100, minutes: 2.5}
stages:
  - frames: 5
  - {frames: 9, share: 3}
"""
VOTE = {"trial": 0, "clip": "a", "left": "x", "right": "y", "choice": "left"}
VOTES = json.dumps({"refvid_votes": 1, "report": "r", "session": "s", "votes": [VOTE, VOTE]})
DOCUMENTS = {
    "settings.toml": SETTINGS,
    "recipe.toml": RECIPE_TOML,
    "recipe.yaml": RECIPE_YAML,
    "votes.json": VOTES,
    "report.json": json.dumps({"summary": {"exact": 0.9, "far": 0.5}}),
}

REFUSED_IN_WORDS = "refused in words"
CRASHES = "crashes and hangs"
TOO_LARGE = "with too much memory"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="Windows limits no process's memory like this"),
]


def whole_files(kind: str) -> Mapping[str, bytes]:
    match kind:
        case "videos":
            return {name: tiny_files.tiny_video(name) for name in tiny_files.VIDEOS}
        case "images":
            return tiny_files.tiny_images()
        case "latents":
            return tiny_files.tiny_latents()
        case "weights":
            return tiny_files.tiny_weights()
        case _:
            return {name: text.encode() for name, text in DOCUMENTS.items()}


def damaged(kind: str, files: Mapping[str, bytes], draw: random.Random) -> tuple[str, bytes]:
    """The name of a whole file, and its contents, damaged."""
    name = draw.choice(list(files))
    if kind == "documents":
        content = damage_text(files[name].decode(), draw)
    else:
        content = damage(files[name], list(files.values()), draw)
        if draw.random() < 0.2:
            content = damage(content or b"\0", list(files.values()), draw)
    return name, content


def groups(kind: str, count: int, draw: random.Random, folder: Path) -> Iterator[list[Path]]:
    """Write damaged files, so many at a time."""
    files = whole_files(kind)
    for start in range(0, count, AT_ONCE):
        paths = []
        for number in range(start, min(start + AT_ONCE, count)):
            name, content = damaged(kind, files, draw)
            paths.append(folder / f"{number}_{name}")
            paths[-1].write_bytes(content)
        yield paths
        for path in paths:
            path.unlink()


COUNTED = (
    REFUSED_IN_WORDS,
    *("uncaught errors", "partial results under final names", "leftovers"),
    CRASHES,
    TOO_LARGE,
)


class Judge:
    """Counts what must not be, and keeps the files that did it."""

    def __init__(self, kind: str, work: Path, home: Path, kept: Path) -> None:
        self.counts = Counter(dict.fromkeys(COUNTED, 0))
        self.peak = 0
        self.faults: list[str] = []
        self.refused: list[str] = []
        self._kind, self._work, self._home, self._kept = kind, work, home, kept

    def take(self, paths: list[Path]) -> None:
        """Have files examined; one that ends the process is a fault, and the next ones go on."""
        start = 0
        while start < len(paths):
            start += self._examine(paths[start:])

    def _examine(self, paths: list[Path]) -> int:
        """Examine files in one process: how many of them it took."""
        here, there = SERVER.Pipe(duplex=False)
        process = SERVER.Process(
            target=examine.examine_all, args=(self._kind, paths, self._work, self._home, there)
        )
        process.start()
        there.close()
        for done, path in enumerate(paths):
            try:
                finding = here.recv() if here.poll(LONGEST_WAIT_S) else None
            except EOFError:
                finding = None
            if finding is None:
                process.kill()
                process.join()
                self._fault(CRASHES, path, f"ended with {process.exitcode}")
                return done + 1
            self._note(path, finding)
        process.join()
        return len(paths)

    def _note(self, path: Path, finding: examine.Finding) -> None:
        if finding.refused:
            self.counts[REFUSED_IN_WORDS] += 1
            self.refused.append(f"{path.name}: {finding.refused}")
        for what, words in finding.faults:
            self._fault(what, path, words)
        # The peak of a process never falls: said once.
        if finding.peak > max(MOST_BYTES, self.peak):
            self._fault(TOO_LARGE, path, f"{finding.peak / 1e9:.2f} GB of memory")
        self.peak = max(self.peak, finding.peak)

    def _fault(self, what: str, path: Path, words: str) -> None:
        self.counts[what] += 1
        copy = self._kept / f"{len(self.faults)}_{path.name}"
        copy.write_bytes(path.read_bytes())
        self.faults.append(f"{what}: {copy}: {words}")


def judge_in(folder: Path, kind: str) -> Judge:
    warm.start()
    folders = [folder / name for name in ("work", "home", "kept")]
    for path in folders:
        path.mkdir()
    return Judge(kind, *folders)


@pytest.mark.parametrize("kind", SHARES)
def test_whole_files_are_taken(kind: str, tmp_path: Path) -> None:
    """Damage to files that nobody takes anyway would show nothing."""
    judge = judge_in(tmp_path, kind)
    files = {name: content for name, content in whole_files(kind).items() if name != REFUSED}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    judge.take([tmp_path / name for name in files])
    assert not judge.faults, "\n".join(judge.faults)
    assert not judge.counts[REFUSED_IN_WORDS], judge.refused


@pytest.mark.parametrize("kind", SHARES)
def test_damaged_files(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judge, inputs = judge_in(tmp_path, kind), tmp_path / "inputs"
    inputs.mkdir()
    count, started = round(SHARES[kind] * FILES), time.monotonic()
    for paths in groups(kind, count, random.Random(f"{SEED} {kind}"), inputs):
        before = {path.name: path.stat().st_mtime_ns for path in inputs.iterdir()}
        judge.take(paths)
        after = {path.name: path.stat().st_mtime_ns for path in inputs.iterdir()}
        if before != after:
            changed = sorted(before.items() ^ after.items())
            judge.faults.append(f"files changed among the inputs: {changed}")
    judge.faults += [f"nobody asked for {path}" for path in (tmp_path / "home").rglob("*")]
    with capsys.disabled():
        seconds = time.monotonic() - started
        print(f"\n{count} damaged {kind} in {seconds:.0f} s, seed {SEED}: ", end="")  # noqa: T201
        words = ", ".join(f"{number} {what}" for what, number in judge.counts.items())
        print(f"{words}; {judge.peak / 1e9:.2f} GB at most")  # noqa: T201
    assert not judge.faults, "\n".join(judge.faults)
