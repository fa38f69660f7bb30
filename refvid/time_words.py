"""How a user writes times: positions in a video, lengths and rates.

Messages name the flag; in Python, the keyword has its name. Loads nothing heavy.
"""

from __future__ import annotations

import re
from fractions import Fraction

from refvid.documents import shown
from refvid.errors import OptionError
from refvid.media.frame_range import FrameRange

Number = float | Fraction
"""Also an int."""

# More digits mean nothing, and Python refuses to read thousands of them.
WHOLE = r"[0-9]{1,15}"
DECIMALS = r"\.[0-9]{1,30}"
_CLOCK = re.compile(rf"(?:({WHOLE}):)?({WHOLE}):([0-9]{{1,2}}(?:{DECIMALS})?)")
_SECONDS = re.compile(rf"({WHOLE}(?:{DECIMALS}|\.)?|{DECIMALS})s?")
_UNITS = re.compile(
    rf"(?:({WHOLE})h)?(?:({WHOLE})m(?:in)?)?(?:({WHOLE}(?:{DECIMALS})?)s)?|({WHOLE})ms"
)
_FRAMES = re.compile(rf"({WHOLE})f")
_NTSC = {
    "23.976": Fraction(24000, 1001),
    "23.98": Fraction(24000, 1001),
    "29.97": Fraction(30000, 1001),
    "47.95": Fraction(48000, 1001),
    "59.94": Fraction(60000, 1001),
    "119.88": Fraction(120000, 1001),
}


def parse_range(
    start: str | Number | None,
    end: str | Number | None,
    frames: int | None,
    preview: str | Number | None,
) -> FrameRange:
    """`--start`, `--end`, `--frames` and `--preview`: positions as for `parse_position`.

    Raises:
        OptionError: They make no sense, alone or together.
    """
    first = None if start is None else parse_position(start, "--start")
    last = None if end is None else parse_position(end, "--end")
    if preview is not None:
        if last is not None or frames is not None:
            raise OptionError("--preview excludes --end and --frames")
        length = parse_position(preview, "--preview")
        if length <= 0:
            raise OptionError("--preview must be longer than nothing")
        if isinstance(length, int):
            frames = length
        elif isinstance(first, int):
            raise OptionError(
                "--preview in seconds needs --start in seconds; "
                "with --start in frames write --preview 48f"
            )
        else:
            last = (first or 0) + length
    if type(first) is type(last) and first is not None and last is not None and last <= first:
        raise OptionError(f"--end {end} is not after --start {start}")
    return FrameRange(start=first, end=last, frames=frames)


def parse_position(value: str | Number, option: str) -> Fraction | int:
    """`90`, `5s`, `1m30s`, `1:30`, `00:01:30.5` -> exact seconds; `120f` -> a frame index as int.

    A number is seconds: a float means what it prints as, so that 0.1 is a tenth.
    """
    if isinstance(value, str) and (match := _FRAMES.fullmatch(value.strip())):
        return int(match[1])
    return parse_time(value, option)


def parse_time(value: str | Number, option: str) -> Fraction:
    """`90`, `5s`, `1m30s`, `1:30`, `00:01:30.5`, or a number -> exact seconds."""
    word = str(value).strip()
    if match := _SECONDS.fullmatch(word):
        return Fraction(match[1])
    if match := _CLOCK.fullmatch(word):
        hours, minutes, seconds = int(match[1] or 0), int(match[2]), Fraction(match[3])
        # `90:00` is ninety minutes, but `1:90` and `1:75:00` are slips.
        if seconds < 60 and (match[1] is None or minutes < 60):
            return hours * 3600 + minutes * 60 + seconds
    if word and (match := _UNITS.fullmatch(word)):
        hours, minutes = int(match[1] or 0), int(match[2] or 0)
        seconds = Fraction(int(match[4]), 1000) if match[4] else Fraction(match[3] or 0)
        return hours * 3600 + minutes * 60 + seconds
    if isinstance(value, float | Fraction) and 0 <= value < float("inf"):
        return Fraction(word)  # such as 1e-05 and 1/3
    raise OptionError(
        f"{option}: {shown(word)} is not a time; write 90, 5s, 1m30s, 1:30, 00:01:30.5 or frames "
        "as 120f"
    )


def parse_rate(value: str | Number | None, option: str = "--rate") -> Fraction | None:
    """`--rate` and `--fps`: `24`, `30000/1001` or `23.976`, which means the exact NTSC rate."""
    if value is None:
        return None
    word = str(value).strip()
    if re.fullmatch(rf"{WHOLE}(?:{DECIMALS})?|{WHOLE}/{WHOLE}", word):
        try:
            rate = _NTSC.get(word) or Fraction(word)
        except ZeroDivisionError:
            rate = Fraction(0)
        if 0 < rate <= 1000:
            return rate
    raise OptionError(
        f"{option}: {shown(word)} is not a frame rate; write 24, 23.976 or 24000/1001"
    )
