"""Sound that a container cannot hold as it is: encoded anew, at its time, never lost in silence."""

from __future__ import annotations

import io
import logging
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from refvid.errors import OutputError
from refvid.media.encoding import Encoding
from refvid.media.output_plan import plan_output
from refvid.media.sound import add_sound, choose_sound, survives_copy
from refvid.media.sound_conversion import SoundConverter
from refvid.media.video_info import read_video_info

RATE = 44100
CLICKS = (Fraction("0.25"), Fraction("1.0"), Fraction("1.6"))
"""When the sound of `with_sound` is loud [s]: 10 ms each."""

_DTYPES: dict[str, Any] = {"s16": np.int16, "s32": np.int32, "flt": np.float32}


@dataclass
class Sound:
    """What `with_sound` writes beside two seconds of video."""

    codec: str = "pcm_mulaw"
    rate: int = RATE
    layout: str = "stereo"
    start: Fraction = Fraction(0)
    gap: tuple[int, int] | None = None
    """Samples that are not written."""


def clicks(rate: int, channels: int) -> np.ndarray:
    samples = np.zeros((2 * rate, channels), np.int16)
    for click in CLICKS:
        first = round(click * rate)
        samples[first : first + rate // 100] = 12000
    return samples


def with_sound(path: Path, *sounds: Sound) -> Path:
    kind = {".mkv": "matroska", ".wmv": "asf"}.get(path.suffix, path.suffix[1:])
    with av.open(str(path), "w", format=kind) as container:
        video: Any = container.add_stream("mpeg4", rate=25, width=64, height=48)
        streams = []
        for sound in sounds:
            stream: Any = container.add_stream(sound.codec, rate=sound.rate, layout=sound.layout)
            if sound.codec.startswith("wma"):
                stream.codec_context.bit_rate = 128_000
            stream.codec_context.open(strict=False)
            streams.append(stream)
        for index in range(50):
            frame = av.VideoFrame.from_ndarray(
                np.full((48, 64, 3), 5 * index, np.uint8), format="rgb24"
            )
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for stream, sound in zip(streams, sounds, strict=True):
            container.mux(_packets(stream, sound))
    return path


def _packets(stream: Any, sound: Sound) -> list[Any]:
    context = stream.codec_context
    values = clicks(sound.rate, len(context.layout.channels))
    size = context.frame_size or 1000
    resampler = av.AudioResampler(context.format.name, sound.layout, sound.rate)
    packets = []
    for first in range(0, len(values), size):
        if sound.gap and sound.gap[0] <= first < sound.gap[1]:
            continue
        part = np.zeros((size, values.shape[1]), np.int16)
        part[: len(values[first : first + size])] = values[first : first + size]
        frame = av.AudioFrame.from_ndarray(part.reshape(1, -1), "s16", sound.layout)
        frame.sample_rate, frame.pts = sound.rate, None
        for ready in resampler.resample(frame):
            ready.pts = first + round(sound.start * sound.rate)
            ready.time_base = Fraction(1, sound.rate)
            packets += stream.encode(ready)
    return packets + stream.encode(None)


def loud_times(path: Path, track: int = 0) -> list[Fraction]:
    """When the sound becomes loud, after the first picture [s]."""
    with av.open(str(path)) as container:
        pictures = container.decode(video=0)
        first = next(pictures)
        assert first.pts is not None
        assert first.time_base is not None
        begin = first.pts * first.time_base
    times: list[Fraction] = []
    after = 0
    with av.open(str(path)) as container:
        for frame in container.decode(audio=track):
            assert frame.time_base is not None
            if frame.pts is None:
                frame.pts = after
            after = frame.pts + round(frame.samples / frame.sample_rate / frame.time_base)
            kind = frame.format.packed.name
            plane: Any = frame.planes[0]
            mono = np.frombuffer(plane, _DTYPES[kind])
            step = 1 if frame.format.is_planar else len(frame.layout.channels)
            mono = mono[: frame.samples * step : step].astype(float)
            full = {"s16": 2**15, "s32": 2**31}.get(kind, 1)
            for index in np.flatnonzero(np.abs(mono) > 0.15 * full):
                time = frame.pts * frame.time_base + Fraction(int(index), frame.sample_rate) - begin
                if not times or time - times[-1] > Fraction(1, 10):
                    times.append(time)
    return times


def assert_heard(path: Path, times: tuple[Fraction, ...], within: Fraction) -> None:
    heard = loud_times(path)
    assert len(heard) == len(times)
    for found, wanted in zip(heard, times, strict=True):
        assert abs(found - wanted) <= within


FOREIGN = [
    ("in.avi", "pcm_mulaw", 8000),
    ("in.avi", "pcm_alaw", 8000),
    ("in.avi", "adpcm_ms", RATE),
    ("in.avi", "adpcm_ima_wav", RATE),
    ("in.wmv", "wmav2", RATE),
    ("in.wmv", "wmav1", RATE),
]


@pytest.mark.parametrize(("name", "codec", "rate"), FOREIGN)
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".webm"])
def test_foreign_sound_is_heard_at_its_time(samples, name, codec, rate, suffix):
    source = with_sound(samples.folder / name, Sound(codec=codec, rate=rate))
    output = samples.folder / f"out{suffix}"
    samples.copy(source, output)
    before = loud_times(source)
    assert len(before) == len(CLICKS)
    assert_heard(output, tuple(before), Fraction(3, 1000))


@pytest.mark.parametrize("codec", ["pcm_mulaw", "pcm_alaw", "adpcm_ms", "adpcm_ima_wav"])
def test_matroska_gets_every_sample(samples, codec):
    source = with_sound(samples.folder / "in.avi", Sound(codec=codec, rate=8000))
    output = samples.folder / "out.mkv"
    samples.copy(source, output)

    def samples_of(path):
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
            planar = frames[0].shape[0] == 2
            return np.concatenate([f.T if planar else f.reshape(-1, 2) for f in frames])

    assert np.array_equal(samples_of(output), samples_of(source))


def test_the_user_is_told_what_sound_becomes(samples):
    source = with_sound(samples.folder / "in.avi", Sound(), Sound(codec="mp3"))
    info = read_video_info(source)
    plan = plan_output(samples.folder / "out.mp4", info, Encoding())
    sounds = [note for note in plan.notes if note.startswith("audio")]
    assert sounds == [
        "audio track 1 (pcm_mulaw) cannot be stored in mp4 as it is: encoded as aac, 256 kb/s"
    ]
    assert plan.tracks[1].sound is None


def test_copying_can_be_insisted_on(samples):
    source = with_sound(samples.folder / "in.avi", Sound(), Sound(codec="mp3"))
    info = read_video_info(source)
    with pytest.raises(OutputError, match=r"audio track 1 \(pcm_mulaw\).*as it is.*--audio copy"):
        plan_output(samples.folder / "out.mp4", info, Encoding(audio="copy"))
    plan = plan_output(samples.folder / "out.mov", info, Encoding(audio="copy"))
    assert [track.sound for track in plan.tracks] == [None, None]
    assert plan_output(samples.folder / "out.mp4", info, Encoding(audio="none")).tracks == ()


@pytest.mark.parametrize("start", [Fraction("0.3"), Fraction("1.01")])
def test_sound_that_starts_late_stays_in_step(samples, start):
    source = with_sound(samples.folder / "in.mkv", Sound(codec="mp2", start=start))
    output = samples.folder / "out.webm"
    samples.copy(source, output)
    # Matroska rounds to milliseconds, once in each file.
    assert_heard(output, tuple(loud_times(source)), Fraction(11, 1000))
    part = samples.folder / "part.webm"
    samples.copy(source, part, start=10)
    late = tuple(time - Fraction(10, 25) for time in loud_times(source))
    assert_heard(part, late, Fraction(11, 1000))


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".webm"])
def test_a_part_is_cut_to_the_sample(samples, suffix):
    source = with_sound(samples.folder / "in.avi", Sound(rate=8000))
    output = samples.folder / f"out{suffix}"
    samples.copy(source, output, start=20, end=45)
    assert_heard(output, (Fraction("0.2"), Fraction("0.8")), Fraction(3, 1000))
    with av.open(str(output)) as container:
        frames = list(container.decode(audio=0))
        length = sum(frame.samples for frame in frames) / frames[0].sample_rate
    assert 1 <= length <= 1 + 0.26  # an encoder's first and last packet


def test_a_gap_becomes_silence(samples):
    gap = (40 * 1000, 50 * 1000)
    source = with_sound(samples.folder / "in.mov", Sound(codec="pcm_mulaw", gap=gap))
    with_gap = samples.folder / "gap.mkv"
    samples.copy(source, with_gap)
    assert_heard(with_gap, tuple(loud_times(source)), Fraction(3, 1000))


@pytest.mark.parametrize("layout", ["mono", "2.1", "quad", "5.0", "5.1", "6.1", "7.1"])
@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv"])
def test_many_channels(samples, layout, suffix):
    source = with_sound(samples.folder / "in.avi", Sound(codec="pcm_alaw", layout=layout))
    output = samples.folder / f"out{suffix}"
    samples.copy(source, output)
    (track,) = read_video_info(output).audio
    assert track.channels >= len(av.AudioLayout(layout).channels)
    assert len(loud_times(output)) == len(CLICKS)


def unnamed_channels(path: Path, channels: int) -> Path:
    """An AVI whose sound has so many channels, of which nothing says where they belong."""
    with_sound(path, Sound(codec="pcm_mulaw", rate=8000, layout="mono"))
    data = bytearray(path.read_bytes())
    place = data.index(struct.pack("<HHI", 7, 1, 8000))
    data[place : place + 14] = struct.pack("<HHIIH", 7, channels, 8000, 8000 * channels, channels)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("channels", [2, 3, 4, 6])
def test_channels_without_names(samples, channels):
    source = unnamed_channels(samples.folder / "in.avi", channels)
    with av.open(str(source)) as container:
        assert container.streams.audio[0].channels == channels
    output = samples.folder / "out.mp4"
    samples.copy(source, output)
    assert read_video_info(output).audio[0].channels == channels


def test_rates_that_an_encoder_does_not_know(samples):
    source = with_sound(samples.folder / "in.avi", Sound(rate=37800))
    for suffix, rate in ((".mp4", 44100), (".webm", 48000), (".mkv", 37800)):
        output = samples.folder / f"out{suffix}"
        samples.copy(source, output)
        assert read_video_info(output).audio[0].sample_rate == rate
        assert_heard(output, CLICKS, Fraction(3, 1000))


def test_a_damaged_packet_does_not_move_the_rest(samples, caplog):
    source = with_sound(samples.folder / "in.mkv", Sound(codec="ac3"))
    whole = source.read_bytes()
    with av.open(str(source)) as container:
        packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    place = whole.index(packets[30])
    source.write_bytes(
        whole[:place] + b"\xff" * len(packets[30]) + whole[place + len(packets[30]) :]
    )
    output = samples.folder / "out.webm"
    with caplog.at_level(logging.WARNING):
        samples.copy(source, output)
    assert_heard(output, CLICKS, Fraction(1, 100))


def test_sound_that_nobody_can_keep_is_an_error_and_not_a_silent_film(samples, monkeypatch):
    source = with_sound(samples.folder / "in.avi", Sound(), Sound(codec="mp3"))
    both, info = samples.folder / "out.mkv", read_video_info(source)
    monkeypatch.setattr("refvid.media.tracks.choose_sound", lambda *_: None)
    plan = plan_output(both, info, Encoding())
    assert "audio track 1 (pcm_mulaw) cannot be stored in matroska and is left out" in plan.notes
    monkeypatch.setattr("refvid.media.tracks._is_held", lambda *_: False)
    with pytest.raises(OutputError, match="--audio none"):
        plan_output(both, info, Encoding())
    assert plan_output(both, info, Encoding(audio="none")).tracks == ()


def test_what_a_muxer_takes_but_cannot_give_back_is_not_copied(samples):
    wma = with_sound(samples.folder / "in.wmv", Sound(codec="wmav2"))
    assert not survives_copy(wma, 1, "mov")
    mu_law = with_sound(samples.folder / "in.avi", Sound(codec="pcm_mulaw"))
    assert survives_copy(mu_law, 1, "mov")
    assert not survives_copy(mu_law, 1, "mp4")


@pytest.mark.parametrize("codec", ["pcm_f32le", "pcm_s24le", "pcm_s24be", "pcm_s32le"])
def test_what_other_programs_play_as_noise_in_mp4_is_encoded(samples, codec):
    name = "in.mov" if codec.endswith("be") else "in.avi"
    source = with_sound(samples.folder / name, Sound(codec=codec))
    info = read_video_info(source)
    assert plan_output(samples.folder / "out.mp4", info, Encoding()).tracks[0].sound is not None
    assert plan_output(samples.folder / "out.mov", info, Encoding()).tracks[0].sound is None


def test_tta_is_not_copied_as_its_end_would_be_lost(samples):
    source = with_sound(samples.folder / "in.mkv", Sound(codec="tta"))
    output = samples.folder / "out.mkv"
    samples.copy(source, output)
    assert read_video_info(output).audio[0].codec == "flac"
    assert_heard(output, CLICKS, Fraction(3, 1000))


def test_times_that_an_avi_has_not_are_not_believed(samples):
    # libav counts G.726 in AVI wrongly: four minutes from packet to packet.
    source = with_sound(samples.folder / "in.avi", Sound(codec="g726", rate=8000, layout="mono"))
    output = samples.folder / "out.mp4"
    samples.copy(source, output)
    assert_heard(output, CLICKS, Fraction(1, 50))


def test_times_that_stand_still_are_not_believed(samples):
    source = with_sound(samples.folder / "in.mkv", Sound(codec="mp2"))
    with (
        av.open(str(source)) as old,
        av.open(io.BytesIO(), "w", format="webm") as new,
    ):
        stream: Any = old.streams.audio[0]
        sound = choose_sound(source, 1, "webm")
        assert sound is not None
        converter = SoundConverter(stream, add_sound(new, sound), sound, source)
        made = []
        for packet in old.demux(stream):
            if packet.size:
                packet.pts = packet.dts = 0
                made += list(converter.convert(packet, None))
        made += list(converter.finish())
    length = sum((packet.duration or 0) * packet.time_base for packet in made)
    assert length > Fraction("1.9")


def test_deep_sound_stays_deep(samples):
    source = with_sound(samples.folder / "in.wmv", Sound(codec="wmav2"))
    sound = choose_sound(source, 1, "matroska")
    assert sound is not None
    assert (sound.encoder, sound.sample_format) == ("flac", "s32")
