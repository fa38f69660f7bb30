"""A reference video: aligned by time, whatever its rate and length, and beside pictures."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from refvid.errors import InputError, OptionError
from refvid.media.image import read_image, write_image
from refvid.media.video_info import read_video_info
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.edit_mask import EditMask
from refvid.rebuild.frames import enhance_frames
from refvid.rebuild.memory import plan_memory
from refvid.rebuild.options import ModelOptions, RebuildOptions
from refvid.rebuild.reference_options import References, ReferenceSource
from refvid.rebuild.reference_video import ReferenceVideo, held_bytes
from tests.asking import EnhanceOptions, enhance, plan_enhance
from tests.unit.rebuild.test_same_moment import degrade, scene

STEP = Fraction(1, 24)


@pytest.fixture
def loaded(fake_backbone) -> LoadedBackbone:
    return LoadedBackbone(
        backbone=fake_backbone(), device=torch.device("cpu"), dtype=torch.float32, reason="a test"
    )


def write(folder: Path, pictures: list[np.ndarray]) -> Path:
    folder.mkdir()
    for index, picture in enumerate(pictures):
        write_image(folder / f"f_{index:04d}.png", picture)
    return folder / "f_%04d.png"


def moving(count: int) -> list[np.ndarray]:
    return [scene(2 * index) for index in range(count)]


def ask(source: Path, output: Path, **references: Any) -> EnhanceOptions:
    output.parent.mkdir(exist_ok=True)
    asked = EnhanceOptions(source=source, output=output)
    asked.references = References(**references)
    return asked


def times(first: int, last: int) -> list[Fraction]:
    return [Fraction(number, 24) for number in range(first, last + 1)]


class TestReading:
    def test_frames_of_the_same_time(self, make_video) -> None:
        info = read_video_info(make_video(40, rate=30))
        video = ReferenceVideo(info, info.size, STEP)
        video.go_to(times(0, 7))
        assert [frame.index for frame in [video.at(Fraction(n, 24)) for n in (0, 4)]] == [0, 5]
        assert video.at(Fraction(2, 24)) is None
        assert [frame.index for frame in video.around(Fraction(2, 24))] == [2, 3]
        assert len(video._window) <= 11, "no more than a chunk"
        video.go_to(times(24, 31))
        assert len(video._window) <= 11
        assert video.at(Fraction(1)).index == 30
        assert video.covers(Fraction(31, 24))
        video.go_to(times(32, 40))
        assert not video.covers(Fraction(34, 24))
        assert video.around(Fraction(36, 24)) == []
        video.close()

    @pytest.mark.parametrize("rate", [12, 24, 30, 60, 240])
    def test_no_more_is_held_than_is_planned(self, make_video, rate: int) -> None:
        """Of a faster video nothing that no frame would ask for; all that a slower one has."""
        info = read_video_info(make_video(3 * rate, rate=rate))
        video = ReferenceVideo(info, info.size, STEP)
        for first in (0, 8, 16, 24):
            video.go_to(times(first, first + 7))
            assert len(video._window) <= 2 * 8 + 2
            held = sum(frame.pixels.nbytes for frame in video._window)
            assert held <= held_bytes(info, info.size, 8)
            for number in range(first, first + 8):
                found, shown = video.at(Fraction(number, 24)), number * rate // 24
                if number * rate % 24 == 0:
                    assert found is not None
                    assert found.index == shown
                assert video.around(Fraction(number, 24))[0].index == shown
        video.close()

    def test_from_the_middle_on(self, make_video) -> None:
        info = read_video_info(make_video(40, rate=24))
        for first in (20, 39, 41):
            video = ReferenceVideo(info, info.size, STEP)
            video.go_to(times(first, first + 7))
            found = video.at(Fraction(first, 24))
            assert (None if found is None else found.index) == (first if first < 40 else None)
            assert video.covers(Fraction(first, 24)) == (first < 40)
            video.close()

    def test_large_frames_are_made_smaller(self, make_video) -> None:
        info = read_video_info(make_video(3))
        video = ReferenceVideo(info, (16, 12), STEP)
        video.go_to(times(0, 0))
        height, width = video.at(Fraction(0)).pixels.shape[:2]
        assert height * width <= 4 * 16 * 12
        video.close()


class TestEnhance:
    def test_the_original_comes_back(self, loaded, tmp_path: Path) -> None:
        clean = moving(12)
        asked = ask(
            write(tmp_path / "in", [degrade(one) for one in clean]),
            tmp_path / "out/f_%04d.png",
            video=write(tmp_path / "original", clean),
        )
        report = enhance(asked, loaded)
        errors = [
            np.abs(read_image(path).astype(float) - one).mean()
            for path, one in zip(sorted((tmp_path / "out").iterdir()), clean, strict=True)
        ]
        assert max(errors) < 2
        (served,) = report.served
        assert served.runs == ((0, 11),)
        assert served.finding.found > 0.95
        assert report.warnings == ()
        assert "the video" in (report.plan.reference or "")

    def test_chunks_and_shots_make_no_difference(self, fake_backbone, tmp_path: Path) -> None:
        clean = moving(13)
        source = write(tmp_path / "in", [degrade(one) for one in clean])
        video = write(tmp_path / "original", clean)
        results = []
        for chunk in (4, 13):
            asked = ask(source, tmp_path / f"out{chunk}/f_%04d.png", video=video)
            asked._model = ModelOptions(chunk=chunk)
            fresh = LoadedBackbone(
                backbone=fake_backbone(),
                device=torch.device("cpu"),
                dtype=torch.float32,
                reason="a test",
            )
            enhance(asked, fresh)
            results.append([read_image(p) for p in sorted((tmp_path / f"out{chunk}").iterdir())])
        difference = np.abs(np.subtract(*np.array(results, np.int16)))
        assert difference.mean() < 0.5

    def test_what_it_does_not_cover_is_said(self, loaded, tmp_path: Path) -> None:
        clean = moving(16)
        asked = ask(
            write(tmp_path / "in", [degrade(one) for one in clean]),
            tmp_path / "out/f_%04d.png",
            video=write(tmp_path / "original", clean[:10]),
        )
        plan = plan_enhance(asked, loaded)
        assert any("its end is rebuilt without it" in note for note in plan.notes)
        report = enhance(asked, loaded)
        assert report.frames == 16
        assert any("does not cover 6 frames (10 to 15)" in one for one in report.warnings)

    def test_a_mask_of_each_kind(self, loaded, tmp_path: Path) -> None:
        clean = moving(9)
        source = write(tmp_path / "in", [degrade(one) for one in clean])
        video = write(tmp_path / "original", clean)
        left = np.zeros((*clean[0].shape[:2], 3), np.uint8)
        left[:, :120] = 255
        Image.fromarray(left).save(tmp_path / "left.png")
        for name, mask in (
            ("still", tmp_path / "left.png"),
            ("moving", write(tmp_path / "masks", [left] * 9)),
        ):
            asked = ask(source, tmp_path / name / "f_%04d.png", video=video, mask=mask)
            report = enhance(asked, loaded)
            result = read_image(tmp_path / name / "f_0004.png").astype(float)
            assert np.abs(result - clean[4])[:, 120:].mean() < 1
            assert np.abs(result - clean[4])[:, :120].mean() > 5
            assert 0.45 < report.served[0].finding.found < 0.55

    def test_pictures_beside_it(self, loaded, tmp_path: Path) -> None:
        clean = moving(8)
        write_image(tmp_path / "first.png", clean[0])
        asked = ask(
            write(tmp_path / "in", [degrade(one) for one in clean]),
            tmp_path / "out/f_%04d.png",
            sources=(ReferenceSource(image=tmp_path / "first.png", frame=0),),
            video=write(tmp_path / "original", clean),
        )
        report = enhance(asked, loaded)
        assert [one.runs for one in report.served] == [((0, 7),), ((0, 7),)]


class TestMemory:
    def test_a_video_counts_in_the_plan(self, loaded, tmp_path: Path) -> None:
        source = write(tmp_path / "in", moving(12))
        video = write(tmp_path / "original", moving(12))
        alone = plan_enhance(ask(source, tmp_path / "a/f_%04d.png"), loaded)
        beside = plan_enhance(ask(source, tmp_path / "b/f_%04d.png", video=video), loaded)
        frames = 240 * 160 * 3 * alone.chunk
        assert beside.memory_bytes > alone.memory_bytes + 2 * frames
        mask = write(tmp_path / "mask", moving(12))
        masked = ask(source, tmp_path / "c/f_%04d.png", video=video, mask=mask)
        assert plan_enhance(masked, loaded).memory_bytes > beside.memory_bytes + frames

    def test_less_memory_makes_chunks_shorter(self, loaded, tmp_path: Path) -> None:
        source = write(tmp_path / "in", moving(12))
        video = write(tmp_path / "original", moving(12))
        plan = plan_enhance(ask(source, tmp_path / "a/f_%04d.png", video=video), loaded)
        asked = ask(source, tmp_path / "b/f_%04d.png", video=video)
        asked._model = ModelOptions(memory=plan.memory_bytes)
        smaller = plan_enhance(asked, loaded)
        assert smaller.memory_bytes <= plan.memory_bytes
        assert smaller.chunk < plan.chunk

    def test_pictures_count_in_the_plan(self, loaded, tmp_path: Path) -> None:
        source = write(tmp_path / "in", moving(2))
        plain = plan_enhance(ask(source, tmp_path / "a/f_%04d.png"), loaded)
        images = [tmp_path / f"{number}.png" for number in range(3)]
        for number, image in enumerate(images):
            write_image(image, np.full((400, 600, 3), number, np.uint8))
        sources = tuple(ReferenceSource(image=image) for image in images)
        several = plan_enhance(ask(source, tmp_path / "b/f_%04d.png", sources=sources), loaded)
        assert several.memory_bytes == plain.memory_bytes + 3 * 400 * 600 * 3

    def test_memory_of_other_devices_holds_no_frames(self, loaded) -> None:
        plan = plan_memory(loaded, "clip.mp4", 160, 240, lambda frames: 10**9 * frames)
        assert plan.memory_bytes > 10**9
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("refvid.rebuild.memory.free_bytes", lambda device: None)
            elsewhere = replace(loaded, device=torch.device("cuda"))
            plan = plan_memory(elsewhere, "clip.mp4", 160, 240, lambda frames: 10**9 * frames)
        assert plan.memory_bytes < 10**9


class TestInMemory:
    def test_as_in_files(self, loaded) -> None:
        clean = np.stack(moving(10))
        frames = np.stack([degrade(one) for one in clean])
        options = RebuildOptions()
        result = enhance_frames(frames, [], options, loaded, original=clean)
        assert np.abs(result.astype(float) - clean).mean() < 1
        left = np.zeros(clean.shape[1:3], bool)
        left[:, :120] = True
        for mask in (left, left.astype(np.uint8) * 255, np.stack([left] * 10).astype(float)):
            result = enhance_frames(frames, [], options, loaded, original=clean, mask=mask)
            error = np.abs(result.astype(float) - clean)
            assert error[:, :, 120:].mean() < 1
            assert error[:, :, :120].mean() > 5

    def test_what_is_not_covered_is_logged(self, loaded, caplog) -> None:
        clean = np.stack(moving(10))
        enhance_frames(clean, [], RebuildOptions(), loaded, original=clean[:8])
        assert "does not cover 2 frames (8 to 9)" in caplog.text

    def test_shapes_are_checked(self, loaded) -> None:
        clean = np.stack(moving(2))
        for more in ({"original": clean[0]}, {"original": clean, "mask": clean[0]}):
            with pytest.raises(OptionError):
                enhance_frames(clean, [], RebuildOptions(), loaded, **more)


class TestBadInput:
    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        return write(tmp_path / "in", moving(6))

    def test_a_mask_without_a_video(self, tmp_path: Path) -> None:
        with pytest.raises(OptionError, match="give --ref-video, too"):
            References(mask=tmp_path / "mask.png")

    def test_one_video_for_many_inputs(self, tmp_path: Path) -> None:
        with pytest.raises(OptionError, match="belongs to one input, and there are 3"):
            References(video=tmp_path / "original.mp4").for_inputs(3)

    @pytest.mark.parametrize(
        ("size", "count", "said"),
        [((60, 60), 1, "same shape"), ((240, 160), 3, "same length"), ((60, 60), 6, "same shape")],
    )
    def test_masks_that_do_not_fit(self, source, tmp_path: Path, size, count, said) -> None:
        plain = np.zeros((size[1], size[0], 3), np.uint8)
        mask = write(tmp_path / "mask", [plain] * count)
        if count == 1:
            mask = tmp_path / "mask/f_0000.png"
        with pytest.raises(InputError, match=said):
            EditMask(mask, read_video_info(source), (240, 160))

    def test_masks_of_no_use(self, source, tmp_path: Path) -> None:
        info = read_video_info(source)
        plain = np.zeros((160, 240), np.uint8)
        Image.fromarray(plain + 1).save(tmp_path / "label.png")
        with pytest.raises(InputError, match="nearly black"):
            EditMask(tmp_path / "label.png", info, info.size)
        for value, said in ((0, "black everywhere: all of"), (255, "white everywhere: nothing of")):
            Image.fromarray(plain + np.uint8(value)).save(tmp_path / "plain.png")
            assert said in EditMask(tmp_path / "plain.png", info, info.size).notes[0]
        photo = np.random.default_rng(0).integers(30, 220, (160, 240), np.uint8)
        Image.fromarray(photo).save(tmp_path / "photo.png")
        [note] = EditMask(tmp_path / "photo.png", info, info.size).notes
        assert "photo.png is mostly grey" in note

    def test_masks_one_by_one_are_looked_at_as_well(self, source, tmp_path: Path) -> None:
        info = read_video_info(source)
        numbers = EditMask(
            write(tmp_path / "a", [np.ones((160, 240, 3), np.uint8)] * 6), info, info.size
        )
        numbers.go_to([Fraction(0)])
        with pytest.raises(InputError, match="nearly black"):
            numbers.at(Fraction(0))
        numbers.close()
        (tmp_path / "b").mkdir()
        for index in range(6):
            layer = np.full((160, 240, 4), 255, np.uint8)
            layer[:80, :, 3] = 0
            Image.fromarray(layer).save(tmp_path / f"b/f_{index:04d}.png")
        with pytest.raises(InputError, match="transparent in places"):
            EditMask(tmp_path / "b/f_%04d.png", info, info.size)

    def test_a_mask_in_the_shape_that_is_shown(self, source, tmp_path: Path) -> None:
        info = replace(read_video_info(source), sample_aspect_ratio=Fraction(2))
        Image.fromarray(np.full((160, 480), 255, np.uint8)).save(tmp_path / "mask.png")
        mask = EditMask(tmp_path / "mask.png", info, info.size)
        assert mask.at(Fraction(0)).shape == (160, 240)

    def test_files_that_are_no_video(self, source, loaded, tmp_path: Path) -> None:
        (tmp_path / "text.mp4").write_bytes(b"no video")
        for wanted in ({"video": tmp_path / "text.mp4"}, {"video": tmp_path / "nowhere.mp4"}):
            asked = ask(source, tmp_path / "out/f_%04d.png", **wanted)
            with pytest.raises(InputError, match=wanted["video"].stem):
                plan_enhance(asked, loaded)

    def test_the_original_is_never_replaced(self, source, loaded, tmp_path: Path) -> None:
        original = write(tmp_path / "original", moving(6))
        asked = ask(source, original, video=original)
        with pytest.raises(OptionError, match="output"):
            plan_enhance(asked, loaded)
