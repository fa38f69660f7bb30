"""Samples for the task style are cut, scaled and painted as they say."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from refvid.errors import InputError, OptionError
from refvid.training.batch import Batch
from refvid.training.clips import TrainingClip
from refvid.training.sample_options import SampleOptions, StyleSampleOptions
from refvid.training.style_pictures import (
    StylePicture,
    cache_styles,
    find_styles,
    hold_out_styles,
)
from refvid.training.style_samples import StyleSampleDrawer, draw_style_size, fit_style

PLAIN = StyleSampleOptions(content_scale=(1, 1), style_window=(1, 1), flip=0, lead=0)


def shift_to_mean(frames: Tensor, style: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As `Paint`: a painting that tells which style and which frames it is of."""
    mean = style.mean((1, 2))
    return frames + mean[:, None, None], frames - mean[:, None, None], mean.expand(len(frames), 3)


def coordinate_clip(height: int, width: int, frames: int = 6) -> TrainingClip:
    rows, columns = np.mgrid[:height, :width]
    picture = np.stack((rows, columns, np.zeros_like(rows)), -1).astype(np.uint8)
    clip = np.stack([picture + np.array((0, 0, t), np.uint8) for t in range(frames)])
    return TrainingClip("a", clip, ())


@pytest.fixture(scope="module")
def styles(tmp_path_factory: pytest.TempPathFactory) -> list[StylePicture]:
    """A wide, a tall and a square one, each of one grey."""
    folder = tmp_path_factory.mktemp("styles")
    pictures = []
    for gray, (height, width) in ((50, (60, 100)), (120, (90, 40)), (200, (64, 64))):
        path = folder / f"{gray}.npy"
        np.save(path, np.full((height, width, 3), gray, np.uint8))
        pictures.append(StylePicture(f"{gray}.png", path))
    return pictures


def drawer(
    styles: list[StylePicture], options: StyleSampleOptions = PLAIN, seed: int = 0, clips: int = 3
) -> StyleSampleDrawer:
    samples = SampleOptions(clips=clips, frames=3, crop=48, reference_crop=48, consecutive=True)
    return StyleSampleDrawer(
        [coordinate_clip(96, 120)], styles, samples, options, shift_to_mean, seed
    )


def tensors(batch: Batch) -> list[Tensor]:
    assert batch.clip is not None
    assert batch.reference is not None
    assert batch.painted is not None
    made = batch.painted
    return [batch.clip, batch.target, batch.reference, made.recoloured, made.painted,
            made.statistics]  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(index=st.integers(0, 10_000), seed=st.integers(0, 50))
def test_a_batch_is_its_number(styles: list[StylePicture], index: int, seed: int) -> None:
    options = StyleSampleOptions()
    first = drawer(styles, options, seed).draw(index)
    again = drawer(styles, options, seed).draw(index)
    assert all(map(torch.equal, tensors(first), tensors(again)))
    assert first.seed == again.seed
    assert first.seed != drawer(styles, options, seed).draw(index + 1).seed


@settings(max_examples=25, deadline=None)
@given(index=st.integers(0, 10_000))
def test_contents_are_consecutive_frames_of_one_window(
    styles: list[StylePicture], index: int
) -> None:
    batch = drawer(styles).draw(index)
    assert batch.clip is not None
    values = ((batch.clip + 1) * 127.5).round()  # (B, 3, T, H, W)
    assert values.shape == (3, 3, 3, 48, 48)
    assert (values[:, 0].diff(dim=2) == 1).all(), "row after row"
    assert (values[:, 1].diff(dim=3) == 1).all(), "column after column"
    assert (values[:, 2].diff(dim=1) == 1).all(), "frame after frame"
    assert (values[:, :2].diff(dim=2) == 0).all(), "the window stays"


def test_contents_are_scaled(styles: list[StylePicture]) -> None:
    batch = drawer(styles, replace(PLAIN, content_scale=(0.5, 0.5))).draw(0)
    assert batch.clip is not None
    values = (batch.clip + 1) * 127.5
    inner = values[:, 0, :, 4:-4].diff(dim=2).mean()
    assert float(inner) == pytest.approx(2, abs=0.05), "two rows of the clip for one"


def test_paintings_begin_earlier_than_what_is_decoded(styles: list[StylePicture]) -> None:
    def count(frames: Tensor, style: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        numbers = torch.arange(float(len(frames)))[:, None, None, None]
        return frames, frames * 0 + numbers, style.mean((1, 2)).expand(len(frames), 3)

    source = drawer(styles, replace(PLAIN, lead=2))
    source.paint = count
    begun = set()
    for index in range(20):
        batch = source.draw(index)
        assert batch.clip.shape[2] == batch.painted.statistics.shape[1] == 3
        numbers = batch.painted.painted[0, 0, :, 0, 0].tolist()
        assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]
        begun.add(numbers[0])
        assert (batch.clip == batch.painted.recoloured).all()
    assert begun == {0, 1, 2}


def test_windows_of_a_style_make_its_strokes_larger() -> None:
    ramp = np.repeat(np.tile(np.arange(0, 192, 2).astype(np.uint8), (64, 1))[:, :, None], 3, 2)
    options = replace(PLAIN, style_window=(0.5, 0.5))
    for seed in range(10):
        fitted = fit_style(ramp, (64, 96), options, random.Random(seed)).astype(int)
        steps = np.diff(fitted[:, 4:-4, 0], axis=1)
        assert fitted.shape == (64, 96, 3)
        assert steps.mean() == pytest.approx(1, abs=0.1), "half a step per pixel"


def test_every_item_is_painted_with_its_own_style(styles: list[StylePicture]) -> None:
    for index in range(8):
        batch = drawer(styles).draw(index)
        clip, target, style, recoloured, painted, statistics = tensors(batch)
        mean = style.mean((2, 3))
        torch.testing.assert_close(recoloured, clip + mean[:, :, None, None, None])
        torch.testing.assert_close(painted, clip - mean[:, :, None, None, None])
        torch.testing.assert_close(statistics, mean[:, None].expand(-1, 3, -1))
        assert torch.equal(target, clip), "nobody knows a better one"


def test_batches_move_as_a_whole(styles: list[StylePicture]) -> None:
    moved = drawer(styles).draw(0).to(torch.device("meta"))
    assert all(tensor.is_meta for tensor in tensors(moved))


def test_all_styles_weigh_the_same(styles: list[StylePicture]) -> None:
    source = drawer(styles, clips=1)
    drawn = [float(source.draw(index).painted.statistics[0, 0, 0]) for index in range(300)]
    counts = [sum(abs(value - (g / 127.5 - 1)) < 0.01 for value in drawn) for g in (50, 120, 200)]
    assert sum(counts) == 300
    assert min(counts) > 70


@given(
    height=st.integers(40, 900),
    width=st.integers(40, 900),
    crop=st.sampled_from([64, 192, 256]),
    seed=st.integers(0, 1000),
)
def test_styles_have_about_the_area_that_was_asked_for(
    height: int, width: int, crop: int, seed: int
) -> None:
    low, high = 0.5, 2.0
    options = StyleSampleOptions(style_area=(low, high))
    tall, wide = draw_style_size((height, width, 3), crop, options, random.Random(seed))
    assert tall % 8 == wide % 8 == 0
    assert min(tall, wide) >= 32
    if min(tall, wide) > 32:
        # Each side is rounded by up to 4.
        assert (tall + 4) * (wide + 4) >= low * crop * crop
        assert (tall - 4) * (wide - 4) <= high * crop * crop
        assert (tall - 4) / (wide + 4) <= height / width <= (tall + 4) / (wide - 4)


@given(
    height=st.integers(1, 200),
    width=st.integers(1, 200),
    size=st.tuples(st.sampled_from([32, 64, 96]), st.sampled_from([32, 64, 96])),
    seed=st.integers(0, 1000),
)
def test_styles_are_cut_to_their_size(
    height: int, width: int, size: tuple[int, int], seed: int
) -> None:
    style = np.full((height, width, 3), 77, np.uint8)
    fitted = fit_style(style, size, PLAIN, random.Random(seed))
    assert fitted.shape == (*size, 3)
    assert (fitted == 77).all()


def test_a_style_of_the_right_proportions_is_seen_whole() -> None:
    ramp = np.linspace(0, 255, 96).astype(np.uint8)
    style = np.repeat(np.tile(ramp, (64, 1))[:, :, None], 3, 2)
    fitted = fit_style(style, (64, 96), PLAIN, random.Random(0))
    assert np.array_equal(fitted, style)
    mirrored = fit_style(style, (64, 96), replace(PLAIN, flip=1), random.Random(0))
    assert np.array_equal(mirrored, style[:, ::-1])


@pytest.mark.parametrize(
    "options",
    [{"content_scale": (1, 0.5)}, {"style_area": (0, 1)}, {"flip": 1.5}],
    ids=str,
)
def test_impossible_options_are_refused(options: dict[str, tuple[float, float]]) -> None:
    with pytest.raises(OptionError):
        StyleSampleOptions(**options)  # type: ignore[arg-type]  # on purpose


def test_pictures_are_cached_once_and_shrunk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    from refvid.training import style_pictures

    folder = tmp_path / "styles"
    (folder / "more").mkdir(parents=True)
    Image.new("RGB", (200, 100), (10, 20, 30)).save(folder / "large.png")
    Image.new("RGB", (40, 30), (90, 20, 30)).save(folder / "more" / "small.webp")
    Image.new("RGB", (40, 30)).save(folder / "left_out.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture either", encoding="utf-8")
    paths = find_styles(folder, ["left_out.png"])
    assert [path.name for path in paths] == ["broken.jpg", "large.png", "small.webp"]
    found = cache_styles(paths, tmp_path / "cache", 50)
    assert [(style.name, style.open().shape) for style in found] == [
        ("large.png", (50, 100, 3)),
        ("small.webp", (30, 40, 3)),
    ]
    assert found[0].open()[25, 50].tolist() == [10, 20, 30]
    assert "1 of 3 styles could not be read" in caplog.text
    assert "broken.jpg" in caplog.text
    monkeypatch.setattr(style_pictures, "_write", None)
    assert cache_styles(paths, tmp_path / "cache", 50) == found


NAMES = ("scream.png", "scream_detail.png", "self.png", "self_detail.webp", "wave.jpg", "boat.png")


def test_a_share_of_the_pictures_is_held_out() -> None:
    held = hold_out_styles(NAMES, (), 0.25, 0)
    assert held == hold_out_styles(NAMES[::-1], (), 0.25, 0), "whatever their order"
    drawn = {hold_out_styles(NAMES, (), 0.25, seed) for seed in range(20)}
    assert drawn == {
        frozenset(NAMES[:2]), frozenset(NAMES[2:4]), frozenset(NAMES[4:5]), frozenset(NAMES[5:]),
    }  # fmt: skip


def test_named_styles_are_held_out_with_their_details() -> None:
    assert hold_out_styles(NAMES, ["scream.png"], 0.1, 0) == {"scream.png", "scream_detail.png"}
    assert hold_out_styles(NAMES, ["self_detail.webp"], 0.1, 0) == {"self.png", "self_detail.webp"}


def test_one_picture_cannot_be_held_out(caplog: pytest.LogCaptureFixture) -> None:
    assert hold_out_styles(NAMES[:2], (), 0.9, 0) == frozenset()
    assert "too few to hold one out" in caplog.text
    with pytest.raises(InputError, match="none is left"):
        hold_out_styles(NAMES[:2], ["scream.png"], 0.1, 0)
    with pytest.raises(InputError, match=r"no style sream\.png"):
        hold_out_styles(NAMES, ["sream.png"], 0.1, 0)
