"""Frames in memory in another look, as `stylize` takes those of a file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

from refvid.errors import OptionError
from refvid.media.color import ColorInfo, luma_weights
from refvid.models.backbone import StyleBackbone
from refvid.progress import ProgressCallback, ignore_progress
from refvid.rebuild.canvas import Canvas
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.frames import check_pixels, rebuild_frames
from refvid.rebuild.lightness import keep_chroma
from refvid.rebuild.memory import plan_memory
from refvid.rebuild.options import RebuildOptions, check_structure, check_style_scale
from refvid.rebuild.out_of_memory import out_of_memory_errors
from refvid.rebuild.pixels import Pixels
from refvid.rebuild.references import Conditions
from refvid.rebuild.style import prepare_styles
from refvid.rebuild.stylize import fit_style


def stylize_frames(
    frames: Pixels,
    styles: Sequence[tuple[Pixels, float]],
    options: RebuildOptions,
    loaded: LoadedBackbone,
    on_progress: ProgressCallback = ignore_progress,
    *,
    style_scale: float = 1.0,
    structure: float = 0.5,
    preserve_color: bool = False,
) -> Pixels:
    """Restyle frames in memory, as `stylize` does those of a file of images.

    Args:
        frames: (T, H, W, 3) RGB, uint8 or uint16 at full scale.
        styles: Images (h, w, 3), likewise, with their weights.
        options: `strength`, `cut_detection` and `enlargement` count.
        loaded: The model.
        on_progress: Told how many frames are done.
        style_scale: See `Styles`, as for the next.
        preserve_color: Keep the colours of the frames.

    Returns:
        Frames of the same type, and of the same shape but for `options.enlargement`.

    Raises:
        OptionError: These are no frames or styles, or an option is impossible.
        OutOfMemory: It does not fit, even in the smallest chunks and tiles.
    """
    check_pixels(frames, 4, "frames are (T, H, W, 3)")
    if not styles:
        raise OptionError("There is no style: give a style image.")
    check_style_scale(style_scale)
    check_structure(structure)
    for image, _ in styles:
        check_pixels(image, 3, "a style is (H, W, 3)")
    width, height = size = options.enlargement.size_of(frames.shape[2], frames.shape[1])
    memory = plan_memory(loaded, "the frames", height, width)
    conditions = Conditions()
    if options.strength > 0:
        fitted = [(fit_style(image, size, style_scale), weight) for image, weight in styles]
        backbone = cast("StyleBackbone", loaded.backbone)  # no other is chosen
        weights = luma_weights(ColorInfo(), frames.shape[1])
        with out_of_memory_errors():
            conditions = Conditions(
                reference=prepare_styles(backbone, fitted, (), loaded.device, structure),
                finish=partial(keep_chroma, weights=weights) if preserve_color else None,
            )
    rebuilt, _ = rebuild_frames(
        loaded,
        frames,
        conditions,
        memory.budget,
        canvas=Canvas(size=size),
        strength=options.strength,
        cut_detection=options.cut_detection,
        on_progress=on_progress,
    )
    return rebuilt
