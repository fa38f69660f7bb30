"""References: read, fitted to the clip and made ready for the decoder, once per video."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import torch
from torch import Tensor

from refvid.errors import InputError
from refvid.media.file_kind import notes_on_picture
from refvid.media.image import fit_image, read_image
from refvid.media.pixel_conversion import to_uint8
from refvid.media.reader import read_frame
from refvid.media.source_type import SourceType
from refvid.media.video_info import VideoInfo
from refvid.models.backbone import Backbone, Reference, ReferenceFinder
from refvid.models.mini.alignment import FramePlaced, align, find_coarse, gray
from refvid.rebuild.canvas import Canvas
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.findings import Findings
from refvid.rebuild.options import ReferenceFit, References
from refvid.rebuild.pixels import Pixels, frames_to_clip, pad_clip

_SAME_SHAPE = 0.02
"""Difference of the logarithms of width over height below which fits are alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What a run gives to the model, ready for one video."""

    reference: Any = None
    """What `Backbone.decode` takes as `reference`; None decodes without one."""

    finish: Callable[[Tensor, Tensor], Tensor] | None = None
    """Made of the input and the model's result, both (1, 3, T, H, W) in [-1, 1], before the two
    are mixed by strength."""


class Conditioning(Protocol):
    """What the decoder is conditioned on: what `enhance` and `stylize` do not have in common."""

    @property
    def images(self) -> Sequence[Path]:
        """Files that are read; the output must not replace them."""
        ...

    source_type: SourceType
    """What its results are, if nothing but this were known."""

    def describe(self) -> str:
        """In words, for the plan."""
        ...

    def provenance(self) -> str:
        """In words, for the output's metadata; file names only, since folders are private."""
        ...

    def read(self, info: VideoInfo, canvas: Canvas) -> Sequence[str]:
        """Read the images and keep them for `prepare`; give notes for the user.

        Raises:
            InputError: An image cannot be read, or the video is known to lack the frame that is
                asked for.
        """
        ...

    def rehearse(self, frame: Pixels, loaded: LoadedBackbone) -> Any:
        """Make what `Backbone.decode` takes as `reference` for a trial, with a frame (H, W, 3) of
        it in place of pictures of the scene.
        """
        ...

    def judge(self, findings: Findings) -> Sequence[str]:
        """Warn the user, if what was found in the images calls for it."""
        ...

    def prepare(self, info: VideoInfo, canvas: Canvas, loaded: LoadedBackbone) -> Conditions:
        """Fit what was read to the video, as the model sees it, and embed it."""
        ...


class Picture:
    """`Conditioning` on a picture of the scene, or on nothing."""

    source_type = SourceType.ENHANCED

    def __init__(self, references: References) -> None:
        self.images = references.images
        self._asked = references
        self._source = references.source
        self._fit: ReferenceFit = references.fit
        self._pixels: Pixels | None = None

    def describe(self) -> str:
        return "none" if self._source is None else self._source.describe()

    def provenance(self) -> str:
        return self._asked.provenance()

    def read(self, info: VideoInfo, canvas: Canvas) -> Sequence[str]:  # noqa: ARG002 -- the protocol's
        if self.images:
            self._pixels = read_image(self.images[0], may_shrink=True)
            return notes_on_picture(self.images[0])
        if self._source is not None and self._source.frame is not None:
            check_frame_exists(info, self._source.frame, "the reference")
        return ()

    def rehearse(self, frame: Pixels, loaded: LoadedBackbone) -> Any:
        if self._source is None:
            return None
        size = frame.shape[1], frame.shape[0]
        return condition_on(frame, loaded, size, fit=self._fit, first=lambda: frame).reference

    def judge(self, findings: Findings) -> Sequence[str]:
        warning = findings.warning(fit=self._fit)
        return () if warning is None else (warning,)

    def prepare(self, info: VideoInfo, canvas: Canvas, loaded: LoadedBackbone) -> Conditions:
        source, pixels = self._source, self._pixels
        self._pixels = None  # not for the whole run
        if source is None:
            return Conditions()
        if pixels is None:
            frame = read_frame(info.path, index=source.frame, time=source.time, info=info)
            pixels = canvas.to_domain(frame.pixels)
        else:
            pixels = canvas.bring(pixels)
        return condition_on(
            pixels,
            loaded,
            canvas.size,
            fit=self._fit,
            first=partial(_first_frame, info, canvas),
            frame=source.frame,
        )


def condition_on(
    picture: Pixels,
    loaded: LoadedBackbone,
    size: tuple[int, int],
    *,
    fit: ReferenceFit,
    first: Callable[[], Pixels | None],
    frame: int | None = None,
) -> Conditions:
    """Make a picture of the scene ready for the frames of a clip.

    Args:
        picture: (h, w, 3) uint8 or uint16.
        loaded: The model.
        size: Width and height of the frames [pixels].
        fit: How it meets frames of another shape.
        first: Gives the clip's first frame, of that size, to choose a fit by; None where there is
            none.
        frame: Which one it is of the frames, if it is one.
    """
    backbone = loaded.backbone
    if backbone.limits.finds_references and fit == "auto":
        finder, pixels = cast("ReferenceFinder", backbone), to_uint8(picture)
        given = {0: Reference(read=lambda: pixels, frame=frame)}
        return Conditions(reference=finder.prepare_references(given))
    if fit == "auto":
        fit = _likelier_fit(picture, size, first)
    fitted = fit_image(picture, *size, fit)
    return Conditions(reference=prepare_reference(backbone, fitted, loaded.device))


def _first_frame(info: VideoInfo, canvas: Canvas) -> Pixels | None:
    try:
        return canvas.to_picture(read_frame(info.path, index=0, info=info).pixels)
    except InputError:
        return None  # latents, or a video whose own job will say what is wrong with it


def _likelier_fit(
    pixels: Pixels, size: tuple[int, int], first: Callable[[], Pixels | None]
) -> Literal["cover", "contain"]:
    """The fit in which a picture (h, w, 3) is more like the first frame (H, W, 3), once aligned.

    Where there is no frame to compare with, it fills the frame.
    """
    width, height = size
    if _is_shaped_alike(pixels, height, width) or (frame := first()) is None:
        return "cover"
    shades = gray(to_uint8(frame))

    def correlation(fit: Literal["cover", "contain"]) -> float:
        placed = FramePlaced(to_uint8(fit_image(pixels, width, height, fit)))
        coarse = find_coarse(shades, placed.shades)
        return align(shades, placed, coarse).likeness.correlation

    fits: tuple[Literal["cover"], Literal["contain"]] = ("cover", "contain")
    return max(fits, key=correlation)


def _is_shaped_alike(pixels: Pixels, height: int, width: int) -> bool:
    return abs(math.log(pixels.shape[1] / pixels.shape[0] * height / width)) < _SAME_SHAPE


@torch.inference_mode()
def prepare_reference(backbone: Backbone, reference: Pixels, device: torch.device) -> Any:
    """Embed a reference, once per video.

    Args:
        backbone: The model.
        reference: (H, W, 3) uint8 or uint16 of the clip's size; padded as the clip is.
        device: Where the backbone computes.

    Returns:
        What `Backbone.decode` takes as `reference`.
    """
    clip = pad_clip(frames_to_clip([reference], device), backbone.limits)
    return backbone.prepare_reference(clip[:, :, 0])


def check_frame_exists(info: VideoInfo, index: int, wanted_for: str) -> None:
    """Raise `InputError` where a video is known to be too short for the frame of an index."""
    if info.frame_count_is_exact:
        assert info.frame_count is not None, "an exact count is known"
        if index >= info.frame_count:
            raise InputError(
                f"{info.path} has no frame {index} for {wanted_for}: the last one is "
                f"{info.frame_count - 1}."
            )
