"""Encoders of this build of libav: which there are, what they take, which really work."""

from __future__ import annotations

import os
from fractions import Fraction
from types import MappingProxyType
from typing import Final

import av
from av.codec import Codec

from refvid.errors import OptionError, OutputError
from refvid.media.encoder_log import encoder_log
from refvid.media.encoding import CODEC_PRESETS, CodecPreset, Encoding, preset_for

# SVT-AV1 writes its settings to stderr unless told otherwise before it starts.
os.environ.setdefault("SVT_LOG", "1")

_RATE_CONTROL_OPTIONS: Final = frozenset({"b", "qp", "global_quality", "q"})
# Encoders take larger ones for the worst that they have, silently.
_WORST_CRF: Final = MappingProxyType({"libx264": 51, "libx265": 51})
_WORST_CRF_ELSEWHERE: Final = 63
# Encoders in hardware refuse smaller ones.
_TRIAL_WIDTH, _TRIAL_HEIGHT = 256, 160

_LOOKAHEAD_PIXELS: Final = 2**28
_VP9_LOOKAHEAD: Final = 25
"""Frames, unless told otherwise."""

_VP9_PADDING: Final = 2 * 160
"""To the width and the height of each [px]."""


def find_encoder(name: str) -> Codec:
    """An encoder by libavcodec's name.

    Raises:
        OutputError: There is none, or it is not for video.
    """
    try:
        codec = Codec(name, "w")
    except ValueError as error:  # av.codec.codec.UnknownCodecError
        raise OutputError(
            f"There is no codec or encoder {name} here. Use {', '.join(CODEC_PRESETS)}, or an "
            "encoder that refvid doctor lists."
        ) from error
    if codec.type != "video":
        raise OutputError(f"{name} encodes {codec.type}, not video. Choose another codec.")
    return codec


def check_codec(encoding: Encoding) -> None:
    """Refuse at once what is wrong with a codec for any input.

    Raises:
        OutputError: There is no such encoder.
        OptionError: It takes no such crf.
    """
    if encoding.codec is not None:
        preset = preset_for(encoding.codec)
        find_encoder(preset.encoder)
        encoder_options(preset, encoding)


def encoder_options(preset: CodecPreset, encoding: Encoding) -> dict[str, str]:
    """What an encoder is told, for a codec and the caller's wishes.

    Raises:
        OptionError: A crf is asked of an encoder that has none, or one that is out of range.
        OutputError: There is no such encoder.
    """
    options = dict(preset.options)
    if encoding.crf is not None:
        if "crf" not in options and not _knows_option(preset.encoder, "crf"):
            raise OptionError(f"The encoder {preset.encoder} has no crf. Leave it out.")
        worst = _WORST_CRF.get(preset.encoder, _WORST_CRF_ELSEWHERE)
        if encoding.crf > worst:
            raise OptionError(
                f"The encoder {preset.encoder} takes a crf from 0 to {worst}, not {encoding.crf:g}."
            )
        options["crf"] = f"{encoding.crf:g}"
    elif _RATE_CONTROL_OPTIONS & set(encoding.encoder_options):
        options.pop("crf", None)
    return options | encoding.encoder_options


def bound_lookahead(
    encoder: str, options: dict[str, str], width: int, height: int
) -> dict[str, str]:
    """Options with which an encoder that looks ahead holds no more of large frames than of 4K.

    VP9's pads every frame that it holds: a GIF of 2 kB that claims a width of 65535 took 1.5 GB.
    """
    if encoder != "libvpx-vp9" or "lag-in-frames" in options:
        return options
    frames = _LOOKAHEAD_PIXELS // ((width + _VP9_PADDING) * (height + _VP9_PADDING))
    if frames >= _VP9_LOOKAHEAD:
        return options
    return options | {"lag-in-frames": str(frames)}


def _knows_option(encoder: str, name: str) -> bool:
    find_encoder(encoder)
    known = av.CodecContext.create(encoder, "w").supported_options
    return any(option.name == name for option in known.private)


def why_not(encoder: str) -> str | None:
    """Why an encoder that this build has does not work on this machine; None: it does.

    It is opened and given one small picture: those in hardware are built in everywhere.
    """
    names = [known.name for known in find_encoder(encoder).video_formats or ()]
    pix_fmt = next((name for name in ("yuv420p", "nv12") if name in names), names[0])
    with encoder_log() as log:
        try:
            _encode_one(encoder, pix_fmt)
        except (av.FFmpegError, ValueError) as error:
            failure = getattr(error, "strerror", None) or str(error)
        else:
            return None
    return log.reason or failure


def _encode_one(encoder: str, pix_fmt: str) -> None:
    context = av.CodecContext.create(encoder, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height = _TRIAL_WIDTH, _TRIAL_HEIGHT
    context.pix_fmt = pix_fmt
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.options = dict(preset_for(encoder).options)
    context.open()
    picture = av.VideoFrame(_TRIAL_WIDTH, _TRIAL_HEIGHT, pix_fmt)
    for plane in picture.planes:
        plane.update(bytes(plane.buffer_size))
    picture.pts = 0
    if not [*context.encode(picture), *context.encode(None)]:
        raise ValueError("it gave nothing back for a picture")
