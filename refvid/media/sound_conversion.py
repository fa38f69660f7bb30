"""Sound from one codec to another, every sample at its time."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream

from refvid.media.sound import SoundFormat
from refvid.wording import counted

logger = logging.getLogger(__name__)

_JITTER: Final = Fraction(3, 100)
"""How far a time may be from the number of samples before it [s]: containers round times."""

_DTYPES: Final = {"s16": np.int16, "s32": np.int32, "flt": np.float32}
_SILENT_SAMPLES: Final = 4096


class SoundConverter:
    """Decodes a track's packets, cuts them to the wanted part and encodes them.

    Positions are counted in samples of the result, 0 where it begins. Gaps become silence, and of
    what is there twice the first counts.

    Args:
        source: The track, of a file that is open.
        target: From `add_sound`.
        sound: How it is encoded.
        path: The source's file, for messages.
        has_gaps: Whether times may leave gaps; AVI has none: there libav counts itself, of some
            codecs wrongly.
    """

    def __init__(
        self,
        source: AudioStream,
        target: AudioStream,
        sound: SoundFormat,
        path: Path,
        *,
        has_gaps: bool = True,
    ) -> None:
        self._source, self._target, self._sound = source, target, sound
        self._path = path
        self._has_gaps = has_gaps
        self._start = Fraction(0)
        self._end: int | None = None
        self._resampler: av.AudioResampler | None = None
        self._kind: tuple[str, str, int] | None = None
        """Format, layout and rate of what the resampler takes."""

        self._filled: int | None = None
        """Position after the last sample that was encoded; None before the first."""

        self._next: int | None = None
        """Position of the next sample that the resampler gives; None before the first."""

        self._told: int | None = None
        """The last position that a time gave."""

        self._damaged = 0

    def begin(self, start: Fraction | None) -> None:
        """Fix the time of the source that becomes 0 [s]; None keeps all times."""
        self._start = start or Fraction(0)

    def convert(self, packet: Packet[Stream], end: Fraction | None) -> Iterator[Packet[Stream]]:
        """Take the next packet of the source, and give those of the result that are ready.

        Args:
            packet: With a time.
            end: Time of the source by which the result has ended [s], if it is known.
        """
        self._end = None if end is None else self._position(end)
        yield from self._receive(packet)

    def finish(self) -> Iterator[Packet[Stream]]:
        """Give what decoder, resampler and encoder still hold."""
        yield from self._receive(None)
        yield from self._restart(None)
        yield from self._target.encode(None)
        if self._damaged:
            logger.warning(
                "%s: audio track %s has %s: silence there",
                self._path,
                self._source.index,
                counted(self._damaged, "damaged packet"),
            )

    def _position(self, time: Fraction) -> int:
        return round((time - self._start) * self._sound.sample_rate)

    def _receive(self, packet: Packet[Stream] | None) -> Iterator[Packet[Stream]]:
        try:
            frames = self._source.codec_context.decode(packet)
        except av.FFmpegError:
            self._damaged += packet is not None
            return
        for frame in frames:
            kind = (frame.format.name, frame.layout.name, frame.sample_rate)
            if kind != self._kind:
                yield from self._restart(kind)
            if frame.pts is not None and frame.time_base is not None:
                position = self._position(frame.pts * frame.time_base)
                if self._is_news(position):
                    yield from self._restart(kind)
                    self._next = position
            assert self._resampler is not None
            frame.pts = None  # the resampler would count on it
            yield from self._put(self._resampler.resample(frame))

    def _is_news(self, position: int) -> bool:
        """Whether sound does not simply go on; a time no later than the one before is none."""
        is_later = self._told is None or position > self._told
        self._told = position
        if self._next is None:
            return True
        is_far = abs(position - self._next) > _JITTER * self._sound.sample_rate
        return self._has_gaps and is_later and is_far

    def _restart(self, kind: tuple[str, str, int] | None) -> Iterator[Packet[Stream]]:
        """Empty the resampler, and make one for another kind of sound."""
        if self._resampler is not None:
            yield from self._put(self._resampler.resample(None))
            self._resampler = None
        if kind is not None:
            self._kind = kind
            sound = self._sound
            # Packed: PyAV reads beyond the planes of eight channels. The encoder unpacks it.
            packed = av.AudioFormat(sound.sample_format).packed
            self._resampler = av.AudioResampler(packed, sound.layout, sound.sample_rate)

    def _put(self, frames: Iterable[av.AudioFrame | None]) -> Iterator[Packet[Stream]]:
        """Put resampled sound where it belongs, and give the packets that it makes."""
        for frame in frames:
            if frame is None:  # of a resampler that has nothing to do
                continue
            begin = 0 if self._next is None else self._next
            stop = self._next = begin + frame.samples
            if self._end is not None:
                stop = min(stop, self._end)
            if self._filled is None and stop > max(begin, 0):
                self._filled = max(begin, 0)
            if self._filled is None or stop <= self._filled:
                continue
            while self._filled < begin:
                yield from self._add(
                    _silence(self._sound, min(begin - self._filled, _SILENT_SAMPLES))
                )
            yield from self._add(_cut(frame, self._filled - begin, stop - begin))

    def _add(self, frame: av.AudioFrame) -> Iterator[Packet[Stream]]:
        assert self._filled is not None
        frame.pts, frame.time_base = self._filled, self._sound.time_base
        self._filled += frame.samples
        yield from self._target.encode(frame)


def _cut(frame: av.AudioFrame, begin: int, stop: int) -> av.AudioFrame:
    """Keep the samples from `begin` to `stop` of packed sound."""
    if begin == 0 and stop == frame.samples:
        return frame
    channels = len(frame.layout.channels)
    values: Any = frame.to_ndarray()[:, begin * channels : stop * channels]
    result = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(values), frame.format.name, frame.layout.name
    )
    result.sample_rate = frame.sample_rate
    return result


def _silence(sound: SoundFormat, samples: int) -> av.AudioFrame:
    """Make packed silence."""
    packed = av.AudioFormat(sound.sample_format).packed.name
    channels = len(av.AudioLayout(sound.layout).channels)
    values: Any = np.zeros((1, samples * channels), _DTYPES[packed])
    frame = av.AudioFrame.from_ndarray(values, packed, sound.layout)
    frame.sample_rate = sound.sample_rate
    return frame
