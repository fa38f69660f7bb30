"""Time codes, by counting; and what becomes of them in results."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refvid.media.time_code import move_time_code

RATES = [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60000, 1001)]


def codes(rate: int, left_out: int) -> Iterator[str]:
    """All codes of a day, as SMPTE 12M counts them."""
    mark = ";" if left_out else ":"
    for minute in range(24 * 60):
        for second in range(60):
            first = left_out if second == 0 and minute % 10 else 0
            for frame in range(first, rate):
                yield f"{minute // 60:02}:{minute % 60:02}:{second:02}{mark}{frame:02}"


@pytest.mark.parametrize(
    ("rate", "left_out"),
    [(RATES[0], 0), (RATES[1], 0), (RATES[2], 0), (RATES[2], 2), (RATES[3], 4)],
)
def test_every_frame_has_the_code_that_counting_gives(rate, left_out):
    counted = list(islice(codes(round(rate), left_out), 25 * 60 * round(rate)))
    for number in (0, 1, 1799, 1800, 17981, 17982, 17983, len(counted) - 1):
        assert move_time_code(counted[0], number, rate) == counted[number]
    step = 997
    for number in range(0, len(counted) - step, step):
        assert move_time_code(counted[number], step, rate) == counted[number + step]


def test_after_midnight_comes_midnight():
    assert move_time_code("23:59:59:24", 1, Fraction(25)) == "00:00:00:00"
    assert move_time_code("23:59:59;29", 1, RATES[2]) == "00:00:00;00"


@given(st.sampled_from(RATES), st.booleans(), *[st.integers(0, 10**7)] * 2)
def test_two_steps_are_one(rate, leaves_out, first, second):
    start = "10:00:00;00" if leaves_out else "10:00:00:00"
    middle = move_time_code(start, first, rate)
    assert middle is not None
    assert move_time_code(middle, second, rate) == move_time_code(start, first + second, rate)


@pytest.mark.parametrize("code", ["", "1:2:3:4", "01:02:03:25", "01:61:00:00", "time", "01:02:03"])
def test_what_is_no_time_code(code):
    assert move_time_code(code, 1, Fraction(25)) is None


def time_codes(path) -> set[str]:
    with av.open(str(path)) as container:
        found = [container.metadata, *(stream.metadata for stream in container.streams)]
    return {v for tags in found for k, v in tags.items() if k.lower() == "timecode"}


@pytest.mark.parametrize("source_name", ["in.mov", "in.mkv", "in.mxf"])
@pytest.mark.parametrize("name", ["out.mov", "out.mp4", "out.mkv"])
@pytest.mark.parametrize(("start", "expected"), [(0, "10:00:00:20"), (7, "10:00:01:02")])
def test_a_part_begins_with_the_code_of_its_first_frame(
    samples, source_name, name, start, expected
):
    is_mxf = source_name == "in.mxf"
    source = samples.make(
        source_name,
        codec="mpeg2video" if is_mxf else "libx264",
        frames=12,
        metadata={"timecode": "10:00:00:20"},
    )
    assert time_codes(source) == {"10:00:00:20"}
    output = samples.folder / name
    samples.copy(source, output, start=start)
    assert time_codes(output) == {expected}


def test_of_a_variable_rate_it_is_lost_and_said(samples, caplog):
    stamps = [0, 40, 80, 200, 220, 300]
    source = samples.make(
        "in.mov",
        time_base=Fraction(1, 1000),
        timestamps=stamps,
        metadata={"timecode": "10:00:00:00"},
    )
    samples.copy(source, samples.folder / "all.mov")
    assert time_codes(samples.folder / "all.mov") == {"10:00:00:00"}
    samples.copy(source, samples.folder / "part.mov", start=2)
    assert time_codes(samples.folder / "part.mov") == set()
    assert "the time code is lost" in caplog.text
