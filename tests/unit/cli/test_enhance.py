"""`refvid enhance` with a workflow that only pretends."""

import json
import os
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest

from refvid.errors import (
    CheckpointUnavailable,
    DeviceError,
    InputError,
    OutOfMemory,
    OutputError,
)


def test_path_of_the_result_is_all_that_stdout_gets(run, fake, clip, picture):
    result = run("enhance", clip, "--ref", picture)
    assert result.exit_code == 0
    assert result.stdout == f"{clip.with_name('clip_refvid.mp4')}\n"
    assert "48 frames" in result.stderr
    assert [source.image for source in fake.calls[0].sources] == [picture]


def test_several_references_reach_the_workflow(run, fake, clip, picture):
    result = run("enhance", clip, "--ref", picture, "--ref", f"{picture}@40", "--ref", "frame:3")
    assert result.exit_code == 0, result.stderr
    sources = fake.calls[0].sources
    assert [(source.image, source.frame) for source in sources] == [
        (picture, None),
        (picture, 40),
        (None, 3),
    ]
    twice = run("enhance", clip, "--ref", f"{picture}@40", "--ref", "frame:40", "-y")
    assert twice.exit_code == 2
    assert "Two references for frame 40" in twice.stderr


def test_a_folder_of_references_per_input(run, fake, clip, picture, tmp_path):
    folder = tmp_path / "refs"
    folder.mkdir()
    empty = run("enhance", clip, "--refs", folder)
    assert empty.exit_code == 0, "the fake does not look into it"
    missing = run("enhance", clip, "--refs", tmp_path / "nowhere")
    assert missing.exit_code == 3
    assert "--refs: there is no folder" in missing.stderr


def test_without_reference_stderr_says_so(run, fake, clip):
    result = run("enhance", clip)
    assert result.exit_code == 0
    assert "without a reference" in result.stderr
    assert fake.calls[0].sources == ()


def test_quiet_says_nothing_on_success(run, fake, clip):
    result = run("enhance", clip, "-q")
    assert result.stderr == ""
    assert result.stdout.endswith("clip_refvid.mp4\n")


def test_every_option_reaches_the_workflow(run, fake, clip, picture, tmp_path):
    output = tmp_path / "out.mkv"
    result = run(
        *("enhance", clip, "--ref", picture, "-o", output, "--ref-fit", "contain"),
        *("--start", "1:30", "--end", "00:01:35.5", "--frames", "9", "--strength", "0.5"),
        *("--model", "mini", "--device", "cpu", "--dtype", "fp32", "--chunk", "8", "--tile", "256"),
        *("-c", "hevc", "--crf", "12", "--pix-fmt", "yuv420p10le", "-e", "preset=slow"),
        *("-e", "x265-params=keyint=10", "--audio", "none", "--subs", "none", "--no-metadata"),
        *("--hdr", "passthrough", "--rate", "23.976", "--no-cut-detection", "-y"),
    )
    assert result.exit_code == 0, result.stderr
    (options,) = fake.calls
    assert options.output == output
    assert options.reference_fit == "contain"
    assert options.range.start == Fraction(90)
    assert options.range.end == Fraction(191, 2)
    assert options.range.frames == 9
    assert options.strength == 0.5
    assert (options.model.model, options.model.device, options.model.dtype) == (
        "mini",
        "cpu",
        "fp32",
    )
    assert (options.model.chunk, options.model.tile) == (8, 256)
    assert options.encoding.codec == "hevc"
    assert options.encoding.crf == 12
    assert options.encoding.pix_fmt == "yuv420p10le"
    assert options.encoding.encoder_options == {"preset": "slow", "x265-params": "keyint=10"}
    assert (options.encoding.audio, options.encoding.subtitles) == ("none", "none")
    assert not options.encoding.metadata
    assert options.hdr == "passthrough"
    assert options.sequence_rate == Fraction(24000, 1001)
    assert not options.cut_detection
    assert options.overwrite


@pytest.mark.parametrize(
    "words",
    [
        ("--start", "soon"),
        ("--start", "5", "--end", "3"),
        ("--preview", "5s", "--frames", "3"),
        ("--tile", "big"),
        ("--rate", "0"),
        ("--encoder-option", "slow"),
        ("--ref", "frame:first"),
        ("--ref", "time:late"),
        ("--crf", "99"),
        ("--strength", "2"),
        ("--hdr", "guess"),
        ("--chunk", "0"),
        ("--overwrite", "--skip-existing"),
        ("--quiet", "--verbose"),
        ("--no-such-option",),
        ("-o", "{name}.mp4"),
        ("-o", "{stem.mp4"),
        ("-o", "nosuffix"),
    ],
)
def test_impossible_options_are_2_and_load_nothing(run, fake, clip, words):
    result = run("enhance", clip, *words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "error:" in result.stderr.lower()
    assert fake.loads == 0


def test_missing_input_is_3_and_loads_nothing(run, fake, tmp_path):
    result = run("enhance", tmp_path / "missing.mp4")
    assert result.exit_code == 3
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert "missing.mp4" in result.stderr
    assert fake.loads == 0


def test_missing_reference_is_3_and_loads_nothing(run, fake, clip):
    result = run("enhance", clip, "--ref", "missing.png")
    assert result.exit_code == 3
    assert "missing.png" in result.stderr
    assert fake.loads == 0


def test_existing_output_is_4_and_stays(run, fake, clip):
    existing = clip.with_name("clip_refvid.mp4")
    existing.write_bytes(b"precious")
    result = run("enhance", clip)
    assert result.exit_code == 4
    assert "--overwrite" in result.stderr
    assert existing.read_bytes() == b"precious"
    assert fake.loads == 0


def test_overwrite_replaces(run, fake, clip):
    existing = clip.with_name("clip_refvid.mp4")
    existing.write_bytes(b"old")
    assert run("enhance", clip, "-y").exit_code == 0
    assert existing.read_bytes() == b"video"


def test_skip_existing_is_success_and_off_stdout(run, fake, clip):
    clip.with_name("clip_refvid.mp4").write_bytes(b"done before")
    result = run("enhance", clip, "-n")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "skipped" in result.stderr
    assert fake.loads == 0


def test_missing_output_folder_is_4(run, fake, clip, tmp_path):
    result = run("enhance", clip, "-o", tmp_path / "missing" / "x.mp4")
    assert result.exit_code == 4
    assert "does not exist" in result.stderr
    assert fake.loads == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("damaged"), 3),
        (OutputError("disk full"), 4),
        (DeviceError("no such device"), 6),
        (OutOfMemory("does not fit"), 6),
        (MemoryError(), 6),
        (RuntimeError("surprise"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_failures_of_the_workflow_have_their_codes(run, fake, clip, error, code):
    fake.errors["clip.mp4"] = error
    result = run("enhance", clip)
    assert result.exit_code == code
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_missing_weights_are_5(run, fake, clip):
    fake.load_error = CheckpointUnavailable("weights are not here; go online once")
    result = run("enhance", clip)
    assert result.exit_code == 5
    assert result.stderr.splitlines()[-1] == "error: weights are not here; go online once"


def test_weights_that_do_not_load_stop_a_batch_once(run, fake, clip):
    clip.with_name("other.mp4").write_bytes(b"")
    fake.load_error = CheckpointUnavailable("weights are not here")
    result = run("enhance", clip, clip.with_name("other.mp4"))
    assert result.exit_code == 5
    assert result.stderr.count("error:") == 1


def test_bug_asks_for_debug_and_debug_shows_the_traceback(run, fake, clip):
    fake.errors["clip.mp4"] = RuntimeError("surprise")
    assert "--debug" in run("enhance", clip).stderr
    assert "Traceback" in run("enhance", clip, "--debug").stderr


class TestBatch:
    @pytest.fixture
    def clips(self, tmp_path):
        folder = tmp_path / "clips"
        folder.mkdir()
        for name in ("a.mp4", "b.mkv", "c.mov"):
            (folder / name).write_bytes(b"")
        return folder

    def test_one_failure_does_not_stop_the_rest(self, run, fake, clips):
        fake.errors["b.mkv"] = InputError("damaged")
        result = run("enhance", clips)
        assert result.exit_code == 3
        assert len(result.stdout.splitlines()) == 2
        assert "b.mkv" in result.stderr
        assert "3 inputs: 2 done, 1 failed" in result.stderr
        assert fake.loads == 1

    def test_different_failures_are_7(self, run, fake, clips):
        fake.errors["a.mp4"] = InputError("damaged")
        fake.errors["b.mkv"] = OutputError("disk full")
        assert run("enhance", clips).exit_code == 7

    def test_failures_before_and_after_loading_count_alike(self, run, fake, clips):
        fake.errors["a.mp4"] = OutputError("disk full")
        result = run("enhance", clips / "a.mp4", clips / "missing.mp4", clips / "b.mkv")
        assert result.exit_code == 7
        assert len(result.stdout.splitlines()) == 1

    def test_fail_fast_stops(self, run, fake, clips):
        fake.errors["a.mp4"] = InputError("damaged")
        result = run("enhance", clips, "--fail-fast")
        assert result.exit_code == 3
        assert [options.source.name for options in fake.calls] == ["a.mp4"]
        assert "2 not begun" in result.stderr

    def test_fail_fast_stops_before_loading(self, run, fake, clips):
        result = run("enhance", clips / "missing.mp4", clips / "a.mp4", "--fail-fast")
        assert result.exit_code == 3
        assert fake.loads == 0

    def test_folder_for_results_is_created(self, run, fake, clips, tmp_path):
        result = run("enhance", clips, "-o", f"{tmp_path}/new/deep/")
        assert result.exit_code == 0, result.stderr
        found = {path.name for path in (tmp_path / "new" / "deep").iterdir()}
        assert {"a_refvid.mp4", "b_refvid.mkv", "c_refvid.mov"} == found

    def test_ctrl_c_ends_everything(self, run, fake, clips):
        fake.errors["b.mkv"] = KeyboardInterrupt()
        result = run("enhance", clips)
        assert result.exit_code == 130
        assert [options.source.name for options in fake.calls] == ["a.mp4", "b.mkv"]

    def test_quoted_wildcard(self, run, fake, clips):
        result = run("enhance", clips / "*.m*")
        assert result.exit_code == 0
        assert len(fake.calls) == 3

    def test_second_run_leaves_results_of_the_first_alone(self, run, fake, clips):
        run("enhance", clips)
        result = run("enhance", clips, "-n")
        assert result.exit_code == 0
        assert len(fake.calls) == 3

    def test_two_inputs_for_one_output(self, run, fake, clips, tmp_path):
        (clips / "a.mkv").write_bytes(b"")
        result = run("enhance", clips / "a.mp4", clips / "a.mkv", "-o", "{dir}/{stem}_new.mp4")
        assert result.exit_code == 2
        assert fake.loads == 0


class TestSameFile:
    def test_itself(self, run, fake, clip):
        result = run("enhance", clip, "-o", clip, "-y")
        assert result.exit_code == 2
        assert "is the input" in result.stderr
        assert fake.loads == 0

    @pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
    @pytest.mark.parametrize("link", [os.symlink, os.link])
    def test_through_a_link(self, run, fake, clip, link):
        other = clip.with_name("other.mp4")
        link(clip, other)
        assert run("enhance", clip, "-o", other, "-y").exit_code == 2
        assert fake.loads == 0

    def test_output_over_the_reference(self, run, fake, clip, tmp_path):
        reference = tmp_path / "ref.png"
        reference.write_bytes(b"")
        result = run("enhance", clip, "--ref", reference, "-o", reference, "-y")
        assert result.exit_code == 2
        assert fake.loads == 0


class TestJson:
    def test_one_object_for_the_run(self, run, fake, clip):
        result = run("enhance", clip, "--json")
        document = json.loads(result.stdout)
        assert document["exit_code"] == 0
        (entry,) = document["results"]
        assert entry["status"] == "done"
        assert entry["output"].endswith("clip_refvid.mp4")
        assert entry["report"] == {"frames": 48}

    def test_batch_keeps_the_order_of_the_inputs(self, run, fake, clip):
        fake.errors["clip.mp4"] = InputError("damaged")
        names = [clip.with_name("missing.mp4"), clip, clip.with_name("z.mp4")]
        names[2].write_bytes(b"")
        result = run("enhance", *names, "--json")
        document = json.loads(result.stdout)
        assert result.exit_code == document["exit_code"] == 3
        assert [entry["status"] for entry in document["results"]] == ["failed", "failed", "done"]
        assert document["results"][1]["error"] == {
            "type": "InputError",
            "message": "damaged",
            "exit_code": 3,
        }

    def test_error_before_any_work(self, run, fake, clip):
        result = run("enhance", clip, "--json", "--tile", "big")
        assert result.exit_code == 2
        assert json.loads(result.stdout)["error"]["exit_code"] == 2


class TestDryRun:
    def test_prints_the_plan_and_writes_nothing(self, run, fake, clip, tmp_path):
        before = set(tmp_path.rglob("*"))
        result = run("enhance", clip, "--dry-run", "-o", f"{tmp_path}/new/")
        assert result.exit_code == 0, result.stderr
        assert "3 of 16 frames" in result.stdout
        assert "a stream was dropped" in result.stdout
        assert "time:      3:21 (about, as tried)" in result.stdout
        assert not fake.may_fetch
        assert set(tmp_path.rglob("*")) == before
        assert fake.calls == []

    def test_json(self, run, fake, clip):
        document = json.loads(run("enhance", clip, "--dry-run", "--json").stdout)
        assert document["results"][0]["status"] == "planned"
        assert document["results"][0]["plan"] == {"frames": 48}


class TestSettings:
    def test_flag_over_environment_over_file(self, run, fake, clip, tmp_path):
        config = tmp_path / "config.toml"
        config.write_text('device = "cuda"\ncodec = "hevc"\ncrf = 20\n')
        env = {"REFVID_CONFIG": str(config), "REFVID_CODEC": "av1", "REFVID_CRF": "30"}
        result = run("enhance", clip, "--crf", "10", env=env)
        assert result.exit_code == 0, result.stderr
        (options,) = fake.calls
        assert options.model.device == "cuda"
        assert options.encoding.codec == "av1"
        assert options.encoding.crf == 10

    def test_output_template(self, run, fake, clip):
        result = run("enhance", clip, env={"REFVID_OUTPUT": "{dir}/{stem}.new{ext}"})
        assert result.stdout == f"{clip.with_name('clip.new.mp4')}\n"

    def test_log_level(self, run, fake, clip):
        assert run("enhance", clip, env={"REFVID_LOG_LEVEL": "quiet"}).stderr == ""

    def test_unusable_config_is_2_and_names_file_and_key(self, run, fake, clip, tmp_path):
        config = tmp_path / "config.toml"
        config.write_text("codex = 'hevc'\n")
        result = run("enhance", clip, env={"REFVID_CONFIG": str(config)})
        assert result.exit_code == 2
        assert str(config) in result.stderr
        assert "'codex'" in result.stderr
        assert "'codec'" in result.stderr


def test_relative_paths_stay_relative(run, fake, clip, monkeypatch):
    monkeypatch.chdir(clip.parent)
    assert run("enhance", clip.name).stdout == f"{Path('clip_refvid.mp4')}\n"


def test_compare_gets_the_input_and_the_result(run, fake, clip, monkeypatch, tmp_path):
    from refvid.comparison import compare as workflow

    asked = []

    def compare(options, on_progress):
        asked.append(options)
        return SimpleNamespace(notes=("a note",))

    monkeypatch.setattr(workflow, "compare", compare)
    result = run("enhance", clip, "--compare", "-o", tmp_path / "better.mp4")
    assert result.exit_code == 0, result.stderr
    (options,) = asked
    assert options.sources == (clip, tmp_path / "better.mp4")
    assert options.page == tmp_path / "better_compare.html"
    assert options.range.frames == 48
    assert result.stdout == f"{tmp_path / 'better.mp4'}\n"
    assert f"comparison: {options.page}" in result.stderr
    assert "note: a note" in result.stderr


def test_compare_of_images_lies_beside_them(run, fake, clip, monkeypatch, tmp_path):
    from refvid.comparison import compare as workflow

    pages = []

    def compare(options, on_progress):
        pages.append(options.page)
        return SimpleNamespace(notes=())

    monkeypatch.setattr(workflow, "compare", compare)
    result = run("enhance", clip, "--compare", "-o", tmp_path / "frame_%04d.png")
    assert result.exit_code == 0, result.stderr
    assert pages == [tmp_path / "compare.html"]


@pytest.mark.parametrize(("words", "start"), [("5s", Fraction(5)), ("120f", 120)])
def test_compare_shows_the_part(run, fake, clip, monkeypatch, words, start):
    from refvid.comparison import compare as workflow

    asked = []

    def compare(options, on_progress):
        asked.append(options)
        return SimpleNamespace(notes=())

    monkeypatch.setattr(workflow, "compare", compare)
    result = run("enhance", clip, "--compare", "--start", words, "--preview", "48f")
    assert result.exit_code == 0, result.stderr
    (options,) = asked
    assert options.range.start == start
    assert options.range.frames == 48
    # The result begins there.
    assert options.excerpts == options.sources[1:]


def test_an_existing_page_stops_its_job_before_any_work(run, fake, clip):
    page = clip.with_name("clip_refvid_compare.html")
    page.write_text("precious")
    result = run("enhance", clip, "--compare")
    assert result.exit_code == 4
    assert page.read_text() == "precious"
    assert fake.calls == []
    assert run("enhance", clip, "--compare", "--dry-run").exit_code == 4


def test_strength_0_loads_no_model(run, fake, clip):
    fake.load_error = CheckpointUnavailable("nothing is here")
    result = run("enhance", clip, "--strength", "0", "--model", "wan2.1")
    assert result.exit_code == 0, result.stderr
    assert fake.loads == 0
    assert fake.calls[0].strength == 0
    assert "without a reference" not in result.stderr
