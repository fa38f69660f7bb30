"""Lists of jobs for tests, with clips that need no model."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import av


def write_list(rows: Sequence[Mapping[str, object]], name: str = "jobs.csv") -> str:
    """Write a table in the folder where the test runs."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with Path(name).open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return name


def plain(names: Sequence[str], **more: object) -> list[dict[str, object]]:
    """Rows that need no model."""
    return [{"input": name, "output": f"out/{name}", "strength": 0, **more} for name in names]


def lossless(names: Sequence[str]) -> list[dict[str, object]]:
    """The same, with results that are equal where the frames are."""
    return [
        {"input": name, "output": f"out/{Path(name).stem}.mkv", "strength": 0, "codec": "ffv1"}
        for name in names
    ]


def videos_in(folder: str | Path) -> dict[str, list[tuple[int, bytes]]]:
    """All frames of all videos in a folder, by the videos' names."""
    return {path.name: frames_of(path) for path in sorted(Path(folder).iterdir())}


def frames_of(video: Path) -> list[tuple[int, bytes]]:
    """Time and pixels of every frame; of a file without loss these are what was written."""
    with av.open(str(video)) as container:
        return [
            (frame.pts or 0, frame.to_ndarray(format="rgb24").tobytes())
            for frame in container.decode(video=0)
        ]
