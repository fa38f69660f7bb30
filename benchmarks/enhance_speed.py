"""End-to-end speed of `refvid enhance`, next to what the machine can do.

    python benchmarks/enhance_speed.py [--frames 48] [--sizes 256 480 720] [--scale 2]
        [--against CHECKOUT]

For each size, in one run: frames per second of the whole command (a process of its own, start-up
included), of the command without start-up, and of plain decoding and encoding of the same clip
with the same reader and writer. Then the machine's matrix rates, and where a frame's time goes
inside the model. Sizes are those of the results: with --scale the clip is so much smaller, its
reference not. Figures depend on what else the machine does: compare them within a run.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from processes import run

from refvid.media.encoding import Encoding
from refvid.media.reader import open_video
from refvid.media.writer import create_video
from refvid.models.backbone import Reference
from refvid.models.mini.alignment import align, find_coarse
from refvid.models.mini.autoencoder import MiniBackbone, to_pictures, to_shades
from refvid.models.mini.condition import MEASURED_CHANNELS, measure_losses
from refvid.models.mini.neighbours import REACH, Rebuilt, around, see, with_neighbours
from refvid.models.mini.shot import Mixed, place_reference
from refvid.rebuild.choose_backbone import choose_backbone
from refvid.rebuild.options import ModelOptions
from refvid.rebuild.pixels import frames_to_clip
from refvid.training.degradations import write_h264
from refvid.training.synthetic import moving_photo

WIDTHS = {256: 448, 480: 832, 720: 1280, 1080: 1920, 2160: 3840}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 480, 720], choices=WIDTHS)
    parser.add_argument("--rounds", type=int, default=1, help="of the whole command, in turns")
    parser.add_argument("--scale", type=int, choices=(2, 3, 4), help="enlarge to these sizes")
    parser.add_argument(
        "--against", type=Path, help="checkout of another version, to run the same command with"
    )
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for dtype in (torch.float32, torch.bfloat16):
        print(f"matrix product, {dtype}: {matrix_rate(dtype):.0f} GFLOP/s")
    with tempfile.TemporaryDirectory() as folder:
        for height in arguments.sizes:
            measure_size(Path(folder), height, arguments)


def matrix_rate(dtype: torch.dtype, size: int = 2048) -> float:
    """Best of five products of square matrices [GFLOP/s]."""
    a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    return 2 * size**3 / min(seconds(lambda: a @ b) for _ in range(6)) / 1e9


def measure_size(folder: Path, height: int, arguments: argparse.Namespace) -> None:
    width, frames = WIDTHS[height], arguments.frames
    source, reference = folder / f"{height}.mp4", folder / f"{height}.png"
    clip = make_clip(width, height, frames)
    write_h264(shrink(clip, arguments.scale or 1), source, crf=30, rate=24)
    words = ["--scale", str(arguments.scale)] if arguments.scale else []
    Image.fromarray(clip[0]).save(reference)
    versions = [Path(__file__).parents[1], *([arguments.against] if arguments.against else [])]
    for round_number in range(arguments.rounds):
        rates = [whole_command(version, source, reference, words, frames) for version in versions]
        said = [f"{whole:.2f} frames/s ({inner:.2f} without start-up)" for whole, inner in rates]
        line = f"{width}x{height}, {frames} frames, round {round_number + 1}: {said[0]}"
        if arguments.against:
            line += f"; {arguments.against.name}: {said[1]}; {rates[0][0] / rates[1][0]:.2f} times"
        print(line)
    plain = seconds(lambda: copy(source, folder / f"{height}_copy.mp4"))
    print(f"    plain decode + encode {frames / plain:.1f} frames/s")
    for name, cost in model_costs(source, clip[0]).items():
        memory = "" if cost.peak is None else f", {cost.peak / 2**20:5.0f} MiB more at its peak"
        print(f"    {name:28s} {cost.seconds * 1000:7.1f} ms a frame{memory}")


def whole_command(
    checkout: Path, source: Path, reference: Path, words: list[str], frames: int
) -> tuple[float, float]:
    """Frames per second of `enhance` in a process of its own, with start-up and without."""
    command = [
        sys.executable, "-P", "-m", "refvid", "enhance", str(source), "--ref", str(reference),
        "-o", str(source.with_name("out.mp4")), "-y", "-q", "--json", "--model", "mini", *words,
    ]  # fmt: skip
    # What is installed has its bytecode: without it, each run would compile every module anew.
    environment = {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": ""}
    ran = run(command, environment)
    return frames / ran.seconds, frames / ran.report["seconds"]


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


def shrink(frames, factor: int):
    """Frames (H, W, 3), each as much smaller."""
    size = (frames[0].shape[1] // factor, frames[0].shape[0] // factor)
    if factor == 1:
        return frames
    return [np.asarray(Image.fromarray(f).resize(size, Image.Resampling.BICUBIC)) for f in frames]


def copy(source: Path, target: Path) -> None:
    """Decode to RGB and encode again, with refvid's reader and writer and nothing between."""
    with (
        open_video(source) as video,
        create_video(target, like=video.info, encoding=Encoding(), overwrite=True) as output,
    ):
        for frame in video:
            output.write(frame.pixels, frame)


@dataclass(slots=True)
class Cost:
    """Of one part of the model."""

    seconds: float = 0.0
    peak: int | None = None
    """Resident memory at its peak over that before [bytes]; None where the system does not tell."""


def model_costs(source: Path, picture: NDArray[np.uint8], frames: int = 6) -> dict[str, Cost]:
    """What the model's parts take, one after the other; registration is once a shot."""
    loaded = choose_backbone(ModelOptions(model="mini"))
    backbone = loaded.backbone
    assert isinstance(backbone, MiniBackbone)
    with open_video(source, frames=frames) as video:
        clip = frames_to_clip([frame.pixels for frame in video], loaded.device)
    spent: dict[str, Cost] = defaultdict(Cost)

    def timed(name: str, work: Callable[[], Any], share: float = 1 / (frames - 1)) -> Any:
        before = start_peak()
        started = time.perf_counter()
        result = work()
        cost = spent[name]
        cost.seconds += (time.perf_counter() - started) * share
        if before is not None:
            cost.peak = max(cost.peak or 0, memory("VmHWM") - before)
        return result

    with torch.inference_mode():
        first = to_pictures(clip[:, :, 0])
        reference = Reference(read=lambda: picture)
        found = timed("registration", lambda: place_reference(reference, first), share=1)
        registration = spent["registration"]
        placed, coarse = found.placed, None
        assert placed is not None, "the clip's own frame is found"
        rebuilt: list[Rebuilt] = []
        for index in range(frames):
            if index == 1:
                spent.clear()  # The first frame warms up.
            frame = clip[:, :, index]
            told = timed("what was lost", lambda f=frame: lost(backbone, f))
            shades = to_shades(frame)
            coarse = timed("search", lambda s=shades, c=coarse: find_coarse(s, placed.shades, c))
            found = timed("alignment", lambda s=shades, c=coarse: align(s, placed, c))
            mixed = Mixed(found.pixels, found.trust)
            fused = timed("fusion", lambda f=frame, t=told, m=mixed: backbone.fuse(f, t, m))
            rebuilt.append(Rebuilt(fused, 1.0, see(fused, to_shades(fused), shades)))
            if index >= 2 * REACH:
                near = around(rebuilt, index - REACH)
                share = 1 / (frames - 2 * REACH)
                timed("frames around", lambda n=near: with_neighbours(*n), share=share)
    return {"registration, a shot": registration, **spent}


def lost(backbone: MiniBackbone, frame: torch.Tensor) -> torch.Tensor:
    return measure_losses(backbone.codec.encode(frame, MEASURED_CHANNELS), frame)


def start_peak() -> int | None:
    """Forget how much memory was in use at most; gives what is in use now [bytes]."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return None
    return memory("VmRSS")


def memory(field: str) -> int:
    """A line of /proc/self/status [bytes]."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
