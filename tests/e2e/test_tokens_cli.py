"""`refvid tokenize` and `refvid detokenize` as a user types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import refvid
from refvid.media.image import write_image
from tests.commands import done, run
from tests.conftest import moving_pattern


def times_of(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [round(float(frame.time), 6) for frame in container.decode(video=0)]


@pytest.fixture
def clip(make_video: Callable[..., Path]) -> Path:
    return make_video(moving_pattern(11, 72, 100), pix_fmt="yuv420p")


@pytest.mark.parametrize(
    "model", ["mini-reftok", "mini-reftok-16", "mini-reftok-twin", "mini-vtok"]
)
def test_a_video_goes_there_and_back(clip: Path, tmp_path: Path, model: str) -> None:
    tokens, result = tmp_path / "clip.tokens", tmp_path / "back.mp4"
    [made] = done("tokenize", clip, "-o", tokens, "--model", model)["results"]
    assert (made["status"], made["report"]["frames"]) == ("done", 11)
    facts = done("info", tokens)
    assert (facts["tokenizer"], facts["frames"]) == (model, 11)
    assert (facts["width"], facts["height"]) == (100, 72)
    shown = run("info", tokens).stdout.splitlines()
    assert f"bits per pixel with references: {facts['bits_per_pixel_with_references']}" in shown
    done("detokenize", tokens, "-o", result)
    assert times_of(result) == times_of(clip)
    with av.open(str(result)) as container:
        assert container.streams.video[0].codec_context.width == 100
    again = tmp_path / "again.tokens"
    done("tokenize", clip, "-o", again, "--model", model)
    assert again.read_bytes() == tokens.read_bytes(), "the same video gives the same tokens"


def test_shots_have_references_of_their_own(
    make_video: Callable[..., Path], tmp_path: Path
) -> None:
    dark, light = (
        moving_pattern(7, 64, 64, seed=1) // 4,
        255 - moving_pattern(6, 64, 64, seed=5) // 4,
    )
    clip = make_video(np.concatenate((dark, light)))
    tokens = tmp_path / "a.tokens"
    done("tokenize", clip, "-o", tokens)
    loaded = refvid.load_tokens(tokens)
    assert [shot.start for shot in loaded.shots] == [0, 7]
    assert [shot.reference for shot in loaded.shots] == [0, 1]
    # Six frames after the first one, and five: two blocks each.
    assert loaded.indices.shape == (4, 8, 8)
    assert loaded.indices.dtype == np.uint16
    assert loaded.references[1] is not None
    assert loaded.references[1].mean() > loaded.references[0].mean() + 100
    done("detokenize", tokens, "-o", tmp_path / "back.mkv", "-c", "ffv1")
    with av.open(str(tmp_path / "back.mkv")) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    assert len(frames) == 13
    assert np.abs(frames[7].astype(int) - loaded.references[1]).max() <= 1, "the reference itself"


def test_variable_times_come_back(tmp_path: Path) -> None:
    clip, tokens, result = (tmp_path / name for name in ("v.mkv", "v.tokens", "back.mkv"))
    with av.open(str(clip), "w") as container:
        stream: Any = container.add_stream("libx264", rate=30)
        stream.width = stream.height = 64
        stream.codec_context.time_base = Fraction(1, 1000)
        for picture, pts in zip(moving_pattern(6, 64, 64), (0, 40, 60, 200, 210, 300), strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    done("tokenize", clip, "-o", tokens)
    done("detokenize", tokens, "-o", result)
    assert times_of(result) == times_of(clip)


def test_a_reference_may_be_only_hashed(clip: Path, tmp_path: Path) -> None:
    tokens, picture, other = (tmp_path / name for name in ("a.tokens", "p.png", "o.png"))
    write_image(picture, moving_pattern(1, 72, 100)[0])
    write_image(other, moving_pattern(1, 72, 100, seed=2)[0])
    done("tokenize", clip, "-o", tokens, "--ref", picture, "--ref-hash-only")
    without = run("detokenize", tokens, "-o", tmp_path / "b.mp4")
    assert without.exit_code == 3
    assert "--ref" in without.stderr
    wrong = run("detokenize", tokens, "-o", tmp_path / "b.mp4", "--ref", other)
    assert wrong.exit_code == 3
    assert "not the picture" in wrong.stderr
    done("detokenize", tokens, "-o", tmp_path / "b.mp4", "--ref", picture)
    assert not list(tmp_path.glob("*.partial*"))
    first_frames = run("tokenize", clip, "-o", tmp_path / "c.tokens", "--ref-hash-only")
    assert first_frames.exit_code == 2


def test_a_smaller_reference_is_what_blocks_are_encoded_against(clip: Path, tmp_path: Path) -> None:
    sizes = []
    for name, words in (("a", ()), ("b", ("--ref-quality", "60"))):
        done("tokenize", clip, "-o", tmp_path / f"{name}.tokens", *words)
        done("detokenize", tmp_path / f"{name}.tokens", "-o", tmp_path / f"{name}.mp4")
        sizes.append(done("info", tmp_path / f"{name}.tokens")["bits_per_pixel_with_references"])
    assert sizes[1] < sizes[0]


def test_folders_and_existing_results(clip: Path, tmp_path: Path) -> None:
    folder, results = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        (folder / name).write_bytes(clip.read_bytes())
    made = done("tokenize", folder, "-o", f"{results}/")["results"]
    assert sorted(path.name for path in results.iterdir()) == [
        "a_refvid.tokens", "b_refvid.tokens",
    ]  # fmt: skip
    assert [one["status"] for one in made] == ["done", "done"]
    again = done("tokenize", folder, "-o", f"{results}/", "--skip-existing")["results"]
    assert [one["status"] for one in again] == ["skipped", "skipped"]
    back = done("detokenize", results, "-o", f"{tmp_path / 'back'}/")["results"]
    assert [one["status"] for one in back] == ["done", "done"]
    assert run("tokenize", clip, "-o", results / "a_refvid.tokens").exit_code == 4
    other = done(
        "tokenize",
        folder / "a.mp4",
        "-o",
        results / "a_refvid.tokens",
        "-n",
        "--model",
        "mini-vtok",
    )["results"]
    assert other[0]["status"] == "done", "tokens of another model are made again"


def test_an_export_lies_beside(clip: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "a.tokens"
    done("tokenize", clip, "-o", tokens, "--export", "--model", "mini-vtok")
    document = json.loads((tmp_path / "a.json").read_text())
    loaded = refvid.load_tokens(tokens)
    for name, own in (("indices", loaded.indices), ("vectors", loaded.vectors)):
        told = document["files"][name]
        flat = np.fromfile(tmp_path / told["file"], "<u2").reshape(told["shape"])
        assert np.array_equal(flat, own)
    assert loaded.vectors.shape == (10, 16)
    blocked = run("tokenize", clip, "-o", tmp_path / "b.tokens", "--export")
    assert blocked.exit_code == 0
    (tmp_path / "c.json").touch()
    assert run("tokenize", clip, "-o", tmp_path / "c.tokens", "--export").exit_code == 4
    assert not (tmp_path / "c.tokens").exists()


def test_other_files_are_refused(clip: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "a.tokens"
    done("tokenize", clip, "-o", tokens)
    other = run("detokenize", tokens, "-o", tmp_path / "b.mp4", "--model", "mini-reftok-16")
    assert other.exit_code == 3
    assert "not of mini-reftok-16" in other.stderr
    assert run("detokenize", clip, "-o", tmp_path / "b.mp4").exit_code == 3
    assert run("tokenize", clip, "-o", tmp_path / "b.mp4").exit_code == 2
    assert run("tokenize", clip, "-o", tmp_path / "b.tokens", "--model", "mini").exit_code == 2
    data = tokens.read_bytes()
    for name, damaged in (("cut", data[:-20]), ("empty", b""), ("short", data[:30])):
        path = tmp_path / f"{name}.tokens"
        path.write_bytes(damaged)
        result = run("detokenize", path, "-o", tmp_path / "b.mp4")
        assert result.exit_code == 3, result.output
    assert not (tmp_path / "b.mp4").exists()


def test_a_plan_does_nothing(clip: Path, tmp_path: Path) -> None:
    plan = done("tokenize", clip, "-o", tmp_path / "a.tokens", "--dry-run")["results"][0]["plan"]
    assert plan["reference"] == "the first frame of each shot"
    assert not (tmp_path / "a.tokens").exists()
