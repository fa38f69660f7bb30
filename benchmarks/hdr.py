"""Does HDR gain what SDR gains? SDR clips wrapped in PQ and HLG, rebuilt, and unwrapped again.

    python benchmarks/hdr.py CLIPS [--frames 9] [--passthrough]

Degraded clips are coded as 10 bits of HDR by BT.2408, in BT.2020's primaries; the reference is the
clean first frame as an SDR picture. PSNR is that of SDR, of the frames after it; the gain is that
over the degraded clip. `--passthrough` adds what the code values as they are would gain.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from refvid.evaluation.clips import find_clips, read_clip
from refvid.evaluation.measures import frame_psnr
from refvid.media.color import BT709, BT2020, HLG, PQ, ColorInfo
from refvid.media.domain import Domain, wrap_sdr
from refvid.media.light import SDR_GAMMA, convert_primaries, light_of_pq, shown_by_hlg
from refvid.rebuild.canvas import Canvas
from refvid.rebuild.choose_backbone import LoadedBackbone, choose_backbone
from refvid.rebuild.frames import rebuild_frames
from refvid.rebuild.memory import choose_budget
from refvid.rebuild.options import ModelOptions
from refvid.rebuild.pixels import Pixels
from refvid.rebuild.reference_choice import make_feed
from refvid.rebuild.reference_feed import GivenReference
from refvid.rebuild.references import Conditions
from refvid.training.degradations import EVALUATION_DEGRADATIONS, degrade

_TEN_BITS = 1023 / 65535

Frames = NDArray[np.uint8]
"""(T, H, W, 3) RGB."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--frames", type=int, default=9)
    parser.add_argument("--passthrough", action="store_true")
    arguments = parser.parse_args()
    loaded = choose_backbone(ModelOptions(model="mini"))
    ways: dict[str, Callable[[Frames, Frames], Frames]] = {
        "SDR": lambda degraded, clean: rebuild(loaded, degraded, clean[0], None),
        "PQ": lambda degraded, clean: through_hdr(loaded, degraded, clean[0], PQ),
        "HLG": lambda degraded, clean: through_hdr(loaded, degraded, clean[0], HLG),
    }
    if arguments.passthrough:
        for name, transfer in (("PQ", PQ), ("HLG", HLG)):
            ways[f"{name} as it is"] = partial(as_it_is, loaded, transfer)
    gains: list[list[float]] = []
    print("| clip |", " | ".join(["degraded", *ways]), "|")
    print("| --- |", " | ".join("---" for _ in ["", *ways]), "|")
    for path in find_clips(arguments.clips):
        clean = read_clip(path, arguments.frames)
        for name, how in EVALUATION_DEGRADATIONS.items():
            degraded = degrade(clean, how)
            before = fmean(frame_psnr(degraded[1:], clean[1:]))
            after = [
                fmean(frame_psnr(way(degraded, clean)[1:], clean[1:])) for way in ways.values()
            ]
            gains.append([score - before for score in after])
            scores = " | ".join(f"{score:.2f}" for score in (before, *after))
            print(f"| {path.stem}, {name} | {scores} |", flush=True)
    means = [fmean(column) for column in zip(*gains, strict=True)]
    print("| mean gain | |", " | ".join(f"{mean:+.2f}" for mean in means), "|")
    print("| of SDR's | |", " | ".join(f"{mean / means[0]:.0%}" for mean in means), "|")


def as_it_is(loaded: LoadedBackbone, transfer: int, degraded: Frames, clean: Frames) -> Frames:
    return through_hdr(loaded, degraded, clean[0], transfer, converts=False)


def through_hdr(
    loaded: LoadedBackbone,
    degraded: Frames,
    reference: Frames,
    transfer: int,
    *,
    converts: bool = True,
) -> Frames:
    """Wrap a clip, rebuild it as the commands do, and unwrap the result."""
    domain = Domain.of(ColorInfo(primaries=BT2020, transfer=transfer))
    assert domain is not None, "HDR has one"
    wrapped = np.stack([wrap_sdr(frame, transfer, BT2020) for frame in degraded])
    wrapped = (np.rint(wrapped * _TEN_BITS) / _TEN_BITS).round().astype(np.uint16)
    if converts:
        rebuilt = rebuild(loaded, wrapped, reference, domain)
    else:
        rebuilt = rebuild(loaded, wrapped, wrap_sdr(reference, transfer, BT2020), None)
    return np.stack([unwrap(frame, transfer) for frame in rebuilt])


def rebuild(
    loaded: LoadedBackbone, frames: Pixels, reference: Pixels, domain: Domain | None
) -> Pixels:
    height, width = frames.shape[1:3]
    canvas = Canvas(size=(width, height), domain=domain)
    conditions = condition_on(canvas.bring(reference), loaded, canvas.size)
    budget = choose_budget(loaded.backbone.limits, height, width)
    return rebuild_frames(loaded, frames, conditions, budget, canvas=canvas)[0]


def condition_on(picture: Pixels, loaded: LoadedBackbone, size: tuple[int, int]) -> Conditions:
    """One picture (h, w, 3) that is in memory, ready for frames of a width and height."""
    given = GivenReference(name="a picture", read=lambda: picture)
    return Conditions(feed=make_feed([given], loaded, size, fit="auto", first=lambda: None))


def unwrap(frame: NDArray[np.uint16], transfer: int) -> Frames:
    """HDR codes (h, w, 3) -> the SDR picture that was wrapped."""
    codes = frame / np.float32(65535)
    light = light_of_pq(codes) if transfer == PQ else shown_by_hlg(codes)
    values = np.maximum(convert_primaries(light, BT2020, BT709), 0) ** (1 / SDR_GAMMA)
    return (values.clip(0, 1) * 255).round().astype(np.uint8)


if __name__ == "__main__":
    main()
