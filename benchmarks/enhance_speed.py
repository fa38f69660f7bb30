"""End-to-end speed of `refvid enhance`, next to what the machine can do.

    python benchmarks/enhance_speed.py [--frames 48] [--sizes 256 480 720]

For each size, in one run: frames per second of the whole command (a process of its own, start-up
included), of the command without start-up, and of plain decoding and encoding of the same clip
with the same reader and writer. Then the machine's matrix rates, and where a frame's time goes
inside the model. Figures depend on what else the machine does: compare them within a run.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import torch
from PIL import Image

from refvid.inference.pixels import frames_to_clip
from refvid.media.encoding import Encoding
from refvid.media.reader import open_video
from refvid.media.writer import create_video
from refvid.models.mini.autoencoder import MiniBackbone
from refvid.models.mini.decoder import spectrum_of
from refvid.rebuild.options import ModelOptions
from refvid.training.degradations import write_h264
from refvid.training.synthetic import moving_photo
from refvid.workflows.choose_model import choose_backbone

WIDTHS = {256: 448, 480: 832, 720: 1280, 1080: 1920, 2160: 3840}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 480, 720], choices=WIDTHS)
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for dtype in (torch.float32, torch.bfloat16):
        print(f"matrix product, {dtype}: {matrix_rate(dtype):.0f} GFLOP/s")
    with tempfile.TemporaryDirectory() as folder:
        for height in arguments.sizes:
            measure_size(Path(folder), height, arguments.frames)


def matrix_rate(dtype: torch.dtype, size: int = 2048) -> float:
    """Best of five products of square matrices [GFLOP/s]."""
    a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    return 2 * size**3 / min(seconds(lambda: a @ b) for _ in range(6)) / 1e9


def measure_size(folder: Path, height: int, frames: int) -> None:
    width = WIDTHS[height]
    source, reference = folder / f"{height}.mp4", folder / f"{height}.png"
    clip = make_clip(width, height, frames)
    write_h264(clip, source, crf=30, rate=24)
    Image.fromarray(clip[0]).save(reference)

    command = [
        sys.executable, "-m", "refvid", "enhance", str(source), "--ref", str(reference),
        "-o", str(folder / f"{height}_out.mp4"), "-y", "-q", "--json",
    ]  # fmt: skip
    started = time.perf_counter()
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    whole = time.perf_counter() - started
    inner = json.loads(printed)["results"][0]["report"]["seconds"]
    plain = seconds(lambda: copy(source, folder / f"{height}_copy.mp4"))
    print(
        f"{width}x{height}, {frames} frames: {frames / whole:.2f} frames/s the whole command, "
        f"{frames / inner:.2f} without start-up; plain decode + encode {frames / plain:.1f}"
    )
    for name, share in model_times(source).items():
        print(f"    {name:28s} {share * 1000:7.1f} ms a frame")


def make_clip(width: int, height: int, frames: int):
    with (
        resources.as_file(resources.files("refvid.assets") / "astronaut.webp") as path,
        Image.open(path) as picture,
    ):
        side = max(width, height) * 5 // 4
        photo = picture.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    return moving_photo(
        photo, size=(width, height), frames=frames, rng=random.Random(0), foreground=photo
    )


def copy(source: Path, target: Path) -> None:
    """Decode to RGB and encode again, with refvid's reader and writer and nothing between."""
    with (
        open_video(source) as video,
        create_video(target, like=video.info, encoding=Encoding(), overwrite=True) as output,
    ):
        for frame in video:
            output.write(frame.pixels, frame)


def model_times(source: Path, frames: int = 6) -> dict[str, float]:
    """Seconds per frame of the model's parts, one after the other."""
    loaded = choose_backbone(ModelOptions(model="mini"))
    backbone = loaded.backbone
    assert isinstance(backbone, MiniBackbone)
    with open_video(source, frames=frames) as video:
        clip = frames_to_clip([frame.pixels for frame in video], loaded.device)
    spent: dict[str, float] = defaultdict(float)

    def timed(name: str, work: Callable[[], object]) -> object:
        started = time.perf_counter()
        result = work()
        spent[name] += (time.perf_counter() - started) / (frames - 1)
        return result

    with torch.inference_mode():
        reference = backbone.prepare_reference(clip[:, :, 0])
        position = None
        for index in range(frames):
            if index == 1:
                spent.clear()  # The first frame warms up.
            latents = timed(
                "encode (patch transform)", lambda i=index: backbone.encode(clip[:, :, i : i + 1])
            ).latents
            frame = timed(
                "decode (patch transform)", lambda z=latents: backbone.codec.decode(z[:, :, 0])
            )
            matches = timed(
                "matching", lambda f=frame, p=position: match_tokens(f, reference.index, p)
            )
            position = matches.position
            attended = timed(
                "reference attention",
                lambda f=frame, m=matches: backbone.decoder.attention(
                    f.to(backbone.dtype), reference.keys, m
                ),
            )
            spectrum = spectrum_of(latents[:, :, 0])
            timed("fusion", lambda f=frame, s=spectrum, a=attended: backbone.decoder(f, s, a))
    return dict(spent)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
