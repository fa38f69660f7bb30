"""Runs are killed at random moments, again and again, until they are through: all frames are those
of a run that was not, and so are times and sound.

How often: REFVID_FAULTS_RESUMED, 40 kills unless set. The moments are drawn from
REFVID_FAULTS_SEED. The counts are printed.
"""

from __future__ import annotations

import json
import operator
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from refvid.media.image import write_image
from refvid.media.reader import open_video
from tests.conftest import moving_pattern
from tests.faults import warm

KILLS = int(os.environ.get("REFVID_FAULTS_RESUMED", "40"))
SEED = int(os.environ.get("REFVID_FAULTS_SEED", "0"))
STRETCH = 8
CUT, FRAMES = 37, 60

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="signals are sent differently on Windows"),
]

WAN = ("--model", "wan2.1", "--weights", "wan.safetensors", "--chunk", "4", "--dtype", "fp32")
MINI = ("--model", "mini", "--dtype", "fp32")
LOSSLESS = ("-c", "ffv1")
REFERENCE = ("--ref", "photo.png")
SOUND = ("clip.mkv", *REFERENCE)

SCENES: dict[str, tuple[tuple[str, ...], str]] = {
    "enhance": (("enhance", *SOUND, *MINI, *LOSSLESS, "-o", "out.mkv"), "out.mkv"),
    "enhance as h264": (("enhance", *SOUND, *MINI, "-o", "out.mp4"), "out.mp4"),
    "enhance, two references": (
        ("enhance", *SOUND, "--ref", "other.png@50", *MINI, *LOSSLESS, "-o", "out.mkv"),
        "out.mkv",
    ),
    "enhance with toy Wan": (("enhance", *SOUND, *WAN, *LOSSLESS, "-o", "out.mkv"), "out.mkv"),
    "stylize": (
        ("stylize", "clip.mkv", "--style", "other.png", *LOSSLESS, "-o", "out.mkv"),
        "out.mkv",
    ),
    "encode with toy Wan": (
        ("encode", "clip.mkv", *WAN, "-o", "out.safetensors"),
        "out.safetensors",
    ),
    "decode with toy Wan": (
        ("decode", "latents.safetensors", *REFERENCE, *WAN, *LOSSLESS, "-o", "out.mkv"),
        "out.mkv",
    ),
    "a new sequence": (("enhance", "shots", *REFERENCE, *MINI), "shots_refvid/shot_%04d.png"),
    "a sequence beside others": (
        ("enhance", "clip.mkv", "--strength", "0", "-o", "old/f_%04d.png"),
        "old/f_%04d.png",
    ),
}


def make_originals(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from refvid.models.wan.autoencoder import WanAutoencoder
    from refvid.models.wan.config import WanConfig

    for name in ("old", "shots"):
        (folder / name).mkdir(parents=True)
    (folder / "old/notes.txt").write_text("mine")
    shots = moving_pattern(CUT, 64, 128, seed=1), moving_pattern(FRAMES - CUT, 64, 128, seed=5)
    write_clip(folder / "clip.mkv", np.concatenate(shots))
    for number, picture in enumerate(np.concatenate(shots)):
        write_image(folder / f"shots/shot_{number:04d}.png", picture)
    write_image(folder / "photo.png", shots[0][5])
    write_image(folder / "other.png", shots[1][9])
    torch.manual_seed(0)
    config = WanConfig(
        base_channels=2,
        channel_multipliers=(1, 1, 1, 1),
        residual_blocks=1,
        transformer_blocks=1,
        heads=1,
        head_channels=8,
        feed_forward_channels=8,
    )
    metadata = {"backbone": "wan2.1", "network": json.dumps(asdict(config))}
    weights = WanAutoencoder(config).state_dict()
    save_file(weights, folder / "wan.safetensors", metadata=metadata)
    words = ("encode", "clip.mkv", *WAN, "-o", "latents.safetensors")
    ended = warm.run(words, folder)
    assert ended.code == 0, ended.said


def write_clip(path: Path, pixels: np.ndarray) -> None:
    """With sound that is copied packet by packet."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=25, options={"crf": "20"})
        video.height, video.width = pixels.shape[1:3]
        video.pix_fmt = "yuv420p"
        sound: Any = container.add_stream("flac", rate=48000, layout="mono")
        for picture in pixels:
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        samples = np.random.default_rng(0).integers(-9999, 9999, (1, 48000 * len(pixels) // 25))
        frame = av.AudioFrame.from_ndarray(samples.astype(np.int16), "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


def content(path: Path) -> Any:
    """All that a result holds: frames, times and sound; or bytes."""
    if path.suffix == ".safetensors":
        return path.read_bytes()
    with open_video(path) as video:
        frames = [(frame.time, frame.pixels.tobytes()) for frame in video]
    sound: list[tuple[Any, bytes]] = []
    if path.suffix in (".mkv", ".mp4"):
        with av.open(str(path)) as container:
            packets = container.demux(container.streams.audio) if container.streams.audio else ()
            sound = [(packet.pts, bytes(packet)) for packet in packets if packet.size]
    return frames, sound


WRONG = "results that are not those of an undisturbed run"
LEFT = "things left when all is done"
LOST = "originals changed"
CODES = "wrong exit codes"


NextKill = Callable[[], tuple[Callable[[float], bool], signal.Signals]]
"""Gives what a run is asked all the time, whether it must stop, and the signal that stops it."""


def run_and_kill(words: tuple[str, ...], folder: Path, next_kill: NextKill) -> list[warm.Ended]:
    """Give a command again and again until no kill stops it: all runs; the last was not killed."""
    runs: list[warm.Ended] = []
    while True:
        must_stop, number = next_kill()
        runs.append(warm.run(words, folder, must_stop=must_stop, number=number, stretch=STRETCH))
        if runs[-1].code not in (-number, {signal.SIGTERM: 143, signal.SIGINT: 130}.get(number)):
            return runs


def goes_on(ended: warm.Ended) -> bool:
    return "going on with" in ended.said


def go_through(
    words: tuple[str, ...], folder: Path, seconds: float, draw: random.Random, counts: Counter[str]
) -> str:
    """Kill a run at random moments until it gets to its end; what the last one said."""

    def next_kill() -> tuple[Callable[[float], bool], signal.Signals]:
        number = draw.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        return partial(operator.le, draw.uniform(0, 1.1 * seconds)), number

    *killed, last = runs = run_and_kill(words, folder, next_kill)
    counts["kills"] += len(killed)
    counts["runs that went on with stretches"] += sum(map(goes_on, runs))
    # A kill may come between the result's appearance and the end: the next run refuses it, and what
    # stands there is compared as any other result.
    was_refused = bool(killed) and last.code == 4 and "exists already" in last.said
    counts["results that were there at the kill"] += was_refused
    if last.code != 0 and not was_refused:
        counts[CODES] += 1
        return f"{CODES}: {last.code}\n{last.said}"
    return last.said


def test_killed_runs_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Sums of several threads are not always the same to the last bit; results are compared.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("REFVID_CACHE", str(tmp_path / "cache"))
    warm.start()
    draw, started = random.Random(SEED), time.monotonic()
    originals = tmp_path / "originals"
    make_originals(originals)
    names = {path.relative_to(originals) for path in originals.rglob("*")}
    counts = Counter({"kills": 0, WRONG: 0, LEFT: 0, LOST: 0, CODES: 0})
    faults: list[str] = []
    wanted: dict[str, tuple[Any, float]] = {}
    turn = 0
    while counts["kills"] < KILLS:
        name = list(SCENES)[turn % len(SCENES)]
        words, result = SCENES[name]
        folder = tmp_path / f"turn{turn}"
        if name not in wanted:
            shutil.copytree(originals, folder)
            ended = warm.run(words, folder, stretch=STRETCH)
            assert ended.code == 0, ended.said
            wanted[name] = content(folder / result), ended.seconds
            shutil.rmtree(folder)
        shutil.copytree(originals, folder)
        said = go_through(words, folder, wanted[name][1], draw, counts)
        if CODES in said:
            faults.append(f"{name}, turn {turn}: {said}")
        elif content(folder / result) != wanted[name][0]:
            counts[WRONG] += 1
            faults.append(f"{name}, turn {turn}: {WRONG}\n{said}")
        there = {path.relative_to(folder) for path in folder.rglob("*")}
        if names - there:
            counts[LOST] += 1
            faults.append(f"{name}, turn {turn}: {names - there}")
        if hidden := [path for path in there if path.name.startswith(".")]:
            counts[LEFT] += 1
            faults.append(f"{name}, turn {turn}: {hidden}")
        counts[f"  through {name}"] += 1
        with capsys.disabled():
            print(f"{counts['kills']:5} kills, {name}", flush=True)  # noqa: T201
        shutil.rmtree(folder)
        turn += 1
    with capsys.disabled():
        print(f"\nin {time.monotonic() - started:.0f} s, seed {SEED}")  # noqa: T201
        for kind, count in counts.items():
            print(f"{count:5} {kind}")  # noqa: T201
    assert not faults, "\n".join(faults)
    assert counts["runs that went on with stretches"]


def written_lines(folder: Path) -> int:
    """Finished stretches and parts that are noted in a folder, and a few lines more."""
    notes = [*folder.glob(".refvid-resume-*/*.jsonl")]
    with suppress(FileNotFoundError):  # the result has just appeared
        return sum(note.read_bytes().count(b"\n") for note in notes)
    return 0


def test_devices_that_share_a_video_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Most of the time such a run gets its processes ready: so a run is killed whenever it has
    # finished a few things more.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("REFVID_CACHE", str(tmp_path / "cache"))
    warm.start()
    draw = random.Random(SEED)
    folder, calm = tmp_path / "killed", tmp_path / "calm"
    shots = [moving_pattern(25 + seed, 64, 128, seed=seed) for seed in (1, 5, 9, 2)]
    for place in (folder, calm):
        place.mkdir()
        write_clip(place / "clip.mkv", np.concatenate(shots))
        write_image(place / "photo.png", shots[0][5])
    words = ("enhance", *SOUND, *MINI, *LOSSLESS, "-o", "out.mkv", "--device", "cpu:2")
    assert warm.run(words, calm, stretch=STRETCH).code == 0

    def next_kill() -> tuple[Callable[[float], bool], signal.Signals]:
        enough = written_lines(folder) + draw.randint(2, 5)
        return lambda _seconds: written_lines(folder) >= enough, signal.SIGKILL

    *killed, last = runs = run_and_kill(words, folder, next_kill)
    with capsys.disabled():
        print(f"\n{len(killed):5} kills, two devices")  # noqa: T201
    assert last.code == 0, last.said
    assert not any("it is one shot" in run.said for run in runs)
    assert killed
    assert [goes_on(run) for run in runs] == [False, *[True] * len(killed)]
    assert content(folder / "out.mkv") == content(calm / "out.mkv")
    assert {path.name for path in folder.iterdir()} == {"clip.mkv", "photo.png", "out.mkv"}
