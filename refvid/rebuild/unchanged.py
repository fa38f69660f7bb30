"""Strength 0: the input's own frames, for which no model is needed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from refvid.media.color import resolve_color
from refvid.media.output_plan import OutputPlan
from refvid.media.pixel_conversion import format_depth, holds_same_samples, is_rgb
from refvid.media.pixel_formats import is_lossless
from refvid.media.video_info import VideoInfo
from refvid.models.backbone import Backbone, BackboneLimits, Decoded, Encoded, Memory
from refvid.rebuild.choose_backbone import LoadedBackbone

_LOSSLESS_IMAGES = frozenset({"png", "tif", "tiff", "bmp", "ppm", "webp"})


class _NoModel:
    """`Backbone` that stands where there is none: only its limits are looked at."""

    name = "none"
    limits = BackboneLimits(
        size_multiple=1,
        min_size=1,
        temporal_stride=1,
        first_chunk_extra=0,
        default_chunk=8,
        max_chunk=8,
        memory=Memory(),
    )

    def encode(self, clip: Tensor, state: Any = None) -> Encoded:
        raise NotImplementedError

    def prepare_reference(self, reference: Tensor) -> Any:
        raise NotImplementedError

    def decode(
        self, latents: Tensor, reference: Any = None, state: Any = None, *, tile: int | None = None
    ) -> Decoded:
        raise NotImplementedError

    def working_bytes(self, height: int, width: int, frames: int, tile: int | None) -> int:  # noqa: ARG002 -- the protocol's
        return 0

    def plain(self) -> Backbone | None:
        return None

    def bound_memory(self) -> None:
        pass


def no_model() -> LoadedBackbone:
    """What runs take in place of a model where the strength is 0."""
    return LoadedBackbone(
        backbone=_NoModel(),
        device=torch.device("cpu"),
        dtype=torch.float32,
        reason="strength 0 needs none",
    )


def what_changes(info: VideoInfo, plan: OutputPlan) -> str:
    """Say what writing does to frames that are given to the encoder as they are."""
    text = "strength 0: the frames are the input's own, "
    if not _is_lossless(plan):
        return (
            f"{text}but {plan.codec} changes them a little; -c ffv1 in an .mkv file keeps them "
            "bit for bit"
        )
    is_turned = bool(info.rotation) or info.is_mirrored
    changes = ["turned upright"] * is_turned + ["cropped as shown"] * bool(info.crop)
    if changes:
        return f"{text}{' and '.join(changes)} by way of RGB, and stored without loss"
    is_image = plan.container == "image sequence" and info.is_image_sequence
    color = resolve_color(info.color, info.coded_height)
    is_coded_so = is_rgb(info.pix_fmt) or color.codes_like(plan.color)
    if is_image or (is_coded_so and holds_same_samples(plan.pix_fmt, info.pix_fmt)):
        return f"{text}bit for bit"
    return f"{text}turned into {plan.pix_fmt} and stored without loss"


def _is_lossless(plan: OutputPlan) -> bool:
    if plan.container == "image sequence":
        return plan.encoder in _LOSSLESS_IMAGES
    if is_lossless(plan.encoder):
        return True
    if plan.encoder != "libx264":
        return False
    is_shallow = format_depth(plan.pix_fmt) == 8  # deeper video counts crf from below 0
    return plan.options.get("qp") == "0" or (is_shallow and plan.options.get("crf") == "0")
