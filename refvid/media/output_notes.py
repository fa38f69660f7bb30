"""What a result does without, in words: notes of a run, and of `--dry-run`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from refvid.media.encoding import Encoding
from refvid.media.kept import describe_kinds
from refvid.media.pixel_conversion import format_depth, is_rgb
from refvid.media.pixel_formats import chroma_shift
from refvid.media.video_info import VideoInfo

if TYPE_CHECKING:
    from refvid.media.origin_marks import OriginMarks
    from refvid.media.output_plan import OutputPlan


def pixel_notes(plan: OutputPlan, like: VideoInfo, encoding: Encoding) -> list[str]:
    """Say what the pixels of a result lose."""
    notes = []
    depth = format_depth(plan.pix_fmt)
    if depth < like.bit_depth:
        notes.append(f"the video is reduced from {like.bit_depth} to {depth} bits")
    source = (0, 0) if is_rgb(like.pix_fmt) else chroma_shift(like.pix_fmt)
    got = chroma_shift(plan.pix_fmt)
    if any(g > s for g, s in zip(got, source, strict=True)):
        notes.append(f"colour is stored at a lower resolution ({plan.pix_fmt})")
    elif encoding.pix_fmt is None and got < source and not is_rgb(plan.pix_fmt):
        reason = "the size is odd" if like.width % 2 or like.height % 2 else "of the codec"
        notes.append(f"the pixel format is {plan.pix_fmt}, because {reason}")
    if like.sample_aspect_ratio != 1 and _loses_aspect(plan):
        notes.append(
            f"the pixel shape {like.sample_aspect_ratio} cannot be stored as {plan.codec} in "
            f"{plan.container}"
        )
    return notes


def _loses_aspect(plan: OutputPlan) -> bool:
    # PyAV gives no access to the field that the Matroska muxer writes the shape from; H.264 and
    # HEVC carry it in their own stream.
    return plan.container in ("matroska", "webm") and plan.codec not in ("h264", "hevc")


def mark_notes(plan: OutputPlan, like: VideoInfo) -> Iterator[str]:
    """Say what else of the video's marks is lost."""
    if like.has_alpha:
        yield "transparency is not kept"
    if like.fields is not None:
        reason = "they are turned" if like.rotation else f"{plan.codec} ({plan.encoder}) cannot"
        marked = (
            "and stay marked so"
            if plan.fields is not None
            else f"and are not marked so any more, as {reason}"
        )
        yield (
            "the video is interlaced: its frames are worked on as they are, both fields woven, "
            f"{marked}; deinterlace it first for a better result"
        )
    if not like.rotation_is_exact:
        yield "the video is turned by the nearest quarter turn; its own rotation is another angle"
    dolby_vision = like.dolby_vision
    if dolby_vision is not None:
        shown = "shown in wrong colours" if dolby_vision.compatibility == 0 else "shown without it"
        yield f"Dolby Vision (profile {dolby_vision.profile}) is not kept: the result is {shown}"


def origin_notes(marks: OriginMarks, encoding: Encoding) -> Iterator[str]:
    """Say what the source says of how it was made, and the result does not."""
    if marks.has_credentials and encoding.credentials is None:
        yield (
            "the signed content credentials (C2PA) of the input are lost; with --c2pa-cert and "
            "--c2pa-key they are kept within the result's own"
        )
    if marks.source_type is not None and not encoding.marks_origin:
        yield f"the input's mark {marks.source_type} is lost, as no provenance is written"


def sequence_notes(like: VideoInfo, suffix: str) -> Iterator[str]:
    """Say what is lost of a video as single images."""
    if like.audio or like.subtitles:
        yield "images hold no sound or subtitles: these are left out"
    if like.is_variable_rate:
        yield "images have no timestamps: the variable frame rate is lost"
    if like.sample_aspect_ratio != 1:
        yield f"images are written without the pixel shape {like.sample_aspect_ratio}"
    if like.bit_depth > 8 and suffix not in (".png", ".tif", ".tiff"):
        yield f"the images are reduced from {like.bit_depth} to 8 bits; PNG and TIFF keep them"
    if like.has_alpha:
        yield "transparency is not kept"
    if like.fields is not None:
        yield "the video is interlaced: both fields are in each image; deinterlace it first"
    if like.dolby_vision is not None:
        yield f"Dolby Vision (profile {like.dolby_vision.profile}) is not kept"
    lost = describe_kinds(like.side_data)
    if lost:
        yield f"images do not keep: {', '.join(lost)}"
