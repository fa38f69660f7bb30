"""What keywords of several functions may be, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from refvid.errors import OptionError
from refvid.media.credentials import Credentials, make_credentials
from refvid.media.encoding import Encoding
from refvid.time_words import Number

if TYPE_CHECKING:
    from refvid.media.inputs import Job

File = str | Path
Position = str | Number
"""Seconds, or words: `90`, `5s`, `1:30`, `00:01:30.5`; `120f` is a frame."""

Rate = str | Number
"""`24`, `30000/1001`; 23.976 and the like mean the exact NTSC rate."""

Sound = Literal["auto", "copy", "none"]
Tracks = Literal["copy", "none"]
Provenance = Literal["auto", "none"]


def check_job(source: File, output: File, *, overwrite: bool, images: Iterable[Path] = ()) -> Job:
    """A checked job: what is missing or in the way is told before a model is loaded."""
    from refvid.media.inputs import Job, check_job_output, check_source

    checked = Job(source=given_path(source, "source"), output=given_path(output, "output"))
    check_source(checked.source)
    check_job_output(checked, overwrite=overwrite, images=images)
    return checked


def make_encoding(
    codec: str | None,
    crf: float | None,
    pix_fmt: str | None,
    options: Mapping[str, object] | None,
    metadata: bool,
    audio: Sound = "auto",
    subs: Tracks = "copy",
    *,
    provenance: Provenance = "auto",
    credentials: Credentials | None = None,
) -> Encoding:
    """How a result is written; values of encoder options may be numbers."""
    return Encoding(
        codec=codec,
        crf=crf,
        pix_fmt=pix_fmt,
        encoder_options={name: str(value) for name, value in (options or {}).items()},
        audio=audio,
        subtitles=subs,
        metadata=metadata,
        provenance=provenance,
        credentials=credentials,
    )


def make_signer(certificate: File | None, key: File | None, algorithm: str) -> Credentials | None:
    """What a result is signed with, if it is."""
    return make_credentials(to_path(certificate), to_path(key), algorithm)


def split_words(words: str | Iterable[str]) -> list[str]:
    """`a,b` or several words, as a list."""
    return words.split(",") if isinstance(words, str) else list(words)


def given_path(file: File, name: str) -> Path:
    """A path that is one: the empty text would be the folder in which the program runs.

    Raises:
        OptionError: It is empty.
    """
    if file == "":
        raise OptionError(f"{name} is empty: give a path")
    return Path(file)


def to_path(file: File | None) -> Path | None:
    """A path, where there is one."""
    return None if file is None else Path(file)
