"""The program is killed and interrupted at random moments: nothing half done, nothing lost.

How often: REFVID_FAULTS_KILLS, 100 unless set. The moments are drawn from REFVID_FAULTS_SEED.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from refvid.media.image import write_image
from refvid.media.reader import open_video
from tests.faults import warm

KILLS = int(os.environ.get("REFVID_FAULTS_KILLS", "100"))
SEED = int(os.environ.get("REFVID_FAULTS_SEED", "0"))
FRAMES = 6

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="signals are sent differently on Windows"),
]

SIGNALS = {"SIGKILL": -9, "SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}
"""And the exit codes of a run that they stop."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Something that a user does; run in a folder made by `make_originals`."""

    name: str
    words: tuple[str, ...]
    results: tuple[str, ...]
    """Files, and patterns for sequences."""

    over: bool = False
    """Other results stand there before, and are replaced."""

    frames: int = FRAMES
    """Of a sequence."""


REFERENCE = ("--model", "mini", "--ref", "photo.png")
PLAIN = ("--model", "mini", "--strength", "0")
ATTEMPTS = 5
"""How often a run may end before it is stopped."""

LONG = 200
"""Frames that take some time to be moved to their places."""

SCENES = (
    Scene("a video", ("enhance", "clip.mp4", *REFERENCE), ("clip_refvid.mp4",)),
    Scene("a sequence", ("enhance", "shots", *REFERENCE), ("shots_refvid/shot_%04d.png",)),
    Scene(
        "a sequence beside other files",
        ("enhance", "long.mp4", *PLAIN, "-o", "frames/f_%04d.png"),
        ("frames/f_%04d.png",),
        frames=LONG,
    ),
    Scene(
        "a sequence over another",
        ("enhance", "long.mp4", *PLAIN, "-o", "frames/f_%04d.png", "-y"),
        ("frames/f_%04d.png",),
        over=True,
        frames=LONG,
    ),
    Scene(
        "a style",
        ("stylize", "clip.mp4", "--style", "photo.png", "-o", "painted.mkv"),
        ("painted.mkv",),
    ),
    Scene(
        "a batch of videos",
        ("enhance", "videos", *REFERENCE, "-o", "out/"),
        ("out/a_refvid.mp4", "out/b_refvid.mkv", "out/c_refvid.mp4"),
    ),
    Scene(
        "a batch of pictures",
        ("enhance", "pictures", *REFERENCE),
        ("pictures_refvid/beach.png", "pictures_refvid/dog.jpg"),
    ),
    Scene(
        "latents",
        ("encode", "clip.mp4", "--model", "mini", "-o", "l.safetensors"),
        ("l.safetensors",),
    ),
    Scene("a video of latents", ("decode", "latents.safetensors"), ("latents_refvid.mp4",)),
)


def make_clip(path: Path, frames: int = FRAMES, seed: int = 0) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(np.roll(pixels, index, 1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def make_originals(folder: Path) -> None:
    for name in ("shots", "frames", "videos", "pictures"):
        (folder / name).mkdir(parents=True)
    make_clip(folder / "clip.mp4")
    make_clip(folder / "long.mp4", LONG)
    for seed, name in enumerate(("a.mp4", "b.mkv", "c.mp4")):
        make_clip(folder / "videos" / name, seed=seed)
    random = np.random.default_rng(1)
    names = ["photo.png", "pictures/beach.png", "pictures/dog.jpg"]
    names += [f"shots/shot_{number:04d}.png" for number in range(FRAMES)]
    for name in names:
        write_image(folder / name, random.integers(0, 256, (64, 64, 3)).astype(np.uint8))
    (folder / "frames/notes.txt").write_text("mine")
    ended = warm.run(("encode", "clip.mp4", "--model", "mini", "-o", "latents.safetensors"), folder)
    assert ended.code == 0, ended.said


def fingerprint(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files_of(folder: Path) -> dict[str, str]:
    """Every file below a folder, also hidden ones, by its path."""
    return {
        path.relative_to(folder).as_posix(): fingerprint(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def final_names(scene: Scene, result: str) -> list[str]:
    return [result % number for number in range(scene.frames)] if "%" in result else [result]


Content = str | list[np.ndarray] | None
"""What a result shows: a fingerprint, the frames of a video, or nothing."""


def content(folder: Path, name: str) -> Content:
    path = folder / name
    if not path.exists():
        return None
    if path.suffix not in (".mp4", ".mkv"):
        return fingerprint(path)
    with open_video(path) as video:
        return [frame.pixels for frame in video]


def is_alike(one: Content, other: Content) -> bool:
    """Whether both show the same; libx264 does not give the same bits each time."""
    if not isinstance(one, list) or not isinstance(other, list):
        return isinstance(one, str | None) and one == other
    if len(one) != len(other):
        return False
    return all(np.abs(a.astype(int) - b).mean() < 12 for a, b in zip(one, other, strict=True))


@dataclass(slots=True)
class Calm:
    """A scene, played without any kill."""

    folder: Path
    """As it is before."""

    originals: dict[str, str]
    wanted: dict[str, Content]
    """What the results show, by their paths."""

    before: dict[str, Content]
    seconds: float
    """How long it took, of late: other work on the machine changes that."""


def play_calmly(scene: Scene, originals: Path, folder: Path) -> Calm:
    start, played = folder / "start", folder / "played"
    shutil.copytree(originals, start)
    names = [name for result in scene.results for name in final_names(scene, result)]
    if scene.over:
        for number, name in enumerate(names):
            (start / name).write_text(f"old {number}")
    shutil.copytree(start, played)
    ended = warm.run(scene.words, played)
    assert ended.code == 0, ended.said
    wanted = {name: content(played, name) for name in names}
    assert all(each is not None for each in wanted.values()), ended.said
    return Calm(
        folder=start,
        originals={name: each for name, each in files_of(start).items() if name not in names},
        wanted=wanted,
        before={name: content(start, name) for name in names},
        seconds=ended.seconds,
    )


def is_being_published(folder: Path) -> bool:
    """Whether the frames of a sequence are on their way to their places."""
    return any(folder.glob(".refvid-*/journal.json"))


ORIGINALS = "originals changed"
PARTIAL = "partial results under final names"
LEFTOVERS = "leftovers after the next run"
NOT_MADE = "results that the next run did not make"
EXIT_CODES = "wrong exit codes"
ENDED_BEFORE = "runs that ended before they could be stopped, and were played again"


class Judge:
    """Counts what must not be."""

    def __init__(self) -> None:
        self.counts = Counter({PARTIAL: 0, LEFTOVERS: 0, ORIGINALS: 0, NOT_MADE: 0, EXIT_CODES: 0})
        self.faults: list[str] = []

    def fault(self, kind: str, where: str) -> None:
        self.counts[kind] += 1
        self.faults.append(f"{kind}: {where}")

    def look(self, folder: Path, scene: Scene, calm: Calm, where: str, *, journal: bool) -> None:
        """Are originals as they were, and results whole or not there?

        A killed run may have left a sequence with a journal, which the next run reads.
        """
        found = files_of(folder)
        if any(found.get(name) != each for name, each in calm.originals.items()):
            self.fault(ORIGINALS, where)
        is_pending = journal and any(path.endswith("/journal.json") for path in found)
        for result in scene.results:
            names = final_names(scene, result)
            states = [self._state(folder, name, calm) for name in names]
            if any(state.startswith("partial") for state in states) or (
                len(set(states)) > 1 and not is_pending
            ):
                self.fault(PARTIAL, f"{where}: {result} {Counter(states)}")
        self.counts["left to the next run to finish"] += is_pending

    def _state(self, folder: Path, name: str, calm: Calm) -> str:
        try:
            now = content(folder, name)
        except Exception as error:  # noqa: BLE001 -- whatever a broken file may cause
            return f"partial ({error})"
        if is_alike(now, calm.wanted[name]):
            return "whole"
        return "as before" if is_alike(now, calm.before[name]) else "partial"

    def look_again(self, folder: Path, scene: Scene, calm: Calm, where: str) -> None:
        """The next run is over: is everything there, and nothing else?"""
        self.look(folder, scene, calm, where, journal=False)
        found = files_of(folder)
        states = {name: self._state(folder, name, calm) for name in calm.wanted}
        if missing := [name for name, state in states.items() if state != "whole"]:
            self.fault(NOT_MADE, f"{where}: {missing}")
        if extra := set(found) - set(calm.originals) - set(calm.wanted):
            self.fault(LEFTOVERS, f"{where}: {sorted(extra)}")
        if hidden := [path for path in folder.rglob(".*") if path.is_dir()]:
            self.fault(LEFTOVERS, f"{where}: {hidden}")


def draw_moment(
    scene: Scene, folder: Path, calm: Calm, draw: random.Random
) -> tuple[str, Callable[[float], bool]]:
    """When a run is stopped: in words, and as what `warm.run` asks."""
    moment = draw.uniform(0, calm.seconds)
    if scene.frames == LONG and draw.random() < 0.5:
        # A few milliseconds that chance alone would seldom meet.
        frames = folder / "frames"
        return "while it is published", lambda _seconds: is_being_published(frames)
    return f"after {moment:.3f} s", lambda seconds: seconds >= moment


def play_and_stop(
    scene: Scene, calm: Calm, folder: Path, name: str, draw: random.Random, judge: Judge
) -> bool:
    """Play a scene, stop it with a signal, look, and play it again.

    Returns:
        Whether it was stopped; else it ended before.
    """
    words, must_stop = draw_moment(scene, folder, calm, draw)
    where = f"{scene.name}, {name} {words}"
    number = int(getattr(signal, name))
    ended = warm.run(scene.words, folder, must_stop=must_stop, number=number)
    if ended.code == 0:
        judge.counts[ENDED_BEFORE] += 1
        calm.seconds = ended.seconds
        judge.look_again(folder, scene, calm, where)
        return False
    judge.counts[name] += 1
    # Handlers are set with the first line of the program; before, signals simply end it.
    if ended.code not in (SIGNALS[name], -number):
        judge.fault(EXIT_CODES, f"{where}: {ended.code}\n{ended.said}")
    judge.look(folder, scene, calm, where, journal=name == "SIGKILL")
    again = scene.words if scene.over else (*scene.words, "-n")
    ended = warm.run(again, folder)
    if ended.code != 0:
        judge.fault(EXIT_CODES, f"{where}, then {again}: {ended.code}\n{ended.said}")
    judge.look_again(folder, scene, calm, where)
    return True


def test_kills(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Sums of several threads are not always the same to the last bit; results are compared.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    warm.start()
    draw = random.Random(SEED)
    originals = tmp_path / "originals"
    make_originals(originals)
    calm = [play_calmly(scene, originals, tmp_path / scene.name) for scene in SCENES]
    judge, started = Judge(), time.monotonic()
    for turn in range(KILLS):
        scene, before = SCENES[turn % len(SCENES)], calm[turn % len(SCENES)]
        name = draw.choice(list(SIGNALS))
        folder = tmp_path / "turn" / "folder"
        for _ in range(ATTEMPTS):
            shutil.copytree(before.folder, folder)
            was_stopped = play_and_stop(scene, before, folder, name, draw, judge)
            shutil.rmtree(folder.parent)
            if was_stopped:
                break
    with capsys.disabled():
        stops = sum(judge.counts[name] for name in SIGNALS)
        print(f"\n{stops} stops in {time.monotonic() - started:.0f} s, seed {SEED}")  # noqa: T201
        for kind, count in judge.counts.items():
            print(f"{count:5} {kind}")  # noqa: T201
    assert not judge.faults, "\n".join(judge.faults)
