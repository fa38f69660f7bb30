"""How well photos of a scene are laid over degraded frames of it, and how long that takes.

Every clip's first frame, seen by another camera in six ways, is registered to the same frame as
a degraded video has it. Then: the clean frame laid over later and letterboxed frames, and every
clip's frame offered to every other clip, where each acceptance is a mistake.

    python benchmarks/registration.py CLIPS
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refvid.models.mini.color_map import IDENTITY, ColorMap, apply_colors
from refvid.models.mini.planes import Plane
from refvid.models.mini.reference_view import prepare_reference, view
from refvid.models.mini.registration import Registration, match_pictures, register
from refvid.models.mini.smooth_map import pixel_grid
from refvid.training.degradations import EVALUATION_DEGRADATIONS, decode_rgb, degrade

Picture = NDArray[np.uint8]

FAR_FRAMES = (16, 36)
EXPOSURE: ColorMap = np.array(
    [[1.27, 0, 0, 3], [0, 1.2, 0, 0], [0, 0, 1.1, -2]], np.float32
)  # 20 % brighter, warmer


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """What is measured of one clip."""

    name: str
    clean: Picture
    degraded: dict[str, Picture]
    later: dict[int, tuple[Picture, Picture]]
    """Clean and degraded (crf36) by frame number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """How another camera sees a frame of a size (height, width)."""

    zoom: float = 1.0
    degrees: float = 0.0
    square: bool = False
    size: float = 1.0
    colors: ColorMap
    jpeg: int | None = None

    def plane(self, height: int, width: int) -> tuple[Plane, tuple[int, int]]:
        """From the frame's places to the photo's, and the photo's width and height."""
        sides = (min(height, width),) * 2 if self.square else (width, height)
        photo = round(sides[0] * self.size), round(sides[1] * self.size)
        angle, zoom = np.deg2rad(self.degrees), self.zoom * self.size
        turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        plane = np.eye(3)
        plane[:2, :2] = turn
        center = np.array([(width - 1) / 2, (height - 1) / 2])
        plane[:2, 2] = (np.array(photo) - 1) / 2 - turn @ center
        return plane, photo

    def take(self, frame: Picture) -> tuple[Picture, Plane]:
        """A photo of a frame, drawn at twice the size and averaged, and the map to it."""
        plane, (width, height) = self.plane(*frame.shape[:2])
        photo = frame
        if not np.array_equal(plane, np.eye(3)) or photo.shape[:2] != (height, width):
            double = np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])
            large = cv2.warpPerspective(
                frame, double @ plane, (2 * width, 2 * height), flags=cv2.INTER_LANCZOS4
            )
            photo = np.asarray(cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA))
        photo = apply_colors(np.asarray(photo, np.uint8), self.colors)
        if self.jpeg:
            file = io.BytesIO()
            Image.fromarray(photo).save(file, "JPEG", quality=self.jpeg)
            photo = np.asarray(Image.open(file))
        return photo, plane


CAMERAS = {
    "exact frame": Camera(colors=IDENTITY),
    "zoom 1.3, exposure and white balance": Camera(zoom=1.3, colors=EXPOSURE),
    "zoom 0.8, rotation 5": Camera(zoom=0.8, degrees=5, colors=IDENTITY),
    "rotation 5, exposure and white balance": Camera(degrees=5, colors=EXPOSURE),
    "crop to 1:1, 1.5x the size and JPEG 80": Camera(
        square=True, size=1.5, colors=IDENTITY, jpeg=80
    ),
    "zoom 0.8, 1.5x the size and JPEG 80": Camera(zoom=0.8, size=1.5, colors=IDENTITY, jpeg=80),
    "zoom 1.3, crop to 1:1": Camera(zoom=1.3, square=True, colors=IDENTITY),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clips", type=Path, help="folder of videos")
    parser.add_argument(
        "--degradations",
        nargs="+",
        choices=tuple(EVALUATION_DEGRADATIONS),
        default=list(EVALUATION_DEGRADATIONS),
    )
    options = parser.parse_args()
    cv2.setNumThreads(1)  # one core, as figures are given
    clips = [read(path) for path in sorted(options.clips.glob("*.mp4"))]
    print_steps(clips[0])
    print_photos(clips, options.degradations)
    print_later(clips)
    print_letterboxed(clips)
    print_unrelated(clips, options.degradations)


def read(path: Path) -> Clip:
    frames = np.stack(decode_rgb(path, max(FAR_FRAMES) + 1))
    first = {name: degrade(frames[:4], how)[0] for name, how in EVALUATION_DEGRADATIONS.items()}
    compressed = degrade(frames, EVALUATION_DEGRADATIONS["crf36"])
    later = {n: (frames[n], compressed[n]) for n in FAR_FRAMES if n < len(frames)}
    return Clip(name=path.stem, clean=frames[0], degraded=first, later=later)


def print_photos(clips: list[Clip], degradations: list[str]) -> None:
    print(
        "\nPhotos of the first frame. Input: the degraded frame on the same pixels. Process time."
    )
    print("| photo | video | found | error px, p95 | PSNR, worst (input) | register | view |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, camera in CAMERAS.items():
        for degradation in degradations:
            rows = [lay(clip, camera, degradation) for clip in clips]
            found = [row for row in rows if row is not None]
            if not found:
                print(f"| {name} | {degradation} | 0 of {len(rows)} |", flush=True)
                continue
            error, tail, after, before, seconds, view_s = zip(*found, strict=True)
            print(
                f"| {name} | {degradation} | {len(found)} of {len(rows)} | {fmean(error):.2f}, "
                f"{fmean(tail):.2f} | {fmean(after):.1f}, {min(after):.1f} ({fmean(before):.1f}) | "
                f"{fmean(seconds):.2f} s | {fmean(view_s) * 1000:.1f} ms |",
                flush=True,
            )


def lay(clip: Clip, camera: Camera, degradation: str) -> tuple[float, ...] | None:
    """Mean and 95th percentile of the error, PSNR after and before, seconds of both steps."""
    photo, plane = camera.take(clip.clean)
    frame = clip.degraded[degradation]
    start = time.process_time()
    found = register(photo, frame)
    seconds = time.process_time() - start
    if found is None:
        return None
    prepared = prepare_reference(photo, found)
    start = time.process_time()
    shown = view(prepared)
    view_s = time.process_time() - start
    grid = pixel_grid(clip.clean.shape[:2])
    truth = cv2.perspectiveTransform(grid, plane)
    inside = ((truth >= 0) & (truth <= np.array(photo.shape[1::-1]) - 1)).all(-1)
    kept = shown.shown & inside
    error = np.linalg.norm(found.coordinates - truth, axis=-1)[kept] / found.scale
    return (
        float(error.mean()),
        float(np.percentile(error, 95)),
        psnr(shown.picture, clip.clean, kept),
        psnr(frame, clip.clean, kept),
        seconds,
        view_s,
    )


def print_steps(clip: Clip) -> None:
    photo, _ = CAMERAS["zoom 0.8, rotation 5"].take(clip.clean)
    frame = clip.degraded["half"]
    start = time.process_time()
    match_pictures(photo, frame)
    matched = time.process_time()
    found = register(photo, frame)
    registered = time.process_time()
    print(f"\n{clip.name}, {frame.shape[1]}x{frame.shape[0]}, process time:")
    print(f"features and matches {matched - start:.2f} s, all of it {registered - matched:.2f} s")
    if found is None:
        return
    start = time.process_time()
    prepared = prepare_reference(photo, found)
    print(f"preparing {(time.process_time() - start) * 1000:.1f} ms")
    flow = np.full((*frame.shape[:2], 2), 1.5, np.float32)
    for name, given in (("view", None), ("view with flow", flow)):
        start = time.process_time()
        for _ in range(20):
            view(prepared, given)
        print(f"{name} {(time.process_time() - start) / 20 * 1000:.1f} ms")


def print_later(clips: list[Clip]) -> None:
    print("\nThe clean first frame, laid over later frames (crf36)")
    print("| clip | frame | correlation | shown | planes | PSNR (input, unregistered) |")
    print("| --- | --- | --- | --- | --- | --- |")
    for clip in clips:
        for number, (clean, frame) in clip.later.items():
            found = register(clip.clean, frame)
            print(
                f"| {clip.name} | {number} | {describe(found, clip.clean, frame, clean)}",
                flush=True,
            )


def print_letterboxed(clips: list[Clip]) -> None:
    print("\nThe first frame and the same in bars (half); then both in bars")
    print("| clip | bars | correlation | shown | planes | PSNR (input, unregistered) |")
    print("| --- | --- | --- | --- | --- | --- |")
    for clip in clips:
        barred, clean = letterbox(clip.degraded["half"]), letterbox(clip.clean)
        found = register(clip.clean, barred)
        print(f"| {clip.name} | frame | {describe(found, clip.clean, barred, clean)}", flush=True)
        found = register(clean, barred)
        print(f"| {clip.name} | both | {describe(found, clean, barred, clean)}", flush=True)


def describe(found: Registration | None, reference: Picture, frame: Picture, clean: Picture) -> str:
    if found is None:
        return "refused |"
    shown = view(prepare_reference(reference, found))
    kept = shown.shown
    figures = [psnr(picture, clean, kept) for picture in (shown.picture, frame, reference)]
    return (
        f"{found.correlation:.2f} | {found.coverage:.0%} | {found.planes} | {figures[0]:.1f} "
        f"({figures[1]:.1f}, {figures[2]:.1f}) |"
    )


def print_unrelated(clips: list[Clip], degradations: list[str]) -> None:
    for name, barred in (("whole", False), ("both letterboxed", True)):
        results = list(unrelated(clips, degradations, barred=barred))
        accepted = [pair for pair, found in results if found is not None]
        print(
            f"\nUnrelated pairs, {name}: {len(accepted)} of {len(results)} accepted",
            *accepted,
            flush=True,
        )


def unrelated(
    clips: list[Clip], degradations: list[str], *, barred: bool
) -> Iterator[tuple[tuple[str, str, str], Registration | None]]:
    dress = letterbox if barred else np.ascontiguousarray
    for number, clip in enumerate(clips):
        for other in clips[:number] + clips[number + 1 :]:
            for degradation in degradations:
                found = register(dress(other.clean), dress(clip.degraded[degradation]))
                yield (other.name, clip.name, degradation), found


def letterbox(picture: Picture) -> Picture:
    """The same in black bars that cover a quarter of its height."""
    barred, bar = picture.copy(), picture.shape[0] // 8
    barred[:bar] = barred[-bar:] = 0
    return barred


def psnr(picture: Picture, clean: Picture, mask: NDArray[np.bool_]) -> float:
    difference = picture[mask].astype(np.float64) - clean[mask]
    return float(10 * np.log10(255**2 / max((difference**2).mean(), 1e-2)))


if __name__ == "__main__":
    main()
