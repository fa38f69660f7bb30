"""What the page makes of its options, against the library's own functions."""

import inspect

import numpy as np
import pytest
from PIL import Image

import refvid
from refvid.cli.ui import _tasks
from refvid.errors import InputError, OptionError
from refvid.page.jobs import Jobs
from refvid.page.options import in_panels, read_options
from refvid.page.show import describe_job, describe_report, describe_source, read_pair
from refvid.page.tasks import Models, look_at, queue_work
from tests.conftest import moving_pattern
from tests.lossless import read_frames


class Ended(BaseException):
    pass


@pytest.fixture
def tasks():
    return {task.name: task for task in _tasks()}


@pytest.fixture
def do(tmp_path):
    """Does a piece of work as the page does."""
    root, models = tmp_path / "root", Models()
    root.mkdir()

    def work(task, source, *, is_preview=False, as_video=False, **chosen):
        jobs = Jobs(lambda error, job: str(error))
        job = queue_work(
            jobs, models, task, source, root, chosen, is_preview=is_preview, as_video=as_video
        )

        def end(job):
            raise Ended

        jobs.add(lambda _: root / "end", title="", source=source, begins=None, work=end)
        with pytest.raises(Ended):
            jobs.work()
        assert job.state == "done", job.error
        assert describe_job(job, jobs).startswith("Done:")
        return job

    return work


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "reference.png"
    Image.fromarray(moving_pattern(31)[30]).save(path)
    return path


def test_options_are_the_flags_of_the_commands(tasks):
    for task in tasks.values():
        keywords = [option.keyword for option in task.options]
        known = {
            *inspect.signature(task.run).parameters,
            *inspect.signature(refvid.load_model).parameters,
        }
        assert set(keywords) <= known
        assert len(keywords) == len(set(keywords))
        assert all(option.help for option in task.options)
        # No file of the machine can be named.
        assert not {"weights", "c2pa_cert", "c2pa_key", "refs", "output"} & {*keywords}
    assert {"strength", "start", "scale", "model", "codec", "crf", "hdr", "ref_video"} <= {
        option.keyword for option in tasks["Enhance"].options
    }
    assert {"structure", "style_scale", "preserve_color"} <= {
        option.keyword for option in tasks["Stylize"].options
    }
    assert {"latent_scale", "layout", "fps"} <= {
        option.keyword for option in tasks["Decode"].options
    }


def test_what_is_not_said_is_left_to_the_library(tasks):
    for task in tasks.values():
        options = [one for panel in in_panels(task.options).values() for one in panel]
        values = [option.default for option in options]
        usual = read_options(options, values)
        usual.pop("device", None)
        parameters = {
            **inspect.signature(refvid.load_model).parameters,
            **inspect.signature(task.run).parameters,
        }
        assert usual == {name: parameters[name].default for name in usual}
    negated = next(one for one in tasks["Enhance"].options if one.keyword == "cut_detection")
    assert read_options([negated], [True]) == {"cut_detection": False}
    words = next(one for one in tasks["Enhance"].options if one.keyword == "start")
    assert read_options([words], [" 1:30 "]) == {"start": "1:30"}
    assert read_options([words], ["  "]) == {}


@pytest.mark.parametrize(
    ("keyword", "given", "read"),
    [("crf", "18.5", 18.5), ("frames", "5", 5), ("scale", " 2 ", 2), ("strength", 0.5, 0.5)],
)
def test_numbers(tasks, keyword, given, read):
    option = next(one for one in tasks["Enhance"].options if one.keyword == keyword)
    assert read_options([option], [given]) == {keyword: read}
    for wrong in ("many", "1e99", "-1", "nan"):
        with pytest.raises(OptionError, match=f"{option.label}: {wrong} is not a"):
            read_options([option], [wrong])


def test_a_preview_is_what_the_library_gives(tasks, do, make_video, picture, tmp_path, one_thread):
    video = make_video(80)
    options = {"ref": [f"{picture}@30"], "start": "0.4", "crf": 0}
    job = do(tasks["Enhance"], video, is_preview=True, frames=3, **options)
    assert job.output.name == "video_refvid_preview.mp4"
    expected = tmp_path / "expected.mp4"
    refvid.enhance(video, expected, ref=f"{picture}@30", start=0.4, preview=2, crf=0)
    assert np.array_equal(read_frames(job.output), read_frames(expected))
    assert len(read_frames(expected)) == 50
    before, after = read_pair(job, 7)
    assert np.array_equal(before, read_frames(video)[17])
    assert np.array_equal(after, read_frames(expected)[7])
    told = describe_report(job.report)
    assert "reference.png" in told.replace("\\", "")
    assert str(tmp_path) not in told.replace("\\", "")


def test_a_preview_from_a_frame_on(tasks, do, make_video):
    video = make_video(70)
    job = do(tasks["Enhance"], video, is_preview=True, start="15f", strength=0.0)
    assert job.report.frames == 50
    before, after = read_pair(job, 49)
    frames = read_frames(video)
    assert np.array_equal(before, frames[64])
    # It is coded again: the nearest one is meant.
    assert np.abs(frames.astype(int) - after).mean(axis=(1, 2, 3)).argmin() == 64


def test_an_enlarged_result_beside_its_source(tasks, do, make_video):
    job = do(tasks["Enhance"], make_video(3), scale=2)
    before, after = read_pair(job, 1)
    assert before.shape == after.shape == (96, 128, 3)
    assert before.dtype == after.dtype == np.uint8


@pytest.fixture
def shots(tmp_path):
    folder = tmp_path / "shots"
    folder.mkdir()
    for number, frame in enumerate(moving_pattern(8), 3):
        Image.fromarray(frame).save(folder / f"shot_{number:04}.png")
    return folder


def test_images_stay_images(tasks, do, shots, picture, one_thread):
    job = do(tasks["Enhance"], shots, ref=[picture])
    folder = job.output.parent
    assert (folder.name, job.output.name) == ("shots_refvid", "shot_%04d.png")
    assert [path.name for path in sorted(folder.iterdir())] == [
        path.name for path in sorted(shots.iterdir())
    ]
    assert "shots\\_refvid/shot" in describe_job(job, Jobs(lambda error, job: ""))
    before, after = read_pair(job, 2)
    assert np.array_equal(before, read_frames(shots)[2])
    assert np.array_equal(after, read_frames(folder)[2])


def test_images_become_a_video_at_their_rate(tasks, do, shots):
    options = {"rate": "4", "start": "0.5", "strength": 0, "codec": "ffv1"}
    job = do(tasks["Enhance"], shots / "shot_%04d.png", as_video=True, **options)
    assert job.output.name == "shot_refvid.mkv"
    assert refvid.info(job.output).frame_rate == 4
    assert np.array_equal(read_frames(job.output), read_frames(shots)[2:])
    before, after = read_pair(job, 1)
    assert np.array_equal(before, after)


def test_a_folder_in_which_nothing_came_is_removed(tasks, shots, tmp_path):
    root, jobs = tmp_path / "root", Jobs(lambda error, job: str(error))
    root.mkdir()
    Image.new("RGB", (9, 9)).save(shots / "shot_0099.png")  # not of their size

    def end(job):
        raise Ended

    chosen = {"strength": 0}
    job = queue_work(jobs, Models(), tasks["Enhance"], shots, root, chosen, is_preview=False)
    jobs.add(lambda _: root / "end", title="", source=shots, begins=None, work=end)
    with pytest.raises(Ended):
        jobs.work()
    assert job.state == "failed"
    assert "must have one size" in job.error
    assert not [*root.iterdir()]


def test_stylize(tasks, do, make_video, picture, tmp_path, one_thread):
    video = make_video(4)
    options = {"structure": 0.25, "device": "cpu", "crf": 0}
    job = do(tasks["Stylize"], video, style=[str(picture)], **options)
    assert job.output.name == "video_stylized.mp4"
    refvid.stylize(video, tmp_path / "expected.mp4", style=picture, structure=0.25, crf=0)
    assert np.array_equal(read_frames(job.output), read_frames(tmp_path / "expected.mp4"))


def test_decode(tasks, do, make_video, tmp_path, one_thread):
    latents = tmp_path / "latents.safetensors"
    refvid.encode(make_video(9), latents, model="mini")
    told = describe_source(look_at(tasks["Decode"], latents))
    assert "64×48, 9 frames, latents of mini" in told
    job = do(tasks["Decode"], latents, model="auto", fps="12", crf=0)
    refvid.decode(latents, tmp_path / "expected.mp4", fps=12, crf=0)
    assert np.array_equal(read_frames(job.output), read_frames(tmp_path / "expected.mp4"))
    assert job.begins is None


def test_files_of_another_kind(tasks, make_video, tmp_path):
    latents, video = tmp_path / "latents.safetensors", make_video(9)
    refvid.encode(video, latents, model="mini")
    with pytest.raises(InputError, match="Decode makes videos"):
        look_at(tasks["Enhance"], latents)
    with pytest.raises(InputError, match="Enhance and Stylize take videos"):
        look_at(tasks["Decode"], video)
