"""`refvid stylize`: a clip in the colours, strokes and texture of a style image.

The style image is the decoder's reference (RefDecoder, arXiv:2605.15196, section 4.1). Everything
but what the decoder is conditioned on is `rebuild`, as for `enhance`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from refvid.media.color import luma_weights
from refvid.media.file_kind import notes_on_pages
from refvid.media.fit import fit_image
from refvid.media.image import read_still
from refvid.media.inputs import Job
from refvid.media.pixel_conversion import Pixels
from refvid.media.reader import read_frame
from refvid.media.source_type import SourceType
from refvid.media.video_info import VideoInfo
from refvid.models.backbone import StyleBackbone
from refvid.models.registry import MINI_STYLE
from refvid.progress import ProgressCallback, TransferCallback, ignore_progress, ignore_transfer
from refvid.rebuild.canvas import Canvas
from refvid.rebuild.choose_backbone import LoadedBackbone, choose_backbone
from refvid.rebuild.findings import Findings
from refvid.rebuild.lightness import keep_chroma
from refvid.rebuild.options import ModelOptions, RebuildOptions, Styles
from refvid.rebuild.parts import MakeParts, PartMaker
from refvid.rebuild.plan import Plan, Report
from refvid.rebuild.references import Conditions, check_frame_exists
from refvid.rebuild.style import largest_scale, prepare_styles, style_size
from refvid.rebuild.trial import Trial
from refvid.rebuild.video import begin_parts, plan_rebuild, rebuild

_SAME_SHAPE = 0.01
"""Proportions that differ by less need no warning."""

_MUCH_LARGER = 2.0
"""How far a style image is enlarged without a remark."""


def choose_stylizer(
    options: ModelOptions, on_transfer: TransferCallback = ignore_transfer
) -> LoadedBackbone:
    """Load the style model, from its bundled weights or from `options.weights`.

    Raises:
        OptionError: The weights are another model's.
        DeviceError: The device is not on this machine.
        CheckpointError: The weights are missing or do not fit.
    """
    loaded = choose_backbone(replace(options, model=MINI_STYLE), on_transfer, kind="style")
    reason = "the model for styles" if options.weights is None else f"with {options.weights}"
    return replace(loaded, reason=reason)


def plan_stylize(
    job: Job,
    styles: Styles,
    options: RebuildOptions,
    loaded: LoadedBackbone,
    trial: Trial | None = None,
) -> Plan:
    """Tell what `stylize` would do, and raise what it would raise before its first frame.

    With a trial it also tells how long that would take.
    """
    return plan_rebuild(job, _Painting(styles), options, loaded, trial)


def stylize(
    job: Job,
    styles: Styles,
    options: RebuildOptions,
    loaded: LoadedBackbone,
    on_progress: ProgressCallback = ignore_progress,
    make_parts: MakeParts | None = None,
) -> Report:
    """Restyle one video; see `rebuild` for what is raised."""
    return rebuild(job, _Painting(styles), options, loaded, on_progress, make_parts)


def stylize_parts(
    job: Job, styles: Styles, options: RebuildOptions, loaded: LoadedBackbone
) -> PartMaker:
    """Get ready to restyle parts of one video, for the `make_parts` of `stylize`."""
    return begin_parts(job, _Painting(styles), options, loaded)


def fit_style(pixels: Pixels, frame: tuple[int, int], scale: float = 1.0) -> Pixels:
    """Bring a style image (h, w, 3) to the size in which the model sees it, see `style_size`."""
    height, width = pixels.shape[:2]
    return fit_image(pixels, *style_size((width, height), frame, scale), "stretch")


class _Painting:
    """`Conditioning` on style images and painted keyframes."""

    source_type = SourceType.COMPOSITE

    def __init__(self, asked: Styles) -> None:
        self.images = asked.images
        self.names: Sequence[str] = ()
        self.asked = self._asked = asked
        self._pixels: list[Pixels] = []
        """Of `images`, once they are read."""

    def describe(self) -> str:
        return self._asked.describe()

    def provenance(self) -> str:
        return self._asked.provenance()

    def read(self, info: VideoInfo, canvas: Canvas) -> Sequence[str]:
        asked, notes = self._asked, []
        for style in asked.styles:
            height, width = self._read(style.image, canvas)
            seen = style_size((width, height), canvas.size, asked.style_scale)
            if math.sqrt(seen[0] * seen[1] / (width * height)) > _MUCH_LARGER:
                notes.append(
                    f"{style.image} is small ({width}x{height}): enlarged to {seen[0]}x{seen[1]}, "
                    "its strokes come out soft"
                )
        if asked.styles and asked.style_scale > largest_scale():
            notes.append(
                f"strokes grow no further than --style-scale {largest_scale():.2f}: larger style "
                "images would need more memory than the clip"
            )
        for keyframe in asked.keyframes:
            if keyframe.frame is not None:
                check_frame_exists(info, keyframe.frame, f"the keyframe {keyframe.image}")
            height, width = self._read(keyframe.image, canvas)
            if abs(width * info.height / (height * info.width) - 1) > _SAME_SHAPE:
                notes.append(
                    f"{keyframe.image} is {width}x{height}, but the clip {info.width}x"
                    f"{info.height}: it is stretched"
                )
        for image in self.images:
            notes += notes_on_pages(image)
        return notes

    def _read(self, image: Path, canvas: Canvas) -> tuple[int, int]:
        still = read_still(image, may_shrink=True)
        self._pixels.append(canvas.bring(still.pixels, still.color))
        height, width = self._pixels[-1].shape[:2]
        return height, width

    def held_bytes(self, canvas: Canvas, frames: int) -> int:  # noqa: ARG002 -- the protocol's
        return sum(pixels.nbytes for pixels in self._pixels)

    def rehearse(self, frame: Pixels, loaded: LoadedBackbone) -> Any:
        asked, size = self._asked, (frame.shape[1], frame.shape[0])
        styles = [
            (fit_style(pixels, size, asked.style_scale), style.weight)
            for pixels, style in zip(self._pixels, asked.styles, strict=False)
        ]
        backbone = cast("StyleBackbone", loaded.backbone)
        keyframes = [(frame, frame)] * len(asked.keyframes)
        return prepare_styles(backbone, styles, keyframes, loaded.device, asked.structure)

    def judge(self, findings: Findings) -> Sequence[str]:  # noqa: ARG002 -- the protocol's
        return ()

    def prepare(self, info: VideoInfo, canvas: Canvas, loaded: LoadedBackbone) -> Conditions:
        backbone, asked = cast("StyleBackbone", loaded.backbone), self._asked  # no other is chosen
        pixels, self._pixels = iter(self._pixels), []  # not for the whole run
        styles = [
            (fit_style(next(pixels), canvas.size, asked.style_scale), style.weight)
            for style in asked.styles
        ]
        keyframes = [
            (
                fit_image(next(pixels), *canvas.size, "stretch"),
                # The clip's own frame at its place.
                canvas.to_picture(
                    read_frame(info.path, index=key.frame, time=key.time, info=info).pixels
                ),
            )
            for key in asked.keyframes
        ]
        finish: Callable[[Tensor, Tensor], Tensor] | None = None
        if asked.preserve_color:
            finish = partial(keep_chroma, weights=luma_weights(info.color, info.coded_height))
        prepared = prepare_styles(backbone, styles, keyframes, loaded.device, asked.structure)
        return Conditions(reference=prepared, finish=finish)
