"""`refvid stylize`: words, with a workflow that only pretends."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from refvid.errors import CheckpointUnavailable, InputError
from refvid.rebuild import stylize as workflow


@pytest.fixture
def fake(fake, monkeypatch):
    """The pretending workflow of `enhance`, in place of `stylize`'s."""
    monkeypatch.setattr(workflow, "choose_stylizer", fake.choose_backbone)
    monkeypatch.setattr(workflow, "plan_stylize", fake.plan_enhance)
    monkeypatch.setattr(workflow, "stylize", fake.enhance)
    return fake


def test_every_option_reaches_the_workflow(run, fake, clip, picture, tmp_path):
    result = run(
        *("stylize", clip, "--style", f"{picture}:2", "--style", picture),
        *("--keyframe", f"{picture}@3", "--keyframe", f"{picture}@0.5s"),
        *("--style-scale", "0.5", "--preserve-color", "--strength", "0.5"),
        *("-o", tmp_path / "out.mkv", "--start", "1:30", "--frames", "9", "--rate", "25"),
        *("--device", "cpu", "--dtype", "fp32", "--chunk", "8", "--tile", "256", "--memory", "1G"),
        *("-c", "hevc", "--crf", "12", "--pix-fmt", "yuv420p10le", "-e", "preset=slow"),
        *("--audio", "none", "--subs", "none", "--no-metadata", "--hdr", "passthrough"),
        *("--no-cut-detection", "-y"),
    )
    assert result.exit_code == 0, result.stderr
    (options,) = fake.calls
    assert [(s.image, s.weight) for s in options.styles] == [(picture, 2), (picture, 1)]
    assert [(k.frame, k.time) for k in options.keyframes] == [(3, None), (None, Fraction(1, 2))]
    assert (options.style_scale, options.preserve_color, options.strength) == (0.5, True, 0.5)
    assert (options.range.start, options.range.frames) == (90, 9)
    assert options.sequence_rate == 25
    assert (options.model.device, options.model.dtype) == ("cpu", "fp32")
    assert (options.model.chunk, options.model.tile, options.model.memory) == (8, 256, 2**30)
    assert (options.encoding.codec, options.encoding.crf) == ("hevc", 12)
    assert (options.encoding.audio, options.encoding.subtitles) == ("none", "none")
    assert options.hdr == "passthrough"
    assert not options.cut_detection
    assert options.overwrite


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--style-scale", "0.1"),
        ("--style-scale", "5"),
        ("--strength", "2"),
        ("--overwrite", "--skip-existing"),
        ("--seed", "1"),  # nothing is random
        ("--ref", "x.png"),
        ("--model", "mini"),
    ],
)
def test_impossible_options_are_2_and_load_nothing(run, fake, clip, picture, words):
    style = ("--style", picture) if words else ()
    result = run("stylize", clip, *style, *words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert fake.loads == 0


@pytest.mark.parametrize("option", ["--style", "--keyframe"])
def test_a_result_replaces_no_image_that_it_is_made_of(run, fake, clip, picture, option):
    word = f"{picture}@0" if option == "--keyframe" else picture
    result = run("stylize", clip, option, word, "-o", picture, "-y")
    assert result.exit_code == 2
    assert "choose another name" in result.stderr
    assert fake.loads == 0


def test_missing_inputs_are_3_and_load_nothing(run, fake, clip, picture):
    assert run("stylize", clip, "--style", "missing.png").exit_code == 3
    assert run("stylize", "missing.mp4", "--style", picture).exit_code == 3
    assert fake.loads == 0


def test_missing_weights_are_5(run, fake, clip, picture):
    assert run("stylize", clip, "--style", picture, "--weights", "none.pt").exit_code == 5
    fake.load_error = CheckpointUnavailable("weights are not here")
    assert run("stylize", clip, "--style", picture).exit_code == 5


def test_a_batch_goes_on_and_tells_in_json(run, fake, clip, picture):
    other = clip.with_name("other.mp4")
    other.write_bytes(b"")
    fake.errors["clip.mp4"] = InputError("damaged")
    result = run("stylize", clip, other, "--style", picture, "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == document["exit_code"] == 3
    assert [entry["status"] for entry in document["results"]] == ["failed", "done"]
    assert fake.loads == 1


def test_the_default_model_of_the_machine_is_another_matter(run, fake, clip, picture):
    result = run("stylize", clip, "--style", picture, env={"REFVID_MODEL": "wan2.1"})
    assert result.exit_code == 0
