"""Errors of the file system end with the exit code of an input or an output, never as a bug."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from refvid.cli.exit_codes import exit_code_of
from refvid.cli.file_errors import named_error
from refvid.errors import InputError, OutputError


def os_error(code: int, name: str | bytes | None = None) -> OSError:
    return OSError(code, os.strerror(code), name)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (os_error(errno.EACCES, "in/a.mp4"), InputError),
        (os_error(errno.ENAMETOOLONG, b"in/a.mp4"), InputError),
        (os_error(errno.EACCES, "out/b.mp4"), OutputError),
        (os_error(errno.EACCES, "out"), OutputError),
        (os_error(errno.EIO, "elsewhere/.refvid-0123456789ab.mp4"), OutputError),
        (os_error(errno.ENOSPC), OutputError),
        (os_error(errno.EROFS, "in/a.mp4"), OutputError),
    ],
)
def test_files_that_are_named(error: OSError, kind: type[Exception]) -> None:
    named = named_error(error, Path("out/b.mp4"))
    assert type(named) is kind
    assert named.__cause__ is error


@pytest.mark.parametrize("error", [os_error(errno.EIO), ValueError("x"), InputError("x")])
def test_other_errors_stay(error: Exception) -> None:
    assert named_error(error, Path("out/b.mp4")) is error


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("info", "{far}/a.mp4"), 3),
        (("info", "{far}"), 3),
        (("enhance", "{far}/a.mp4"), 3),
        (("enhance", "{far}"), 3),
        (("enhance", "-r", "{far}"), 3),
        (("enhance", "{far}/%04d.png"), 3),
        (("enhance", "{clip}", "--ref", "{far}/r.png"), 3),
        (("enhance", "{clip}", "-o", "{far}/out.mp4"), 4),
        (("enhance", "{clip}", "-o", "{far}/"), 4),
        (("enhance", "{clip}", "-o", "{far}/%04d.png"), 4),
        (("enhance", "{clip}", "--weights", "{far}/w.safetensors"), 5),
        (("enhance", "{clip}", "--model", "{far}/w.safetensors"), 5),
        (("stylize", "{clip}", "--style", "{far}/r.png"), 3),
        (("encode", "{far}/a.mp4"), 3),
        (("decode", "{far}/l.safetensors"), 3),
        (("decode", "{clip}", "--refs", "{far}"), 3),
        (("compare", "{far}", "{far}/b.mp4"), 3),
        (("compare", "{clip}", "{clip}", "--montage", "{far}/b.mp4"), 4),
        (("compare", "--votes", "{far}/votes.json"), 3),
        (("metrics", "{far}/a.mp4", "--reference", "{far}/b.mp4"), 3),
        (("metrics", "{clip}", "--reference", "{clip}", "--csv", "{far}/b.csv"), 4),
        (("evaluate", "{far}"), 3),
    ],
)
def test_paths_that_the_system_refuses(
    run, tmp_path: Path, clip: Path, words: tuple[str, ...], code: int
) -> None:
    """Even looking whether they are there is an error: so it is below a folder without rights."""
    far = tmp_path / ("x" * 300)
    result = run(*(word.format(far=far, clip=clip) for word in words))
    assert result.exit_code == code, result.stderr
    assert "bug" not in result.stderr


def test_one_closed_folder_does_not_stop_the_rest(run, fake, unprivileged: Path) -> None:
    closed = unprivileged / "closed"
    closed.mkdir()
    for name in ("a.mp4", "c.mp4"):
        (unprivileged / name).touch()
    closed.chmod(0)
    out = unprivileged / "out"
    result = run(
        *("enhance", unprivileged / "a.mp4", closed / "x.mp4", unprivileged / "c.mp4"),
        *("-o", f"{out}/"),
        env={"REFVID_CONFIG": os.devnull},
    )
    assert result.exit_code == 3
    assert [call.source.name for call in fake.calls] == ["a.mp4", "c.mp4"]
    assert "3 inputs: 2 done, 1 failed" in result.stderr


def test_exit_codes() -> None:
    assert exit_code_of(named_error(os_error(errno.ENOSPC))) == 4
