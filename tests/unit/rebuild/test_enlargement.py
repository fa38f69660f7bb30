"""Results larger than their input: sizes, shapes and times, and what a reference brings to them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import refvid
from refvid.errors import OptionError, OutOfMemory
from refvid.evaluation.demo import sample_clip
from refvid.media.image import read_image, write_image
from refvid.media.inputs import Job
from refvid.media.reader import open_video
from refvid.media.video_info import VideoInfo, read_video_info
from refvid.metrics.psnr import psnr
from refvid.rebuild.choose_backbone import LoadedBackbone, choose_backbone
from refvid.rebuild.enlargement import Enlargement
from refvid.rebuild.frames import enhance_frames
from refvid.rebuild.options import (
    ModelOptions,
    RebuildOptions,
    Styles,
    StyleSource,
)
from refvid.rebuild.pixels import clip_to_frames, enlarge, frames_to_clip
from refvid.rebuild.reference_feed import GivenReference
from refvid.rebuild.reference_options import ReferenceSource
from refvid.rebuild.stylize import choose_stylizer, stylize
from refvid.training.degradations import write_h264
from refvid.words import parse_enlargement
from tests.asking import EnhanceOptions, enhance, plan_enhance
from tests.unit.media.conftest import build_video, packets_of, picture
from tests.unit.media.marked_videos import encode
from tests.unit.media.test_side_data import INTERLACED

sides = st.integers(1, 4000)


def load(backbone: Any, **options: Any) -> LoadedBackbone:
    return LoadedBackbone(
        backbone=backbone,
        device=torch.device("cpu"),
        dtype=torch.float32,
        reason="a test",
        options=ModelOptions(**options),
    )


@pytest.fixture
def loaded(fake_backbone) -> LoadedBackbone:
    return load(fake_backbone())


def shape_of(info: VideoInfo) -> Fraction:
    """Width over height as shown on a screen."""
    return Fraction(info.width, info.height) * info.sample_aspect_ratio


class TestWishes:
    @pytest.mark.parametrize(
        ("scale", "size", "wish"),
        [
            (None, None, Enlargement()),
            (3, None, Enlargement(scale=3)),
            (None, "1920x1080", Enlargement(size=(1920, 1080))),
            (None, "1920X1080", Enlargement(size=(1920, 1080))),
            (None, "1080p", Enlargement(lines=1080)),
        ],
    )
    def test_words(self, scale, size, wish):
        assert parse_enlargement(scale, size) == wish

    @pytest.mark.parametrize(
        ("scale", "size"),
        [(5, None), (1, None), (2, "1080p"), (None, "big"), (None, "0x10"), (None, "99999p")],
    )
    def test_nonsense_is_refused(self, scale, size):
        with pytest.raises(OptionError):
            parse_enlargement(scale, size)

    @given(width=sides, height=sides, scale=st.sampled_from([2, 3, 4]))
    def test_a_scale_multiplies_both_sides(self, width, height, scale):
        if width * height * scale**2 <= 2**26:
            assert Enlargement(scale=scale).size_of(width, height) == (
                scale * width,
                scale * height,
            )

    @given(width=st.integers(16, 4000), height=st.integers(16, 4000))
    def test_lines_are_of_the_shorter_side_and_the_other_is_even(self, width, height):
        lines = min(width, height) + 200
        if max(width, height) > 8 * min(width, height):
            return
        wide, tall = Enlargement(lines=lines).size_of(width, height)
        shorter, longer = (tall, wide) if width >= height else (wide, tall)
        assert shorter == lines
        assert longer % 2 == 0
        assert abs(longer - lines * max(width, height) / min(width, height)) <= 1

    @pytest.mark.parametrize("wish", [{"size": (100, 30)}, {"size": (30, 100)}, {"lines": 20}])
    def test_nothing_is_shrunk(self, wish):
        with pytest.raises(OptionError, match=r"clip\.mp4: size .* would shrink 40x50"):
            Enlargement(**wish).size_of(40, 50, "clip.mp4")

    def test_nothing_larger_than_a_video_can_be(self):
        with pytest.raises(OptionError, match="too large"):
            Enlargement(scale=4).size_of(4000, 3000)


class TestFiles:
    def test_what_is_shown_keeps_its_shape_and_its_times(self, tmp_path: Path, loaded) -> None:
        stamps = [0, 40, 90, 100, 170, 200, 260, 270]
        source = build_video(
            tmp_path / "in.mkv",
            size=(72, 64),
            aspect=Fraction(16, 15),
            time_base=Fraction(1, 1000),
            timestamps=stamps,
            audio=["aac"],
        )
        before = read_video_info(source)
        output = tmp_path / "out.mkv"
        options = EnhanceOptions(
            source=source, output=output, enlargement=Enlargement(scale=2), cut_detection=False
        )
        report = enhance(options, loaded)
        after = read_video_info(output)
        assert after.size == (144, 128) == (report.plan.width, report.plan.height)
        assert after.sample_aspect_ratio == before.sample_aspect_ratio
        assert times(output) == times(source)
        assert packets_of(output, "audio") == packets_of(source, "audio")
        assert report.plan.notes[0] == "enlarged from 72x64 to 144x128"

    def test_another_shape_changes_the_pixels_shape(self, tmp_path: Path, loaded) -> None:
        source = build_video(tmp_path / "in.mp4", size=(64, 48))
        output = tmp_path / "out.mp4"
        wish = Enlargement(size=(128, 72))
        options = EnhanceOptions(source=source, output=output, enlargement=wish)
        report = enhance(options, loaded)
        assert read_video_info(output).size == (128, 72)
        assert shape_of(read_video_info(output)) == Fraction(4, 3)
        assert "--size 72p keeps their shape" in report.plan.notes[1]

    def test_turned_video_is_enlarged_as_shown(self, tmp_path: Path, loaded) -> None:
        source = build_video(tmp_path / "in.mp4", size=(96, 64), rotation=90)
        output = tmp_path / "out.mp4"
        options = EnhanceOptions(source=source, output=output, enlargement=Enlargement(lines=128))
        enhance(options, loaded)
        assert read_video_info(output).size == (128, 192)

    @pytest.mark.parametrize(("size", "is_marked"), [((192, 128), False), ((192, 64), True)])
    def test_interlaced_lines_that_are_interpolated_belong_to_no_field(
        self, tmp_path: Path, loaded, size, is_marked: bool
    ) -> None:
        """A player that took them for fields would show every other pair of lines late."""
        source = encode(tmp_path / "in.mkv", fields="top", flags=INTERLACED)
        assert read_video_info(source).fields == "top"
        output = tmp_path / "out.mkv"
        options = EnhanceOptions(
            source=source, output=output, enlargement=Enlargement(size=size), cut_detection=False
        )
        notes = [one for one in enhance(options, loaded).plan.notes if "interlaced" in one]
        assert (read_video_info(output).fields == "top") is is_marked
        assert ["stay marked so" in one for one in notes] == [is_marked]

    def test_pixels_that_become_square(self, tmp_path: Path, loaded) -> None:
        source = build_video(tmp_path / "in.mp4", size=(64, 64), aspect=Fraction(2))
        wish = Enlargement(size=(128, 64))
        options = EnhanceOptions(source=source, output=tmp_path / "out.mp4", enlargement=wish)
        assert "pixels become square;" in plan_enhance(options, loaded).notes[1]

    def test_an_untagged_video_keeps_its_matrix(self, tmp_path: Path, loaded) -> None:
        """By its lines alone, the result would be BT.709, and its colours would change."""
        source = build_video(tmp_path / "in.mp4", size=(64, 480))
        output = tmp_path / "out.mp4"
        options = EnhanceOptions(source=source, output=output, enlargement=Enlargement(scale=2))
        enhance(options, loaded)
        after = read_video_info(output)
        assert after.size == (128, 960)
        assert after.color.matrix_name == "smpte170m"

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_strength_0_is_the_interpolation(self, tmp_path: Path, loaded, dtype) -> None:
        folder = tmp_path / "in"
        folder.mkdir()
        frames = [picture(index, 40, 30).astype(dtype) for index in range(3)]
        if dtype == np.uint16:
            frames = [frame * 257 for frame in frames]
        for index, frame in enumerate(frames):
            write_image(folder / f"f_{index}.png", frame)
        (tmp_path / "out").mkdir()
        options = EnhanceOptions(
            source=folder / "f_%d.png",
            output=tmp_path / "out" / "f_%d.png",
            enlargement=Enlargement(scale=3),
            strength=0.0,
        )
        enhance(options, loaded)
        assert loaded.backbone.calls == []
        wanted = clip_to_frames(
            enlarge(frames_to_clip(frames, torch.device("cpu")), (120, 90)), dtype
        )
        for index in range(3):
            result = read_image(tmp_path / "out" / f"f_{index}.png")
            assert result.dtype == dtype
            assert np.array_equal(result, wanted[index])

    def test_memory_is_planned_for_the_result(self, tmp_path: Path, fake_backbone) -> None:
        source = build_video(tmp_path / "in.mp4")
        plans = [
            plan_enhance(
                EnhanceOptions(source=source, output=tmp_path / "out.mp4", enlargement=wish),
                load(fake_backbone()),
            )
            for wish in (Enlargement(), Enlargement(scale=4))
        ]
        assert plans[1].memory_bytes == 16 * plans[0].memory_bytes
        with pytest.raises(OutOfMemory, match="384x256"):
            plan_enhance(
                EnhanceOptions(
                    source=source, output=tmp_path / "out.mp4", enlargement=Enlargement(scale=4)
                ),
                load(fake_backbone(), memory=1 << 20),
            )

    def test_a_smaller_size_is_refused_before_any_work(self, tmp_path: Path, loaded) -> None:
        source = build_video(tmp_path / "in.mp4")
        output = tmp_path / "out.mp4"
        options = EnhanceOptions(source=source, output=output, enlargement=Enlargement(lines=32))
        with pytest.raises(OptionError, match=r"in\.mp4: size 32p would shrink 96x64"):
            enhance(options, loaded)
        assert loaded.backbone.calls == []
        assert not output.exists()

    def test_styles_are_as_large_as_the_result(self, tmp_path: Path, style_weights) -> None:
        source = build_video(tmp_path / "in.mp4", frames=2)
        art = tmp_path / "art.png"
        Image.fromarray(picture(3, 200, 150)).save(art)
        styled = stylize(
            Job(source=source, output=tmp_path / "out.mp4"),
            Styles(styles=(StyleSource(image=art),)),
            RebuildOptions(enlargement=Enlargement(scale=2)),
            choose_stylizer(ModelOptions(weights=style_weights, device="cpu")),
        )
        assert styled.frames == 2
        assert read_video_info(tmp_path / "out.mp4").size == (192, 128)


def times(path: Path) -> list[Fraction]:
    with open_video(path) as video:
        return [frame.time for frame in video]


class TestReferences:
    def test_a_larger_video_of_the_same_moments(self, tmp_path: Path) -> None:
        """Every frame takes from its own moment, at the result's size."""
        clean = sample_clip()[:4]
        height, width = (side // 2 for side in clean.shape[1:3])
        small = [
            np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))
            for frame in clean
        ]
        write_h264(small, tmp_path / "small.mp4", crf=20)
        write_h264(list(clean), tmp_path / "large.mp4", crf=4)
        output = tmp_path / "out.mkv"
        refvid.enhance(
            tmp_path / "small.mp4",
            output,
            ref_video=tmp_path / "large.mp4",
            scale=2,
            model=refvid.load_model("mini", device="cpu"),
            crf=4,
        )
        with open_video(output) as video:
            results = [frame.pixels for frame in video]
        for result, frame, original in zip(results, small, clean, strict=True):
            larger = np.asarray(
                Image.fromarray(frame).resize((2 * width, 2 * height), Image.Resampling.BICUBIC)
            )
            assert psnr(result, original) > psnr(larger, original) + 3

    def test_a_frame_of_the_video_serves_a_model_of_the_results_size(
        self, tmp_path: Path, loaded
    ) -> None:
        source = build_video(tmp_path / "in.mp4")
        options = EnhanceOptions(
            source=source,
            output=tmp_path / "out.mp4",
            reference=ReferenceSource(frame=0),
            reference_fit="auto",
            enlargement=Enlargement(scale=2),
        )
        assert enhance(options, loaded).frames == 8
        assert loaded.backbone.references == 1

    def test_detail_that_the_frame_cannot_hold_comes_from_a_larger_reference(self):
        """The bundled model, with a picture of the result's size and with one of the clip's."""
        clean = sample_clip()[:4]
        height, width = (side // 2 for side in clean.shape[1:3])
        small = np.stack(
            [
                np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))
                for frame in clean
            ]
        )
        mini = choose_backbone(ModelOptions(model="mini", device="cpu"))

        def quality(reference: np.ndarray | None, strength: float = 1.0) -> float:
            options = RebuildOptions(strength=strength, enlargement=Enlargement(scale=2))
            given = []
            if reference is not None:
                given = [GivenReference(name="one", read=lambda: reference)]
            result = enhance_frames(small, given, options, mini)
            return float(np.mean([psnr(a, b) for a, b in zip(result[1:], clean[1:], strict=True)]))

        interpolated, own, full = quality(None, 0.0), quality(small[0]), quality(clean[0])
        assert full > own + 1
        assert full > interpolated + 2
