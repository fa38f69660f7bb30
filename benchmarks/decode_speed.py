"""Time and peak memory of decoding Wan 2.1 latents: refvid next to stock diffusers.

    python benchmarks/decode_speed.py [--quick] [--device cuda] [--sizes 128x128 192x320]
                                      [--frames 17 81] [--dtypes fp32 bf16] [--rounds 2]

Three programs decode the same random latents at full model size with random weights (16 bits in
memory for refvid, as in the published checkpoint; what diffusers is asked to compute in for
diffusers): refvid with reference attention, refvid without it, and `AutoencoderKLWan.decode`.
Each lives in a process of its own and they take turns, so that whatever else the machine does
falls on all of them. Seconds are the least of the rounds: the processor's time on a CPU, where
other programs may compute too, elapsed time on a GPU. Peak memory is the process's on a CPU
(weights and libraries included) and what PyTorch allocated, weights included, on a GPU. With the
attention skipped, refvid computes what diffusers computes, with weights of its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from refvid.models.wan.autoencoder import WanAutoencoder, WanBackbone
from refvid.models.wan.config import WanConfig

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
PEAK_RESET = Path("/proc/self/clear_refs")
"""Linux alone says how much memory a process took at most, and forgets it when told to."""

PROGRAMS = ("refvid", "refvid, attention skipped", "diffusers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--sizes", nargs="+", help="HEIGHTxWIDTH in pixels")
    parser.add_argument("--frames", type=int, nargs="+", default=[17, 81])
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=list(PROGRAMS))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="64x64, 5 and 17 frames, one round")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    if any(count % 4 != 1 for count in arguments.frames):
        parser.error("--frames takes numbers that are a multiple of 4 and one more")
    on_gpu = arguments.device != "cpu"
    sizes = arguments.sizes or (["480x832", "720x1280"] if on_gpu else ["128x128", "192x320"])
    frames, rounds = arguments.frames, arguments.rounds
    if arguments.quick:
        sizes, frames, rounds = ["64x64"], [5, 17], 1
    print(f"torch {torch.__version__}, {arguments.device}, {torch.get_num_threads()} threads")
    figures = []
    for dtype in arguments.dtypes:
        workers = {
            name: Worker(name, arguments.device, dtype, torch.get_num_threads())
            for name in arguments.programs
        }
        for size in sizes:
            height, width = map(int, size.split("x"))
            for count in frames:
                results = take_turns(workers, height, width, count, rounds)
                report(size, count, dtype, results)
                figures += [
                    {"program": name, "size": size, "frames": count, "dtype": dtype, **result}
                    for name, result in results.items()
                ]
        for worker in workers.values():
            worker.stop()
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


def take_turns(
    workers: dict[str, Worker], height: int, width: int, frames: int, rounds: int
) -> dict[str, dict[str, float]]:
    """Best seconds and highest memory of each program."""
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            measured[name].append(worker.decode(height, width, frames))
    return {
        name: {
            "seconds": min(result["seconds"] for result in results),
            "wall_seconds": min(result["wall_seconds"] for result in results),
            "gigabytes": max(result["gigabytes"] for result in results),
        }
        for name, results in measured.items()
    }


def report(size: str, frames: int, dtype: str, results: dict[str, dict[str, float]]) -> None:
    stock = results.get("diffusers")
    for name, result in results.items():
        ratio = f"  {result['seconds'] / stock['seconds']:.2f} x diffusers" if stock else ""
        print(
            f"{size} {frames:3d} frames {dtype}  {name:26s} {result['seconds']:8.2f} s "
            f"(wall {result['wall_seconds']:8.2f}) {result['gigabytes']:6.2f} GB{ratio}",
            flush=True,
        )


class Worker:
    """A process with one program's model."""

    def __init__(self, program: str, device: str, dtype: str, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=work, args=(other, program, device, dtype, threads))
        self.process.start()

    def decode(self, height: int, width: int, frames: int) -> dict[str, float]:
        self.connection.send((height, width, frames))
        answer: dict[str, float] = self.connection.recv()
        return answer

    def stop(self) -> None:
        self.connection.send(None)
        self.process.join()


def work(connection: Connection, program: str, device: str, dtype: str, threads: int) -> None:
    """Build one model, then decode whatever size is asked for."""
    torch.set_num_threads(threads)
    place, precision = torch.device(device), DTYPES[dtype]
    build = build_diffusers if program == "diffusers" else build_refvid
    decode = build(place, precision, program == "refvid")
    while (asked := connection.recv()) is not None:
        height, width, frames = asked
        generator = torch.Generator().manual_seed(0)
        latents = torch.randn(
            1, 16, (frames - 1) // 4 + 1, height // 8, width // 8, generator=generator
        )
        reference = torch.rand(1, 3, height, width, generator=generator) * 2 - 1
        reset_peak(place)
        started, started_cpu = time.perf_counter(), time.process_time()
        decoded = decode(latents, reference)
        if place.type == "cuda":
            torch.cuda.synchronize()
        wall, cpu = time.perf_counter() - started, time.process_time() - started_cpu
        assert decoded == frames
        connection.send(
            {
                "seconds": wall if place.type == "cuda" else cpu,
                "wall_seconds": wall,
                "gigabytes": peak_bytes(place) / 1e9,
            }
        )


def build_refvid(
    device: torch.device, dtype: torch.dtype, attention: bool
) -> Callable[[Tensor, Tensor], int]:
    with torch.device("meta"):
        model = WanAutoencoder(WanConfig())
    model.to_empty(device=device).to(torch.bfloat16)
    if not attention:
        del model.transformer.transformer  # as in a process that never touches it
    fill(model.ae.decoder, model.ae.post_quant_conv, model.transformer)
    backbone = WanBackbone(model, device, dtype, attention=attention)

    def decode(latents: Tensor, reference: Tensor) -> int:
        prepared = backbone.prepare_reference(reference) if attention else None
        state: Any = None
        frames = position = 0
        while position < latents.shape[2]:
            # 17 frames, then 16: 5 latents, then 4.
            stop = position + (5 if state is None else 4)
            decoded = backbone.decode(latents[:, :, position:stop], prepared, state)
            state, position = decoded.state, stop
            frames += decoded.clip.to("cpu").shape[2]
        return frames

    return decode


def build_diffusers(
    device: torch.device, dtype: torch.dtype, _: bool
) -> Callable[[Tensor, Tensor], int]:
    with torch.device("meta"):
        model = AutoencoderKLWan()
    model.to_empty(device=device).to(dtype).eval().requires_grad_(False)
    fill(model.decoder, model.post_quant_conv)

    @torch.inference_mode()
    def decode(latents: Tensor, _: Tensor) -> int:
        clip = model.decode(latents.to(device, dtype)).sample
        return int(clip.float().to("cpu").shape[2])

    return decode


def fill(*modules: torch.nn.Module) -> None:
    """Random weights that keep values in a sane range."""
    torch.manual_seed(0)
    for module in modules:
        for name, parameter in module.named_parameters():
            if parameter.ndim < 2 or "gamma" in name:
                parameter.data.fill_(0.0 if name.endswith("bias") else 1.0)
            else:
                parameter.data.normal_(std=parameter[0].numel() ** -0.5)


def reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif PEAK_RESET.exists():
        PEAK_RESET.write_text("5")


def peak_bytes(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if not PEAK_RESET.exists():
        return float("nan")
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
