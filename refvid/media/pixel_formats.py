"""Which of an encoder's pixel formats loses least of a source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from av.video.format import VideoFormat

from refvid.errors import OptionError, OutputError
from refvid.media.pixel_conversion import format_depth, has_alpha, is_rgb
from refvid.media.video_info import VideoInfo

_LOSSLESS_ENCODERS: Final = frozenset(
    {"ffv1", "ffvhuff", "huffyuv", "png", "tiff", "utvideo", "qtrle", "rawvideo"}
)


def is_lossless(encoder: str) -> bool:
    """Whether an encoder, by libavcodec's name, gives back every pixel that it was given."""
    return encoder in _LOSSLESS_ENCODERS


def pixel_formats(
    encoder: str, names: Sequence[str], like: VideoInfo, wanted: str | None
) -> list[str]:
    """Order an encoder's pixel formats by what they lose of the source, best first.

    Args:
        encoder: libavcodec's name.
        names: The formats it takes; empty if libavcodec does not say.
        like: The source.
        wanted: The caller's choice: the only result.

    Raises:
        OutputError, OptionError: The encoder does not take `wanted`, or there is no such format.
    """
    if wanted is not None:
        if names and wanted not in names:
            raise OutputError(
                f"The encoder {encoder} has no pixel format {wanted}. It knows {', '.join(names)}."
            )
        try:
            VideoFormat(wanted)
        except ValueError as error:
            raise OptionError(f"There is no pixel format {wanted}.") from error
        return [wanted]
    keeps_all = is_lossless(encoder)
    if not names:
        names = ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p10le", "rgb24"]
    usable = [name for name in names if _is_usable(name, is_lossless=keeps_all)]
    return sorted(usable, key=lambda name: _loss(name, like, is_lossless=keeps_all))


def _is_usable(name: str, *, is_lossless: bool) -> bool:
    video_format = VideoFormat(name)
    if has_alpha(name) or video_format.has_palette or video_format.is_bit_stream:
        return False
    if any(mark in name for mark in ("f16", "f32", "bayer", "xyz")) or not video_format.components:
        return False
    if name.startswith("gray"):
        return is_lossless
    # 8 colours per channel and the like
    return all(component.bits >= 8 for component in video_format.components)


def _loss(name: str, like: VideoInfo, *, is_lossless: bool) -> tuple[int, int, int]:
    """Order pixel formats by what they lose, then by what they waste."""
    source_rgb = is_rgb(like.pix_fmt)
    depth = format_depth(name)
    lost_depth = max(0, min(like.bit_depth, 16) - depth)
    wasted = max(0, depth - like.bit_depth)
    # RGB in a lossy codec becomes 4:2:0, which every player knows.
    wants_rgb = source_rgb and is_lossless
    have = (1, 1) if source_rgb else chroma_shift(like.pix_fmt)
    want = (0, 0) if wants_rgb else have
    got = chroma_shift(name)
    lost_chroma = sum(max(0, g - w) for g, w in zip(got, want, strict=True))
    wasted += sum(max(0, w - g) for g, w in zip(got, want, strict=True))
    wrong_model = 10 * (is_rgb(name) != wants_rgb)
    is_gray = _is_gray(name)
    if is_gray and not _is_gray(like.pix_fmt):
        lost_chroma += 10
    odd = name.startswith(("nv", "yuvj")) or name.endswith("be")
    return (4 * lost_depth + lost_chroma + wrong_model, wasted, int(odd))


def _is_gray(name: str) -> bool:
    return len(VideoFormat(name).components) < 3


def chroma_shift(name: str) -> tuple[int, int]:
    """Return log2 of the chroma subsampling, across and down; gray counts as 4:2:0."""
    video_format = VideoFormat(name)
    if _is_gray(name):
        return 1, 1
    if is_rgb(name):
        return 0, 0
    return (
        0 if video_format.chroma_width(16) == 16 else 16 // video_format.chroma_width(16) // 2,
        0 if video_format.chroma_height(16) == 16 else 16 // video_format.chroma_height(16) // 2,
    )
