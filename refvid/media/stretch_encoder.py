"""Encoding in stretches that do not depend on each other.

No encoder can be stopped and gone on with later: what it does to a frame depends on all before. So
a long video is encoded in stretches, each by an encoder of its own, whether the run is interrupted
or not: what is finished stays right, and the result is the same.
"""

from __future__ import annotations

import io
from contextlib import suppress

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from refvid.media.output_plan import OutputPlan
from refvid.media.output_stream import add_video_stream


class StretchEncoder:
    """Encodes one stretch.

    Args:
        plan: How.
        target: The stream that the packets go to.
        is_first: Whether that stream's own encoder has not been used.
    """

    def __init__(self, plan: OutputPlan, target: VideoStream, *, is_first: bool) -> None:
        self.frames = self.packets = 0
        self._plan = plan
        self._target = self._stream = target
        self._container: OutputContainer | None = None
        if not is_first:
            # PyAV sets an encoder up with its stream. This container is there for that alone.
            self._container = av.open(io.BytesIO(), "w", format=plan.container)
            self._stream = add_video_stream(self._container, plan)

    def encode(self, picture: av.VideoFrame) -> list[Packet[VideoStream]]:
        """Take the next picture; give the packets that are ready."""
        self.frames += 1
        return self._given(self._stream.encode(picture))

    def finish(self) -> list[Packet[VideoStream]]:
        """Give the packets that were held back. Nothing follows."""
        packets = self._given(self._stream.encode(None))
        if self._container is not None:
            with suppress(av.FFmpegError, ValueError):
                self._container.close()
        return packets

    def _given(self, packets: list[Packet[VideoStream]]) -> list[Packet[VideoStream]]:
        self.packets += len(packets)
        for packet in packets:
            if self._plan.encoder == "libx265" and self.frames <= 2:
                # With two frames libx265 leaves the decoding times undefined. So few frames are
                # never reordered.
                packet.dts = packet.pts
            packet.stream = self._target
        return packets
