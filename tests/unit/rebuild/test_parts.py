"""Parts that others rebuild give what one process gives, to the last bit."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from refvid.errors import InputError
from refvid.media.encoding import Encoding
from refvid.media.frame_range import FrameRange
from refvid.media.inputs import Job
from refvid.rebuild import enhance as work
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.options import RebuildOptions
from refvid.rebuild.parts import Made, Part, find_parts, join_shots
from refvid.rebuild.reference_options import References, ReferenceSource
from tests.job_lists import frames_of

SHOTS = (30, 9, 41, 26)


@st.composite
def shots(draw) -> tuple[list[int], int]:
    lengths = draw(st.lists(st.integers(1, 60), min_size=1, max_size=20))
    starts = [sum(lengths[:index]) for index in range(len(lengths))]
    return starts, sum(lengths)


@given(shots(), st.integers(1, 100))
def test_parts_hold_every_frame_once_and_begin_with_shots(made, least):
    starts, total = made
    parts = join_shots(starts, total, least)
    assert [part.first for part in parts] == [
        sum(part.frames for part in parts[:index]) for index in range(len(parts))
    ]
    assert sum(part.frames for part in parts) == total
    assert {part.first for part in parts} | {c for part in parts for c in part.cuts} == {*starts}
    assert all(part.frames >= least for part in parts[:-1])


@pytest.fixture
def source(make_video) -> Path:
    """Four shots."""
    random = np.random.default_rng(3)
    pictures = []
    for length in SHOTS:
        coarse = 0.5 * random.integers(0, 256, (6, 8, 3)) + 0.5 * random.integers(0, 256, 3)
        wide = np.kron(coarse, np.ones((5, 5, 1)))
        pictures += [np.roll(wide, index, axis=1) for index in range(length)]
    return make_video(np.stack(pictures).astype(np.uint8), options={"crf": "0"})


@pytest.fixture
def loaded(fake_backbone) -> LoadedBackbone:
    return LoadedBackbone(
        backbone=fake_backbone(), device=torch.device("cpu"), dtype=torch.float32, reason="a test"
    )


REFERENCES = References(sources=(ReferenceSource(frame=0),))
LOSSLESS = RebuildOptions(encoding=Encoding(codec="ffv1"))


def in_parts(
    job: Job, options: RebuildOptions, loaded: LoadedBackbone, order: Callable[[Any], Any] = iter
) -> Any:
    """As several processes do it."""
    parts = find_parts(job, options, devices=1)
    assert len(parts) > 1
    folder = job.output.parent / "parts"
    folder.mkdir()
    maker = work.enhance_parts(job, REFERENCES, options, loaded)
    made: dict[int, Made] = {}
    for number, part in order(list(enumerate(parts))):
        made[number] = pickle.loads(pickle.dumps(maker.make(part, folder / str(number))))
    maker.close()

    def give() -> Iterator[Made]:
        for number in range(len(parts)):
            yield made[number]

    report = work.enhance(job, REFERENCES, options, loaded, made=give())
    assert len(list(folder.iterdir())) <= 1  # the last one goes with the folder
    return report


@pytest.mark.parametrize("order", [iter, reversed], ids=["in order", "backwards"])
@pytest.mark.parametrize("part", [FrameRange(), FrameRange(start=7, frames=90)])
def test_the_result_is_that_of_one_process(source, loaded, tmp_path, order, part):
    options = replace(LOSSLESS, range=part)
    whole = Job(source=source, output=tmp_path / "whole.mkv")
    serial = work.enhance(whole, REFERENCES, options, loaded)
    shared = in_parts(Job(source=source, output=tmp_path / "shared.mkv"), options, loaded, order)
    assert frames_of(tmp_path / "whole.mkv") == frames_of(tmp_path / "shared.mkv")
    assert shared.cuts == serial.cuts
    assert serial.cuts is not None
    assert len(serial.cuts) == 3
    assert shared.frames == serial.frames
    assert shared.served == serial.served


def test_what_is_not_searched_for_cuts_has_no_parts(source, tmp_path):
    job = Job(source=source, output=tmp_path / "out.mkv")
    assert find_parts(job, replace(LOSSLESS, cut_detection=False), devices=2) == []


def test_a_video_that_became_shorter_is_an_error(source, loaded, tmp_path):
    job = Job(source=source, output=tmp_path / "out.mkv")
    maker = work.enhance_parts(job, REFERENCES, LOSSLESS, loaded)
    with pytest.raises(InputError, match="has changed"):
        maker.make(Part(first=100, frames=50), tmp_path / "part")
    maker.close()
