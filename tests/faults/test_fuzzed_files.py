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

if os.name == "posix":
    from tests.faults import examine

FILES = int(os.environ.get("REFVID_FAULTS_FILES", "2000"))
SEED = int(os.environ.get("REFVID_FAULTS_SEED", "0"))
MOST_BYTES = 1_500_000_000
"""Memory that any file may take."""

AT_ONCE = 50
"""Files that one process examines."""

SHARES = {"videos": 0.25, "images": 0.3, "latents": 0.15, "weights": 0.1, "documents": 0.2}
RESULTS = {"out.mkv", "out.mp4", "out.png", "cache", "REFVID_CACHE", "HF_HOME"}

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
    "report.json": json.dumps({"summary": {"psnr": 30.5, "ssim": 0.9}}),
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="Windows limits no process's memory like this"),
]


def whole_files() -> dict[str, Mapping[str, bytes]]:
    return {
        "videos": {name: tiny_files.tiny_video(name) for name in tiny_files.VIDEOS},
        "images": tiny_files.tiny_images(),
        "latents": tiny_files.tiny_latents(),
        "weights": tiny_files.tiny_weights(),
        "documents": {name: text.encode() for name, text in DOCUMENTS.items()},
    }


def damaged(kind: str, files: Mapping[str, bytes], draw: random.Random) -> tuple[str, bytes]:
    """The suffix and the contents of a file."""
    name = draw.choice(list(files))
    if kind == "documents":
        content = damage_text(files[name].decode(), draw)
    else:
        content = damage(files[name], list(files.values()), draw)
        if draw.random() < 0.2:
            content = damage(content or b"\0", list(files.values()), draw)
    return Path(name).suffix, content


def groups(draw: random.Random, folder: Path) -> Iterator[tuple[str, list[Path]]]:
    """Write damaged files, so many at a time."""
    for kind, files in whole_files().items():
        left = round(SHARES[kind] * FILES)
        while left > 0:
            paths = []
            for number in range(min(AT_ONCE, left)):
                suffix, content = damaged(kind, files, draw)
                paths.append(folder / f"{kind}{number}{suffix}")
                paths[-1].write_bytes(content)
            left -= len(paths)
            yield kind, paths
            for path in paths:
                path.unlink()


class Judge:
    """Counts what must not be, and keeps the files that did it."""

    def __init__(self, work: Path, kept: Path) -> None:
        self.counts = Counter(
            {"files": 0, "refused in words": 0, "uncaught errors": 0, "crashes and hangs": 0}
        )
        self.peaks: Counter[str] = Counter()
        self.faults: list[str] = []
        self._work, self._kept = work, kept

    def take(self, kind: str, paths: list[Path]) -> None:
        """Have files examined; one that ends the process is a fault, and the next ones go on."""
        start = 0
        while start < len(paths):
            start += self._examine(kind, paths[start:])

    def _examine(self, kind: str, paths: list[Path]) -> int:
        here, there = warm.SERVER.Pipe(duplex=False)
        process = warm.SERVER.Process(
            target=examine.examine_all, args=(kind, paths, self._work, there)
        )
        process.start()
        there.close()
        for done, path in enumerate(paths):
            try:
                finding = here.recv() if here.poll(3 * examine.LONGEST_S) else None
            except EOFError:
                finding = None
            if finding is None:
                process.kill()
                process.join()
                self.counts["files"] += 1
                self._fault("crashes and hangs", path, f"ended with {process.exitcode}")
                return done + 1
            self._note(kind, path, finding)
        process.join()
        return len(paths)

    def _note(self, kind: str, path: Path, finding: examine.Finding) -> None:
        self.counts["files"] += 1
        self.counts["refused in words"] += finding.refused
        for fault in finding.faults:
            self._fault("uncaught errors", path, fault)
        if finding.peak > max(MOST_BYTES, self.peaks[kind]):
            self._fault("too much memory", path, f"{finding.peak / 1e9:.2f} GB")
        self.peaks[kind] = max(self.peaks[kind], finding.peak)

    def _fault(self, what: str, path: Path, words: str) -> None:
        self.counts[what] += 1
        copy = self._kept / f"{len(self.faults)}_{path.name}"
        copy.write_bytes(path.read_bytes())
        self.faults.append(f"{what}: {copy}: {words}")


def test_damaged_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, inputs, work, kept = (tmp_path / name for name in ("home", "inputs", "work", "kept"))
    for folder in (home, inputs, work, kept):
        folder.mkdir()
    # Where anything might be written that nobody asked for.
    for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(home))
    for name in ("REFVID_CACHE", "HF_HOME"):
        monkeypatch.setenv(name, str(work / name))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    warm.start()
    judge, started = Judge(work, kept), time.monotonic()
    for kind, paths in groups(random.Random(SEED), inputs):
        before = {path.name: path.stat().st_mtime_ns for path in inputs.iterdir()}
        judge.take(kind, paths)
        after = {path.name: path.stat().st_mtime_ns for path in inputs.iterdir()}
        if before != after:
            changed = sorted(before.items() ^ after.items())
            judge.faults.append(f"files changed among the inputs: {changed}")
    judge.faults += [f"a file nobody asked for: {path}" for path in home.rglob("*")]
    extra = {path.name for path in work.iterdir()} - RESULTS
    judge.faults += [f"a file left in the folder of results: {name}" for name in sorted(extra)]
    with capsys.disabled():
        print(f"\n{FILES} damaged files in {time.monotonic() - started:.0f} s, seed {SEED}")  # noqa: T201
        for what, count in judge.counts.items():
            print(f"{count:5} {what}")  # noqa: T201
        for kind, peak in judge.peaks.items():
            print(f"{peak / 1e9:5.2f} GB at most for {kind}")  # noqa: T201
    assert not judge.faults, "\n".join(judge.faults)
