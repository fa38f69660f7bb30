"""A run that was stopped goes on, and gives what one gives that was not."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from refvid.errors import OutputError
from refvid.media.encoding import Encoding
from refvid.media.image import write_image
from refvid.media.inputs import Job
from refvid.media.reader import open_video
from refvid.media.work_folder import WorkFolder, work_folder_of
from refvid.models.mini.autoencoder import MiniBackbone
from refvid.models.videovaeplus.autoencoder import VideoVaePlusAutoencoder, VideoVaePlusBackbone
from refvid.models.videovaeplus.config import VideoVaePlusConfig
from refvid.models.wan.autoencoder import WanAutoencoder, WanBackbone
from refvid.models.wan.config import WanConfig
from refvid.progress import Progress
from refvid.rebuild import resuming
from refvid.rebuild.choose_backbone import LoadedBackbone, choose_backbone
from refvid.rebuild.decode import decode
from refvid.rebuild.encode import encode
from refvid.rebuild.enhance import enhance
from refvid.rebuild.latents_options import DecodeOptions, LatentReferences
from refvid.rebuild.options import (
    ModelOptions,
    RebuildOptions,
    SourceOptions,
    Styles,
    StyleSource,
)
from refvid.rebuild.reference_options import References, ReferenceSource
from refvid.rebuild.stylize import choose_stylizer, stylize
from refvid.rebuild.unchanged import no_model
from tests.conftest import moving_pattern

CPU = torch.device("cpu")
STRETCH = 10
CUT = 37
LOSSLESS = Encoding(codec="ffv1")

TINY_WAN = WanConfig(
    base_channels=2,
    channel_multipliers=(1, 1, 1, 1),
    residual_blocks=0,
    transformer_blocks=1,
    heads=1,
    head_channels=8,
    feed_forward_channels=8,
)
"""As few layers as can be: its memory has an end that a short clip reaches."""

TINY_VIDEOVAE_PLUS = VideoVaePlusConfig(
    base_channels=2,
    temporal_channels=2,
    norm_groups=2,
    transformer_blocks=1,
    heads=1,
    head_channels=8,
    feed_forward_channels=8,
)


class Stop(Exception):
    """Ends a run, as a signal does."""


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming, "LEAST_FRAMES", STRETCH)
    monkeypatch.setattr(resuming, "LEAST_PIXELS", 0)
    monkeypatch.setattr(resuming, "_MORE_WITHOUT_MODEL", 1)


def ready(backbone: Any, chunk: int | None = None) -> LoadedBackbone:
    return LoadedBackbone(
        backbone=backbone,
        device=CPU,
        dtype=torch.float32,
        reason="a test",
        options=ModelOptions(chunk=chunk),
    )


def wan() -> LoadedBackbone:
    torch.manual_seed(0)
    return ready(WanBackbone(WanAutoencoder(TINY_WAN), CPU, torch.float32), chunk=4)


def videovae_plus() -> LoadedBackbone:
    torch.manual_seed(0)
    model = VideoVaePlusAutoencoder(TINY_VIDEOVAE_PLUS)
    return ready(VideoVaePlusBackbone(model, CPU, torch.float32))


def mini(chunk: int | None = None) -> LoadedBackbone:
    """With frames whose neighbours count in full, whatever they lost."""
    loaded = choose_backbone(ModelOptions(model="mini", device="cpu", dtype="fp32", chunk=chunk))
    share = cast("MiniBackbone", loaded.backbone).decoder.neighbours
    assert share is not None
    torch.nn.init.zeros_(share.weight)
    torch.nn.init.constant_(share.bias, 10.0)
    return loaded


def two_shots(height: int = 32, width: int = 48) -> np.ndarray:
    """(77, height, width, 3)."""
    one, other = (
        moving_pattern(CUT, height, width, seed=1),
        moving_pattern(40, height, width, seed=5),
    )
    return np.concatenate([one, other])


@pytest.fixture
def clip(make_video) -> Path:
    return make_video(two_shots(), options={"crf": "20", "g": "9"})


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    write_image(path, two_shots()[5])
    return path


def stop_after(frames: int) -> Callable[[Progress], None]:
    def on_progress(progress: Progress) -> None:
        if progress.done >= frames:
            raise Stop

    return on_progress


def read(path: Path) -> tuple[np.ndarray, list[Any]]:
    with open_video(path) as video:
        frames = list(video)
    return np.stack([frame.pixels for frame in frames]), [frame.pts for frame in frames]


def is_alike(one: Path, other: Path) -> bool:
    if one.suffix == ".safetensors":
        return one.read_bytes() == other.read_bytes()
    (pixels, times), (others, other_times) = read(one), read(other)
    return np.array_equal(pixels, others) and times == other_times


Run = Callable[..., Any]
"""Takes an output and what hears of the progress."""


def check(run: Run, output: Path, stops: tuple[int, ...], *, least: int = STRETCH) -> None:
    """Stop a run at several places, go on after each, and compare with a calm one."""
    calm = output.parent / "calm" / output.name
    calm.parent.mkdir()
    wanted = run(calm)
    before = set(output.parent.iterdir())
    for stop in stops:
        with pytest.raises(Stop):
            run(output, stop_after(stop))
        assert not output.exists()
        assert work_folder_of(output).is_dir()
    report = run(output)
    assert report.resumed >= least
    assert report.resumed <= stops[-1]
    assert is_alike(calm, output)
    assert (report.frames, report.cuts) == (wanted.frames, wanted.cuts)
    assert (report.references, report.served) == (wanted.references, wanted.served)
    assert (report.notes, report.warnings) == (wanted.notes, wanted.warnings)
    assert set(output.parent.iterdir()) - before <= {output}


def rebuild_with(
    loaded: LoadedBackbone,
    clip: Path,
    *pictures: Path | ReferenceSource,
    video: Path | None = None,
    **options: Any,
) -> Run:
    references = References(
        sources=tuple(
            ReferenceSource(image=one) if isinstance(one, Path) else one for one in pictures
        ),
        video=video,
        fit="auto" if loaded.backbone.limits.finds_references else "cover",
    )

    def run(output: Path, *on_progress: Any) -> Any:
        asked = RebuildOptions(**{"encoding": LOSSLESS, **options})
        return enhance(Job(source=clip, output=output), references, asked, loaded, *on_progress)

    return run


@pytest.mark.parametrize(
    ("stops", "chunk"),
    # The last stretch before frame 52 ends behind the first chunk of a shot.
    [((20, 40), None), ((76,), None), ((52,), None), ((20, 60), 1), ((20, 60), 3)],
)
def test_mini_goes_on(clip, photo, tmp_path, stops, chunk) -> None:
    check(rebuild_with(mini(chunk), clip, photo), tmp_path / "out.mkv", stops)


@pytest.mark.parametrize("detect", [True, False])
def test_wan_computes_what_its_state_needs_once_more(clip, photo, tmp_path, detect) -> None:
    run = rebuild_with(wan(), clip, photo, cut_detection=detect)
    check(run, tmp_path / "out.mkv", (20, 60))


@pytest.mark.parametrize("make", [mini, wan, videovae_plus])
def test_several_references_go_on(clip, photo, tmp_path, make) -> None:
    other = tmp_path / "other.png"
    write_image(other, two_shots()[60])
    places = (ReferenceSource(image=other, frame=60), ReferenceSource(frame=20))
    run = rebuild_with(make(), clip, photo, *places, cut_detection=False)
    check(run, tmp_path / "out.mkv", (60,))


@pytest.mark.parametrize("make", [mini, wan])
def test_a_reference_video_goes_on(clip, make_video, tmp_path, make) -> None:
    sharp = two_shots()
    sharp[10:30, 20:40, 40:90] = 0
    video = make_video(sharp[:70], name="sharp.mp4", options={"crf": "2"})
    check(rebuild_with(make(), clip, video=video), tmp_path / "out.mkv", (35, 60))


def test_overlapping_chunks_go_on(clip, photo, tmp_path) -> None:
    check(rebuild_with(videovae_plus(), clip, photo), tmp_path / "out.mkv", (20, 60))


def test_of_a_state_that_nobody_knows_only_whole_shots_are_kept(
    clip, fake_backbone, tmp_path
) -> None:
    run = rebuild_with(ready(fake_backbone()), clip)
    with pytest.raises(Stop):
        run(tmp_path / "out.mkv", stop_after(30))
    assert not work_folder_of(tmp_path / "out.mkv").exists()
    check(run, tmp_path / "out.mkv", (60,), least=CUT)


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_lossy_results_are_the_same(make_video, tmp_path, name) -> None:
    clip = make_video(two_shots(64, 128))  # with this width x264 gives the same bits each time
    run = rebuild_with(no_model(), clip, strength=0.0, encoding=Encoding(codec="h264"))
    check(run, tmp_path / name, (30, 50))


def test_a_style_goes_on(clip, photo, style_weights, tmp_path) -> None:
    loaded = choose_stylizer(ModelOptions(weights=style_weights, device="cpu", dtype="fp32"))
    styles = Styles(styles=(StyleSource(image=photo),))

    def run(output: Path, *on_progress: Any) -> Any:
        options = RebuildOptions(encoding=LOSSLESS)
        return stylize(Job(source=clip, output=output), styles, options, loaded, *on_progress)

    check(run, tmp_path / "out.mkv", (20, 60))


@pytest.mark.parametrize("make", [wan, videovae_plus, mini])
def test_latents_go_on_both_ways(clip, photo, tmp_path, make) -> None:
    loaded = make()

    def to_latents(output: Path, *on_progress: Any) -> Any:
        return encode(Job(source=clip, output=output), SourceOptions(), loaded, *on_progress)

    latents = tmp_path / "latents.safetensors"
    check(to_latents, latents, (25, 60))

    def to_video(output: Path, *on_progress: Any) -> Any:
        references = LatentReferences(
            references=References(sources=(ReferenceSource(image=photo),), fit="cover")
        )
        options = DecodeOptions(encoding=LOSSLESS)
        job = Job(source=latents, output=output)
        return decode(job, references, options, loaded, *on_progress)

    (tmp_path / "videos").mkdir()
    check(to_video, tmp_path / "videos/out.mkv", (25, 60))


def test_the_memory_of_wan_is_as_long_as_it_says(clip, photo, tmp_path, monkeypatch) -> None:
    """With less of it computed once more, other frames come out."""
    loaded = wan()
    monkeypatch.setattr(
        resuming, "first_needed", lambda position, shot, pace, limits: max(shot, position - 5)
    )
    run = rebuild_with(loaded, clip, photo, cut_detection=False)
    with pytest.raises(AssertionError):
        check(run, tmp_path / "out.mkv", (60,))


class Starving:
    """A model for which memory runs out late in the run, the first time."""

    def __init__(self, backbone: Any, calls: int, most: int) -> None:
        self._backbone, self._calls, self._most = backbone, calls, most
        self.is_starving = True
        self.lengths: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backbone, name)

    def encode(self, clip: Any, state: Any = None) -> Any:
        self._take(clip)
        return self._backbone.encode(clip, state)

    def rebuild(self, clip: Any, *rest: Any, **options: Any) -> Any:
        self._take(clip)
        return self._backbone.rebuild(clip, *rest, **options)

    def _take(self, clip: Any) -> None:
        self.lengths.append(clip.shape[2])
        if self.is_starving and len(self.lengths) > self._calls and clip.shape[2] > self._most:
            raise MemoryError


def test_where_memory_ran_out_smaller_chunks_are_taken_at_once(
    clip, photo, tmp_path, monkeypatch
) -> None:
    """Of a model for which shorter chunks give other pixels: the result shows where they began."""
    monkeypatch.setattr(resuming, "LEAST_FRAMES", 30)
    calm = videovae_plus()
    calm = replace(calm, backbone=Starving(calm.backbone, calls=5, most=9))
    rebuild_with(calm, clip, photo)(tmp_path / "calm.mkv")
    killed = videovae_plus()
    starving = Starving(killed.backbone, calls=5, most=9)
    killed = replace(killed, backbone=starving)
    output = tmp_path / "out.mkv"
    with pytest.raises(Stop):
        rebuild_with(killed, clip, photo)(output, stop_after(56))
    starving.is_starving, starving.lengths = False, []
    report = rebuild_with(killed, clip, photo)(output)
    assert report.resumed == CUT
    assert starving.lengths.count(16) == 1
    assert is_alike(tmp_path / "calm.mkv", output)
    assert killed.fitted == calm.fitted


def test_a_chunk_that_is_computed_once_more_is_cut_where_memory_ran_out(
    clip, photo, tmp_path
) -> None:
    loaded = mini()
    # The fourth chunk is the last before the stretch that ends with frame 30.
    starving = Starving(loaded.backbone, calls=3, most=4)
    run, output = rebuild_with(replace(loaded, backbone=starving), clip, photo), tmp_path / "o.mkv"
    with pytest.raises(Stop):
        run(output, stop_after(36))
    assert starving.lengths[:5] == [8, 8, 8, 8, 4]
    starving.is_starving, starving.lengths = False, []
    assert run(output).resumed == 30
    assert starving.lengths[:3] == [4, 4, 4]


@pytest.mark.parametrize("is_there", [False, True])
def test_sequences_go_on(clip, tmp_path, is_there) -> None:
    def to_images(output: Path, *on_progress: Any) -> Any:
        job = Job(source=clip, output=output, create_folder=not is_there)
        options = RebuildOptions(strength=0)
        return enhance(job, References(), options, no_model(), *on_progress)

    output = tmp_path / "images/f_%04d.png"
    if is_there:
        output.parent.mkdir()
        (output.parent / "mine.txt").write_text("mine")
    for stop in (30, 60):
        with pytest.raises(Stop):
            to_images(output, stop_after(stop))
        assert not [*tmp_path.glob("images/*.png")]
    report = to_images(output)
    assert report.resumed > STRETCH
    assert report.bytes_written == sum(path.stat().st_size for path in output.parent.glob("*.png"))
    assert np.array_equal(read(output)[0], read(clip)[0])
    images = {f"f_{number:04d}.png" for number in range(77)}
    assert {path.name for path in output.parent.iterdir()} - {"mine.txt"} == images
    assert not [*tmp_path.glob(".refvid*")]


def leave_a_part(clip: Path, output: Path) -> None:
    with pytest.raises(Stop):
        rebuild_with(no_model(), clip, strength=0.0)(output, stop_after(60))
    assert work_folder_of(output).is_dir()


def test_sequences_need_not_be_kept(clip, tmp_path) -> None:
    output = tmp_path / "images" / "f_%02d.png"
    output.parent.mkdir()
    run = rebuild_with(no_model(), clip, strength=0.0, resume=False, encoding=Encoding())
    report = run(output)
    images = [*output.parent.iterdir()]
    assert report.frames == len(images) == 77
    assert report.bytes_written == sum(image.stat().st_size for image in images)


def test_other_options_begin_anew_and_say_so(clip, tmp_path, caplog) -> None:
    output = tmp_path / "out.mkv"
    leave_a_part(clip, output)
    other = Encoding(codec="ffv1", encoder_options={"slices": "4"})
    report = rebuild_with(no_model(), clip, strength=0.0, encoding=other)(output)
    assert report.resumed == 0
    assert "another option encoding encoder_options" in caplog.text
    assert not work_folder_of(output).exists()


def test_a_changed_source_begins_anew_and_says_so(clip, make_video, tmp_path, caplog) -> None:
    output = tmp_path / "out.mkv"
    leave_a_part(clip, output)
    make_video(two_shots()[::-1])  # over it
    assert rebuild_with(no_model(), clip, strength=0.0)(output).resumed == 0
    assert "another source" in caplog.text
    assert np.array_equal(read(clip)[0], read(output)[0])


def test_a_disk_that_is_full_when_a_state_is_kept(clip, photo, tmp_path, monkeypatch) -> None:
    keep, states = save_file, 0

    def fill_up(tensors: Any, path: Path) -> None:
        nonlocal states
        states += 1
        if states == 2:
            path.write_bytes(b"beginning")
            words = f"I/O error: {os.strerror(errno.ENOSPC)} (os error {errno.ENOSPC})"
            raise SafetensorError(f"Error while serializing: {words}")
        keep(tensors, path)

    run, output = rebuild_with(mini(), clip, photo), tmp_path / "out.mkv"
    monkeypatch.setattr(resuming, "save_file", fill_up)
    with pytest.raises(OutputError, match="no space is left on the disk"):
        run(output)
    assert run(output).resumed >= STRETCH
    assert {path.name for path in tmp_path.iterdir()} == {clip.name, photo.name, output.name}


def test_sound_may_change(clip, tmp_path) -> None:
    output = tmp_path / "out.mkv"
    leave_a_part(clip, output)
    silent = Encoding(codec="ffv1", audio="none")
    report = rebuild_with(no_model(), clip, strength=0.0, encoding=silent)(output)
    assert report.resumed >= STRETCH


def test_the_number_of_threads_may_change(clip, photo, tmp_path) -> None:
    run, output = rebuild_with(mini(), clip, photo), tmp_path / "out.mkv"
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with pytest.raises(Stop):
            run(output, stop_after(60))
        torch.set_num_threads(2)
        assert run(output).resumed >= STRETCH
    finally:
        torch.set_num_threads(before)


def test_one_may_ask_for_a_new_beginning(clip, tmp_path, caplog) -> None:
    output = tmp_path / "out.mkv"
    leave_a_part(clip, output)
    caplog.clear()
    assert rebuild_with(no_model(), clip, strength=0.0, resume=False)(output).resumed == 0
    assert not caplog.text


@pytest.mark.parametrize("damage", ["cut", "flipped", "missing"])
def test_a_damaged_stretch_is_made_again(clip, tmp_path, damage, caplog) -> None:
    output = tmp_path / "out.mkv"
    leave_a_part(clip, output)
    *_, last, _unfinished = sorted(work_folder_of(output).glob("*.packets"))
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "missing":
        last.unlink()
    else:
        last.write_bytes(content[:-1] if damage == "cut" else content)
    report = rebuild_with(no_model(), clip, strength=0.0)(output)
    assert STRETCH <= report.resumed < 50
    assert "can be used" in caplog.text
    assert np.array_equal(read(clip)[0], read(output)[0])


@pytest.mark.parametrize("content", [b"", b"{}", b'{"format": 1}\n[', b"\xff\xfe", b"[" * 9999])
def test_a_journal_that_is_none_is_no_trouble(clip, tmp_path, content) -> None:
    output = tmp_path / "out.mkv"
    leave_a_part(clip, output)
    (work_folder_of(output) / "journal.jsonl").write_bytes(content)
    assert rebuild_with(no_model(), clip, strength=0.0)(output).resumed == 0
    assert np.array_equal(read(clip)[0], read(output)[0])
    assert not work_folder_of(output).exists()


def test_two_runs_do_not_write_one_result(clip, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("refvid.media.work_folder._PATIENCE_S", 0.0)
    output = tmp_path / "out.mkv"
    with (
        WorkFolder(output, {}, {}),
        pytest.raises(OutputError, match="Another run is writing"),
    ):
        rebuild_with(no_model(), clip, strength=0.0)(output)
    assert not output.exists()


def test_a_folder_that_is_a_link_is_not_cleared(clip, tmp_path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "film.mkv").write_text("mine")
    output = tmp_path / "out.mkv"
    work_folder_of(output).symlink_to(mine)
    with pytest.raises(OutputError, match="in the way"):
        rebuild_with(no_model(), clip, strength=0.0)(output)
    assert (mine / "film.mkv").read_text() == "mine"


def test_a_journal_cannot_name_files_elsewhere(clip, tmp_path) -> None:
    output = tmp_path / "out.mkv"
    leave_a_part(clip, output)
    journal = work_folder_of(output) / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"000000.packets"', '"../clip.mp4"'))
    assert rebuild_with(no_model(), clip, strength=0.0)(output).resumed == 0
    assert clip.exists()
