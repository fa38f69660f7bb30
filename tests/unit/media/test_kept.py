"""The tables of what is kept name everything, and the page is made from them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import get_args

import pytest
from av.packet import PktSideDataT
from av.sidedata.sidedata import Type

from refvid.media.hdr10 import (
    hdr10_options,
    parse_content_light,
    parse_mastering_display,
)
from refvid.media.kept import (
    FRAME_DATA,
    PACKET_DATA,
    PROPERTIES,
    TAGS,
    TRACKS,
    UNREADABLE,
    Fate,
    describe_losses,
    to_markdown,
)

PROJECT = Path(__file__).parents[3]


def test_every_kind_that_pyav_knows_is_there():
    assert list(FRAME_DATA) == [kind.name for kind in Type]
    assert list(PACKET_DATA) == list(get_args(PktSideDataT))


def test_the_page_is_made_from_the_tables():
    """If this fails: python -m refvid.media.kept docs/kept.md"""
    page = (PROJECT / "docs" / "kept.md").read_text(encoding="utf-8")
    assert page == to_markdown()


def test_the_page_has_a_line_for_everything():
    lines = to_markdown().splitlines()
    for table in (FRAME_DATA, PACKET_DATA, PROPERTIES, TAGS, TRACKS):
        for name, entry in table.items():
            [line] = [one for one in lines if one.startswith((f"| {name} | {entry.what}",))] or [
                one for one in lines if one.startswith(f"| `{name}` | {entry.what}")
            ]
            assert str(entry.fate) in line


def losses(names, encoder="libx264", container="mp4"):
    return describe_losses(names, encoder=encoder, codec="h264", container=container)


@pytest.mark.parametrize("name", FRAME_DATA)
def test_what_is_lost_is_named_and_nothing_else(name):
    entry = FRAME_DATA[name]
    said = losses([name])
    if entry.fate is Fate.LOST or (entry.encoders and "libx264" not in entry.encoders):
        [note] = said
        assert entry.what in note
    else:
        assert said == []
    if entry.encoders:
        [note] = losses([name], encoder="none")
        assert entry.what in note


def test_all_losses_are_in_one_note():
    [note] = losses(["SPHERICAL", "DOVI_METADATA", "DOVI_RPU_BUFFER", UNREADABLE])
    assert note == (
        "not kept: marks of spherical (360 degree) video, Dolby Vision metadata, "
        "side data of a kind that is not known"
    )


def test_hdr10_of_nothing_is_nothing():
    assert parse_mastering_display(b"") is None
    assert parse_mastering_display(bytes(88)) is None
    assert parse_content_light(b"") is None
    assert parse_content_light(bytes(8)) is None
    options = {"crf": "18"}
    assert hdr10_options("libx265", options, {}) == options
    light = {"CONTENT_LIGHT_LEVEL": struct.pack("=2I", 1000, 400)}
    assert hdr10_options("libvpx-vp9", options, light) == options
    assert hdr10_options("libx264", options, light)["x264-params"] == "cll=1000,400"
