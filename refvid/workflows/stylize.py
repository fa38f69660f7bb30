"""`refvid stylize`: a clip in the colours, strokes and texture of a style image.

The style image is the decoder's reference (RefDecoder, arXiv:2605.15196, section 4.1). Everything
but what the decoder is conditioned on is `rebuild`, as for `enhance`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

from torch import Tensor

from refvid.checkpoints.transfer import TransferCallback, ignore_transfer
from refvid.inference.lightness import keep_chroma
from refvid.inference.style import largest_scale, prepare_styles, style_size
from refvid.media.color import luma_weights
from refvid.media.image import fit_image, read_image
from refvid.media.pixel_conversion import Pixels
from refvid.media.reader import read_frame
from refvid.media.video_info import VideoInfo
from refvid.models.backbone import StyleBackbone
from refvid.models.registry import MINI_STYLE
from refvid.workflows.choose_model import LoadedBackbone, choose_backbone
from refvid.workflows.progress import ProgressCallback, ignore_progress
from refvid.workflows.rebuild import rebuild
from refvid.workflows.rebuild_options import ModelOptions
from refvid.workflows.rebuild_plan import (
    Conditions,
    RebuildPlan,
    RebuildReport,
    check_frame_exists,
    prepare,
)
from refvid.workflows.stylize_options import KeyframeSource, StyleSource, StylizeOptions

__all__ = [
    "KeyframeSource",
    "StyleSource",
    "StylizeOptions",
    "choose_stylizer",
    "plan_stylize",
    "stylize",
]

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
    loaded = choose_backbone(replace(options, model=MINI_STYLE), on_transfer, for_style=True)
    reason = "the model for styles" if options.weights is None else f"with {options.weights}"
    return replace(loaded, reason=reason)


def plan_stylize(options: StylizeOptions, loaded: LoadedBackbone) -> RebuildPlan:
    """Tell what `stylize` would do, and raise what it would raise before its first frame."""
    return prepare(options, _Styles(options), loaded).plan


def stylize(
    options: StylizeOptions,
    loaded: LoadedBackbone,
    on_progress: ProgressCallback = ignore_progress,
) -> RebuildReport:
    """Restyle one video; see `rebuild` for what is raised."""
    return rebuild(options, _Styles(options), loaded, on_progress)


def fit_style(pixels: Pixels, frame: tuple[int, int], scale: float = 1.0) -> Pixels:
    """Bring a style image (h, w, 3) to the size in which the model sees it, see `style_size`."""
    height, width = pixels.shape[:2]
    return fit_image(pixels, *style_size((width, height), frame, scale), "stretch")


@dataclass(frozen=True, slots=True)
class _Styles:
    """`Conditioning` on style images and painted keyframes."""

    options: StylizeOptions

    @property
    def files(self) -> Sequence[Path]:
        return self.options.images

    def describe(self) -> str:
        return self._in_words(str)

    def provenance(self) -> str:
        return self._in_words(lambda path: path.name)

    def check(self, info: VideoInfo) -> Sequence[str]:
        notes = []
        for style in self.options.styles:
            height, width = read_image(style.image).shape[:2]
            seen = style_size((width, height), info.size, self.options.style_scale)
            if math.sqrt(seen[0] * seen[1] / (width * height)) > _MUCH_LARGER:
                notes.append(
                    f"{style.image} is small ({width}x{height}): enlarged to {seen[0]}x{seen[1]}, "
                    "its strokes come out soft"
                )
        if self.options.styles and self.options.style_scale > largest_scale():
            notes.append(
                f"strokes grow no further than --style-scale {largest_scale():.2f}: larger style "
                "images would need more memory than the clip"
            )
        for keyframe in self.options.keyframes:
            if keyframe.frame is not None:
                check_frame_exists(info, keyframe.frame, f"the keyframe {keyframe.image}")
            height, width = read_image(keyframe.image).shape[:2]
            if abs(width * info.height / (height * info.width) - 1) > _SAME_SHAPE:
                notes.append(
                    f"{keyframe.image} is {width}x{height}, but the clip {info.width}x"
                    f"{info.height}: it is stretched"
                )
        return notes

    def prepare(self, info: VideoInfo, loaded: LoadedBackbone) -> Conditions:
        backbone = cast("StyleBackbone", loaded.backbone)  # no other is chosen
        styles = [
            (fit_style(read_image(style.image), info.size, self.options.style_scale), style.weight)
            for style in self.options.styles
        ]
        keyframes = [self._pair(keyframe, info) for keyframe in self.options.keyframes]
        finish: Callable[[Tensor, Tensor], Tensor] | None = None
        if self.options.preserve_color:
            finish = partial(keep_chroma, weights=luma_weights(info.color, info.coded_height))
        return Conditions(
            reference=prepare_styles(backbone, styles, keyframes, loaded.device), finish=finish
        )

    def _pair(self, keyframe: KeyframeSource, info: VideoInfo) -> tuple[Pixels, Pixels]:
        """A painted frame, and the clip's own frame at its place."""
        own = read_frame(
            self.options.source,
            index=keyframe.frame,
            time=keyframe.time,
            rate=self.options.sequence_rate,
        )
        return fit_image(read_image(keyframe.image), *info.size, "stretch"), own.pixels

    def _in_words(self, name: Callable[[Path], str]) -> str:
        total = sum(style.weight for style in self.options.styles)
        several = len(self.options.styles) > 1
        words = [
            f"style {name(style.image)}" + f" ({style.weight / total:.0%})" * several
            for style in self.options.styles
        ]
        words += [f"keyframe {name(key.image)} at {key.place}" for key in self.options.keyframes]
        words += ["the input's colours"] * self.options.preserve_color
        return ", ".join(words)
