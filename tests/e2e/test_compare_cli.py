"""`refvid compare` as users start it: words, files, exit codes."""

import json
import os
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest

from tests import program

FRAMES = 10


def write_clip(path: Path, shift: int, frames: int = FRAMES) -> Path:
    """A gradient that moves, brighter in a place, and more so in the second half."""
    row = np.arange(96, dtype=int)[None, :, None]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for index in range(frames):
            pixels = np.broadcast_to(40 + row + 4 * index, (64, 96, 3)).copy()
            pixels[20:40, 30:60] += shift if index >= frames // 2 else shift // 4
            frame = av.VideoFrame.from_ndarray(pixels.astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return [write_clip(folder / f"{name}.mp4", 20 * i) for i, name in enumerate("abc")]


def refvid(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return program.run_in_words(
        "compare", *words, cwd=cwd, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def test_everything_at_once(clips, tmp_path):
    names = {"page": "report.html", "montage": "montage.mkv", "sheet": "sheet.jpg"}
    files = {kind: tmp_path / name for kind, name in names.items()}
    run = refvid(
        *(*clips[:2], "--reference", clips[2], "-o", files["page"]),
        *("--montage", files["montage"], "--sheet", files["sheet"]),
        *("--labels", "input, result", "--metrics", "psnr,flicker", "--frames", "8", "--json"),
    )
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    assert document["outputs"] == {kind: str(path) for kind, path in files.items()}
    assert document["labels"] == ["input", "result"]
    (clip,) = document["clips"]
    assert clip["frames"] == 8
    assert 20 < clip["means"]["psnr"]["input"] < clip["means"]["psnr"]["result"]
    assert set(clip["means"]) == {"psnr", "flicker", "difference"}
    assert any(moment["frame"] >= FRAMES // 2 for moment in clip["most_different"])
    assert all(path.stat().st_size > 1000 for path in files.values())
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(names.values())


def test_default_name_and_paths_on_stdout(clips, tmp_path):
    for clip in clips[:2]:
        (tmp_path / clip.name).write_bytes(clip.read_bytes())
    run = refvid("a.mp4", "b.mp4", "--metrics", "none", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "a_compare.html\n"
    again = refvid("a.mp4", "b.mp4", cwd=tmp_path)
    assert again.returncode == 4
    assert "exists" in again.stderr
    run = refvid("a.mp4", "b.mp4", "--sheet", "sheet.png", cwd=tmp_path)
    assert run.stdout == "sheet.png\n"
