"""What is in a file of tokens: names, facts, and what must agree with what.

A safetensors file. Tensors, all little-endian:

    indices         U16 [N, h, w]   a grid for each block of frames; of mini-vtok for each key frame
    vectors         U16 [M, K]      of mini-vtok: codes of each later frame
    times           I64 [F, 2]      of each frame: when it is shown, and how long (0: unknown), in
                                    units of `time_base`
    shots           I64 [S, 3]      of each shot: its first frame, its reference (-1: none), and 1
                                    where that reference is the first frame itself, else 0
    references      U8  [B]         pictures as PNG or WebP files, one after the other
    reference_ends  I64 [R]         where each ends in `references`; one that ends where it begins
                                    is only known by its hash

A shot's blocks follow each other in `indices`, all of `block` frames but for the last, which was
filled up by repeating its last frame. A frame that is its shot's reference is in no block.

Metadata, all text:

    format, format_version     refvid-tokens, 1
    refvid                     version that wrote it
    tokenizer, sha256          name, and hash of sizes and weights: no other one reads it
    block, side                frames and pixels (a side) that an index stands for
    levels                     e.g. 64,8,5,5,5: index = n1 + 64 (n2 + 8 (n3 + ...)), n1 below 64
    vector_levels              the same, of the codes in `vectors`
    frames, width, height      of the video
    padded_width, padded_height
    time_base, frame_rate      exact, e.g. 1/90000 and 30000/1001; the rate is an average
    variable_rate              yes or no
    sample_aspect_ratio, bit_depth, color
                               the last one as H.273 numbers: primaries, transfer, matrix, range
    reference_hashes           SHA-256 of each reference's pixels, with commas between
    reference_names            JSON: what each was called
    source                     the video's name
    source_type                what it said it is, as the IPTC's term; only where it said something
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, NamedTuple

FORMAT: Final = "refvid-tokens"
FORMAT_VERSION: Final = "1"

INDICES: Final = "indices"
VECTORS: Final = "vectors"
TIMES: Final = "times"
SHOTS: Final = "shots"
REFERENCES: Final = "references"
REFERENCE_ENDS: Final = "reference_ends"

_LARGEST_SIDE: Final = 2**15
_LARGEST_NUMBER: Final = 2**31
_LARGEST_CODES: Final = 2**16
_MOST_LEVELS: Final = 32


class Shot(NamedTuple):
    """Consecutive frames with one reference."""

    start: int
    """Its first frame, counted from 0 in the file."""

    reference: int
    """Which one; -1: none."""

    is_led: bool
    """Whether the reference is the first frame itself: then that is in no block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFacts:
    """The metadata, read."""

    tokenizer: str
    sha256: str
    block: int
    side: int
    levels: tuple[int, ...]
    vector_levels: tuple[int, ...] = ()
    """Empty: all frames are in grids."""

    frames: int
    width: int
    height: int
    padded_width: int
    padded_height: int
    time_base: Fraction
    frame_rate: Fraction | None
    is_variable_rate: bool
    sample_aspect_ratio: Fraction
    bit_depth: int
    color: tuple[int, int, int, int]
    """Primaries, transfer, matrix and range."""

    reference_hashes: tuple[str, ...] = ()
    reference_names: tuple[str, ...] = ()
    source: str = ""
    source_type: str = ""
    """What the video said of how it came to be, as the IPTC's term; empty where it said nothing."""

    refvid: str = ""

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of a block's tokens."""
        return self.padded_height // self.side, self.padded_width // self.side

    @property
    def codes(self) -> int:
        """Indices are below this."""
        return math.prod(self.levels)

    @property
    def vector_codes(self) -> int:
        """Codes in vectors are below this."""
        return math.prod(self.vector_levels)

    def count_grids(self, shot: Shot, frames: int) -> int:
        """Grids of a shot with so many frames."""
        return 1 if self.vector_levels else -(-(frames - shot.is_led) // self.block)

    def count_vectors(self, frames: int) -> int:
        """Vectors of a shot with so many frames."""
        return frames - 1 if self.vector_levels else 0

    def to_metadata(self) -> dict[str, str]:
        """As it is written."""
        texts = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "refvid": self.refvid,
            "tokenizer": self.tokenizer,
            "sha256": self.sha256,
            "levels": _listed(self.levels),
            "time_base": str(self.time_base),
            "variable_rate": "yes" if self.is_variable_rate else "no",
            "sample_aspect_ratio": str(self.sample_aspect_ratio),
            "color": _listed(self.color),
            "source": self.source,
        }
        if self.source_type:
            texts["source_type"] = self.source_type
        for name in _NUMBERS:
            texts[name] = str(getattr(self, name))
        if self.vector_levels:
            texts["vector_levels"] = _listed(self.vector_levels)
        if self.frame_rate is not None:
            texts["frame_rate"] = str(self.frame_rate)
        if self.reference_hashes:
            texts["reference_hashes"] = ",".join(self.reference_hashes)
            texts["reference_names"] = json.dumps(self.reference_names)
        return texts

    @classmethod
    def of(cls, texts: dict[str, str]) -> TokenFacts:
        """Read metadata.

        Raises:
            ValueError: It is not whole, or impossible; the message says what.
        """
        if texts.get("format") != FORMAT:
            raise ValueError("it is no file of tokens")
        if texts.get("format_version") != FORMAT_VERSION:
            raise ValueError(
                f"its format has the version {texts.get('format_version', '')[:20]!r}, which only "
                "a newer refvid may know"
            )
        numbers = {name: _number(texts, name) for name in _NUMBERS}
        hashes = tuple(part for part in texts.get("reference_hashes", "").split(",") if part)
        color = _numbers(texts, "color")
        if len(color) != 4:
            raise ValueError("its 'color' is no four numbers")
        facts = cls(
            tokenizer=_text(texts, "tokenizer"),
            sha256=_text(texts, "sha256"),
            levels=_numbers(texts, "levels"),
            vector_levels=_numbers(texts, "vector_levels") if "vector_levels" in texts else (),
            time_base=_fraction(texts, "time_base"),
            frame_rate=_fraction(texts, "frame_rate") if "frame_rate" in texts else None,
            is_variable_rate=texts.get("variable_rate") == "yes",
            sample_aspect_ratio=_fraction(texts, "sample_aspect_ratio"),
            color=(color[0], color[1], color[2], color[3]),
            reference_hashes=hashes,
            reference_names=_names(texts.get("reference_names", "[]"), len(hashes)),
            source=texts.get("source", ""),
            source_type=texts.get("source_type", ""),
            refvid=texts.get("refvid", ""),
            **numbers,
        )
        facts._check()
        return facts

    def _check(self) -> None:
        """Raise `ValueError` where numbers contradict each other."""
        for shown, padded in (
            (self.width, self.padded_width), (self.height, self.padded_height),
        ):  # fmt: skip
            if not 0 < shown <= padded <= _LARGEST_SIDE or padded % max(1, self.side):
                raise ValueError(f"its sizes are impossible ({shown} in {padded} pixels)")
        if min(self.side, self.block, self.frames) < 1:
            raise ValueError("its sizes are impossible")
        for levels in (self.levels, self.vector_levels or (2,)):
            if not 0 < len(levels) <= _MOST_LEVELS or min(levels) < 2:
                raise ValueError("its levels are impossible")
            if math.prod(levels) > _LARGEST_CODES:
                raise ValueError("its codes have more than 16 bits")
        if self.bit_depth not in (8, 10, 12, 16):
            raise ValueError(f"its bit depth is impossible ({self.bit_depth})")


_NUMBERS: Final = (
    "frames", "width", "height", "padded_width", "padded_height", "block", "side", "bit_depth",
)  # fmt: skip


def _listed(numbers: tuple[int, ...]) -> str:
    return ",".join(map(str, numbers))


def _text(texts: dict[str, str], name: str) -> str:
    value = texts.get(name, "")
    if not value:
        raise ValueError(f"its metadata has no {name!r}")
    return value


def _number(texts: dict[str, str], name: str) -> int:
    return _whole(_text(texts, name), name)


def _numbers(texts: dict[str, str], name: str) -> tuple[int, ...]:
    return tuple(_whole(part, name) for part in _text(texts, name).split(",")[: _MOST_LEVELS + 1])


def _whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) >= _LARGEST_NUMBER:
        raise ValueError(f"its metadata has no valid {name!r}")
    return int(text)


def _fraction(texts: dict[str, str], name: str) -> Fraction:
    above, slash, below = _text(texts, name).partition("/")
    number, parts = _whole(above, name), _whole(below, name) if slash else 1
    if not number or not parts:
        raise ValueError(f"its metadata has no valid {name!r}")
    return Fraction(number, parts)


def _names(text: str, count: int) -> tuple[str, ...]:
    try:
        names: Any = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("its metadata has no valid 'reference_names'")
    return (*names, *[""] * count)[:count]
