"""Lines of text stay at their times in whatever they are converted to."""

from __future__ import annotations

import io
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest
from av.subtitles.subtitle import SubtitleSet
from hypothesis import given, settings
from hypothesis import strategies as st

from refvid.media.subtitle_conversion import SubtitleConverter
from refvid.media.tracks import add_target

HEADER = (
    b"[Script Info]\r\nScriptType: v4.00+\r\n\r\n[V4+ Styles]\r\nFormat: Name, Fontname, Fontsize, "
    b"PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, "
    b"StrikeOut, "
    b"ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, "
    b"MarginV, Encoding\r\nStyle: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,"
    b"1,0,2,10,10,10,0\r\n\r\n[Events]\r\n"
)
FLICKER_MS = 500


def matroska(lines: list[tuple[int, int, str]], codec: str) -> io.BytesIO:
    """A file with these lines: start [ms], duration [ms], text."""
    data = io.BytesIO()
    with av.open(data, "w", format="matroska") as container:
        stream: Any = container.add_stream(codec)
        stream.codec_context.subtitle_header = HEADER
        stream.codec_context.time_base = Fraction(1, 1000)
        for start, duration, text in lines:
            event = SubtitleSet.create(
                f"0,0,Default,,0,0,0,,{text}".encode(), start=0, end=duration, pts=start * 1000
            )
            packet = stream.codec_context.encode_subtitle(event)
            packet.stream, packet.time_base = stream, Fraction(1, 1000)
            packet.pts = packet.dts = start
            packet.duration = duration
            container.mux_one(packet)
    data.seek(0)
    return data


def convert(
    lines: list[tuple[int, int, str]], encoder: str, container: str, codec: str = "subrip"
) -> list[tuple[int, int, str]]:
    """The converted lines, with all of a packet's text."""
    result = []
    with (
        av.open(matroska(lines, codec)) as source,
        av.open(io.BytesIO(), "w", format=container) as output,
    ):
        stream: Any = source.streams.subtitles[0]
        target: Any = add_target(output, stream, encoder)
        converter = SubtitleConverter(stream, target, Path("in.mkv"))
        converter.begin(None)
        packets = [
            made
            for packet in source.demux(stream)
            if packet.size
            for made in converter.convert(packet)
        ]
        for packet in [*packets, *converter.finish()]:
            assert packet.time_base == Fraction(1, 1000)
            data = bytes(packet)
            text = data[2 : 2 + int.from_bytes(data[:2], "big")] if encoder == "mov_text" else data
            result.append((packet.pts or 0, packet.duration or 0, text.decode()))
    return result


def test_overlapping_lines_share_a_sample():
    lines = [(0, 10_000, "sign"), (2000, 2000, "speech"), (8000, 4000, "more")]
    assert convert(lines, "mov_text", "mp4") == [
        (0, 2000, "sign"),
        (2000, 2000, "sign\nspeech"),
        (4000, 4000, "sign"),
        (8000, 2000, "sign\nmore"),
        (10_000, 2000, "more"),
    ]


def test_a_chain_of_lines_does_not_fall_behind():
    lines = [(100 + 150 * index, 300, f"L{index}") for index in range(10)]
    converted = convert(lines, "mov_text", "mp4")
    assert [start for start, _, _ in converted] == [start for start, _, _ in lines]
    assert converted[-1] == (1450, 300, "L8\nL9")


def test_two_lines_at_the_same_time():
    lines = [(1000, 2000, "he"), (1000, 4000, "she")]
    assert convert(lines, "mov_text", "mp4") == [(1000, 2000, "he\nshe"), (3000, 2000, "she")]


def test_ends_that_are_close_do_not_flicker():
    lines = [(0, 2000, "one"), (500, 1600, "two")]
    assert convert(lines, "mov_text", "mp4") == [(0, 500, "one"), (500, 1600, "one\ntwo")]


def test_lines_without_an_end_stay_until_the_next():
    lines = [(0, 0, "one"), (3000, 0, "two")]
    assert convert(lines, "mov_text", "mp4") == [(0, 3000, "one"), (3000, 5000, "two")]


@pytest.mark.parametrize(("encoder", "container"), [("webvtt", "webm"), ("subrip", "matroska")])
def test_other_containers_take_lines_that_overlap(encoder, container):
    lines = [(0, 10_000, "sign"), (2000, 2000, "speech"), (2000, 500, "noise")]
    assert convert(lines, encoder, container, codec="ass") == lines


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 8000), st.integers(1, 5000)), min_size=1, max_size=8).map(
        lambda spans: [(start, length, f"[{i}]") for i, (start, length) in enumerate(sorted(spans))]
    )
)
def test_every_line_is_shown_at_its_time(lines):
    shown = convert(lines, "mov_text", "mp4")
    for (start, duration, _), (following, _, _) in pairwise(shown):
        assert start + duration <= following
    for start, duration, text in lines:
        spans = [(begin, begin + length) for begin, length, words in shown if text in words]
        assert spans[0][0] == start
        assert sum(end - begin for begin, end in spans) == spans[-1][1] - start, "in one piece"
        assert start + duration <= spans[-1][1] < start + duration + FLICKER_MS


@pytest.mark.parametrize("codec", ["subrip", "ass"])
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_in_a_file(samples, codec, suffix):
    lines = [(100 + 150 * index, 300, f"L{index}") for index in range(10)]
    source = samples.make("in.mkv", subtitles=[codec], lines=lines, frames=50)
    output = samples.folder / f"out{suffix}"
    samples.copy(source, output)
    with av.open(str(output)) as container:
        stream = container.streams.subtitles[0]
        starts = [
            round((packet.pts or 0) * packet.time_base * 1000)
            for packet in container.demux(stream)
            if packet.size > 2
        ]
    assert starts == [start for start, _, _ in lines]


def test_a_part_of_overlapping_lines(samples):
    lines = [(0, 1900, "sign"), (600, 600, "speech")]
    source = samples.make("in.mkv", subtitles=["subrip"], lines=lines, frames=50)
    output = samples.folder / "out.mp4"
    samples.copy(source, output, start=20, end=45)
    with av.open(str(output)) as container:
        stream = container.streams.subtitles[0]
        found = [
            (round((packet.pts or 0) * packet.time_base * 1000), bytes(packet)[2:].decode())
            for packet in container.demux(stream)
            if packet.size > 2
        ]
    assert found == [(0, "sign\nspeech"), (400, "sign")]
