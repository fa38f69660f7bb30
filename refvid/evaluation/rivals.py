"""What else the bits of a file of tokens could be spent on: H.264 and AV1 at the same size."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np

from refvid.errors import OutputError
from refvid.evaluation.rebuilding import Frames

CODECS: Final[dict[str, tuple[tuple[str, ...], int, dict[str, str]]]] = {
    "H.264": (("libx264",), 51, {"preset": "slow"}),
    "AV1": (("libsvtav1", "libaom-av1"), 63, {}),
}
"""Encoders in order of preference, the largest crf, and options."""

_SPEEDS: Final = {"libsvtav1": {"preset": "5"}, "libaom-av1": {"cpu-used": "5"}}
_RATE: Final = Fraction(25)


def encode_like(name: str, frames: Frames, bits: float) -> tuple[Frames, int] | None:
    """Encode frames (T, H, W, 3) with the lowest crf that takes no more than so many bits.

    Returns:
        The decoded frames and their bits (of packets: a container is not counted); None where
        this build has no such encoder, or even the largest crf takes more.
    """
    encoders, largest, options = CODECS[name]
    encoder = next((one for one in encoders if one in av.codecs_available), None)
    if encoder is None:
        return None

    def attempt(crf: int) -> tuple[list[Any], int, bytes]:
        return _encode(frames, encoder, {**options, **_SPEEDS.get(encoder, {}), "crf": str(crf)})

    low, high = 1, largest
    best: tuple[list[Any], int, bytes] | None = None
    while low <= high:
        middle = (low + high) // 2
        made = attempt(middle)
        if made[1] <= bits:
            best, high = made, middle - 1
        else:
            low = middle + 1
    return None if best is None else (_decode(best[2]), best[1])


def _encode(frames: Frames, encoder: str, options: dict[str, str]) -> tuple[list[Any], int, bytes]:
    """Packets' sizes, their bits, and the file."""
    file = io.BytesIO()
    sizes: list[int] = []
    try:
        with av.open(file, "w", format="matroska") as container:
            stream: Any = container.add_stream(encoder, rate=_RATE, options=options)
            stream.width, stream.height, stream.pix_fmt = (
                frames.shape[2],
                frames.shape[1],
                "yuv420p",
            )
            for picture in (*frames, None):
                frame = None if picture is None else av.VideoFrame.from_ndarray(picture, "rgb24")
                for packet in stream.encode(frame):
                    sizes.append(packet.size)
                    container.mux(packet)
    except av.FFmpegError as error:
        raise OutputError(f"The encoder {encoder} failed: {error}.") from error
    return sizes, 8 * sum(sizes), file.getvalue()


def _decode(data: bytes) -> Frames:
    with av.open(io.BytesIO(data), "r") as container:
        pictures = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    return np.stack(pictures).astype(np.uint8)
