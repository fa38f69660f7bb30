"""The video that latents or tokens stand for: what the writer takes over as far as it can."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from refvid.latents.latents import Latents
from refvid.media.color import (
    BT709,
    BT2020,
    MATRIX_NAMES,
    MATRIX_RGB,
    PRIMARIES_NAMES,
    RANGE_LIMITED,
    RANGE_NAMES,
    TRANSFER_NAMES,
    UNSPECIFIED,
    ColorInfo,
)
from refvid.media.encoding import Encoding, preset_for
from refvid.media.pixel_formats import is_lossless
from refvid.media.video_info import VideoInfo
from refvid.tokens.layout import TokenFacts
from refvid.tokens.read import TokenFile, read_times

_ASPECT: Final = re.compile(r"([1-9]\d{0,5})(?:/([1-9]\d{0,5}))?", re.ASCII)


def describe_latents(latents: Latents, rate: Fraction, encoding: Encoding) -> VideoInfo:
    """The video that a file of latents stands for, at a rate [1/s]."""
    return _generated(
        latents.path,
        encoding,
        container="latents",
        is_deep=latents.metadata.get("bit_depth") in ("10", "12", "16"),
        width=latents.width,
        height=latents.height,
        sample_aspect_ratio=_shape_of_pixels(latents),
        frame_rate=rate,
        is_variable_rate=False,
        time_base=1 / rate,
        duration=latents.frames / rate,
        frame_count=latents.frames,
        color=_color_of_latents(latents),
    )


def describe_tokens(tokens: TokenFile, encoding: Encoding) -> VideoInfo:
    """The video that a file of tokens stands for."""
    facts = tokens.facts
    times = read_times(tokens, 0, 1), read_times(tokens, facts.frames - 1, 1)
    return _generated(
        tokens.path,
        encoding,
        container="tokens",
        is_deep=facts.bit_depth > 8,
        width=facts.width,
        height=facts.height,
        sample_aspect_ratio=facts.sample_aspect_ratio,
        frame_rate=facts.frame_rate or 1 / facts.time_base,
        is_variable_rate=facts.is_variable_rate,
        time_base=facts.time_base,
        duration=int(times[1][0, 0] + times[1][0, 1] - times[0][0, 0]) * facts.time_base,
        frame_count=facts.frames,
        color=_color_of_tokens(facts),
    )


def _generated(path: Path, encoding: Encoding, *, is_deep: bool, **facts: Any) -> VideoInfo:
    # Decoders give RGB, which is kept where nothing is to be lost. Elsewhere what every player
    # knows is no less than anybody expects.
    keeps_rgb = encoding.codec is not None and is_lossless(preset_for(encoding.codec).encoder)
    pix_fmt = "gbrp" if keeps_rgb else "yuv420p"
    return VideoInfo(
        path=path,
        codec="h264",
        pix_fmt=pix_fmt + "10le" * is_deep,
        bit_depth=10 if is_deep else 8,
        rotation=0,
        frame_count_is_exact=True,
        metadata={},
        is_image_sequence=True,  # there are no other tracks to copy
        **facts,
    )


def _shape_of_pixels(latents: Latents) -> Fraction:
    """As refvid's own files say; else square."""
    told = _ASPECT.fullmatch(str(latents.metadata.get("sample_aspect_ratio", "")))
    return Fraction(int(told[1]), int(told[2] or 1)) if told else Fraction(1)


def _color_of_latents(latents: Latents) -> ColorInfo:
    # Generated video has no tags of its own: BT.709 is what players show.
    primaries = _known_tag(latents, "primaries", PRIMARIES_NAMES)
    return ColorInfo(
        matrix=BT2020 if primaries == BT2020 else BT709,
        range=RANGE_LIMITED,
        primaries=primaries,
        transfer=_known_tag(latents, "transfer", TRANSFER_NAMES),
    )


def _known_tag(latents: Latents, name: str, known: Mapping[int, str]) -> int:
    value = latents.metadata.get(name)
    numbers = {str(number): number for number in known if number != UNSPECIFIED}
    return numbers.get(value or "", BT709)


def _color_of_tokens(facts: TokenFacts) -> ColorInfo:
    primaries, transfer, matrix, value_range = facts.color
    color = ColorInfo(
        primaries=primaries if primaries in PRIMARIES_NAMES else BT709,
        transfer=transfer if transfer in TRANSFER_NAMES else BT709,
        matrix=matrix if matrix in MATRIX_NAMES else BT709,
        range=value_range if value_range in RANGE_NAMES else RANGE_LIMITED,
    )
    if color.matrix == MATRIX_RGB:  # of pictures; video is written as video is
        color = replace(color, matrix=BT709, range=RANGE_LIMITED)
    return color
