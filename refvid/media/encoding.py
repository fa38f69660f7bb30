"""How a result is encoded: the caller's wishes and what each codec means here."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from refvid.errors import OptionError
from refvid.media.credentials import Credentials


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

    audio: Literal["auto", "copy", "none"] = "auto"
    """`auto` copies what the container holds and encodes the rest anew; `copy` insists."""

    subtitles: Literal["copy", "none"] = "copy"
    metadata: bool = True
    """Keep metadata and chapters, and write the provenance."""

    provenance: Literal["auto", "none"] = "auto"
    """`auto` says in the result how it was made, unless `metadata` is off."""

    credentials: Credentials | None = None
    """What the result is signed with."""

    @property
    def marks_origin(self) -> bool:
        """Whether results say how they were made."""
        return self.metadata and self.provenance == "auto"

    def __post_init__(self) -> None:
        if self.crf is not None and self.crf < 0:
            raise OptionError(f"crf must not be negative, not {self.crf:g}.")
        if self.audio not in ("auto", "copy", "none"):
            raise OptionError(f"audio must be 'auto', 'copy' or 'none', not {self.audio!r}.")
        if self.provenance not in ("auto", "none"):
            raise OptionError(f"provenance must be 'auto' or 'none', not {self.provenance!r}.")
        if self.credentials is not None and not self.marks_origin:
            raise OptionError("A result without provenance cannot be signed.")
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


# What people call them.
_OTHER_NAMES: Final[MappingProxyType[str, str]] = MappingProxyType(
    {
        **{preset.encoder: codec for codec, preset in CODEC_PRESETS.items()},
        "avc": "h264",
        "h.264": "h264",
        "x264": "h264",
        "h.265": "hevc",
        "h265": "hevc",
        "x265": "hevc",
    }
)


def codec_name(word: str) -> str:
    """Return what a codec is called here: `h265` is hevc. Other encoders keep their names."""
    word = word.lower()
    return _OTHER_NAMES.get(word, word)


def preset_for(codec: str) -> CodecPreset:
    """Return the settings for a codec name, or for a plain libavcodec encoder name."""
    codec = codec_name(codec)
    return CODEC_PRESETS.get(codec) or _preset(codec)
