"""Parts that others rebuild give what one process gives, to the last bit."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
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
from refvid.media.work_folder import WorkFolder, work_folder_of
from refvid.progress import Progress
from refvid.rebuild import enhance as work
from refvid.rebuild import resuming
from refvid.rebuild.choose_backbone import LoadedBackbone, choose_backbone
from refvid.rebuild.options import ModelOptions, RebuildOptions
from refvid.rebuild.parts import Made, Part, find_parts, join_shots, parts_made_before
from refvid.rebuild.plan import Report
from refvid.rebuild.reference_options import References, ReferenceSource
from tests.conftest import write_video
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


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """Four shots."""
    random = np.random.default_rng(3)
    pictures = []
    for length in SHOTS:
        coarse = 0.5 * random.integers(0, 256, (6, 8, 3)) + 0.5 * random.integers(0, 256, 3)
        wide = np.kron(coarse, np.ones((5, 5, 1)))
        pictures += [np.roll(wide, index, axis=1) for index in range(length)]
    path = tmp_path_factory.mktemp("shots") / "video.mp4"
    return write_video(path, np.stack(pictures).astype(np.uint8), options={"crf": "0"})


@pytest.fixture
def loaded(fake_backbone) -> LoadedBackbone:
    return LoadedBackbone(
        backbone=fake_backbone(), device=torch.device("cpu"), dtype=torch.float32, reason="a test"
    )


REFERENCES = References(sources=(ReferenceSource(frame=0),))
LOSSLESS = RebuildOptions(encoding=Encoding(codec="ffv1"))


class Makers:
    """Stand for the processes that make parts."""

    def __init__(
        self,
        job: Job,
        options: RebuildOptions,
        loaded: LoadedBackbone,
        order: Callable[[Any], Any] = iter,
    ) -> None:
        self.parts = find_parts(job, options, devices=1)
        assert len(self.parts) > 1
        self.numbers: list[int] = []
        """Of those that were made."""

        self._order = order
        self._maker = work.enhance_parts(job, REFERENCES, options, loaded)

    def make(self, first: int, folder: WorkFolder | None) -> Iterator[Made]:
        """All parts that are needed, before the first is given."""
        made = {} if folder is None else parts_made_before(folder)
        needed = [part for part in self.parts if part.first + part.frames > first]
        place = Path(mkdtemp()) if folder is None else folder.path
        for part in self._order([part for part in needed if part not in made]):
            one = self._maker.make(part, place / f"{part.first}", secure=folder is not None)
            if folder is not None:
                folder.note(one.note())
            made[part] = pickle.loads(pickle.dumps(one))
            self.numbers.append(self.parts.index(part))
        for part in needed:
            yield made[part]
        self._maker.close()


def in_parts(
    job: Job, options: RebuildOptions, loaded: LoadedBackbone, order: Callable[[Any], Any] = iter
) -> Any:
    """As several processes do it."""
    makers = Makers(job, options, loaded, order)
    return work.enhance(job, REFERENCES, options, loaded, make_parts=makers.make)


@pytest.mark.parametrize("order", [iter, reversed], ids=["in order", "backwards"])
@pytest.mark.parametrize("part", [FrameRange(), FrameRange(start=7, frames=90)])
@pytest.mark.parametrize("resume", [True, False])
def test_the_result_is_that_of_one_process(source, loaded, tmp_path, order, part, resume):
    options = replace(LOSSLESS, range=part, resume=resume)
    whole = Job(source=source, output=tmp_path / "whole.mkv")
    serial = work.enhance(whole, REFERENCES, options, loaded)
    shared = in_parts(Job(source=source, output=tmp_path / "shared.mkv"), options, loaded, order)
    assert frames_of(tmp_path / "whole.mkv") == frames_of(tmp_path / "shared.mkv")
    assert shared.cuts == serial.cuts
    assert serial.cuts is not None
    assert len(serial.cuts) == 3
    assert shared.frames == serial.frames
    assert shared.served == serial.served


class Stop(Exception):
    """Ends a run, as a signal does."""


def stop_when_done(frames: int, job: Job, loaded: LoadedBackbone) -> Makers:
    """Enhance until so many frames are done; who made the parts."""

    def stop(progress: Progress) -> None:
        if progress.done >= frames:
            raise Stop

    makers = Makers(job, LOSSLESS, loaded)
    with pytest.raises(Stop):
        work.enhance(job, REFERENCES, LOSSLESS, loaded, stop, makers.make)
    return makers


@pytest.fixture(scope="module")
def mini() -> LoadedBackbone:
    return choose_backbone(ModelOptions(model="mini", device="cpu", dtype="fp32"))


@pytest.fixture(scope="module")
def calm(source, mini, tmp_path_factory) -> Callable[[LoadedBackbone], tuple[Path, Report]]:
    """A result of one process that nothing happened to, made once for each model."""
    known: dict[str, tuple[Path, Report]] = {}

    def make(loaded: LoadedBackbone) -> tuple[Path, Report]:
        if loaded.name not in known:
            output = tmp_path_factory.mktemp("calm") / "calm.mkv"
            job = Job(source=source, output=output)
            known[loaded.name] = output, work.enhance(job, REFERENCES, LOSSLESS, loaded)
        return known[loaded.name]

    return make


@pytest.mark.parametrize("stop", [1, 25, 40, 63, 105])
@pytest.mark.parametrize("make_model", ["fake", "mini"])
def test_a_run_that_was_stopped_goes_on_with_stretches_and_parts(
    source, loaded, mini, calm, tmp_path, monkeypatch, stop, make_model
):
    loaded = mini if make_model == "mini" else loaded
    undisturbed, wanted = calm(loaded)
    monkeypatch.setattr(resuming, "LEAST_FRAMES", 10)
    monkeypatch.setattr(resuming, "LEAST_PIXELS", 0)
    job = Job(source=source, output=tmp_path / "out.mkv")

    makers = stop_when_done(stop, job, loaded)
    assert [path.name for path in work_folder_of(job.output).glob("[0-9]*")]
    assert makers.numbers == [0, 1, 2]

    again = Makers(job, LOSSLESS, loaded)
    report = work.enhance(job, REFERENCES, LOSSLESS, loaded, make_parts=again.make)
    assert again.numbers == []  # their files go once the frames are in a stretch
    # No state goes beyond shots, or chunks, whose last two frames wait for those after them.
    shortest = SHOTS[0] if make_model == "fake" else 14
    assert (report.resumed >= shortest) == (stop > shortest)
    assert frames_of(undisturbed) == frames_of(job.output)
    assert (report.cuts, report.served) == (wanted.cuts, wanted.served)
    assert report.references == wanted.references
    assert not [*tmp_path.glob(".refvid*")]


@pytest.mark.parametrize("damage", ["cut", "flipped", "missing"])
def test_a_part_that_is_damaged_is_made_again(source, loaded, tmp_path, damage):
    job = Job(source=source, output=tmp_path / "out.mkv")

    stop_when_done(0, job, loaded)
    path = work_folder_of(job.output) / "30"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content[:-1] if damage == "cut" else content)
    if damage == "missing":
        path.unlink()
    again = Makers(job, LOSSLESS, loaded)
    work.enhance(job, REFERENCES, LOSSLESS, loaded, make_parts=again.make)
    assert again.numbers == [1]


def test_one_device_begins_anew_what_several_have_begun(source, loaded, tmp_path, caplog):
    job = Job(source=source, output=tmp_path / "out.mkv")

    stop_when_done(0, job, loaded)
    assert work.enhance(job, REFERENCES, LOSSLESS, loaded).resumed == 0
    assert "another number of devices" in caplog.text
    assert not [*tmp_path.glob(".refvid*")]


def test_what_is_not_searched_for_cuts_has_no_parts(source, tmp_path):
    job = Job(source=source, output=tmp_path / "out.mkv")
    assert find_parts(job, replace(LOSSLESS, cut_detection=False), devices=2) == []


def test_a_video_that_became_shorter_is_an_error(source, loaded, tmp_path):
    job = Job(source=source, output=tmp_path / "out.mkv")
    maker = work.enhance_parts(job, REFERENCES, LOSSLESS, loaded)
    with pytest.raises(InputError, match="has changed"):
        maker.make(Part(first=100, frames=50), tmp_path / "part")
    maker.close()
