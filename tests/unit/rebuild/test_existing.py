"""`--skip-existing` leaves out what is whole and made as asked, and says what else it finds."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from refvid.latents.write import LatentWriter
from refvid.media.encoding import Encoding
from refvid.media.frame_range import FrameRange
from refvid.media.image_facts import read_image_comment
from refvid.media.inputs import Job
from refvid.media.reader import open_video
from refvid.media.source_type import SourceType
from refvid.media.video_info import read_video_info
from refvid.media.writer import create_video
from refvid.rebuild.existing import Existing, find_latents, find_video
from refvid.rebuild.options import RebuildOptions, SourceOptions
from refvid.rebuild.provenance import Provenance, how_rebuilt
from refvid.rebuild.reference_options import References, ReferenceSource

PHOTO = References(sources=(ReferenceSource(image=Path("private/photo ü.jpg")),))
ALL = RebuildOptions()
THREE = RebuildOptions(range=FrameRange(frames=3))


def make(
    job: Job,
    options: RebuildOptions = ALL,
    references: References = PHOTO,
    model: str = "mini",
    metadata: bool = True,
) -> None:
    """Write what `enhance` would write, but for the pixels."""
    how = how_rebuilt(references.provenance(), options)
    encoding = Encoding(metadata=metadata)
    with (
        open_video(job.source, options.range) as video,
        create_video(
            job.output,
            like=video.info,
            encoding=encoding,
            trim=video.trim,
            create_folder=True,
            overwrite=True,
            origin=Provenance(model, how).origin(SourceType.ENHANCED, None),
        ) as writer,
    ):
        for frame in video:
            writer.write(frame.pixels, frame)


def look(
    job: Job,
    options: RebuildOptions = ALL,
    references: References = PHOTO,
    model: str | None = None,
) -> Existing | None:
    return find_video(job, how_rebuilt(references.provenance(), options), options, model)


@pytest.fixture(
    params=["out.mp4", "out.mkv", "out.mov", "out/f_%04d.png", "out/%d.jpg", "out/%d.tif"]
)
def job(request: pytest.FixtureRequest, make_video, tmp_path: Path) -> Job:
    return Job(source=make_video(12), output=tmp_path / request.param)


def test_nothing(job: Job) -> None:
    assert look(job) is None


def test_the_whole_result(job: Job) -> None:
    make(job)
    assert look(job) == Existing(is_ours=True)
    assert look(job, model="mini") == Existing(is_ours=True)


def test_a_part_of_it(job: Job) -> None:
    make(job, THREE)
    found = look(job)
    assert found is not None
    assert found.problem == f"{job.output} has 3 of 12 frames"
    assert found.is_ours
    assert look(job, THREE) == Existing(is_ours=True)


@pytest.mark.parametrize(
    ("options", "references", "model", "words"),
    [
        (RebuildOptions(strength=0.5), PHOTO, None, "strength 1"),
        (RebuildOptions(cut_detection=False), PHOTO, None, "strength 1"),
        (ALL, References(), None, "reference photo"),
        (ALL, References(sources=PHOTO.sources, fit="cover"), None, "reference photo"),
        (ALL, PHOTO, "wan2.1", "mini"),
    ],
)
def test_another_way(
    job: Job, options: RebuildOptions, references: References, model: str | None, words: str
) -> None:
    make(job)
    found = look(job, options, references, model)
    assert found is not None
    assert found.problem is not None
    assert "made in another way" in found.problem
    assert words in found.problem
    assert found.is_ours


def test_another_part_of_the_same_length(make_video, tmp_path: Path) -> None:
    job = Job(source=make_video(12), output=tmp_path / "out.mp4")
    make(job, RebuildOptions(range=FrameRange(start=Fraction(0), end=Fraction(1, 5))))
    found = look(job, RebuildOptions(range=FrameRange(start=Fraction(1, 5), end=Fraction(2, 5))))
    assert found is not None
    assert found.problem is not None
    assert "to 0.2 s" in found.problem


def test_results_that_do_not_say_who_made_them(job: Job) -> None:
    make(job, metadata=False)
    assert look(job, RebuildOptions(strength=0.5)) == Existing(is_ours=False)
    make(job, THREE, metadata=False)
    if "%" in job.output.name:
        for path in sorted(job.output.parent.iterdir())[3:]:
            path.unlink()
    found = look(job)
    assert found is not None
    assert found.problem == f"{job.output} has 3 of 12 frames"
    assert not found.is_ours


def test_a_frame_of_somebody_else_among_ours(make_video, tmp_path: Path) -> None:
    job = Job(source=make_video(4), output=tmp_path / "out/f_%d.png")
    make(job)
    (tmp_path / "out/f_3.png").unlink()
    make(Job(source=job.source, output=tmp_path / "other/f_%d.png"), metadata=False)
    (tmp_path / "other/f_2.png").replace(tmp_path / "out/f_2.png")
    found = look(job)
    assert found is not None
    assert found.problem == f"{job.output} has 3 of 4 frames"
    assert not found.is_ours


def test_damaged_results(make_video, tmp_path: Path) -> None:
    for name in ("out.mp4", "out.png", "out_%d.png"):
        job = Job(source=make_video(4), output=tmp_path / name)
        job.output.with_name(name.replace("%d", "1")).write_bytes(b"damaged")
        found = look(job)
        assert found is not None
        assert found.problem is not None
        assert "cannot be read" in found.problem
        assert not found.is_ours


def test_an_input_that_cannot_be_read_is_not_compared(make_video, tmp_path: Path) -> None:
    job = Job(source=make_video(12), output=tmp_path / "out.mp4")
    make(job, THREE)
    job.source.write_bytes(b"damaged")
    found = look(job)
    assert found is not None
    assert found.problem is None
    assert "cannot be read" in found.remark


def test_sequences_are_compared_by_their_numbers(make_video, tmp_path: Path) -> None:
    make(Job(source=make_video(6), output=tmp_path / "in/%d.png"))
    (tmp_path / "in/0.png").unlink()
    job = Job(source=tmp_path / "in/%d.png", output=tmp_path / "out/%d.png")
    make(job)
    assert look(job) == Existing(is_ours=True)
    (tmp_path / "out/3.png").rename(tmp_path / "out/9.png")
    found = look(job)
    assert found is not None
    assert found.problem == f"{job.output} has 4 of 5 frames"


@pytest.mark.skipif(os.name != "posix", reason="names are not just bytes on Windows")
@pytest.mark.parametrize("name", [b"r\xff.png", b"two\nlines.png", b"\x1b[2J.png"])
@pytest.mark.parametrize("output", ["out.mp4", "out/%d.png"])
def test_any_name_of_a_reference(make_video, tmp_path: Path, name: bytes, output: str) -> None:
    references = References(sources=(ReferenceSource(image=Path(os.fsdecode(name))),))
    job = Job(source=make_video(2), output=tmp_path / output)
    make(job, references=references)
    assert look(job, references=references) == Existing(is_ours=True)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff", ".avif"])
def test_images_say_how_they_were_made(make_video, tmp_path: Path, suffix: str) -> None:
    make(Job(source=make_video(1), output=tmp_path / f"out/%d{suffix}"))
    comment = read_image_comment(tmp_path / f"out/0{suffix}")
    assert comment is not None
    assert "reference photo" in comment
    assert "private" not in comment


def test_deep_png_images_say_it_too(make_video, tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (2, 48, 64, 3)).astype(np.uint16)
    source = make_video(deep, "deep.mkv", codec="ffv1", pix_fmt="gbrp16le", options={})
    job = Job(source=source, output=tmp_path / "out/%d.png")
    make(job)
    assert read_video_info(job.output).bit_depth == 16
    assert look(job) == Existing(is_ours=True)


class TestComments:
    def test_the_users_own_stands_above_ours(self) -> None:
        ours = Provenance("mini", "reference none, strength 1")
        assert Provenance.find(f"My holidays\n{ours.comment()}") == ours
        assert Provenance.find(ours.comment()) == ours

    @pytest.mark.parametrize("comment", [None, "", "My holidays", "refvid is great"])
    def test_others(self, comment: str | None) -> None:
        assert Provenance.find(comment) is None

    def test_what_0_1_0_wrote(self) -> None:
        found = Provenance.find("refvid 0.1.0, model mini, reference photo.jpg, strength 1")
        assert found == Provenance("mini", "reference photo.jpg, strength 1")
        references = References(sources=(ReferenceSource(image=Path("a/photo.jpg")),))
        assert found.how == how_rebuilt(references.provenance(), RebuildOptions())


class TestLatents:
    @pytest.fixture
    def job(self, make_video, tmp_path: Path) -> Job:
        return Job(source=make_video(12), output=tmp_path / "out.safetensors")

    def write(self, job: Job, frames: int) -> None:
        with LatentWriter(job.output) as writer:
            writer.write(torch.zeros(1, 4, frames, 2, 2))
            writer.metadata |= {"refvid": "0.1.0", "backbone": "mini", "frames": str(frames)}

    def test_whole(self, job: Job) -> None:
        assert find_latents(job, SourceOptions(), None) is None
        self.write(job, 12)
        assert find_latents(job, SourceOptions(), None) == Existing(is_ours=True)

    def test_not_whole(self, job: Job) -> None:
        self.write(job, 3)
        found = find_latents(job, SourceOptions(), None)
        assert found is not None
        assert found.problem == f"{job.output} has 3 of 12 frames"
        assert found.is_ours

    def test_of_another_model(self, job: Job) -> None:
        self.write(job, 12)
        found = find_latents(job, SourceOptions(), "wan2.1")
        assert found is not None
        assert found.problem == f"{job.output} holds latents of mini"

    def test_damaged(self, job: Job) -> None:
        job.output.write_bytes(b"damaged")
        found = find_latents(job, SourceOptions(), None)
        assert found is not None
        assert found.problem is not None
        assert "cannot be read" in found.problem
        assert not found.is_ours
