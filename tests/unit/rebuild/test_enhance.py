"""The whole job with a fake model: frames kept, chunks without a trace, nothing left on failure."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from refvid.errors import InputError, OptionError, OutOfMemory, OutputError
from refvid.media.encoding import Encoding as EncodingOptions
from refvid.media.frame_range import FrameRange
from refvid.media.image import write_image
from refvid.media.inputs import Job
from refvid.progress import Progress
from refvid.rebuild import enhance as work
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.options import ModelOptions, RebuildOptions
from refvid.rebuild.reference_options import References, ReferenceSource
from tests.asking import EnhanceOptions, enhance, plan_enhance


def load(backbone: Any) -> LoadedBackbone:
    return LoadedBackbone(
        backbone=backbone, device=torch.device("cpu"), dtype=torch.float32, reason="a test"
    )


@pytest.fixture
def loaded(fake_backbone) -> LoadedBackbone:
    return load(fake_backbone())


@pytest.fixture
def sequence(tmp_path: Path) -> Callable[..., Path]:
    """Write frames as PNGs and give their pattern: what is written is what is read."""

    def make(pixels: np.ndarray, name: str = "in") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for index, picture in enumerate(pixels):
            write_image(folder / f"f_{index:04d}.png", picture)
        return folder / "f_%04d.png"

    return make


def textured(frames: int, seed: int, height: int = 30, width: int = 40) -> np.ndarray:
    """A shot with colours and a layout of its own, drifting."""
    random = np.random.default_rng(seed)
    coarse = 0.5 * random.integers(0, 256, (6, 8, 3)) + 0.5 * random.integers(0, 256, 3)
    wide = np.kron(coarse, np.ones((height // 6, width // 8, 1)))
    return np.stack([np.roll(wide, index, axis=1) for index in range(frames)]).astype(np.uint8)


def read_all(pattern: Path) -> np.ndarray:
    files = sorted(pattern.parent.glob("*.png"))
    with av.open(str(files[0])) as container:
        deep = next(container.decode(video=0)).format.name.startswith("rgb48")
    pictures = []
    for file in files:
        with av.open(str(file)) as container:
            frame = next(container.decode(video=0))
            pictures.append(frame.to_ndarray(format="rgb48le" if deep else "rgb24"))
    return np.stack(pictures)


def run(
    source: Path, loaded: LoadedBackbone, tmp_path: Path, name: str = "out", **options: Any
) -> np.ndarray:
    (tmp_path / name).mkdir()
    output = tmp_path / name / "f_%04d.png"
    report = enhance(EnhanceOptions(source=source, output=output, **options), loaded)
    result = read_all(output)
    assert report.frames == len(result)
    return result


def test_chunks_leave_no_trace(sequence, fake_backbone, tmp_path: Path) -> None:
    source = sequence(textured(30, seed=1))
    whole = run(source, load(fake_backbone()), tmp_path, "a", model=ModelOptions(chunk=1000))
    for chunk in (4, 8, 13):
        options = ModelOptions(chunk=chunk)
        parts = run(source, load(fake_backbone()), tmp_path, f"c{chunk}", model=options)
        assert np.array_equal(parts, whole)


def test_every_shot_is_computed_on_its_own(sequence, fake_backbone, tmp_path: Path) -> None:
    shots = [textured(13, 1), textured(10, 2), textured(7, 3)]
    source = sequence(np.concatenate(shots))
    output = tmp_path / "joined"
    output.mkdir()
    options = EnhanceOptions(source=source, output=output / "f_%04d.png")
    report = enhance(options, load(fake_backbone()))
    assert report.cuts == (13, 23)
    apart = [
        run(sequence(shot, f"in{i}"), load(fake_backbone()), tmp_path, f"out{i}")
        for i, shot in enumerate(shots)
    ]
    joined = read_all(options.output)
    assert np.array_equal(joined, np.concatenate(apart))
    uncut = run(source, load(fake_backbone()), tmp_path, "uncut", cut_detection=False)
    assert not np.array_equal(uncut, joined)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_strength_0_gives_the_input_back(sequence, loaded, tmp_path: Path, dtype) -> None:
    pixels = textured(6, 1).astype(dtype) * (1 if dtype == np.uint8 else 251)
    result = run(sequence(pixels), loaded, tmp_path, strength=0.0)
    assert result.dtype == dtype
    assert np.array_equal(result, pixels)
    assert loaded.backbone.calls == []


def test_strength_mixes(sequence, loaded, tmp_path: Path) -> None:
    pixels = textured(9, 1).astype(np.uint16) * 257
    source = sequence(pixels)
    full = run(source, loaded, tmp_path, "full").astype(float)
    half = run(source, loaded, tmp_path, "half", strength=0.5).astype(float)
    assert np.abs(half - (pixels + full) / 2).max() <= 1
    assert np.abs(full - pixels).max() > 1000


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (17, 16)])
@pytest.mark.parametrize("frames", [1, 2, 9, 10])
def test_any_size_and_length(sequence, loaded, tmp_path: Path, size, frames: int) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (frames, *size, 3), dtype=np.uint8)
    result = run(sequence(pixels), loaded, tmp_path, cut_detection=False)
    assert result.shape == pixels.shape


def test_a_still_picture_stays_itself(sequence, loaded, tmp_path: Path) -> None:
    """The fake filter keeps what does not move: padding must not show anywhere."""
    picture = np.random.default_rng(0).integers(0, 256, (19, 21, 3), dtype=np.uint8)
    result = run(sequence(np.stack([picture] * 7)), loaded, tmp_path)
    assert (result == picture).all()


def test_references(sequence, loaded, tmp_path: Path) -> None:
    pixels = textured(12, 1)
    source = sequence(pixels)
    Image.fromarray(pixels[4]).save(tmp_path / "ref.png")
    results = [
        run(source, loaded, tmp_path, f"r{number}", reference=reference)
        for number, reference in enumerate(
            [
                ReferenceSource(image=tmp_path / "ref.png"),
                ReferenceSource(frame=4),
                ReferenceSource(time=Fraction(9, 48)),
                None,
            ]
        )
    ]
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])
    assert not np.array_equal(results[0], results[3])
    assert loaded.backbone.references == 3, "a reference is prepared once per video"


def ask(source: Path, output: Path, *sources: ReferenceSource, **more: Any) -> EnhanceOptions:
    asked = EnhanceOptions(source=source, output=output)
    asked.references = References(sources=sources, fit="cover", **more)
    return asked


def test_several_references_take_turns(sequence, fake_backbone, tmp_path: Path) -> None:
    """A model that takes one: the nearer one, and no jump where it changes."""
    pixels = np.full((48, 32, 32, 3), 128, np.uint8)
    pixels[:, :, ::4] = 60
    source = sequence(pixels)
    for name, level in (("dark", 0), ("light", 255)):
        Image.new("RGB", (32, 32), (level,) * 3).save(tmp_path / f"{name}.png")
    (tmp_path / "out").mkdir()
    report = enhance(
        ask(
            source,
            tmp_path / "out/f_%04d.png",
            ReferenceSource(image=tmp_path / "dark.png", frame=0),
            ReferenceSource(image=tmp_path / "light.png", time=Fraction(47, 24)),
        ),
        load(fake_backbone()),
    )
    levels = read_all(tmp_path / "out/f_%04d.png").mean((1, 2, 3))
    first, second = report.served
    assert (first.runs[0][0], second.runs[-1][1]) == (0, 47)
    assert first.frames + second.frames == 48
    assert second.name.endswith("light.png at 1.95833 s")
    turn = second.runs[0][0]
    assert 16 <= turn <= 28
    assert levels[0] - levels[-1] > 10, "a bright reference makes the fake's frames darker"
    assert np.abs(np.diff(levels)).max() < 6, "it fades over"
    assert report.to_json()["served"][1]["ranges"] == [[turn, 47]]
    assert any("frames 0-" in note for note in report.notes)


def test_chunks_of_any_length_hear_of_references(sequence, fake_backbone, tmp_path: Path) -> None:
    source = sequence(textured(30, seed=1))
    Image.new("RGB", (32, 32), "white").save(tmp_path / "a.png")
    for chunk in (4, 13, 40):
        (tmp_path / f"out{chunk}").mkdir()
        asked = ask(
            source,
            tmp_path / f"out{chunk}/f_%04d.png",
            ReferenceSource(image=tmp_path / "a.png", frame=25),
            ReferenceSource(frame=2),
        )
        asked._model = ModelOptions(chunk=chunk)
        report = enhance(asked, load(fake_backbone()))
        assert sum(one.frames for one in report.served) == 30


@pytest.mark.parametrize(
    ("places", "error", "said"),
    [
        ([{"frame": 12}], InputError, "has no frame 12 for the reference"),
        ([{"time": Fraction(5)}], InputError, "it has nothing at 5 s for the reference"),
        ([{"frame": 6}, {"time": Fraction(6, 24)}], OptionError, "Two references for frame 6"),
    ],
)
def test_places_outside_of_the_clip(
    make_video, loaded, tmp_path: Path, places, error, said
) -> None:
    sources = []
    for number, place in enumerate(places):
        Image.new("RGB", (32, 32)).save(tmp_path / f"{number}.png")
        sources.append(ReferenceSource(image=tmp_path / f"{number}.png", **place))
    asked = ask(make_video(12), tmp_path / "out.mp4", *sources)
    for what in (plan_enhance, enhance):
        with pytest.raises(error, match=said):
            what(asked, loaded)
    assert loaded.backbone.calls == []
    assert not (tmp_path / "out.mp4").exists()


def test_a_folder_of_references(make_video, loaded, tmp_path: Path) -> None:
    video = make_video(12)
    folder = tmp_path / "refs" / video.stem
    folder.mkdir(parents=True)
    for name in ("0", "11"):
        Image.new("RGB", (32, 32)).save(folder / f"{name}.png")
    asked = EnhanceOptions(source=video, output=tmp_path / "out.mp4")
    asked.references = References(folder=tmp_path / "refs", fit="cover")
    report = enhance(asked, loaded)
    assert [one.name for one in report.served] == [
        f"{folder / '0.png'} at frame 0",
        f"{folder / '11.png'} at frame 11",
    ]
    asked.job = Job(source=video, output=tmp_path / "other.mp4")
    (folder / "11.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"11\.png"):
        plan_enhance(asked, loaded)


def test_a_reference_of_another_shape(sequence, loaded, tmp_path: Path) -> None:
    Image.new("RGB", (300, 20), "white").save(tmp_path / "ref.png")
    for fit in ("cover", "contain", "stretch"):
        run(
            sequence(textured(2, 1), f"in_{fit}"),
            loaded,
            tmp_path,
            fit,
            reference=ReferenceSource(image=tmp_path / "ref.png"),
            reference_fit=fit,
        )


@pytest.mark.parametrize(
    "reference",
    [
        ReferenceSource(frame=12),
        ReferenceSource(time=Fraction(100)),
        ReferenceSource(image=Path("missing.png")),
        ReferenceSource(image=Path(__file__)),
    ],
)
def test_references_that_are_none(make_video, loaded, tmp_path: Path, reference) -> None:
    options = EnhanceOptions(
        source=make_video(12), output=tmp_path / "out.mp4", reference=reference
    )
    with pytest.raises(InputError):
        enhance(options, loaded)
    assert not options.output.exists()


def test_progress_and_range(make_video, loaded, tmp_path: Path) -> None:
    seen: list[Progress] = []
    options = EnhanceOptions(
        source=make_video(40), output=tmp_path / "out.mp4", range=FrameRange(start=5, frames=20)
    )
    report = enhance(options, loaded, seen.append)
    assert report.frames == 20
    assert seen == [Progress(done, 20) for done in range(1, 21)]
    assert report.bytes_written == options.output.stat().st_size
    assert report.plan == plan_enhance(
        EnhanceOptions(
            source=options.source, output=options.output, range=options.range, overwrite=True
        ),
        loaded,
    )


def test_a_range_outside_the_video(make_video, loaded, tmp_path: Path) -> None:
    options = EnhanceOptions(
        source=make_video(5), output=tmp_path / "out.mp4", range=FrameRange(start=9)
    )
    with pytest.raises(InputError):
        plan_enhance(options, loaded)
    with pytest.raises(InputError):
        enhance(options, loaded)
    assert not options.output.exists()


def test_a_plan_waits_for_no_folder(make_video, loaded, tmp_path: Path) -> None:
    source, output = make_video(5), tmp_path / "later" / "out.mp4"
    asked = (References(), RebuildOptions(), loaded)
    batch_job = Job(source=source, output=output, create_folder=True)
    assert work.plan_enhance(batch_job, *asked).output == output
    with pytest.raises(OutputError, match="does not exist"):
        work.plan_enhance(Job(source=source, output=output), *asked)
    assert not output.parent.exists()


def test_plan_and_report_are_json(make_video, loaded, tmp_path: Path) -> None:
    options = EnhanceOptions(
        source=make_video(30),
        output=tmp_path / "out.mp4",
        reference=ReferenceSource(frame=0),
        model=ModelOptions(chunk=8),
    )
    plan = plan_enhance(options, loaded)
    assert not options.output.exists()
    document = json.loads(json.dumps(plan.to_json()))
    assert document["frames"] == 30
    assert document["chunk"] == 9
    assert document["chunks"] == 4
    assert document["reference"] == "frame 0 of the input"
    assert (document["width"], document["height"]) == (64, 48)
    assert document["memory_bytes"] == 9 * 48 * 64 * 100
    report = enhance(options, loaded)
    document = json.loads(json.dumps(report.to_json()))
    assert document["plan"] == plan.to_json()
    assert document["cuts"] == []


def test_outputs_that_cannot_be(make_video, loaded, tmp_path: Path) -> None:
    source = make_video(5)
    taken = tmp_path / "taken.mp4"
    taken.write_bytes(b"precious")
    with pytest.raises(OutputError):
        enhance(EnhanceOptions(source=source, output=taken), loaded)
    assert taken.read_bytes() == b"precious"
    with pytest.raises((OptionError, OutputError)):
        enhance(EnhanceOptions(source=source, output=source, overwrite=True), loaded)
    with pytest.raises(OutputError):
        enhance(EnhanceOptions(source=source, output=tmp_path / "no" / "out.mp4"), loaded)
    with pytest.raises((OptionError, OutputError)):
        enhance(
            EnhanceOptions(
                source=source,
                output=tmp_path / "out.mp4",
                encoding=EncodingOptions(codec="no_such_encoder"),
            ),
            loaded,
        )


def leftovers(folder: Path, *known: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path not in known]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("bug"), MemoryError()])
def test_failures_leave_nothing(make_video, fake_backbone, tmp_path: Path, error) -> None:
    source = make_video(60)

    def fail(call: int) -> None:
        if call >= 2:
            raise error

    backbone = fake_backbone(on_encode=fail)
    expected = OutOfMemory if isinstance(error, MemoryError) else type(error)
    with pytest.raises(expected):
        enhance(EnhanceOptions(source=source, output=tmp_path / "out.mp4"), load(backbone))
    assert leftovers(tmp_path, source) == []


def test_interrupt_while_writing_leaves_nothing(make_video, loaded, tmp_path: Path) -> None:
    source = make_video(60)

    def interrupt(progress: Progress) -> None:
        if progress.done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        enhance(EnhanceOptions(source=source, output=tmp_path / "out.mp4"), loaded, interrupt)
    assert leftovers(tmp_path, source) == []


def test_damage_in_the_middle_leaves_nothing(sequence, loaded, tmp_path: Path) -> None:
    source = sequence(textured(30, 1))
    (source.parent / "f_0021.png").write_bytes(b"no image")
    output = tmp_path / "out.mp4"
    with pytest.raises(InputError, match="f_0021"):
        enhance(EnhanceOptions(source=source, output=output), loaded)
    assert leftovers(tmp_path, source.parent) == []


def test_memory_that_runs_out_costs_no_pixels(sequence, fake_backbone, tmp_path: Path) -> None:
    source = sequence(textured(30, 1))
    plenty = run(source, load(fake_backbone()), tmp_path, "plenty", model=ModelOptions(chunk=16))
    scarce = fake_backbone(fail_above_frames=9)
    result = run(source, load(scarce), tmp_path, "scarce", model=ModelOptions(chunk=16))
    assert np.array_equal(result, plenty)
    assert [frames for frames, _ in scarce.calls] == [9, 8, 8, 8]


def test_the_next_video_of_that_size_begins_with_what_fitted(
    sequence, fake_backbone, tmp_path: Path, caplog
) -> None:
    source, large = sequence(textured(30, 1)), sequence(textured(30, 1, 36, 48), "large")
    backbone, asked = fake_backbone(fail_above_frames=9), ModelOptions(chunk=16)
    scarce = load(backbone)

    def failures(source: Path, name: str, model: ModelOptions = asked) -> int:
        caplog.clear()
        run(source, scarce, tmp_path, name, model=model)
        return caplog.text.count("Out of memory")

    assert failures(source, "first") == 1
    assert failures(source, "second") == 0
    assert failures(large, "another size") == 1
    # Other wishes are not changed by what was learned.
    assert failures(source, "longer", ModelOptions(chunk=32)) == 0
    assert failures(source, "shorter", ModelOptions(chunk=4)) == 0
    assert backbone.calls[-1][0] == 4


def test_frames_too_large_for_the_machine(make_video, fake_backbone, tmp_path: Path) -> None:
    options = EnhanceOptions(source=make_video(5), output=tmp_path / "out.mp4")
    with pytest.raises(OutOfMemory, match=r"64x48.*GiB.*free"):
        plan_enhance(options, load(fake_backbone(bytes_per_pixel=2**50)))


def test_chunks_beyond_the_model(make_video, fake_backbone, tmp_path: Path) -> None:
    options = EnhanceOptions(
        source=make_video(5), output=tmp_path / "out.mp4", model=ModelOptions(chunk=82)
    )
    with pytest.raises(OptionError, match="81"):
        plan_enhance(options, load(fake_backbone(max_chunk=81)))
