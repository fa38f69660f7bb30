"""Frames are gone with their last use: none waits for Python to find rings of objects."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import av
import pytest

from refvid import enhance
from refvid.media.reader import open_video

FRAMES = 40
A_FEW = 6
"""That a decoder, an encoder and those ahead of it may hold."""


@contextmanager
def no_search_for_rings() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def held_pictures() -> int:
    return sum(type(thing) is av.VideoFrame for thing in gc.get_objects())


@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("keep_decoded", [False, True])
def test_read_frames_are_freed(samples, planes, keep_decoded):
    source = samples.make(frames=FRAMES)
    with no_search_for_rings():
        before = held_pictures()
        with open_video(source, planes=planes, keep_decoded=keep_decoded) as video:
            assert sum(1 for _ in video) == FRAMES
        assert held_pictures() - before <= A_FEW


def test_rebuilt_frames_are_freed(samples):
    source = samples.make(frames=FRAMES)
    with no_search_for_rings():
        before = held_pictures()
        enhance(source, source.with_name("out.mkv"), strength=0)
        assert held_pictures() - before <= A_FEW
