"""Whether a reference is sharper is told of the video as it was recorded, enlarged or not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from refvid.evaluation.demo import sample_clip
from refvid.metrics.psnr import psnr
from refvid.rebuild.choose_backbone import LoadedBackbone, choose_backbone
from refvid.rebuild.enlargement import Enlargement
from refvid.rebuild.frames import enhance_frames
from refvid.rebuild.options import ModelOptions, RebuildOptions
from refvid.rebuild.reference_feed import GivenReference
from refvid.training.degradations import h264_round_trip

Frames = np.ndarray
FRAMES = 3


@pytest.fixture(scope="module")
def loaded() -> LoadedBackbone:
    return choose_backbone(ModelOptions(model="mini", device="cpu"))


@pytest.fixture(scope="module")
def clean() -> Frames:
    """(T, H, W, 3), of the size of a result."""
    return np.ascontiguousarray(sample_clip()[:FRAMES, 40:296, 60:444])


@pytest.fixture(scope="module")
def small(clean: Frames) -> Frames:
    """The same as a clip of half the size would have it."""
    return np.stack([resized(one, 0.5) for one in clean])


def resized(frame: Frames, factor: float) -> Frames:
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame, None, fx=factor, fy=factor, interpolation=how))


def rebuild(loaded: LoadedBackbone, frames: Frames, picture: Frames, scale: int | None) -> Frames:
    given = [GivenReference(name="a picture", read=lambda: picture)]
    options = RebuildOptions(enlargement=Enlargement(scale=scale), cut_detection=False)
    return enhance_frames(frames, given, options, loaded)


@pytest.mark.parametrize("scale", [None, 2, 3])
@pytest.mark.parametrize("what", ["soft", "soft and large", "sharp", "sharp and large"])
def test_who_is_warned(loaded, clean, small, caplog, what: str, scale: int | None) -> None:
    clip = small if what.startswith("soft") else np.stack(h264_round_trip(list(small), crf=26))
    picture = {
        "soft": cv2.GaussianBlur(small[0], (0, 0), 1.0),
        "soft and large": resized(cv2.GaussianBlur(small[0], (0, 0), 1.0), 2),
        "sharp": small[0],
        "sharp and large": clean[0],
    }[what]
    rebuild(loaded, clip, picture, scale)
    assert ("no sharper than the video" in caplog.text) == what.startswith("soft")


def test_a_clean_clip_has_something_to_gain_only_if_it_is_enlarged(
    loaded, clean, small, caplog
) -> None:
    rebuild(loaded, small, clean[0], None)
    assert "no sharper than the video" in caplog.text
    caplog.clear()
    rebuild(loaded, small, clean[0], 2)
    assert "warning" not in caplog.text.lower()


@pytest.mark.parametrize("is_large", [False, True])
def test_strongly_compressed_clips_gain_when_enlarged(loaded, clean, small, is_large) -> None:
    """What compression took from the clip must not be looked for between its pixels."""
    clip = np.stack(h264_round_trip(list(small), crf=38))
    picture = clean[0] if is_large else small[0]
    with_it = rebuild(loaded, clip, picture, 2)
    options = RebuildOptions(enlargement=Enlargement(scale=2), cut_detection=False)
    without = enhance_frames(clip, [], options, loaded)

    def quality(frames: Frames) -> float:
        return float(np.mean([psnr(a, b) for a, b in zip(frames[1:], clean[1:], strict=True)]))

    assert quality(with_it) > quality(without) + 0.5
