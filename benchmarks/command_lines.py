"""Run the same command lines on two versions of the program, and compare what they leave.

    python benchmarks/command_lines.py record STORE [--program FOLDER] [--only WORDS]
    python benchmarks/command_lines.py compare STORE STORE

`record` makes small clips, runs every line of `LINES` in a fresh copy of them with the `refvid` of
FOLDER (a checkout; this one's without), and stores exit codes, what was printed, and a hash of
every file that was made. `compare` prints what differs between two stores, and exits with 1 if
anything does. Both stores must be recorded on one machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

_FRAMES = 12
_MODEL = "--device cpu --dtype fp32"
# The assembler code of x264 gives other bits from time to time, where the quality is by crf.
_SURE = f"-e x264-params=asm=0 {_MODEL}"
_RUN_S = 300

# The files that a line makes stay in its own folder: every line begins with the same inputs.
LINES = (
    # One video after the other, with every kind of reference, part and output.
    f"enhance clip.mp4 --ref photo.png {_SURE} --json",
    f"enhance clip.mp4 --ref frame:3 -o out.mp4 {_SURE} --json --chunk 5",
    f"enhance clip.mp4 --ref time:0.2 -o out.mov --start 2f --frames 7 {_SURE} --memory 2G",
    f"enhance silent.mp4 --ref frame:0 -o out.webm --preview 4f -c vp9 --crf 30 {_MODEL} --json",
    f"enhance clip.mp4 -o out_%03d.png --strength 0.5 --end 5f {_MODEL} --json",
    f"enhance 'shot/f_%03d.png' --ref shot/f_000.png --rate 25 -o out.mp4 {_SURE} --json",
    f"enhance cut.mp4 --ref photo.png --ref-fit contain -o out.mp4 --tile 64 {_SURE} --json",
    f"enhance cut.mp4 --no-cut-detection --no-metadata --audio none -o out.mp4 {_SURE} --json",
    f"enhance cut.mp4 -o out.mp4 -e preset=slow --crf 20 --strength 0 {_SURE}",
    f"enhance clip.mp4 --ref photo.png --dry-run {_MODEL}",
    f"enhance clip.mp4 --ref photo.png --dry-run --json -o out.mkv {_MODEL} --chunk 4",
    f"enhance clip.mp4 --ref photo.png --compare --frames 4 -o out.mp4 {_SURE} --json",
    # Batches.
    f"enhance videos -o results/ --ref photo.png {_SURE} --json",
    f"enhance videos bad.mp4 missing.mp4 -r -o results/ --ref frame:0 {_SURE} --json",
    f"enhance videos -o 'videos/{{stem}}_new{{ext}}' -n {_SURE} --json --frames 3",
    f"enhance missing.mp4 videos/a.mp4 --fail-fast -o results/ {_SURE} --json",
    f"enhance clip.mp4 -o done.mp4 -n {_SURE} --json",
    f"enhance clip.mp4 -o done.mp4 -y --frames 2 {_SURE} --json",
    f"enhance clip.mp4 -o done.mp4 {_SURE} --json",
    # The other commands that take files through a model.
    f"stylize clip.mp4 --style photo.png -o out.mp4 --frames 5 {_SURE} --json",
    f"stylize clip.mp4 --style photo.png:2 --style shot/f_000.png -o out.mp4 {_SURE} --json",
    f"stylize clip.mp4 --keyframe photo.png@2 --preserve-color --frames 4 -o a.mp4 {_SURE} --json",
    f"stylize clip.mp4 --keyframe photo.png@0.1s --style-scale 0.5 --dry-run {_MODEL}",
    f"stylize videos --style photo.png --dry-run --json -o results/ {_MODEL}",
    "stylize clip.mp4",
    "stylize clip.mp4 --style photo.png -o photo.png -y",
    f"encode clip.mp4 -o out.safetensors --model mini {_MODEL} --json",
    f"encode clip.mp4 cut.mp4 -o latents/ --model mini --start 0.1 --frames 6 {_MODEL} --json",
    f"encode clip.mp4 --dry-run --model mini {_MODEL}",
    "encode clip.mp4 -o out.pt --model mini",
    f"decode in.safetensors --ref photo.png -o out.mp4 {_SURE} --json -v",
    f"decode in.safetensors --refs shot --dry-run --json -o out.mp4 {_MODEL}",
    f"decode in.safetensors --fps 23.976 --chunk 4 -o out_%03d.png {_MODEL} --json",
    f"decode in.safetensors -o out.mp4 --dry-run {_MODEL}",
    f"decode in.safetensors --baseline -o out.mp4 {_SURE} --json",
    f"decode in.safetensors clip.mp4 missing.pt -o results/ --ref photo.png {_SURE} --json",
    # Two or more videos side by side.
    "compare clip.mp4 worse.mp4 -o page.html --seed 1 --json",
    "compare clip.mp4 worse.mp4 'shot/f_%03d.png' --sheet s.png --montage m.webm --frames 6 --json",
    "compare clip.mp4 short.mp4 -o page.html --json",
    "compare clip.mp4 worse.mp4 -o clip.mp4 -y --json",
    "metrics worse.mp4 clip.mp4 --reference clip.mp4 --json --csv table.csv",
    "metrics worse.mp4 --reference clip.mp4 --mask photo.png --frames 5",
    "metrics short.mp4 --reference clip.mp4 --json",
    "metrics slow.mp4 --reference clip.mp4 --json",
    "metrics cut.mp4 --reference clip.mp4 --csv clip.mp4 -y",
    # Words.
    "info clip.mp4 --json",
    "info in.safetensors",
    "info bad.mp4 --json",
    "models list --json",
    "models path mini-plus --json",
    "--help",
    *(
        f"{name} --help"
        for name in ("enhance", "stylize", "decode", "encode", "compare", "metrics")
    ),
    "evaluate --help",
    "demo --help",
    "models download --help",
    "enhance clip.mp4 --ref missing.png --json",
    "enhance clip.mp4 --start 5 --end 2 --json",
    "enhance clip.mp4 --preview 2s --frames 5",
    "enhance clip.mp4 --tile x --json",
    "enhance clip.mp4 --memory much",
    "enhance clip.mp4 --frames 0",
    "enhance clip.mp4 -y -n --json",
    "enhance clip.mp4 -q -v",
    "enhance clip.mp4 -o clip.mp4 -y",
    "enhance clip.mp4 -o nowhere",
    "enhance clip.mp4 --compare --start 1 --json",
    f"enhance clip.mp4 --ref frame:99 -o out.mp4 {_SURE} --json",
    f"enhance clip.mp4 --start 99 -o out.mp4 {_SURE} --json",
    f"enhance clip.mp4 -c none -o out.mp4 {_SURE} --json",
    "enhance clip.mp4 -o out.mp4 --device cuda:7 --json",
    "enhance clip.mp4 --weights none.pt",
)

_EMBEDDED = re.compile(rb'[A-Za-z0-9+/=]{2000,}|"id": *"[0-9a-f]{16}"')
# Of one run, not of the program.
_TIMES = (
    (re.compile(r'"seconds": [0-9.e-]+'), '"seconds": 0'),
    (re.compile(r"in \d+:\d\d \([0-9.]+ frames/s\)"), "in 0:00"),
    (re.compile(r", \d+:\d\d left"), ""),
    (re.compile(r"[0-9.]+ GiB are (free|allowed)"), "some are free"),
    (re.compile(r"partial-\d+"), "partial"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    words = parser.add_subparsers(dest="word", required=True)
    recorder = words.add_parser("record")
    recorder.add_argument("store", type=Path)
    recorder.add_argument("--program", type=Path, default=Path(__file__).parents[1])
    recorder.add_argument("--only", default="")
    comparer = words.add_parser("compare")
    comparer.add_argument("stores", type=Path, nargs=2)
    options = parser.parse_args()
    if options.word == "record":
        return record(options.store, options.program.resolve(), options.only)
    return compare(*options.stores)


def record(store: Path, program: Path, only: str) -> int:
    """Run the lines; the store is JSON, one entry per line."""
    # The same path each time: it is part of some messages.
    place = Path(tempfile.gettempdir(), "refvid-command-lines")
    shutil.rmtree(place, ignore_errors=True)
    inputs = place / "inputs"
    make_inputs(inputs, program)
    entries = {}
    for line in LINES:
        if only not in line:
            continue
        folder = place / "run"
        shutil.copytree(inputs, folder)
        before = set(folder.rglob("*"))
        entries[line] = run(line, folder, program)
        entries[line]["files"] = {
            str(path.relative_to(folder)): fingerprint(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and (path not in before or path.name == "done.mp4")
        }
        shutil.rmtree(folder)
        print(f"{entries[line]['exit_code']:>4}  {line}", file=sys.stderr)
    store.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(place)
    return 0


def run(line: str, folder: Path, program: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "refvid", *shlex.split(line)],
        cwd=folder,
        env=environment(program),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_RUN_S,
        check=False,
    )
    return {
        "exit_code": done.returncode,
        "stdout": without_times(done.stdout.replace(str(program), "PROGRAM")),
        "stderr": without_times(done.stderr.replace(str(program), "PROGRAM")),
    }


def environment(program: Path) -> dict[str, str]:
    home = Path(tempfile.gettempdir(), "refvid-command-lines", "home")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "HF_HOME": str(home / "hub"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        "PYTHONPATH": str(program),
        "COLUMNS": "100",
    }


def without_times(text: str) -> str:
    for pattern, word in _TIMES:
        text = pattern.sub(word, text)
    return text


def fingerprint(path: Path) -> str:
    """A hash of a file's bytes; of Matroska, which holds random numbers, of what is in it.

    Of a page without its random number and the videos in it, which x264 does not encode alike
    each time.
    """
    if path.suffix == ".html":
        return hashlib.sha256(_EMBEDDED.sub(b"", path.read_bytes())).hexdigest()
    if path.suffix not in (".mkv", ".webm"):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    with av.open(str(path)) as container:
        digest.update(repr(sorted(container.metadata.items())).encode())
        for packet in container.demux():
            digest.update(repr((packet.stream_index, packet.pts, packet.duration)).encode())
            digest.update(bytes(packet))
    return digest.hexdigest()


def make_inputs(folder: Path, program: Path) -> None:
    """Clips of a drifting pattern, a photograph of it, images, latents, and what is broken."""
    (folder / "shot").mkdir(parents=True)
    (folder / "videos" / "more").mkdir(parents=True)
    pictures = pattern(_FRAMES, seed=1)
    write_clip(folder / "clip.mp4", pictures, sound=True)
    write_clip(folder / "silent.mp4", pictures)
    write_clip(folder / "worse.mp4", pictures // 16 * 16)
    write_clip(folder / "short.mp4", pictures[:7])
    write_clip(folder / "slow.mp4", pictures, rate=20)
    write_clip(folder / "cut.mp4", np.concatenate([pictures[:7], pattern(9, seed=2)]), sound=True)
    write_clip(folder / "done.mp4", pictures[:3])
    write_clip(folder / "videos" / "a.mp4", pictures[:4], sound=True)
    write_clip(folder / "videos" / "b.mkv", pictures[4:9])
    write_clip(folder / "videos" / "b_new.mkv", pictures[4:9])
    write_clip(folder / "videos" / "more" / "c.mp4", pictures[:3])
    (folder / "bad.mp4").write_bytes((folder / "clip.mp4").read_bytes()[:900])
    Image.fromarray(pictures[0]).resize((160, 100)).save(folder / "photo.png")
    for index, picture in enumerate(pictures[:8]):
        Image.fromarray(picture).save(folder / "shot" / f"f_{index:03d}.png")
    Image.fromarray(pictures[0]).save(folder / "shot" / "in.png")
    made = run(f"encode clip.mp4 -o in.safetensors --model mini {_MODEL}", folder, program)
    assert made["exit_code"] == 0, made["stderr"]


def pattern(frames: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    coarse = 0.5 * random.integers(0, 256, (6, 8, 3)) + 0.5 * random.integers(0, 256, 3)
    wide = np.kron(coarse, np.ones((12, 12, 1)))
    return np.stack([np.roll(wide, index, axis=1) for index in range(frames)]).astype(np.uint8)


def write_clip(path: Path, pictures: np.ndarray, rate: int = 24, *, sound: bool = False) -> None:
    with av.open(str(path), "w") as container:
        container.metadata["title"] = path.stem
        video = container.add_stream("libx264", rate=rate, options={"qp": "12"})
        video.height, video.width = pictures.shape[1:3]
        video.pix_fmt = "yuv420p"
        # What several threads make of a clip is not the same every time.
        video.codec_context.thread_count = 1
        audio = container.add_stream("aac", rate=48000, layout="mono") if sound else None
        for picture in pictures:
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        if audio is not None:
            length = 48000 * len(pictures) // rate
            wave = np.sin(np.arange(length) / 20).astype(np.float32)[None]
            tone = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            tone.sample_rate, tone.time_base, tone.pts = 48000, Fraction(1, 48000), 0
            container.mux([*audio.encode(tone), *audio.encode(None)])


def compare(first: Path, second: Path) -> int:
    before, after = (json.loads(path.read_text(encoding="utf-8")) for path in (first, second))
    differing = 0
    for line in dict.fromkeys([*before, *after]):
        one, other = before.get(line), after.get(line)
        if one == other:
            continue
        differing += 1
        print(f"differs: {line}")
        for name in ("exit_code", "stdout", "stderr", "files"):
            mine, its = (None if each is None else each[name] for each in (one, other))
            if mine != its:
                print(f"--- {name}\n{mine}\n+++ {name}\n{its}")
    print(f"{len(before)} lines, {differing} differ")
    return bool(differing)


if __name__ == "__main__":
    sys.exit(main())
