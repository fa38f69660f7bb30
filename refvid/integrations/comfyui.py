"""Nodes for ComfyUI, by its V3 interface.

ComfyUI finds them in a folder of its `custom_nodes` that holds one file, `__init__.py`, with one
line:

    from refvid.integrations.comfyui import comfy_entrypoint

They call the functions of `import refvid`; images go in and out at 16 bits. A model is loaded for
each run and leaves the memory after it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import comfy.model_management
import numpy as np
import torch
from comfy.utils import ProgressBar
from torch import Tensor

from refvid.api import decode_latents, enhance_frames, load_model, stylize_frames
from refvid.errors import OptionError
from refvid.models.registry import MINI, MINI_STYLE, names
from refvid.progress import Progress, ProgressCallback
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.options import LARGEST_SCALE, SMALLEST_SCALE
from refvid.rebuild.pixels import Pixels

try:
    from comfy_api.v0_0_2 import ComfyExtension, io
except ImportError:  # a ComfyUI, or what stands for one, without this fixed version
    from comfy_api.latest import ComfyExtension, io

logger = logging.getLogger(__name__)

_CATEGORY = "refvid"
_LARGEST = np.iinfo(np.uint16).max
_Model = io.Custom("REFVID_MODEL")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """What goes from `Load model` to the other nodes: which model, not the model itself."""

    model: str
    weights: str | None
    memory: str | None

    @contextmanager
    def load(self) -> Iterator[LoadedBackbone]:
        """Hold the model as long as it is used, where ComfyUI computes."""
        device = comfy.model_management.get_torch_device()
        if device.type != "cpu":
            # refvid takes what is free; ComfyUI's own models come back when they are needed.
            comfy.model_management.unload_all_models()
        try:
            yield load_model(
                self.model, weights=self.weights, device=str(device), memory=self.memory
            )
        finally:
            comfy.model_management.soft_empty_cache()


class LoadModel(io.ComfyNode):  # type: ignore[misc]
    """Choose a model."""

    @classmethod
    def define_schema(cls) -> Any:
        return io.Schema(
            node_id="RefvidLoadModel",
            display_name="refvid: load model",
            category=_CATEGORY,
            description="mini and mini-style come with refvid. wan2.1 and videovae+ are fetched "
            "when they are first used, or before, by `refvid models download`.",
            inputs=[
                io.Combo.Input("model", options=[*names("restore"), *names("style")], default=MINI),
                io.String.Input(
                    "weights",
                    default="",
                    optional=True,
                    tooltip="A file with other weights for this model; empty takes its own.",
                ),
                io.String.Input(
                    "memory",
                    default="",
                    optional=True,
                    tooltip="What its work may take, such as 8G; empty takes what is free.",
                ),
            ],
            outputs=[_Model.Output(display_name="model")],
        )

    @classmethod
    def execute(cls, model: str, weights: str = "", memory: str = "") -> Any:
        return io.NodeOutput(
            _Choice(model=model, weights=weights.strip() or None, memory=memory.strip() or None)
        )


class Enhance(io.ComfyNode):  # type: ignore[misc]
    """`refvid.enhance_frames`."""

    @classmethod
    def define_schema(cls) -> Any:
        return io.Schema(
            node_id="RefvidEnhance",
            display_name="refvid: enhance",
            category=_CATEGORY,
            description="Rebuild the lost details of a clip with a clean picture of its scene.",
            inputs=[
                _Model.Input("model"),
                io.Image.Input("images", tooltip="The frames of the clip, in their order."),
                _pictures("references", "reference", least=0),
                _frames(),
                _fit(),
                _strength(),
                _scale(),
                _cut_detection(),
            ],
            outputs=[io.Image.Output(display_name="images")],
        )

    @classmethod
    def execute(
        cls,
        model: _Choice,
        images: Tensor,
        references: Mapping[str, Tensor] | None = None,
        reference_frames: str = "",
        reference_fit: str = "auto",
        strength: float = 1.0,
        scale: int = 1,
        cut_detection: bool = True,
    ) -> Any:
        with model.load() as loaded:
            made = enhance_frames(
                to_frames(images),
                ref=_references(references, reference_frames),
                ref_fit=cast("Any", reference_fit),
                strength=strength,
                scale=scale if scale > 1 else None,
                cut_detection=cut_detection,
                model=loaded,
                on_progress=_watch(),
            )
        return io.NodeOutput(to_images(made))


class Stylize(io.ComfyNode):  # type: ignore[misc]
    """`refvid.stylize_frames`."""

    @classmethod
    def define_schema(cls) -> Any:
        return io.Schema(
            node_id="RefvidStylize",
            display_name="refvid: stylize",
            category=_CATEGORY,
            description="Give a clip the colours, strokes and texture of one painting or several.",
            inputs=[
                _Model.Input("model", tooltip=f"{MINI_STYLE}, or your own weights for it."),
                io.Image.Input("images", tooltip="The frames of the clip, in their order."),
                _pictures("styles", "style", least=1),
                io.Float.Input(
                    "style_scale",
                    default=1.0,
                    min=SMALLEST_SCALE,
                    max=LARGEST_SCALE,
                    step=0.05,
                    tooltip="Size of the strokes.",
                ),
                io.Float.Input(
                    "structure",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="How much of the frame stays.",
                ),
                io.Boolean.Input(
                    "preserve_color", default=False, tooltip="Keep the colours of the clip."
                ),
                _strength(),
                _scale(),
                _cut_detection(),
            ],
            outputs=[io.Image.Output(display_name="images")],
        )

    @classmethod
    def execute(
        cls,
        model: _Choice,
        images: Tensor,
        styles: Mapping[str, Tensor],
        style_scale: float = 1.0,
        structure: float = 0.5,
        preserve_color: bool = False,
        strength: float = 1.0,
        scale: int = 1,
        cut_detection: bool = True,
    ) -> Any:
        with model.load() as loaded:
            made = stylize_frames(
                to_frames(images),
                style=_list(styles),
                style_scale=style_scale,
                structure=structure,
                preserve_color=preserve_color,
                strength=strength,
                scale=scale if scale > 1 else None,
                cut_detection=cut_detection,
                model=loaded,
                on_progress=_watch(),
            )
        return io.NodeOutput(to_images(made))


class Decode(io.ComfyNode):  # type: ignore[misc]
    """`refvid.decode_latents`."""

    @classmethod
    def define_schema(cls) -> Any:
        return io.Schema(
            node_id="RefvidDecode",
            display_name="refvid: decode",
            category=_CATEGORY,
            description="Decode latents of Wan 2.1 with a clean picture of their scene.",
            inputs=[
                _Model.Input("model", tooltip="wan2.1, or the one that made the latents."),
                io.Latent.Input("latents"),
                _pictures("references", "reference", least=0),
                _frames(),
                _fit(),
                io.Combo.Input(
                    "latent_scale",
                    options=["auto", "raw", "normalized"],
                    default="auto",
                    tooltip="ComfyUI's own nodes give raw latents, those of WanVideoWrapper "
                    "normalized ones. auto tells by the numbers, or asks.",
                ),
                io.Int.Input(
                    "drop_latents",
                    default=0,
                    min=0,
                    max=1000,
                    tooltip="Leave out the first so many, such as the reference latents of VACE.",
                ),
            ],
            outputs=[io.Image.Output(display_name="images")],
        )

    @classmethod
    def execute(
        cls,
        model: _Choice,
        latents: Mapping[str, Any],
        references: Mapping[str, Tensor] | None = None,
        reference_frames: str = "",
        reference_fit: str = "auto",
        latent_scale: str = "auto",
        drop_latents: int = 0,
    ) -> Any:
        samples = latents["samples"]
        videos = len(samples) if samples.ndim == 5 else 1
        with model.load() as loaded:
            made = [
                decode_latents(
                    samples,
                    ref=_references(references, reference_frames),
                    ref_fit=cast("Any", reference_fit),
                    layout="bcthw" if samples.ndim == 5 else "cthw",
                    latent_scale=cast("Any", None if latent_scale == "auto" else latent_scale),
                    drop_latents=drop_latents,
                    item=item,
                    bit_depth=16,
                    model=loaded,
                    on_progress=_watch(item, videos),
                )
                for item in range(videos)
            ]
        # As ComfyUI's own decoder does, videos of a batch come one after the other.
        return io.NodeOutput(to_images(*made))


class RefvidExtension(ComfyExtension):  # type: ignore[misc]
    """What ComfyUI asks for nodes."""

    async def get_node_list(self) -> list[type[Any]]:
        return [LoadModel, Enhance, Stylize, Decode]


async def comfy_entrypoint() -> RefvidExtension:
    """Give ComfyUI the nodes."""
    return RefvidExtension()


def to_frames(images: Tensor) -> Pixels:
    """ComfyUI's images (T, H, W, 3 or more) from 0 to 1 -> (T, H, W, 3) uint16."""
    frames = np.empty((*images.shape[:3], 3), np.uint16)
    for frame, image in zip(frames, images, strict=True):  # one by one: a clip may be large
        colors = image[..., :3].to("cpu", torch.float32).nan_to_num().clamp(0, 1)
        frame[:] = (colors * _LARGEST).round().numpy()
    return frames


def to_images(*clips: Pixels) -> Tensor:
    """Clips (T, H, W, 3) uint16 of one size -> ComfyUI's images, one after the other."""
    images = torch.empty((sum(map(len, clips)), *clips[0].shape[1:]))
    for image, frame in zip(images, (frame for clip in clips for frame in clip), strict=True):
        image.copy_(torch.from_numpy(frame.astype(np.float32) / _LARGEST))
    return images


def _list(pictures: Mapping[str, Tensor]) -> list[Pixels]:
    """All pictures of a growing input; each of its slots may bring several."""
    return [frame for images in pictures.values() for frame in to_frames(images)]


def _references(
    pictures: Mapping[str, Tensor] | None, frames: str
) -> list[Pixels | tuple[Pixels, int]]:
    """The references, each with the frame that it belongs to where there is one."""
    given = _list(pictures or {})
    words = [word.strip() for word in frames.split(",")] if frames.strip() else []
    if not words:
        return [*given]
    if len(words) != len(given) or not all(word.isdecimal() for word in words):
        raise OptionError(
            f"reference_frames has a number for each of the {len(given)} references, such as "
            f"0, 40; or none: {frames!r}."
        )
    return list(zip(given, map(int, words), strict=True))


def _watch(item: int = 0, items: int = 1) -> ProgressCallback:
    """Show the progress of one of several videos, and stop where the user asks for it."""
    bar = ProgressBar(1)

    def on_progress(progress: Progress) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        assert progress.total is not None, "frames in memory are counted"
        bar.update_absolute(item * progress.total + progress.done, items * progress.total)

    return on_progress


def _pictures(name: str, prefix: str, *, least: int) -> Any:
    template = io.Autogrow.TemplatePrefix(io.Image.Input(prefix), prefix=prefix, min=least, max=8)
    return io.Autogrow.Input(name, template=template)


def _frames() -> Any:
    return io.String.Input(
        "reference_frames",
        default="",
        optional=True,
        tooltip="The frame that each reference belongs to, such as 0, 40; empty: the whole clip.",
    )


def _fit() -> Any:
    return io.Combo.Input(
        "reference_fit",
        options=["auto", "cover", "contain", "stretch"],
        default="auto",
        tooltip="How a reference of another shape meets the frames; auto finds its place.",
    )


def _strength() -> Any:
    return io.Float.Input(
        "strength", default=1.0, min=0.0, max=1.0, step=0.05, tooltip="0 gives the images back."
    )


def _scale() -> Any:
    return io.Int.Input("scale", default=1, min=1, max=4, tooltip="Enlarge so many times.")


def _cut_detection() -> Any:
    return io.Boolean.Input("cut_detection", default=True, tooltip="Begin anew at shot cuts.")
