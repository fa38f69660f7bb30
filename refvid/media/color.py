"""Colour tags: read them, decide what they leave open, and keep them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

# Numbers are those of ITU-T H.273, which libav and all containers share.
MATRIX_NAMES: Final = {
    0: "rgb",
    1: "bt709",
    2: "unspecified",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
    14: "ictcp",
}
RANGE_NAMES: Final = {0: "unspecified", 1: "limited", 2: "full"}
PRIMARIES_NAMES: Final = {
    1: "bt709",
    2: "unspecified",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
    22: "ebu3213",
}
TRANSFER_NAMES: Final = {
    1: "bt709",
    2: "unspecified",
    4: "gamma22",
    5: "gamma28",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    11: "iec61966-2-4",
    12: "bt1361e",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    17: "smpte428",
    18: "arib-std-b67",
}

MATRIX_RGB: Final = 0
BT709: Final = 1
"""Primaries, transfer and matrix alike."""

BT2020: Final = 9
"""Primaries, and the matrix of the non-constant form."""

PQ: Final = 16
HLG: Final = 18
"""Transfer functions of HDR."""

UNSPECIFIED: Final = 2
RANGE_UNSPECIFIED: Final = 0
RANGE_LIMITED: Final = 1
RANGE_FULL: Final = 2

# Kr and Kb of each matrix (H.273, table 4). bt2020c differs from bt2020nc only by where the
# transfer function is applied; like libswscale we use the non-constant form for both.
LUMA_WEIGHTS: Final = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}

# Where libswscale's own numbering (SWS_CS_*) names the same matrix.
SWSCALE_MATRICES: Final = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}

_HDR_TRANSFERS: Final = frozenset({PQ, HLG})


@dataclass(frozen=True, slots=True, kw_only=True)
class ColorInfo:
    """The four colour tags of a video, as H.273 numbers."""

    matrix: int = UNSPECIFIED
    range: int = RANGE_UNSPECIFIED
    """0 unspecified, 1 limited (16-235 in 8 bits), 2 full."""

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @property
    def matrix_name(self) -> str:
        return MATRIX_NAMES.get(self.matrix, str(self.matrix))

    @property
    def range_name(self) -> str:
        return RANGE_NAMES.get(self.range, str(self.range))

    @property
    def primaries_name(self) -> str:
        return PRIMARIES_NAMES.get(self.primaries, str(self.primaries))

    @property
    def transfer_name(self) -> str:
        return TRANSFER_NAMES.get(self.transfer, str(self.transfer))

    @property
    def is_hdr(self) -> bool:
        """Whether the transfer function is PQ or HLG."""
        return self.transfer in _HDR_TRANSFERS

    def codes_like(self, other: ColorInfo) -> bool:
        """Whether the same samples are the same RGB values in both."""
        return (self.matrix, self.range) == (other.matrix, other.range)

    def is_shown_like(self, other: ColorInfo) -> bool:
        """Whether the same RGB values are the same colours in both, as far as both tell."""
        pairs = (self.primaries, other.primaries), (self.transfer, other.transfer)
        are_told = all(mine == theirs or UNSPECIFIED in (mine, theirs) for mine, theirs in pairs)
        return are_told and self.is_hdr == other.is_hdr

    def to_json(self) -> dict[str, Any]:
        return {
            "matrix": self.matrix_name,
            "range": self.range_name,
            "primaries": self.primaries_name,
            "transfer": self.transfer_name,
            "is_hdr": self.is_hdr,
        }


def luma_weights(color: ColorInfo, coded_height: int) -> tuple[float, float, float]:
    """Share of red, green and blue in a video's luma; they sum to 1.

    Args:
        color: Tags as read.
        coded_height: Lines of the coded picture, see `resolve_color`.
    """
    red, blue = LUMA_WEIGHTS[resolve_color(color, coded_height).matrix]
    return red, 1 - red - blue, blue


def resolve_color(color: ColorInfo, height: int) -> ColorInfo:
    """Fill in the matrix and range that a YUV conversion needs.

    An untagged video is taken as players take it: BT.709 from 720 lines on, BT.601 below;
    limited range. The result of a conversion is tagged with what was used, so that it looks
    the same in every player. Primaries and transfer take no part in the conversion: they stay
    as they are, also unspecified.

    Args:
        color: Tags as read. A matrix that is no luma-chroma matrix we know counts as untagged.
        height: Lines of the coded picture.
    """
    default_matrix = 1 if height >= 720 else 6
    return ColorInfo(
        matrix=color.matrix if color.matrix in LUMA_WEIGHTS else default_matrix,
        range=color.range if color.range != RANGE_UNSPECIFIED else RANGE_LIMITED,
        primaries=color.primaries,
        transfer=color.transfer,
    )
