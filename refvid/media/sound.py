"""Which sound a container holds as it is, and what it is encoded as where not."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Final

import av
from av.audio.stream import AudioStream
from av.codec import Codec
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from refvid.media.container import input_errors, open_container
from refvid.media.trial_header import header_error

# By container, best first. FLAC keeps every sample of what was decoded.
_ENCODERS: Final = {
    "mp4": ("aac",),
    "mov": ("aac",),
    "matroska": ("flac", "libopus", "aac"),
    "webm": ("libopus",),
}
_BITS_PER_CHANNEL: Final = {"aac": 128_000, "libopus": 96_000}
# What libav means by a number of channels of which a file says no more.
_USUAL_LAYOUTS: Final = {
    1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1",
}  # fmt: skip
SURE_CODECS: Final = frozenset(
    {"aac", "ac3", "alac", "dts", "eac3", "flac", "mp3", "opus", "truehd", "vorbis"}
)
"""Every muxer that accepts one of these has a specification for it: a copy need not be tried."""

NEVER_COPIED: Final = frozenset(
    {
        # A standard that hardly any program reads.
        *(("mp4", f"pcm_f{bits}{order}") for bits in (32, 64) for order in ("le", "be")),
        # Programs that are older than that standard take these for 16 bits: they play loud noise.
        *(("mp4", f"pcm_s{bits}{order}") for bits in (24, 32) for order in ("le", "be")),
        # libav loses the last packet, which its decoder knows by a number that is not stored.
        ("matroska", "tta"),
    }
)
"""What muxers take, by container and codec, and give back to few or not whole."""

_TRIED_PACKETS: Final = 20
_TRIED_ALL_PACKETS: Final = 2000
_DEEPER_THAN_16: Final = ("s32", "flt", "dbl", "s64")


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundFormat:
    """How a sound track is encoded anew."""

    encoder: str
    sample_rate: int
    layout: str
    """libav's name of its channels, e.g. `5.1`."""

    sample_format: str
    bit_rate: int | None
    is_mixed: bool = False
    """Whether its channels are other ones than the source's."""

    @property
    def name(self) -> str:
        """For people."""
        codec = str(Codec(self.encoder, "w").canonical_name)
        rate = "" if self.bit_rate is None else f", {self.bit_rate // 1000} kb/s"
        return f"{codec}{rate}, as {self.layout}" if self.is_mixed else f"{codec}{rate}"

    @property
    def time_base(self) -> Fraction:
        return Fraction(1, self.sample_rate)


def add_sound(output: OutputContainer, sound: SoundFormat) -> AudioStream:
    """Add a stream for sound that is encoded, and open its encoder.

    Raises:
        av.FFmpegError, ValueError: The encoder or container refuses.
    """
    stream = output.add_stream(sound.encoder, rate=sound.sample_rate, layout=sound.layout)
    assert isinstance(stream, AudioStream)
    context = stream.codec_context
    context.format = sound.sample_format
    if sound.bit_rate is not None:
        context.bit_rate = sound.bit_rate
    context.open(strict=False)
    return stream


def choose_sound(source: Path, index: int, container: str) -> SoundFormat | None:
    """Find what a track can be encoded as in a container, without loss if possible; None: nothing.

    What counts is that the encoder opens and the muxer writes a header.

    Raises:
        InputError: The source cannot be read.
    """
    with open_container(source) as opened:
        return _choose(opened.streams[index], container)


def _choose(stream: Stream, container: str) -> SoundFormat | None:
    context = getattr(stream, "codec_context", None)
    if context is None or not context.sample_rate or not context.channels:
        return None
    layout = context.layout.name
    if layout.endswith(" channels"):
        layout = _USUAL_LAYOUTS.get(context.channels, layout)
    for encoder in _ENCODERS[container]:
        for wanted in _layouts(layout, context.channels):
            sound = _sound_as(encoder, context.sample_rate, wanted, context.format.name)
            if sound is not None and _is_taken(sound, container):
                return sound if wanted == layout else replace(sound, is_mixed=True)
    return None


def _layouts(layout: str, channels: int) -> list[str]:
    """List what channels may become, best first: with silent ones added, then mixed to fewer."""
    usual = ("7.1", "5.1", "stereo", "mono")
    added = [name for name in usual if len(av.AudioLayout(name).channels) >= channels]
    mixed = [name for name in usual if name not in added]
    return list(dict.fromkeys((layout, *reversed(added), *mixed)))


def _sound_as(encoder: str, rate: int, layout: str, decoded: str) -> SoundFormat | None:
    try:
        codec, channels = Codec(encoder, "w"), len(av.AudioLayout(layout).channels)
    except ValueError:  # this build has none; a layout that is only a number
        return None
    formats = [known.name for known in codec.audio_formats or ()]
    sample_format = formats[0]
    if "s32" in formats and decoded.removesuffix("p") in _DEEPER_THAN_16:
        sample_format = "s32"
    per_channel = _BITS_PER_CHANNEL.get(encoder)
    return SoundFormat(
        encoder=encoder,
        sample_rate=_nearest_rate(rate, codec.audio_rates),
        layout=layout,
        sample_format=sample_format,
        bit_rate=None if per_channel is None else per_channel * channels,
    )


def _nearest_rate(rate: int, known: list[int] | None) -> int:
    if not known or rate in known:
        return rate
    return min((higher for higher in known if higher > rate), default=max(known))


def _is_taken(sound: SoundFormat, container: str) -> bool:
    return header_error(container, lambda scratch: add_sound(scratch, sound)) is None


def survives_copy(source: Path, index: int, container: str) -> bool:
    """Whether a track that a muxer accepts can be decoded again from what that has written.

    Some muxers take any codec that they have a number for, and leave out what its decoder needs.
    The first packets are copied in memory to see it.

    Raises:
        InputError: The source cannot be read.
    """
    with open_container(source) as opened:
        stream = opened.streams[index]
        if getattr(stream, "codec_context", None) is None:
            return True
        assert isinstance(stream, AudioStream)
        with input_errors(source):
            packets = _first_packets(opened, index)
        copied = io.BytesIO()
        try:
            with av.open(copied, "w", format=container) as output:
                target = output.add_stream_from_template(stream, opaque=None)
                for packet in packets:
                    packet.pts = packet.dts if packet.pts is None else packet.pts
                    packet.stream = target
                    output.mux_one(packet)
            copied.seek(0)
            with av.open(copied, "r") as written:
                return next(written.decode(audio=0), None) is not None
        except (av.FFmpegError, ValueError, IndexError):
            # Where the source cannot be decoded either, the copy is as good.
            return not _decodes(packets)


def _first_packets(opened: InputContainer, index: int) -> list[Packet[Stream]]:
    every = islice(opened.demux(), _TRIED_ALL_PACKETS)
    ours = (packet for packet in every if packet.stream_index == index and packet.size)
    return list(islice(ours, _TRIED_PACKETS))


def _decodes(packets: list[Packet[Stream]]) -> bool:
    try:
        return any(packet.decode() for packet in packets)
    except av.FFmpegError:
        return False
