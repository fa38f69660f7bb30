"""The program as users start it: a process of its own, on real files."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from tests import program
from tests.program import Program

SIZE = (96, 64)
FRAMES = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("program")


@pytest.fixture(scope="module")
def clip(folder):
    """A moving gradient, 12 frames of 96x64."""
    path = folder / "clip.mp4"
    write_clip(path, FRAMES)
    return path


@pytest.fixture(scope="module", autouse=True)
def weights(folder):
    """An untrained model: these tests are about files and words, not about quality."""
    import torch
    from safetensors.torch import save_file

    from refvid.models.mini.config import MiniConfig
    from refvid.models.mini.decoder import MiniDecoder

    torch.manual_seed(0)
    config = MiniConfig()
    path = folder / "weights" / "untrained.safetensors"
    path.parent.mkdir()
    metadata = {"config": json.dumps(dataclasses.asdict(config))}
    save_file(MiniDecoder(config).state_dict(), path, metadata=metadata)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REFVID_MODEL", str(path))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.delenv("REFVID_CONFIG", raising=False)
        yield path


def write_clip(path: Path, frames: int) -> None:
    width, height = SIZE
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        row = np.arange(width, dtype=np.uint16)[None, :, None]
        for index in range(frames):
            pixels = np.broadcast_to((row * 2 + index * 8) % 256, (height, width, 3))
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels.astype(np.uint8)))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def refvid(
    *words: object, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    return program.run_in_words(*words, cwd=cwd, env={**os.environ, **variables})


def count_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_enhance(clip, folder):
    words = ("enhance", clip, "--ref", "frame:0", "-o", folder / "out.mp4")
    run = subprocess.run(
        [sys.executable, "-m", "refvid", *map(str, words)],
        env={**os.environ, "CI": ""},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"{folder / 'out.mp4'}\n"
    assert count_frames(folder / "out.mp4") == FRAMES


def test_enhance_and_compare(clip, folder):
    words = ("--ref", "frame:0", "--frames", "6", "-o", folder / "seen.mp4", "--compare")
    run = refvid("enhance", clip, *words, CI="")
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"{folder / 'seen.mp4'}\n"
    page = (folder / "seen_compare.html").read_text(encoding="utf-8")
    assert "<title>input · result</title>" in page


def test_enhance_json_and_dry_run(clip, folder):
    run = refvid("enhance", clip, "--ref", "frame:0", "--dry-run", "--json")
    assert run.returncode == 0, run.stderr
    (entry,) = json.loads(run.stdout)["results"]
    assert entry["plan"]["frames"] == FRAMES
    assert entry["plan"]["estimated_seconds"] > 0
    assert "frames of " in entry["plan"]["estimate_reason"]
    assert not (folder / "clip_refvid.mp4").exists()


def test_preview_and_image_sequences(clip, folder):
    run = refvid("enhance", clip, "--preview", "5f", "-o", f"{folder}/seq/{{stem}}_%04d.png")
    assert run.returncode == 4  # templates create no folders
    (folder / "seq").mkdir()
    run = refvid("enhance", clip, "--preview", "5f", "-o", f"{folder}/seq/{{stem}}_%04d.png")
    assert run.returncode == 0, run.stderr
    assert len(list((folder / "seq").glob("*.png"))) == 5
    run = refvid("enhance", folder / "seq", "--rate", "25", "-o", folder / "from_images.mp4")
    assert run.returncode == 0, run.stderr
    assert count_frames(folder / "from_images.mp4") == 5


def test_batch_of_mixed_failures_is_7(clip, folder):
    broken = folder / "broken.mp4"
    broken.write_bytes(b"\0" * 500)
    taken = folder / "taken.mp4"
    write_clip(taken, 2)
    (folder / "taken_refvid.mp4").write_bytes(b"precious")
    run = refvid("enhance", clip, broken, taken, "--frames", "2")
    assert run.returncode == 7, run.stderr
    assert run.stdout == f"{folder / 'clip_refvid.mp4'}\n"
    assert (folder / "taken_refvid.mp4").read_bytes() == b"precious"
    assert not (folder / "broken_refvid.mp4").exists()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--version"], 0),
        (["enhance"], 2),
        (["enhance", "--nonsense"], 2),
        (["enhance", "{clip}", "--start", "soon"], 2),
        (["enhance", "missing.mp4"], 3),
        (["enhance", "{clip}", "--ref", "missing.png"], 3),
        (["enhance", "{clip}", "-o", "{clip}"], 2),
        (["enhance", "{clip}", "-o", "missing/x.mp4"], 4),
        (["enhance", "{clip}", "-o", "{new}", "--model", "missing.safetensors"], 5),
        (["enhance", "{clip}", "-o", "{new}", "--device", "cuda:99"], 6),
        (["info", "missing.mp4"], 3),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_exit_codes(clip, tmp_path, words, code):
    run = refvid(*(word.format(clip=clip, new=tmp_path / "new.mp4") for word in words))
    assert run.returncode == code, run.stderr
    assert "Traceback" not in run.stderr
    if code:
        assert run.stdout == ""
        assert run.stderr.splitlines()[-1].lower().startswith("error: ")


def test_info(clip):
    run = refvid("info", clip, "--json")
    assert run.returncode == 0, run.stderr
    facts = json.loads(run.stdout)
    assert (facts["width"], facts["height"]) == SIZE
    text = refvid("info", clip).stdout
    assert "96" in text
    assert "h264" in text


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_runs_leave_nothing(folder, number, code):
    source = folder / "long.mp4"
    if not source.exists():
        write_clip(source, 3000)
    target = folder / "stopped" / f"{code}.mp4"
    target.parent.mkdir(exist_ok=True)
    with Program("enhance", source, "-o", target) as process:
        deadline = time.monotonic() + 60
        while not list(target.parent.iterdir()) and process.returncode is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate()
    assert process.returncode == code, err
    assert out == b""
    assert list(target.parent.iterdir()) == []


def test_closed_pipe_is_quiet(clip):
    command = f"'{sys.executable}' -m refvid info '{clip}' | true"
    run = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in run.stderr
