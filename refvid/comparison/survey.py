"""Looking through a clip: the preview for the page, and where the candidates differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

from refvid.comparison.atlas import Atlas, Picture, plan_atlas, scale_picture
from refvid.comparison.clips import Clip, InStep
from refvid.comparison.difference import Map, difference_map, hottest_box, pick_peaks, shrink_map
from refvid.comparison.options import CompareOptions
from refvid.errors import OutputError
from refvid.media.color import BT709, RANGE_LIMITED, ColorInfo
from refvid.media.encoding import Encoding
from refvid.media.frame_range import FrameRange
from refvid.media.reader import Trim
from refvid.media.video_writer import VideoWriter
from refvid.media.writer import create_video

MOST_MOMENTS: Final = 8
LARGEST_PREVIEW_FILE: Final = 512 << 20
"""Browsers hold the page and the videos in memory [bytes]."""

_MAP_WIDTH: Final = 384
_KEYFRAME_EVERY: Final = 8
"""A step back decodes at most so many frames."""

_SMALLEST_CROP: Final = 96
_CROP_SHARE: Final = 6
_PREVIEWS: Final = {
    "h264": (".mp4", "video/mp4", 18.0, {"preset": "veryfast", "bf": "0"}),
    "vp9": (".webm", "video/webm", 24.0, {"deadline": "realtime", "cpu-used": "6"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What one pass through a clip gives."""

    times: tuple[Fraction, ...]
    """When each frame is shown, from the first on [s]."""

    end: Fraction
    """When the last frame ends [s]."""

    first_index: int
    """Of the first frame, counted over the whole file."""

    differences: tuple[tuple[float, ...], ...]
    """Per frame, for every candidate but the first: mean absolute difference to it, 0-255."""

    def worst_frames(self) -> list[int]:
        """Frames where candidates differ most, in order of time; the first where all are equal."""
        return pick_peaks([max(values) for values in self.differences], MOST_MOMENTS) or [0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A frame where candidates differ."""

    frame: int
    """Index within the part that is compared."""

    time: Fraction
    """From the first frame on [s]."""

    differences: tuple[float, ...]
    """Per candidate but the first: mean absolute difference to it, 0-255."""

    maps: tuple[Map, ...]
    """The same per pixel; shrunk."""

    overview: Picture
    """The first candidate; shrunk."""

    box: tuple[int, int, int, int]
    """The place that differs most: left, top, right, bottom [share of the picture, 0-1]."""

    crops: tuple[Picture, ...]
    """That place in everything that is shown; (h, w, 3) of one size."""


def plan_preview(clip: Clip, options: CompareOptions) -> Atlas:
    """Choose the size of the candidates in the page."""
    width, height = clip.display_size
    return plan_atlas(len(clip.shown), width, height, limit=options.preview_height)


def preview_kind(options: CompareOptions) -> tuple[str, str]:
    """Return the suffix and the MIME type of previews."""
    suffix, mime_type, *_ = _PREVIEWS[options.preview_codec]
    return suffix, mime_type


def survey_clip(
    clip: Clip,
    atlas: Atlas,
    part: FrameRange,
    options: CompareOptions,
    on_frame: Callable[[], None],
    *,
    order: Sequence[int] = (),
    preview: Path | None = None,
) -> Survey:
    """Read all candidates once: see when they differ, and write the preview.

    Args:
        clip: What is compared.
        atlas: From `plan_preview`; differences are measured at the size of its tiles.
        part: Which frames.
        options: Codec and sequence rate.
        on_frame: Called after each frame.
        order: Which of `clip.shown` lies on each tile.
        preview: The file to write; None writes none.

    Raises:
        InputError: A video is damaged, or they are not in step.
        OutputError: The preview cannot be written, or is too large for a page.
    """
    times: list[Fraction] = []
    last = None
    differences: list[tuple[float, ...]] = []
    with (
        InStep(clip.shown, part, options) as frames,
        nullcontext() if preview is None else _write_preview(clip, atlas, preview, options) as out,
    ):
        for together in frames:
            pictures = [
                scale_picture(frame.pixels, atlas.tile_width, atlas.tile_height)
                for frame in together
            ]
            first = last = together[0]
            times.append(first.time)
            others = pictures[1 : len(clip.candidates)]
            differences.append(
                tuple(float(difference_map(pictures[0], other).mean()) for other in others)
            )
            if out is not None:
                out.write(atlas.compose([pictures[index] for index in order]), first)
            on_frame()
    if preview is not None and preview.stat().st_size > LARGEST_PREVIEW_FILE:
        raise OutputError(
            f"the preview of {clip.name} has {preview.stat().st_size >> 20} MiB, and a page may "
            f"hold {LARGEST_PREVIEW_FILE >> 20}: choose a shorter part with --frames, or a smaller "
            "--preview-height"
        )
    assert last is not None  # a video without a frame raises InputError
    return Survey(
        times=tuple(time - times[0] for time in times),
        end=last.time - times[0] + (last.duration or 0) * last.time_base,
        first_index=last.index - len(times) + 1,
        differences=tuple(differences),
    )


def inspect_moments(
    clip: Clip, survey: Survey, part: FrameRange, options: CompareOptions
) -> list[Moment]:
    """Read the worst frames again, at full size."""
    wanted = survey.worst_frames()
    moments: list[Moment] = []
    width, height = clip.display_size
    with InStep(clip.shown, part, options) as frames:
        for index, together in enumerate(frames):
            if index not in wanted:
                continue
            pictures = [scale_picture(frame.pixels, width, height) for frame in together]
            moments.append(_inspect(index, pictures, clip, survey))
            if index == wanted[-1]:
                break
    return moments


def _inspect(index: int, pictures: list[Picture], clip: Clip, survey: Survey) -> Moment:
    height, width, _ = pictures[0].shape
    maps = [difference_map(pictures[0], other) for other in pictures[1 : len(clip.candidates)]]
    strongest = max(maps, key=lambda values: float(values.mean()))
    crop_width = min(width, max(_SMALLEST_CROP, width // _CROP_SHARE))
    crop_height = min(height, round(crop_width * 3 / 4))
    left, top, right, bottom = hottest_box(strongest, crop_width, crop_height)
    small = (_MAP_WIDTH, max(1, round(height * _MAP_WIDTH / width)))
    return Moment(
        frame=index,
        time=survey.times[index],
        differences=survey.differences[index],
        maps=tuple(shrink_map(values, _MAP_WIDTH) for values in maps),
        overview=pictures[0] if width <= _MAP_WIDTH else scale_picture(pictures[0], *small),
        box=(left / width, top / height, right / width, bottom / height),
        # Copies: a view would keep the whole picture in memory.
        crops=tuple(picture[top:bottom, left:right].copy() for picture in pictures),
    )


def _write_preview(clip: Clip, atlas: Atlas, preview: Path, options: CompareOptions) -> VideoWriter:
    """All candidates as one video, with the times of the first one."""
    _, _, crf, encoder_options = _PREVIEWS[options.preview_codec]
    like = replace(
        clip.candidates[0],
        width=atlas.width,
        height=atlas.height,
        sample_aspect_ratio=Fraction(1),
        rotation=0,
        bit_depth=8,
        color=ColorInfo(matrix=BT709, range=RANGE_LIMITED, primaries=BT709, transfer=BT709),
    )
    encoding = Encoding(
        codec=options.preview_codec,
        crf=crf,
        pix_fmt="yuv420p",
        encoder_options={"g": str(_KEYFRAME_EVERY), **encoder_options},
        audio="none",
        subtitles="none",
        metadata=False,
    )
    # The part begins at time 0 in the page, wherever it lies in the source.
    return create_video(preview, like=like, encoding=encoding, trim=Trim(start=True))
