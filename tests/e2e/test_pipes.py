"""`-` for standard input and output: the program in a process of its own, as behind a shell's |."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import IO

import av
import numpy as np
import pytest

from refvid.media.image import write_image
from tests import program
from tests.commands import run
from tests.lossless import read_frames
from tests.program import Program
from tests.unit.media.conftest import build_video

FRAMES = 6


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return build_video(
        tmp_path / "in.mkv", frames=FRAMES, audio=["aac"], color=(1, 1, 1, 1), size=(96, 64)
    )


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Where temporary files go: it must be empty again afterwards."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def refvid(
    *words: str | Path, scratch: Path, piped: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    done = program.run(*words, env=environment(scratch), piped=piped or b"")
    assert list(scratch.iterdir()) == []
    return done


def environment(scratch: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)}


def test_matroska_goes_in_and_comes_out(source: Path, scratch: Path, tmp_path: Path) -> None:
    """stdout holds a whole file, with sound, and nothing else; messages go to stderr."""
    words = ("enhance", "-", "--ref", "frame:0", "--model", "mini", "-d", "cpu", "-v")
    done = refvid(
        *words, "-o", "-", "--container", "matroska", scratch=scratch, piped=source.read_bytes()
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"6 frames" in done.stderr
    with av.open(io.BytesIO(done.stdout)) as container:
        assert container.duration is not None
        assert len(container.streams.audio) == 1
        assert len(list(container.decode(video=0))) == FRAMES
    as_file = tmp_path / "out.mkv"
    assert refvid(*words[:1], source, *words[2:], "-o", as_file, scratch=scratch).returncode == 0
    piped = tmp_path / "piped.mkv"
    piped.write_bytes(done.stdout)
    # x264 does not code alike each time.
    assert np.abs(read_frames(piped).astype(int) - read_frames(as_file)).mean() < 1


def test_y4m_is_what_other_programs_read(source: Path, scratch: Path, tmp_path: Path) -> None:
    done = refvid(
        *("enhance", source, "--strength", "0", "-o", "-", "--container", "y4m"), scratch=scratch
    )
    assert done.returncode == 0, done.stderr.decode()
    header, _, rest = done.stdout.partition(b"\n")
    assert header.startswith(b"YUV4MPEG2 W96 H64 F25:1 Ip ")
    assert b" C420mpeg2 " in header
    assert len(rest) == FRAMES * (len(b"FRAME\n") + 96 * 64 * 3 // 2)
    assert b"y4m holds pictures only: sound" in done.stderr
    # And back again.
    again = refvid(
        *("enhance", "-", "--strength", "0", "-c", "ffv1", "-o", tmp_path / "back.mkv"),
        scratch=scratch,
        piped=done.stdout,
    )
    assert again.stdout.decode().strip() == str(tmp_path / "back.mkv")
    with av.open(str(tmp_path / "back.mkv")) as back, av.open(str(source)) as first:
        pairs = zip(back.decode(video=0), first.decode(video=0), strict=True)
        assert all(np.array_equal(a.to_ndarray(), b.to_ndarray()) for a, b in pairs)


def write_y4m(path: Path, frames: int) -> bytes:
    build_video(path.with_suffix(".mkv"), frames=frames, color=(1, 1, 1, 1), size=(96, 64))
    done = run("enhance", path.with_suffix(".mkv"), "--strength", "0", "-o", path, "-q")
    assert done.exit_code == 0, done.output
    return path.read_bytes()


def test_y4m_comes_out_while_it_still_goes_in(scratch: Path, tmp_path: Path) -> None:
    """With little on disk, and to the byte what comes of a file."""
    clip, photo = tmp_path / "clip.y4m", tmp_path / "photo.png"
    piped = write_y4m(clip, 60)
    write_image(photo, read_frames(clip)[0])
    words = ["--ref", str(photo), "--model", "mini", "-d", "cpu", "-o", "-", "--container", "y4m"]
    as_file = refvid("enhance", clip, *words, scratch=scratch)
    some_is_out = threading.Event()
    waited: list[bool] = []
    temporary: list[int] = []
    with Program("enhance", "-", *words, env=environment(scratch)) as process:

        def feed(stdin: IO[bytes]) -> None:
            stdin.write(piped[: len(piped) * 4 // 5])
            stdin.flush()
            waited.append(some_is_out.wait(120))
            stdin.write(piped[len(piped) * 4 // 5 :])
            stdin.close()

        feeder = threading.Thread(target=feed, args=(process.stdin,))
        feeder.start()
        given = process.stdout.read(len(piped) // 4)
        temporary = [file.stat().st_size for file in scratch.rglob("*") if file.is_file()]
        some_is_out.set()
        given += process.stdout.read()
        feeder.join()
    assert process.returncode == 0
    assert waited == [True], "nothing came before the end of the input"
    assert sum(temporary) < len(piped) / 4
    assert given == as_file.stdout
    assert list(scratch.iterdir()) == []


def test_y4m_that_must_be_read_twice(scratch: Path, tmp_path: Path) -> None:
    """A frame of the input is the reference: then it waits in a file."""
    piped = write_y4m(tmp_path / "clip.y4m", FRAMES)
    words = ("--ref", f"frame:{FRAMES - 1}", "--model", "mini", "-d", "cpu", "-o")
    done = refvid(
        *("enhance", "-", *words, "-", "--container", "y4m"), scratch=scratch, piped=piped
    )
    assert done.returncode == 0, done.stderr.decode()
    assert len(done.stdout) > len(piped) * 0.9


@pytest.mark.parametrize("words", [(), ("--ref", "frame:0")])
def test_y4m_that_ends_within_a_frame(scratch: Path, tmp_path: Path, words) -> None:
    """As it comes, and put into a file first: the exit code says that what came out is not all."""
    clip = tmp_path / "clip.y4m"
    write_y4m(clip, FRAMES)
    done = refvid(
        *("enhance", "-", *words, "--strength", "0", "-o", tmp_path / "out.mkv"),
        scratch=scratch,
        piped=clip.read_bytes()[:-9],
    )
    assert done.returncode == 3, done.stderr
    assert b"is cut off: it lacks 9 bytes" in done.stderr
    assert str(scratch).encode() not in done.stderr
    assert not (tmp_path / "out.mkv").exists()


def test_nobody_reads_on(scratch: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.y4m"
    write_y4m(clip, 60)
    words = ("enhance", clip, "--strength", "0", "-o", "-", "--container", "y4m")
    with Program(*words) as process:
        process.stdout.read(100)
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 4, said
    assert b"Cannot write to standard output" in said
    assert b"Traceback" not in said


@pytest.mark.parametrize(
    ("words", "piped", "code", "said"),
    [
        (("enhance", "-"), b"x", 2, b"say with -o FILE where the result goes"),
        (("enhance", "-", "-o", "{dir}/x.mkv"), b"x", 2, b"say with -o FILE"),
        (("enhance", "-", "-o", "x.mkv"), b"", 3, b"standard input is empty"),
        (("enhance", "-", "-o", "x.mkv"), b"no video", 3, b"not a video"),
        (("enhance", "IN", "-o", "-"), None, 2, b"--container matroska or --container y4m"),
        (("enhance", "IN", "--container", "y4m"), None, 2, b"is for a result on standard output"),
        (("enhance", "IN", "-o", "-", "--container", "y4m", "--compare"), None, 2, b"--compare"),
        (("enhance", "IN", "-o", "-", "--container", "mp4"), None, 2, b"mp4"),
        (("encode", "IN", "-o", "-"), None, 2, b"nothing is written to standard output"),
        (("enhance", "https://host/a.mp4"), None, 2, b"refvid reads files, not addresses"),
    ],
)
def test_what_cannot_be(source: Path, scratch: Path, words, piped, code: int, said: bytes) -> None:
    """Told before any work, with nothing on stdout."""
    words = [source if word == "IN" else word for word in words]
    done = refvid(*words, scratch=scratch, piped=piped)
    assert (done.returncode, done.stdout) == (code, b"")
    assert said in done.stderr


def test_json_and_a_video_exclude_each_other(source: Path, scratch: Path) -> None:
    done = refvid(*("enhance", source, "-o", "-", "--container", "y4m", "--json"), scratch=scratch)
    assert done.returncode == 2
    assert b"--json and -o -" in done.stdout


def test_a_plan_does_not_go_where_the_video_would(source: Path, scratch: Path) -> None:
    done = refvid(
        *("enhance", source, "-o", "-", "--container", "matroska", "--strength", "0", "--dry-run"),
        scratch=scratch,
    )
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"frames:" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_nothing_is_left_when_it_is_stopped(
    scratch: Path, tmp_path: Path, number: int, code: int
) -> None:
    words = ("enhance", "-", "-o", tmp_path / "out.mkv")
    with Program(*words, env=environment(scratch)) as process:
        process.stdin.write(b"\x1aE\xdf\xa3" * 500_000)
        process.stdin.flush()
        for _ in range(1200):
            time.sleep(0.1)
            received = sum(path.stat().st_size for path in scratch.glob("refvid-pipe-*/stdin"))
            if received == 2_000_000:
                break  # now it waits for more
        else:
            process.send_signal(signal.SIGKILL)
            pytest.fail("it keeps back what it has received")
        process.send_signal(number)
        process.wait(60)
    assert process.returncode == code
    assert list(scratch.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_y4m_that_pauses_can_be_stopped(
    scratch: Path, tmp_path: Path, number: int, code: int
) -> None:
    clip = write_y4m(tmp_path / "clip.y4m", 40)
    words = ("enhance", "-", "--strength", "0", "-o", tmp_path / "out" / "out.mkv")
    (tmp_path / "out").mkdir()
    with Program(*words, env=environment(scratch)) as process:
        process.stdin.write(clip)
        process.stdin.flush()
        for _ in range(1200):
            time.sleep(0.1)
            if any((tmp_path / "out").glob(".refvid-*")):
                break  # the result was begun
        time.sleep(1)
        process.send_signal(number)
        process.wait(60)
    assert process.returncode == code
    assert list(scratch.iterdir()) == []
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_reader_that_goes_away(tmp_path: Path, scratch: Path) -> None:
    large = build_video(tmp_path / "in.mkv", frames=30, size=(320, 240))
    program = subprocess.Popen(
        [
            *(sys.executable, "-m", "refvid", "enhance", str(large), "--strength", "0"),
            *("-o", "-", "--container", "y4m"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    assert program.stdout is not None
    assert program.stderr is not None
    program.stdout.close()
    said = program.stderr.read()
    program.stderr.close()
    assert program.wait(timeout=300) == 4
    assert b"Cannot write to standard output" in said
    assert list(scratch.iterdir()) == []


def test_a_variable_rate_becomes_its_average(tmp_path: Path, scratch: Path) -> None:
    uneven = build_video(
        tmp_path / "in.mkv",
        time_base=Fraction(1, 1000),
        timestamps=[0, 40, 41, 100, 170, 200, 260, 280],
    )
    done = refvid(
        *("enhance", uneven, "--strength", "0", "-o", "-", "--container", "y4m"), scratch=scratch
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.count(b"FRAME\n") == 8
    assert b"the variable frame rate is lost" in done.stderr
