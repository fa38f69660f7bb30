"""How the words of options become values."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from refvid.errors import InputError, OptionError

if TYPE_CHECKING:
    from refvid.rebuild.options import ReferenceSource

_CLOCK = re.compile(r"(?:([0-9]+):)?([0-9]+):([0-9]{1,2}(?:\.[0-9]+)?)", re.ASCII)
_SECONDS = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)s?", re.ASCII)
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([KMGT]?)(?:i?B)?", re.ASCII | re.IGNORECASE)
_FRAMES = re.compile(r"([0-9]+)f", re.ASCII)
_NTSC = {
    "23.976": Fraction(24000, 1001),
    "23.98": Fraction(24000, 1001),
    "29.97": Fraction(30000, 1001),
    "47.95": Fraction(48000, 1001),
    "59.94": Fraction(60000, 1001),
    "119.88": Fraction(120000, 1001),
}


def parse_position(text: str, option: str) -> Fraction | int:
    """`90`, `5s`, `1:30`, `00:01:30.5` -> exact seconds; `120f` -> a frame index as int."""
    word = text.strip()
    if match := _FRAMES.fullmatch(word):
        return int(match[1])
    return _parse_seconds(word, option)


def parse_time(text: str, option: str) -> Fraction:
    """`90`, `5s`, `1:30`, `00:01:30.5` -> exact seconds."""
    return _parse_seconds(text.strip(), option)


def _parse_seconds(word: str, option: str) -> Fraction:
    if match := _SECONDS.fullmatch(word):
        return Fraction(match[1])
    if match := _CLOCK.fullmatch(word):
        hours, minutes, seconds = int(match[1] or 0), int(match[2]), Fraction(match[3])
        # `90:00` is ninety minutes, but `1:90` and `1:75:00` are slips.
        if seconds < 60 and (match[1] is None or minutes < 60):
            return hours * 3600 + minutes * 60 + seconds
    raise OptionError(
        f"{option}: {word!r} is not a time; write 90, 5s, 1:30, 00:01:30.5 or frames as 120f"
    )


def parse_reference(text: str | None) -> ReferenceSource | None:
    """`--ref`: an image's path, `frame:N` or `time:1:30`; an image must exist.

    Raises:
        OptionError: The words after `frame:` or `time:` make no sense.
        InputError: There is no such image.
    """
    if text is None:
        return None
    from refvid.rebuild.options import ReferenceSource

    kind, _, rest = text.partition(":")
    if kind == "frame":
        if not re.fullmatch(r"[0-9]+", rest):
            raise OptionError(f"--ref: {text!r} needs a frame number, as in frame:0")
        return ReferenceSource(frame=int(rest))
    if kind == "time":
        return ReferenceSource(time=parse_time(rest, "--ref time:"))
    image = Path(text)
    if not image.is_file():
        problem = "is a folder" if image.is_dir() else "does not exist"
        raise InputError(
            f"--ref: the image {text} {problem}; give an image file, frame:N or time:SECONDS"
        )
    return ReferenceSource(image=image)


def parse_tile(text: str) -> int | Literal["auto", "off"]:
    """`--tile`: auto, off or a number of pixels."""
    if text == "auto":
        return "auto"
    if text == "off":
        return "off"
    if re.fullmatch(r"[0-9]+", text) and int(text) > 0:
        return int(text)
    raise OptionError(f"--tile: {text!r} is neither auto, off nor a number of pixels")


def parse_size(text: str, option: str) -> int:
    """An amount of memory [bytes]: a number, and K, M, G or T for powers of 1024."""
    if (match := _SIZE.fullmatch(text.strip())) is None:
        raise OptionError(f"{option}: {text!r} is no amount of memory; write 8G or 900M")
    number, unit = match.groups()
    count = int(Fraction(number) * 1024 ** " KMGT".index(unit.upper() or " "))
    if count < 1:
        raise OptionError(f"{option}: {text!r} is too little")
    return count


def parse_rate(text: str | None, option: str = "--rate") -> Fraction | None:
    """`--rate` and `--fps`: `24`, `30000/1001` or `23.976`, which means the exact NTSC rate."""
    if text is None:
        return None
    word = text.strip()
    if re.fullmatch(r"[0-9]+(?:\.[0-9]+)?|[0-9]+/[0-9]+", word):
        try:
            rate = _NTSC.get(word) or Fraction(word)
        except ZeroDivisionError:
            rate = Fraction(0)
        if 0 < rate <= 1000:
            return rate
    raise OptionError(f"{option}: {text!r} is not a frame rate; write 24, 23.976 or 24000/1001")


def parse_encoder_options(words: list[str]) -> dict[str, str]:
    """`-e preset=slow -e tune=grain` -> a dict; the last word for a key wins."""
    options = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            raise OptionError(f"--encoder-option: {word!r} is not of the form key=value")
        options[key.strip()] = value
    return options
