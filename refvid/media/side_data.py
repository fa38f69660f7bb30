"""What a picture carries besides pixels: read from decoded pictures, given to an encoder."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, cast

import av
import numpy as np
import numpy.typing as npt
from av.packet import Packet, PacketSideData, packet_sidedata_type_from_literal
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import PictureType

from refvid.media.kept import FRAME_DATA, UNREADABLE, Fate

Fields = Literal["top", "bottom"]
"""Of an interlaced picture, the field that is shown first."""

NO_SIDE_DATA: Final[Mapping[str, bytes]] = MappingProxyType({})

# Side data that an encoder takes from its pictures, and its name at a packet.
_PACKET_NAMES: Final = {"A53_CC": "a53_cc", "STEREO3D": "stereo_3d"}
# Needed where a video is described, and small.
_DESCRIBED: Final = frozenset({"MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"})
# The UUIDs under which x264 and x265 store their settings.
_ENCODER_SETTINGS: Final = frozenset(
    {
        bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef"),
        bytes.fromhex("2ca2de09b51747dbbb55a4fe7fc2fc4e"),
    }
)
TIME_CODES: Final = frozenset({"GOP_TIMECODE", "S12M_TIMECODE"})
"""Only that of the first picture tells whether they say anything."""

_MARKER_BIT: Final = 1 << 12  # of a group's time code (ISO/IEC 13818-2, 6.3.8)
# What stands there and says nothing.
_IS_EMPTY: Final[Mapping[str, Callable[[bytes], bool]]] = {
    "PANSCAN": lambda data: not any(data[12:24]),  # the offsets of AVPanScan
    "AFD": lambda data: not data or data[0] in (0, 8),  # unknown, and the whole frame
    "STEREO3D": lambda data: not any(data[:4]),  # one view
    "GOP_TIMECODE": lambda data: not int.from_bytes(data[:8], "little") & ~_MARKER_BIT,
    "S12M_TIMECODE": lambda data: not any(data[4:]),
    "SEI_UNREGISTERED": lambda data: data[:16] in _ENCODER_SETTINGS,
}
# Matroska's names of AVStereo3DType, with the left view first and with the right one first.
_STEREO_MODES: Final = {
    1: ("left_right", "right_left"),
    2: ("top_bottom", "bottom_top"),
    3: ("block_lr", "block_rl"),
    4: ("checkerboard_lr", "checkerboard_rl"),
    6: ("row_interleaved_lr", "row_interleaved_rl"),
    7: ("col_interleaved_lr", "col_interleaved_rl"),
}
FIELD_ORDERS: Final[Mapping[Fields | None, int]] = {None: 1, "top": 2, "bottom": 3}
"""libav's AV_FIELD_PROGRESSIVE, AV_FIELD_TT and AV_FIELD_BB."""


def read_side_data(picture: av.VideoFrame) -> Mapping[str, bytes]:
    """Return what a picture carries that a result would miss, by names of `FRAME_DATA`.

    Contents are there only for kinds that are carried over or described; others are empty. Kinds
    that PyAV has no name for count as `UNREADABLE`.
    """
    try:
        # Not `picture.side_data`: a picture that keeps this keeps itself, with all of its pixels,
        # until Python looks for such rings.
        found = list(cast("Any", SideDataContainer)(picture))
    except ValueError:
        # It gives up on all of them where it does not know one.
        return {UNREADABLE: b""}
    data = {}
    for entry in found:
        name = entry.type.name if entry.type.name in FRAME_DATA else UNREADABLE
        if name != UNREADABLE and FRAME_DATA[name].fate not in (Fate.KEPT, Fate.LOST):
            continue
        if name in _IS_EMPTY and _IS_EMPTY[name](bytes(entry)):
            continue
        data[name] = bytes(entry) if name in _PACKET_NAMES or name in _DESCRIBED else b""
    return data or NO_SIDE_DATA


def matroska_stereo_mode(stereo: bytes) -> str | None:
    """Return the tag from which libav writes Matroska's stereo mode; None if there is none.

    Args:
        stereo: libav's AVStereo3D; empty for video with one view.
    """
    if len(stereo) < 8:
        return None
    kind, flags = struct.unpack("=2i", stereo[:8])
    modes = _STEREO_MODES.get(kind)
    return None if modes is None else modes[flags & 1]


def make_picture(
    samples: npt.NDArray[Any],
    pix_fmt: str,
    size: tuple[int, int],
    side_data: Mapping[str, bytes] = NO_SIDE_DATA,
    fields: Fields | None = None,
) -> av.VideoFrame:
    """Make a picture that carries side data and knows its fields.

    PyAV's own pictures cannot; those that a decoder gives can. So this one comes out of the
    decoder for uncompressed video, which costs next to nothing.

    Args:
        samples: All of its samples, in the order of the pixel format; they may be kept.
        pix_fmt: libav's name.
        size: (width, height)
        side_data: As `read_side_data` returns it; what no encoder takes is left out.
        fields: For an interlaced picture.
    """
    decoder = cast("Any", av.CodecContext.create("rawvideo", "r"))
    decoder.width, decoder.height = size
    decoder.pix_fmt = pix_fmt
    decoder.field_order = FIELD_ORDERS[fields]
    packet = Packet(cast("Any", np.ascontiguousarray(samples).reshape(-1).view(np.uint8)))
    for name, content in side_data.items():
        if name in _PACKET_NAMES and content:
            _packet_data(_PACKET_NAMES[name], content).to_packet(packet)
    (picture,) = decoder.decode(packet)
    assert isinstance(picture, av.VideoFrame)
    # The decoder calls all of them key frames, and an encoder would believe it.
    picture.pict_type = PictureType.NONE
    return picture


def _packet_data(name: str, content: bytes) -> PacketSideData:
    kind = packet_sidedata_type_from_literal(cast("Any", name))
    data = cast("Any", PacketSideData)(kind, len(content))
    memoryview(data)[:] = content
    return cast("PacketSideData", data)
