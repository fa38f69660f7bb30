"""What others wrote stays text on the terminal, and results that cannot be told are no bug."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from tests.commands import run

FORGED = "\x1b[2Jcodec:  \nh265\u202e"
HOSTILE = ("\x1b", "\x9b", "\u202e", "\r")

posix = pytest.mark.skipif(os.name != "posix", reason="names and streams of POSIX")


def check_plain(*texts: str) -> None:
    for text in texts:
        assert not any(character in text for character in HOSTILE), ascii(text)


@pytest.fixture
def tagged(tmp_path: Path) -> Path:
    """A video whose title and language are written by somebody hostile."""
    path = tmp_path / "tagged.mkv"
    with av.open(str(path), "w") as output:
        output.metadata["title"] = FORGED
        stream = output.add_stream("mpeg4", rate=25, width=64, height=48, pix_fmt="yuv420p")
        stream.metadata["language"] = "e\x1b"
        picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        output.mux(stream.encode(picture.reformat(format="yuv420p")))
        output.mux(stream.encode(None))
    return path


def test_metadata_forges_no_lines(tagged: Path) -> None:
    shown = run("info", tagged).stdout
    check_plain(shown)
    assert [line for line in shown.splitlines() if line.startswith("codec:")] == [
        f"{'codec:':<26}mpeg4"
    ]
    assert r"\x1b[2Jcodec:  \nh265\u202e" in shown
    exact = json.loads(run("info", tagged, "--json").stdout)
    assert exact["metadata"]["title"] == FORGED


@posix
def test_file_names_are_shown(tmp_path: Path) -> None:
    name = tmp_path / "a\x1b[31m\nerror: forged\u202e.mp4"
    for words in (
        ("info", name),
        ("enhance", name, "--model", "mini"),
        ("enhance", name, name, "--model", "mini"),
        ("metrics", name, "--reference", name),
        ("decode", name),
        ("compare", name, name),
        ("enhance", name, "--ref", name),
        ("info", name, name),  # Typer's own words
        (name,),
    ):
        result = run(*words)
        assert result.exit_code != 0
        check_plain(result.stdout, result.stderr)
        assert not any(line.startswith("error: forged") for line in result.stderr.splitlines())


def test_votes_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "votes.json"
    vote = {"trial": 0, "clip": FORGED, "left": FORGED, "right": "b", "choice": "left"}
    document = {"refvid_votes": 1, "report": FORGED, "session": "s", "votes": [vote]}
    path.write_text(json.dumps(document), encoding="ascii")
    result = run("compare", "--votes", path)
    assert result.exit_code == 0
    check_plain(result.stdout, result.stderr)
    assert len(result.stdout.splitlines()) == 3
    exact = json.loads(run("compare", "--votes", path, "--json").stdout)
    assert FORGED in (exact["preferences"][0]["first"], exact["preferences"][0]["second"])


def in_shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", line.replace("refvid ", f"{sys.executable} -m refvid ")],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", ["--version", "--help", "models list", "models list --json"])
def test_a_full_output_is_an_output_error(words: str) -> None:
    result = in_shell(f"refvid {words} >/dev/full")
    assert result.returncode == 4, result.stderr
    assert "standard output" in result.stderr
    assert "Traceback" not in result.stderr
    assert "bug" not in result.stderr


@posix
def test_a_closed_output_is_an_output_error(tagged: Path) -> None:
    result = in_shell(f"refvid info {tagged} >&-")
    assert (result.returncode, result.stdout) == (4, "")
    assert "closed" in result.stderr
    assert in_shell("refvid info missing.mp4 2>&-").returncode == 3
    assert in_shell(f"refvid info {tagged} <&- 2>&-").returncode == 0


@posix
def test_closed_streams_do_not_end_in_a_result(tagged: Path, tmp_path: Path) -> None:
    # The first file that is opened would be standard output, or error, to x264 and others.
    output = tmp_path / "out.mkv"
    result = in_shell(f"refvid enhance {tagged} --model mini -o {output} <&- >&- 2>&-")
    assert result.returncode == 4
    with av.open(str(output)) as video:
        assert sum(1 for _ in video.decode(video=0)) == 1
