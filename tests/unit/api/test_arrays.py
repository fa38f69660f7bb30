"""Pictures in memory come as users hold them; what is none is named before a model is loaded."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import refvid
from refvid.api import frames as api
from refvid.errors import InputError, OptionError
from tests.conftest import moving_pattern

FRAMES = moving_pattern(3, 32, 40)
PHOTO = FRAMES[0]

HOLD = {
    "tensor": torch.from_numpy,
    "list": list,
    "pictures of PIL": lambda frames: [Image.fromarray(frame) for frame in frames],
    "one after the other": iter,
    "list of tensors": lambda frames: [torch.from_numpy(frame) for frame in frames],
}


@pytest.mark.parametrize("hold", HOLD.values(), ids=HOLD)
def test_frames_of_any_holder_are_the_same(hold: Callable[[Any], Any]) -> None:
    photo = Image.fromarray(PHOTO)
    expected = refvid.enhance_frames(FRAMES, ref=PHOTO, model="mini")
    got = refvid.enhance_frames(hold(FRAMES.copy()), ref=photo, model="mini")
    assert isinstance(got, np.ndarray)
    assert np.array_equal(got, expected)


def test_paintings_of_any_holder_are_the_same() -> None:
    expected = refvid.stylize_frames(FRAMES, style=PHOTO)
    got = refvid.stylize_frames(
        [Image.fromarray(one) for one in FRAMES], style=[Image.fromarray(PHOTO)]
    )
    assert np.array_equal(got, expected)


def test_bytes_in_the_other_order() -> None:
    deep = FRAMES.astype(np.uint16) * 257
    got = refvid.enhance_frames(deep.astype(">u2"), strength=0)
    assert got.dtype == np.uint16
    assert np.array_equal(got, deep)


def test_arrays_that_must_not_be_written_to() -> None:
    fixed = FRAMES.copy()
    fixed.setflags(write=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refvid.enhance_frames(fixed, ref=fixed[0], ref_video=fixed, model="mini")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (FRAMES / np.float32(255), r"not of float32; values x of 0 to 1"),
        (torch.zeros(3, 32, 40, 3, requires_grad=True), "requires grad"),
        ([FRAMES[0], FRAMES[0, :16]], "same shape"),
        ([], r"frames are \(T, H, W, 3\)"),
        ("clip.mp4", "not 'clip.mp4'"),
        (None, "not None"),
        ([Image.new("L", (40, 32))], r"not \(1, 32, 40\)"),
    ],
)
def test_what_are_no_frames(value: Any, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "use_model", pytest.fail)
    with pytest.raises(OptionError, match=says):
        refvid.enhance_frames(value)
    with pytest.raises(OptionError, match=says):
        refvid.stylize_frames(value, style=PHOTO)


@pytest.mark.parametrize("value", [np.zeros((3, 4), np.float32), np.zeros((1, 16, 2, 4, 4), int)])
def test_what_are_no_latents(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Known without the model, which may be a long download."""
    monkeypatch.setattr(api, "use_model", pytest.fail)
    with pytest.raises(InputError, match="latents have 4 or 5 axes"):
        refvid.decode_latents(value)


@pytest.mark.parametrize("ref", [PHOTO, Image.fromarray(PHOTO), 3, ["frame:0", PHOTO]])
def test_references_of_files_are_no_pictures(ref: Any, make_video, tmp_path) -> None:
    with pytest.raises(OptionError, match="enhance_frames"):
        refvid.enhance(make_video(2), tmp_path / "out.mp4", ref=ref)


@pytest.mark.parametrize("frames", [2.5, "2"])
def test_the_number_of_frames_is_a_whole_one(frames: Any, make_video, tmp_path) -> None:
    with pytest.raises(OptionError, match="whole one"):
        refvid.enhance(make_video(4), tmp_path / "out.mp4", frames=frames, strength=0)
    whole: Any = np.int64(2)
    report = refvid.enhance(make_video(4), tmp_path / "o.mp4", frames=whole, strength=0)
    assert report.frames == 2


def test_an_empty_path_is_not_the_folder_we_are_in(tmp_path, monkeypatch) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    for call in (
        lambda: refvid.enhance("", "out.mp4"),
        lambda: refvid.enhance("a.png", ""),
        lambda: refvid.info(""),
    ):
        with pytest.raises(OptionError, match="is empty"):
            call()
