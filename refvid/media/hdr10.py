"""HDR10's static metadata: the display a film was graded on, and how bright it gets."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

Point = tuple[Fraction, Fraction]

# Where each encoder takes it: the option, the names of its two values, and the units of
# chromaticities and luminances in which they are written.
_OPTIONS: Final[Mapping[str, tuple[str, str, str, int, int]]] = {
    "libx264": ("x264-params", "mastering-display", "cll", 50000, 10000),
    "libx265": ("x265-params", "master-display", "max-cll", 50000, 10000),
    "libsvtav1": ("svtav1-params", "mastering-display", "content-light", 1, 1),
}
HDR10_ENCODERS: Final = frozenset(_OPTIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class MasteringDisplay:
    """SMPTE ST 2086: the display that a video was graded on."""

    red: Point
    """CIE 1931 x and y, as the others."""

    green: Point
    blue: Point
    white: Point
    darkest: Fraction
    """[cd/m2]"""

    brightest: Fraction
    """[cd/m2]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentLight:
    """CTA-861.3: how bright a video gets."""

    brightest_pixel: int
    """MaxCLL [cd/m2]"""

    brightest_frame: int
    """MaxFALL, the highest mean of a frame [cd/m2]"""


def parse_mastering_display(data: bytes) -> MasteringDisplay | None:
    """Read libav's AVMasteringDisplayMetadata; None where it says nothing."""
    if len(data) < 88:
        return None
    *numbers, has_primaries, has_luminance = struct.unpack("=22i", data[:88])
    values = [
        Fraction(above, below) if below else Fraction(0)
        for above, below in zip(numbers[::2], numbers[1::2], strict=True)
    ]
    if not has_primaries and not has_luminance:
        return None
    points = list(zip(values[:8:2], values[1:8:2], strict=True))
    return MasteringDisplay(
        red=points[0],
        green=points[1],
        blue=points[2],
        white=points[3],
        darkest=values[8],
        brightest=values[9],
    )


def parse_content_light(data: bytes) -> ContentLight | None:
    """Read libav's AVContentLightMetadata; None where it says nothing."""
    if len(data) < 8:
        return None
    pixel, frame = struct.unpack("=2I", data[:8])
    return ContentLight(brightest_pixel=pixel, brightest_frame=frame) if pixel or frame else None


def hdr10_options(
    encoder: str, options: Mapping[str, str], side_data: Mapping[str, bytes]
) -> dict[str, str]:
    """Add HDR10's metadata to an encoder's options; what the user has set there stays.

    Args:
        encoder: libavcodec's name.
        options: The encoder's options so far.
        side_data: Of the source's pictures, by libav's names.

    Returns:
        All options; the same ones for an encoder that has no place for it.
    """
    if encoder not in _OPTIONS:
        return dict(options)
    display = parse_mastering_display(side_data.get("MASTERING_DISPLAY_METADATA", b""))
    light = parse_content_light(side_data.get("CONTENT_LIGHT_LEVEL", b""))
    name, display_name, light_name, chroma_unit, light_unit = _OPTIONS[encoder]
    given = options.get(name, "")
    added = [given] if given else []
    if display is not None and f"{display_name}=" not in given:
        added.append(f"{display_name}={_display(display, chroma_unit, light_unit)}")
    if light is not None and f"{light_name}=" not in given:
        added.append(f"{light_name}={light.brightest_pixel},{light.brightest_frame}")
    return dict(options) | ({name: ":".join(added)} if added else {})


def _display(display: MasteringDisplay, chroma_unit: int, light_unit: int) -> str:
    def number(value: Fraction, unit: int) -> str:
        return str(round(value * unit)) if unit > 1 else f"{float(value):.5f}"

    colors = {"G": display.green, "B": display.blue, "R": display.red, "WP": display.white}
    points = "".join(
        f"{name}({number(x, chroma_unit)},{number(y, chroma_unit)})"
        for name, (x, y) in colors.items()
    )
    bounds = f"{number(display.brightest, light_unit)},{number(display.darkest, light_unit)}"
    return f"{points}L({bounds})"
