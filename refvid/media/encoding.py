"""How a result is encoded: the caller's wishes and what each codec means here."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

import av
from av.codec import Codec

from refvid.errors import OptionError, OutputError

_RATE_CONTROL_OPTIONS: Final = frozenset({"b", "qp", "global_quality", "q"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How the result is written; None follows the input."""

    codec: str | None = None
    """h264, hevc, vp9, av1, prores, ffv1, png, mjpeg or a libavcodec encoder name."""

    crf: float | None = None
    """Constant quality; lower is better. Only for encoders that know it."""

    pix_fmt: str | None = None
    """libav pixel format of the result, e.g. `yuv420p10le`."""

    encoder_options: dict[str, str] = field(default_factory=dict)
    """Passed to the encoder as they are; a name it does not know is an OptionError."""

    audio: Literal["copy", "none"] = "copy"
    subtitles: Literal["copy", "none"] = "copy"
    metadata: bool = True
    """Keep metadata and chapters, and write the provenance."""

    def __post_init__(self) -> None:
        if self.crf is not None and self.crf < 0:
            raise OptionError(f"crf must not be negative, not {self.crf:g}.")
        if self.audio not in ("copy", "none"):
            raise OptionError(f"audio must be 'copy' or 'none', not {self.audio!r}.")
        if self.subtitles not in ("copy", "none"):
            raise OptionError(f"subtitles must be 'copy' or 'none', not {self.subtitles!r}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecPreset:
    """What a codec name stands for: an encoder and visually near-lossless settings."""

    encoder: str
    options: MappingProxyType[str, str]


def _preset(encoder: str, options: dict[str, str] | None = None) -> CodecPreset:
    return CodecPreset(encoder=encoder, options=MappingProxyType(dict(options or {})))


# The encoder shares the CPU with decoding and, without a GPU, with the model itself. So the
# speeds are one step quicker than the encoders' own defaults: the low crf, not the search
# effort, keeps the quality.
CODEC_PRESETS: Final[MappingProxyType[str, CodecPreset]] = MappingProxyType(
    {
        "h264": _preset("libx264", {"preset": "fast", "crf": "16"}),
        "hevc": _preset(
            "libx265",
            {"preset": "fast", "crf": "18", "a53cc": "1", "x265-params": "log-level=none"},
        ),
        "vp9": _preset("libvpx-vp9", {"crf": "24", "b": "0", "row-mt": "1", "cpu-used": "4"}),
        "av1": _preset("libsvtav1", {"preset": "8", "crf": "24"}),
        "prores": _preset("prores_ks", {"profile": "hq"}),
        "ffv1": _preset("ffv1", {"level": "3", "slicecrc": "1"}),
        "png": _preset("png"),
        # Fixed quantiser 2, the best of mjpeg; 118 is libavutil's FF_QP2LAMBDA.
        "mjpeg": _preset("mjpeg", {"flags": "+qscale", "global_quality": str(2 * 118)}),
    }
)


def preset_for(codec: str) -> CodecPreset:
    """Return the settings for a codec name, or for a plain libavcodec encoder name."""
    known = CODEC_PRESETS.get(codec.lower())
    if known is not None:
        return known
    same_encoder = (preset for preset in CODEC_PRESETS.values() if preset.encoder == codec)
    return next(same_encoder, _preset(codec))


def encoder_options(preset: CodecPreset, encoding: Encoding) -> dict[str, str]:
    """Return an encoder's options: those of the preset, changed as the caller wishes.

    Raises:
        OptionError: A crf for an encoder that knows none.
        OutputError: There is no such encoder.
    """
    options = dict(preset.options)
    if encoding.crf is not None:
        if "crf" not in options and not _knows_option(preset.encoder, "crf"):
            raise OptionError(f"The encoder {preset.encoder} has no crf. Leave it out.")
        options["crf"] = f"{encoding.crf:g}"
    elif _RATE_CONTROL_OPTIONS & set(encoding.encoder_options):
        options.pop("crf", None)
    return options | encoding.encoder_options


def _knows_option(encoder: str, name: str) -> bool:
    find_encoder(encoder)
    known = av.CodecContext.create(encoder, "w").supported_options
    return any(option.name == name for option in known.private)


def find_encoder(name: str) -> Codec:
    """Return a video encoder.

    Raises:
        OutputError: There is none of that name in this build of libav.
    """
    try:
        codec = Codec(name, "w")
    except ValueError as error:  # av.codec.codec.UnknownCodecError
        raise OutputError(
            f"This build of libav has no encoder {name}. Choose another codec, e.g. h264."
        ) from error
    if codec.type != "video":
        raise OutputError(f"{name} encodes {codec.type}, not video. Choose another codec.")
    return codec
