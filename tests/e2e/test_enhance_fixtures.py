"""Real files through the program: frames, times, sound, size, turn and colour are the source's.

What the source holds is read here with PyAV alone, not with the project's own reader.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from typer.testing import CliRunner, Result

WHOLE = [
    "hevc_8bit.mp4",
    "made_odd351x241_h264_444_road.mp4",
    "made_odd351x241_vp9_road.webm",
    "h264_10bit.mp4",
]
"""Small enough to be run from the first to the last frame."""

FIRST_FRAMES = {
    "av1_aac_2997_man.mp4": 5,
    "decoded_taew2_1.mp4": 6,
    "h264_30fps_sign.mkv": 10,
    "h264_aac_2997_flower.mp4": 6,
    "h264_ac3_srt_man.mkv": 5,
    "h264_mp3_25fps_chaplin.mp4": 10,
    "h264_two_video_two_audio_movtext_nasa.mp4": 12,
    "hevc_rot90_pixel.mp4": 4,
    "made_rot90_h264_aac_dog.mp4": 10,
    "made_vfr_h264_juggle.mp4": 12,
    "mpeg4_mp3_23976_film.avi": 6,
    "vp8_vorbis_24fps_30s_bbb.webm": 3,
    "vp9_10bit_23976_roadtrip.webm": 12,
    "vp9_vorbis_60fps_bbb.webm": 4,
}
"""How many frames of the rest; all together they shall take a minute."""

HLG = "hevc_10bit_hlg_rotated_phone.mp4"


@dataclass(frozen=True)
class Facts:
    """What a player would see and hear."""

    times: list[Fraction]
    """Of every frame, from the first one on [s]."""

    size: tuple[int, int]
    """Width and height as shown."""

    colors: tuple[int, ...]
    """Matrix, primaries, transfer."""

    full_range: bool
    depth: int
    rotation: int
    sound: list[list[str]]
    """A hash per packet of every audio track."""

    subtitles: int
    first: np.ndarray
    """The first frame, turned as shown: (H, W, 3)."""


def watch(path: Path, frames: int | None = None) -> Facts:
    times: list[Fraction] = []
    with av.open(str(path)) as container:
        stream = default_video(container)
        for picture in container.decode(stream):
            if not times:
                first = picture
            times.append(picture.pts * stream.time_base)
            if len(times) == frames:
                break
        turns = first.rotation // 90
        pixels = np.rot90(first.to_ndarray(format="rgb24"), turns)
        context = stream.codec_context
        facts = Facts(
            times=[time - times[0] for time in times],
            size=(pixels.shape[1], pixels.shape[0]),
            colors=(context.colorspace, context.color_primaries, context.color_trc),
            full_range=context.color_range == 2 or context.pix_fmt.startswith("yuvj"),
            depth=first.format.components[0].bits,
            rotation=first.rotation,
            sound=[],
            subtitles=len(container.streams.subtitles),
            first=pixels,
        )
    with av.open(str(path)) as container:
        tracks: dict[int, list[str]] = {track.index: [] for track in container.streams.audio}
        for packet in container.demux(*container.streams.audio) if tracks else ():
            if packet.size:
                tracks[packet.stream.index].append(hashlib.sha1(bytes(packet)).hexdigest())
    facts.sound.extend(tracks.values())
    return facts


def default_video(container: Any) -> Any:
    streams = container.streams.video
    return next((s for s in streams if s.disposition & av.stream.Disposition.default), streams[0])


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The bundled model; while there is none, an untrained one."""
    from safetensors.torch import save_file

    from refvid.checkpoints.catalog import bundled_asset
    from refvid.models.mini.config import MiniConfig
    from refvid.models.mini.decoder import MiniDecoder

    if bundled_asset("mini").is_file():
        return "mini"
    path = tmp_path_factory.mktemp("model") / "untrained.safetensors"
    config = MiniConfig()
    metadata = {"config": json.dumps(asdict(config))}
    weights = {key: value.contiguous() for key, value in MiniDecoder(config).state_dict().items()}
    save_file(weights, path, metadata=metadata)
    return str(path)


def refvid(*words: str | Path) -> Result:
    from refvid.cli.app import app

    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def enhance_fixture(source: Path, folder: Path, model: str, *words: str) -> tuple[Path, Any]:
    result = refvid(
        *("enhance", source, "-o", f"{folder}/", "--ref", "frame:0"),
        *("--model", model, "--json", *words),
    )
    assert result.exit_code == 0, result.stderr
    done = json.loads(result.stdout)["results"][0]
    assert [str(path) for path in folder.iterdir()] == [done["output"]], "nothing else is left"
    return Path(done["output"]), done["report"]


def compare(source: Facts, result: Facts, *paths: Path) -> None:
    assert len(result.times) == len(source.times), "a frame was lost or added"
    # Matroska and WebM store milliseconds.
    has_milliseconds = {".mkv", ".webm"} & {path.suffix for path in paths}
    tolerance = Fraction(1, 1000) if has_milliseconds else Fraction(1, 100_000)
    for ours, theirs in zip(result.times, source.times, strict=True):
        assert abs(ours - theirs) <= tolerance
    assert result.size == source.size
    assert result.rotation == 0, "turned pixels need no turning tag"
    assert result.depth == source.depth
    assert result.full_range == source.full_range
    matrix, *others = source.colors
    if matrix != 2:
        assert result.colors[0] == matrix
    assert list(result.colors[1:]) == [tag or 2 for tag in others]
    # The first frame is its own reference: it must come out nearly as it went in.
    difference = np.abs(result.first.astype(float) - source.first.astype(float)).mean()
    assert difference < 4, f"the picture is off by {difference:.1f} of 255"


@pytest.mark.parametrize("name", WHOLE)
def test_whole_files(shared: Path, tmp_path: Path, model: str, name: str) -> None:
    path = shared / "media" / "fixtures" / name
    output, report = enhance_fixture(path, tmp_path, model)
    source, result = watch(path), watch(output)
    compare(source, result, path, output)
    assert result.sound == source.sound
    assert report["frames"] == len(source.times)
    assert report["bytes_written"] == output.stat().st_size


@pytest.mark.parametrize("name", FIRST_FRAMES)
def test_beginnings_of_files(shared: Path, tmp_path: Path, model: str, name: str) -> None:
    path = shared / "media" / "fixtures" / name
    frames = FIRST_FRAMES[name]
    output, report = enhance_fixture(path, tmp_path, model, "--frames", str(frames))
    source, result = watch(path, frames), watch(output)
    compare(source, result, path, output)
    assert report["frames"] == frames
    assert len(result.sound) == len(source.sound)
    for ours, theirs in zip(result.sound, source.sound, strict=True):
        assert ours == theirs[: len(ours)], "packets are copied, not coded again"
        assert ours, "some sound belongs to the first frames"
    assert result.subtitles == source.subtitles


def test_every_fixture_is_tested(shared: Path) -> None:
    videos = {
        path.name
        for path in (shared / "media" / "fixtures").iterdir()
        if path.suffix in (".mp4", ".mkv", ".webm", ".avi")
    }
    assert videos == {*WHOLE, *FIRST_FRAMES, HLG}


@pytest.mark.parametrize("words", [(), ("--hdr", "passthrough")])
def test_hlg_stays_hlg(shared: Path, tmp_path: Path, model: str, words: tuple[str, ...]) -> None:
    path = shared / "media" / "fixtures" / HLG
    output, _ = enhance_fixture(path, tmp_path, model, *words, "--frames", "2")
    compare(watch(path, 2), watch(output), path, output)


def test_hlg_is_refused_where_that_is_asked(shared: Path, tmp_path: Path, model: str) -> None:
    path = shared / "media" / "fixtures" / HLG
    words = ("--hdr", "refuse", "--model", model)
    refused = refvid("enhance", path, "-o", tmp_path / "out.mp4", *words)
    assert refused.exit_code == 3
    assert "is HDR video" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_sound_of_a_whole_file(shared: Path, tmp_path: Path, model: str) -> None:
    """All 60 frames at strength 0: nothing is computed, and all sound must be there."""
    path = shared / "media" / "fixtures" / "made_rot90_h264_aac_dog.mp4"
    output, _ = enhance_fixture(path, tmp_path, model, "--strength", "0")
    source, result = watch(path), watch(output)
    compare(source, result, path, output)
    assert result.sound == source.sound


def test_cuts_are_reported(shared: Path, tmp_path: Path, model: str) -> None:
    path = shared / "media" / "fixtures" / "vp9_10bit_23976_roadtrip.webm"
    _, report = enhance_fixture(path, tmp_path, model, "--strength", "0", "--start", "30f")
    assert report["cuts"] == [12, 39]
    assert report["frames"] == 42


def test_image_sequence(shared: Path, tmp_path: Path, model: str) -> None:
    from refvid.media.image import read_image

    source, folder = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    folder.mkdir()
    with av.open(str(shared / "media" / "fixtures" / "hevc_8bit.mp4")) as container:
        for index, picture in enumerate(container.decode(video=0)):
            picture.to_image().save(source / f"a_{index:03d}.png")
    result = refvid(
        *("enhance", source / "a_%03d.png", "-o", folder / "b_%03d.png", "--model", model),
        *("--strength", "0"),
    )
    assert result.exit_code == 0, result.stderr
    assert len(list(folder.iterdir())) == 10
    for path in source.iterdir():
        other = folder / path.name.replace("a_", "b_")
        assert np.array_equal(read_image(path), read_image(other))
