"""Time codes: hours, minutes, seconds and frames, counted at a rate of whole frames."""

from __future__ import annotations

import logging
import re
from collections.abc import MutableMapping
from fractions import Fraction
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

_CODE: Final = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)([:;.])(\d\d+)")
_HOURS: Final = 24


def carry_time_code(
    tags: MutableMapping[str, str], late: Fraction, rate: Fraction | None, path: Path
) -> None:
    """Let the time code among a result's tags be that of its first frame.

    Args:
        tags: With that of the source's first frame, if there is any.
        late: How much later the result begins [s].
        rate: Frames per second; None where it varies: the code is lost then, which is said.
        path: The result, for that.
    """
    for key in [name for name in tags if name.lower() == "timecode"]:
        code = tags.pop(key)
        moved = None if rate is None else move_time_code(code, round(late * rate), rate)
        if moved is None:
            logger.warning(
                "%s: the time code is lost, as the part begins later than %s", path, code
            )
        else:
            tags[key] = moved


def move_time_code(code: str, frames: int, rate: Fraction) -> str | None:
    """Return the time code of the frame that comes some frames later.

    Codes with a `;` or `.` before the frames leave out the first numbers of every minute but each
    tenth, so that they keep to the clock at 29.97 and 59.94 frames per second.

    Args:
        code: Of a frame, such as `01:00:00:00`.
        frames: How many frames later.
        rate: Frames per second.

    Returns:
        None where `code` is no time code at this rate.
    """
    match = _CODE.fullmatch(code)
    second = round(rate)
    if match is None or second < 1 or int(match[5]) >= second:
        return None
    hours, minutes, seconds, frame = (int(match[group]) for group in (1, 2, 3, 5))
    left_out = second // 15 if match[4] != ":" and second % 30 == 0 else 0
    minute, ten = 60 * second - left_out, 600 * second - 9 * left_out
    passed = 60 * hours + minutes
    number = (60 * passed + seconds) * second + frame - left_out * (passed - passed // 10)
    tens, rest = divmod((number + frames) % (6 * _HOURS * ten), ten)
    # Only the first of ten minutes has all numbers.
    skipped = 0 if rest < 60 * second else 1 + (rest - 60 * second) // minute
    number = tens * 600 * second + rest + left_out * skipped
    seconds, frame = divmod(number, second)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    width = len(match[5])
    return f"{hours:02}:{minutes:02}:{seconds:02}{match[4]}{frame:0{width}}"
