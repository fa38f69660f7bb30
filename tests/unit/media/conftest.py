"""Small videos with known content, and a way to look at what was written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import Interpolation, VideoReformatter

from refvid.media.reader import Frame, open_video
from refvid.media.writer import create_video

REPOSITORY = Path(__file__).parents[3]
FIXTURES = Path(os.environ.get("REFVID_SHARED", REPOSITORY.parent / "shared")) / "media/fixtures"

SPEED = {
    "libx264": {"preset": "ultrafast", "crf": "10"},
    "libx265": {"preset": "ultrafast", "crf": "10", "x265-params": "log-level=none"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "0"},
    "libsvtav1": {"preset": "12", "crf": "20"},
}
SUFFIX_FORMATS = {
    ".mp4": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".avi": "avi",
    ".ts": "mpegts",
    ".mpg": "mpeg",
    ".flv": "flv",
    ".ivf": "ivf",
    ".gif": "gif",
    ".apng": "apng",
    ".nut": "nut",
    ".ogv": "ogg",
    ".dv": "dv",
    ".mxf": "mxf",
    ".wmv": "asf",
}


def picture(index: int, width: int, height: int) -> np.ndarray:
    """A smooth picture whose colours tell its index."""
    across = np.linspace(0, 255, width)[np.newaxis, :]
    down = np.linspace(0, 255, height)[:, np.newaxis]
    red = np.broadcast_to(across, (height, width))
    green = np.broadcast_to(down, (height, width))
    blue = np.full((height, width), (index * 37) % 256)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


@dataclass
class Recipe:
    """What `make_video` writes."""

    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    size: tuple[int, int] = (96, 64)
    frames: int = 8
    rate: Fraction = Fraction(25)
    time_base: Fraction | None = None
    timestamps: Sequence[int] | None = None
    duration: int | None = None
    color: tuple[int, int, int, int] = (2, 0, 2, 2)
    """matrix, range, primaries, transfer"""

    rotation: int | None = None
    hflip: bool = False
    aspect: Fraction | None = None
    audio: Sequence[str] = ()
    audio_start: Fraction = Fraction(0)
    audio_seconds: Fraction | None = None
    subtitles: Sequence[str] = ()
    lines: Sequence[tuple[int, int, str]] = ((0, 100, "one"), (100, 200, "two"))
    """start [ms], duration [ms], text"""

    chapters: Sequence[tuple[int, int, str]] = ()
    """start [ms], end [ms], title"""

    metadata: dict[str, str] = field(default_factory=dict)
    attachment: bytes | None = None
    options: dict[str, str] = field(default_factory=dict)
    max_b_frames: int | None = None
    pixels: Callable[[int, int, int], np.ndarray] = picture


def build_video(path: Path, **wishes: Any) -> Path:
    recipe = Recipe(**wishes)
    width, height = recipe.size
    time_base = recipe.time_base or 1 / recipe.rate
    stamps = recipe.timestamps or range(recipe.frames)
    with av.open(str(path), "w", format=SUFFIX_FORMATS[path.suffix]) as container:
        container.metadata.update(recipe.metadata)
        video: Any = container.add_stream(
            recipe.codec,
            rate=recipe.rate,
            width=width,
            height=height,
            time_base=time_base,
            options=SPEED.get(recipe.codec, {}) | recipe.options,
        )
        context = video.codec_context
        context.pix_fmt = recipe.pix_fmt
        matrix, color_range, primaries, transfer = recipe.color
        context.colorspace, context.color_range = matrix, color_range
        context.color_primaries, context.color_trc = primaries, transfer
        context.flags |= 1 << 8
        if recipe.max_b_frames is not None:
            context.max_b_frames = recipe.max_b_frames
        if recipe.aspect is not None:
            context.sample_aspect_ratio = recipe.aspect
        if recipe.rotation is not None:
            video.set_display_rotation(recipe.rotation, hflip=recipe.hflip)
        tracks = [_add_audio(container, name) for name in recipe.audio]
        texts = [_add_subtitles(container, name) for name in recipe.subtitles]
        if recipe.attachment is not None:
            container.add_attachment("font.ttf", "font/ttf", recipe.attachment)
        if recipe.chapters:
            container.set_chapters(
                [
                    {
                        "id": number,
                        "start": start,
                        "end": end,
                        "time_base": Fraction(1, 1000),
                        "metadata": {"title": title},
                    }
                    for number, (start, end, title) in enumerate(recipe.chapters)
                ]
            )
        for track in tracks:  # the packets wait in the muxer until there is video
            container.mux(_tone(track, recipe))
        for index, stamp in enumerate(stamps):
            frame = _encoder_frame(recipe.pixels(index, width, height), recipe)
            frame.pts, frame.time_base = stamp, time_base
            later = stamps[index + 1] if index + 1 < len(stamps) else None
            step = recipe.duration or (stamp - stamps[index - 1] if index else 1)
            frame.duration = later - stamp if later is not None else step
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for text in texts:
            for start, duration, line in recipe.lines:
                container.mux_one(_subtitle_packet(text, start, duration, line))
    return path


def _encoder_frame(pixels: np.ndarray, recipe: Recipe) -> av.VideoFrame:
    matrix = {1: 1, 9: 9}.get(recipe.color[0], 5)
    name = "rgb24" if pixels.dtype == np.uint8 else "rgb48le"
    frame = VideoReformatter().reformat(
        av.VideoFrame.from_ndarray(pixels, format=name),
        format=recipe.pix_fmt,
        dst_colorspace=matrix,
        src_color_range=2,
        dst_color_range=recipe.color[1] or 1,
        interpolation=int(Interpolation.BICUBIC | Interpolation.ACCURATE_RND),
    )
    frame.colorspace, frame.color_range = recipe.color[0], recipe.color[1]
    frame.color_primaries, frame.color_trc = recipe.color[2], recipe.color[3]
    return frame


def _add_audio(container: Any, name: str) -> Any:
    codec, _, language = name.partition(":")
    stream = container.add_stream(codec, rate=48000)
    stream.metadata["language"] = language or "und"
    return stream


def _tone(stream: Any, recipe: Recipe) -> list[Any]:
    context = stream.codec_context
    context.open(strict=False)
    seconds = recipe.audio_seconds or recipe.frames / recipe.rate
    tone = (np.sin(np.arange(int(seconds * 48000)) / 20) * 8000).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(np.repeat(tone, 2)[np.newaxis], format="s16")
    frame.sample_rate, frame.pts = 48000, 0
    fifo = av.AudioFifo()
    for part in av.AudioResampler(context.format.name, "stereo", 48000).resample(frame):
        fifo.write(part)
    packets = []
    position = int(recipe.audio_start * 48000)
    while (piece := fifo.read(context.frame_size or 1024, partial=True)) is not None:
        piece.pts, piece.time_base = position, Fraction(1, 48000)
        position += piece.samples
        packets += stream.encode(piece)
    return packets + stream.encode(None)


def _add_subtitles(container: Any, name: str) -> Any:
    codec, _, language = name.partition(":")
    stream = container.add_stream(codec)
    stream.metadata["language"] = language or "und"
    stream.codec_context.subtitle_header = (
        b"[Script Info]\r\nScriptType: v4.00+\r\n\r\n[V4+ Styles]\r\nFormat: Name, Fontname, "
        b"Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, "
        b"Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, "
        b"Alignment, MarginL, MarginR, MarginV, Encoding\r\nStyle: Default,Arial,16,&Hffffff,"
        b"&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0\r\n\r\n[Events]\r\n"
    )
    stream.codec_context.time_base = Fraction(1, 1000)
    return stream


def _subtitle_packet(stream: Any, start: int, duration: int, line: str) -> Any:
    from av.subtitles.subtitle import SubtitleSet

    event = SubtitleSet.create(
        text=f"0,0,Default,,0,0,0,,{line}".encode(), start=0, end=duration, pts=start * 1000
    )
    packet = stream.codec_context.encode_subtitle(event)
    packet.stream = stream
    packet.time_base = Fraction(1, 1000)
    packet.pts = packet.dts = start
    packet.duration = duration
    return packet


@dataclass(frozen=True)
class CopiedPacket:
    payload: str
    time: Fraction


def packets_of(path: Path, kind: str) -> list[list[CopiedPacket]]:
    """Hashes and times of all packets of each track of one kind; empty subtitles left out."""
    found: dict[int, list[CopiedPacket]] = {}
    with av.open(str(path)) as container:
        for stream in container.streams:
            if stream.type == kind:
                found[stream.index] = []
        for packet in container.demux():
            if packet.stream_index in found and packet.size > (2 if kind == "subtitle" else 0):
                assert packet.pts is not None
                found[packet.stream_index].append(
                    CopiedPacket(
                        hashlib.sha256(bytes(packet)).hexdigest(), packet.pts * packet.time_base
                    )
                )
    return list(found.values())


def copy_video(source: Path, output: Path, **options: Any) -> list[Frame]:
    """Read a video and write it back; return the frames read, without their pixels."""
    frames = []
    reading = {name: options.pop(name) for name in ("start", "end", "frames") if name in options}
    with (
        open_video(source, **reading) as video,
        create_video(output, like=video.info, trim=video.trim, **options) as writer,
    ):
        for frame in video:
            writer.write(frame.pixels, frame)
            frames.append(Frame(frame.pixels[:0], *_rest(frame)))
    return frames


def _rest(frame: Frame) -> tuple[Any, ...]:
    return frame.index, frame.pts, frame.time_base, frame.duration, frame.number


class Samples:
    """The helpers above, for tests that get them as a fixture."""

    picture = staticmethod(picture)
    packets_of = staticmethod(packets_of)
    copy = staticmethod(copy_video)

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, name: str = "in.mp4", **wishes: Any) -> Path:
        return build_video(self.folder / name, **wishes)

    def read(self, path: Path, **options: Any) -> list[Frame]:
        with open_video(path, **options) as video:
            return list(video)


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    return Samples(tmp_path)


@pytest.fixture
def fixture_clips() -> Path:
    if not FIXTURES.is_dir():
        pytest.skip(f"no folder of real clips at {FIXTURES} (set REFVID_SHARED)")
    return FIXTURES
