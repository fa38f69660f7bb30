"""The evaluation of tokenizers: what it codes, measures and concludes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from refvid.errors import InputError
from refvid.evaluation import tokens as work
from refvid.evaluation.measures import Networks, Scores
from refvid.evaluation.rivals import CODECS, encode_like
from refvid.evaluation.token_report import (
    PLAIN,
    REFERENCE,
    REFERENCE_16_WEBP,
    TokenReport,
    TokenResult,
)
from tests.conftest import moving_pattern

SCORES = Scores(psnr=20, ssim=0.5, flicker=0, warping_error=0)


def result(system: str, psnr: list[float], bits: float, stored: int = 0) -> TokenResult:
    return TokenResult(
        system=system, clip="a", frames=len(psnr), tokens=9, token_bits=bits, coded=len(psnr) - 1,
        reference_bits=stored, psnr=tuple(psnr), scores=SCORES, motion=0.5,
    )  # fmt: skip


def report(*results: TokenResult) -> TokenReport:
    return TokenReport(models={}, hashes={}, results=results)


def test_a_gain_is_of_frames_1_to_16() -> None:
    ours = result(REFERENCE, [99.0] + [25.0] * 16 + [0.0] * 4, 100)
    twin = result(PLAIN, [99.0] + [22.0] * 20, 100)
    assert report(ours, twin).gains() == {"a": pytest.approx(3.0)}
    assert report(ours, twin).is_met()
    worse = result(REFERENCE, [99.0] + [23.0] * 20, 100)
    assert not report(worse, twin).is_met()


def test_the_reference_is_counted() -> None:
    # 10 bits a frame and 55 for the reference against 20 bits a frame, of all frames.
    ours = result(REFERENCE_16_WEBP, [99.0] + [25.0] * 19, 190, 55)
    twin = result(PLAIN, [99.0] + [22.0] * 19, 380)
    assert ours.bits_of(5) == 55 + 40
    assert twin.bits_of(5) == 100
    assert report(ours, twin).winning_length("a") == 5
    better_twin = result(PLAIN, [99.0] + [26.0] * 19, 380)
    assert report(ours, better_twin).winning_length("a") is None


def test_clips_are_cut_in_the_middle() -> None:
    frames = np.zeros((2, 40, 80, 3), np.uint8)
    frames[:, :, 20:60] = 200
    square = work.middle_square(frames, 20)
    assert square.shape == (2, 20, 20, 3)
    assert square.min() > 190


@pytest.mark.parametrize("codec", CODECS)
def test_codecs_take_no_more_than_the_bits(codec: str) -> None:
    frames = moving_pattern(5, 64, 64)
    found = encode_like(codec, frames, 20_000)
    if found is None:
        pytest.skip(f"no encoder for {codec} here")
    decoded, bits = found
    assert decoded.shape == frames.shape
    assert 5_000 < bits <= 20_000
    assert encode_like(codec, frames, 10) is None


def test_kept_motion_tells_motion_from_none() -> None:
    clip = moving_pattern(5, 64, 64)
    assert work.kept_motion(clip, clip) == pytest.approx(1)
    assert work.kept_motion(np.repeat(clip[:1], 5, 0), clip) == pytest.approx(0, abs=0.1)


def test_the_whole_protocol(
    make_video: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "SIDE", 64)
    monkeypatch.setattr(work, "middle_square", lambda frames: frames[:, :64, :64].copy())
    monkeypatch.setattr(work, "load_networks", lambda _device: Networks())
    folder = tmp_path / "clips"
    folder.mkdir()
    make_video(moving_pattern(17, 64, 64)).rename(folder / "a.mp4")
    options = work.TokenEvaluateOptions(clips=folder, output=tmp_path / "report.json")
    steps: list[int] = []
    found = work.evaluate_tokens(options, lambda progress: steps.append(progress.done))
    assert steps == [1]
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["bar_is_met"] == found.is_met()
    text = found.to_markdown()
    for words in ("mini-reftok-twin, no reference", "VidTok", "motion kept"):
        assert words in text
    [exact] = found.of(REFERENCE)
    assert exact.psnr[0] == 99, "the reference itself"
    assert exact.token_bits == pytest.approx(4 * 64 * np.log2(64000))
    torch.manual_seed(1)  # nothing depends on it
    assert work.evaluate_tokens(options, lambda _progress: None).results == found.results
    make_video(moving_pattern(5, 64, 64)).rename(folder / "a.mp4")
    with pytest.raises(InputError, match="at least 17"):
        work.evaluate_tokens(options, lambda _progress: None)
