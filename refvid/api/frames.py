"""Frames and latents in memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from refvid.api.arrays import as_array, is_array
from refvid.api.keywords import File
from refvid.api.models import use_model
from refvid.errors import InputError, OptionError
from refvid.models.registry import MINI_STYLE, WAN
from refvid.progress import ProgressCallback, ignore_progress
from refvid.words import parse_enlargement, parse_reference, parse_style

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from refvid.api.arrays import Held
    from refvid.latents.wishes import Layout, Scale
    from refvid.rebuild.choose_backbone import LoadedBackbone
    from refvid.rebuild.pixels import Pixels
    from refvid.rebuild.reference_feed import GivenReference
    from refvid.rebuild.reference_options import ReferenceFit

    Reference = File | Held | tuple[Held, int]

_FRAMES: Final = "frames are (T, H, W, 3)"


def enhance_frames(
    frames: Held,
    *,
    ref: Reference | Iterable[Reference] | None = None,
    ref_video: Held | None = None,
    mask: Held | None = None,
    ref_fit: ReferenceFit = "auto",
    strength: float = 1.0,
    cut_detection: bool = True,
    scale: int | None = None,
    size: str | None = None,
    model: File | LoadedBackbone = "auto",
    on_progress: ProgressCallback = ignore_progress,
) -> Pixels:
    """Rebuild frames in memory, as `enhance` does those of a file.

    Args:
        frames: (T, H, W, 3) RGB, uint8 or uint16 at full scale: an array, or a PyTorch tensor, or
            a list of pictures (H, W, 3), also of PIL.
        ref: (h, w, 3) likewise, or a tuple of that and the frame that it belongs to; or an image
            file, with its place as `b.png@40` if it has one; or one of the frames as `frame:N`; or
            a list of them.
        ref_video: (T, h, w, 3) likewise: another recording of the same moments, as the original of
            edited frames is.
        mask: (H, W) or (T, H, W), booleans or 0 to the type's largest value: where the frames show
            something else than that one; None finds it from the difference.
        ref_fit: See `enhance`, as for the others.

    Returns:
        (T, H, W, 3) RGB of the type of `frames`, in their size but for `scale` and `size`.

    Raises:
        OptionError: These are no frames, or options are impossible.
        InputError: The reference is missing or damaged, or there is no such frame.
        CheckpointError, DeviceError: See `enhance`.
    """
    from refvid.rebuild import frames as work
    from refvid.rebuild.frames import check_pixels
    from refvid.rebuild.options import RebuildOptions
    from refvid.rebuild.reference_options import References

    frames = as_array(frames, _FRAMES)
    options = RebuildOptions(
        strength=strength,
        cut_detection=cut_detection,
        enlargement=parse_enlargement(scale, size),
    )
    fit = References(fit=ref_fit).fit
    if mask is not None and ref_video is None:
        raise OptionError("a mask tells where a reference video does not count: give ref_video")
    check_pixels(frames, 4, _FRAMES)
    if ref_video is not None:
        ref_video = as_array(ref_video, "a reference video is (T, h, w, 3)")
    if mask is not None:
        mask = as_array(mask, "a mask is (H, W) or (T, H, W)")
    given = [_find_picture(frames, one) for one in _several_pictures(ref)]
    loaded = use_model(model, strength=strength)
    return work.enhance_frames(
        frames, given, options, loaded, on_progress, fit=fit, original=ref_video, mask=mask
    )


def stylize_frames(
    frames: Held,
    *,
    style: File | Held | Iterable[File | Held],
    style_scale: float = 1.0,
    structure: float = 0.5,
    preserve_color: bool = False,
    strength: float = 1.0,
    cut_detection: bool = True,
    scale: int | None = None,
    size: str | None = None,
    model: File | LoadedBackbone = MINI_STYLE,
    on_progress: ProgressCallback = ignore_progress,
) -> Pixels:
    """Restyle frames in memory, as `stylize` does those of a file.

    Args:
        frames: As for `enhance_frames`.
        style: A painting, (h, w, 3) likewise or a file as for `stylize`, or several.
        style_scale: See `stylize`, as for the others.

    Returns:
        (T, H, W, 3) RGB of the type of `frames`, in their size but for `scale` and `size`.

    Raises:
        OptionError: These are no frames or paintings, or options are impossible.
        InputError: A painting is missing or damaged.
        CheckpointError, DeviceError: See `enhance`.
    """
    from refvid.rebuild.frames import check_pixels
    from refvid.rebuild.options import RebuildOptions
    from refvid.rebuild.stylized_frames import stylize_frames as work

    frames = as_array(frames, _FRAMES)
    check_pixels(frames, 4, _FRAMES)
    options = RebuildOptions(
        strength=strength,
        cut_detection=cut_detection,
        enlargement=parse_enlargement(scale, size),
    )
    styles = [_read_style(one) for one in _list_styles(style)]
    return work(
        frames,
        styles,
        options,
        use_model(model, "style", strength=strength),
        on_progress,
        style_scale=style_scale,
        structure=structure,
        preserve_color=preserve_color,
    )


def decode_latents(
    latents: Tensor | NDArray[Any],
    *,
    ref: Reference | Iterable[Reference] | None = None,
    ref_fit: ReferenceFit = "auto",
    baseline: bool = False,
    layout: Layout | None = None,
    latent_scale: Scale | None = None,
    drop_latents: int = 0,
    item: int | None = None,
    bit_depth: Literal[8, 16] = 8,
    model: File | LoadedBackbone = WAN,
    on_progress: ProgressCallback = ignore_progress,
) -> Pixels:
    """Decode latents in memory, as `decode` does those of a file.

    Args:
        latents: (B, C, t, h, w) or (C, t, h, w) floats of Wan 2.1's VAE or VideoVAE+'s.
        ref: See `enhance_frames`; latents have no frames of their own to take.
        item: Which video of the batch; it must be said where there are several.
        bit_depth: Of the frames: 8 gives uint8, 16 uint16.
        ref_fit: See `decode`, as for the others.

    Returns:
        (T, H, W, 3) RGB.

    Raises:
        InputError: These are no such latents, or it is not clear what they are; or the reference
            is missing or damaged.
        OptionError: Options are impossible.
        CheckpointError, DeviceError: See `enhance`.
    """
    import numpy as np
    import torch

    from refvid.latents.wishes import LatentWishes
    from refvid.rebuild.decoded_frames import decode_latents as work
    from refvid.rebuild.reference_options import References

    if bit_depth not in (8, 16):
        raise OptionError(f"Frames have 8 or 16 bits, not {bit_depth}.")
    if baseline and ref is not None:
        raise OptionError("The plain decoder takes no reference. Leave out one of the two.")
    wishes = LatentWishes(layout=layout, scale=latent_scale, item=item, drop=drop_latents)
    fit = References(fit=ref_fit).fit
    given = [_find_picture(None, one) for one in _several_pictures(ref)]
    what = "latents have 4 or 5 axes, as (B, C, t, h, w), and are floating-point numbers"
    tensor = (
        latents
        if isinstance(latents, torch.Tensor)
        else torch.from_numpy(np.array(as_array(latents, what)))
    )
    if tensor.ndim not in (4, 5) or not tensor.is_floating_point():
        raise InputError(f"{what}, not {tuple(tensor.shape)} of {tensor.dtype}")
    loaded = use_model(model, attention=not baseline)
    return work(
        tensor, given, wishes, loaded, on_progress, fit=fit, baseline=baseline, deep=bit_depth > 8
    )


def _is_picture(value: object) -> bool:
    """Whether it is one picture, and not several."""
    return is_array(value) and getattr(value, "ndim", 3) <= 3  # PIL tells none


def _list_styles(style: File | Held | Iterable[File | Held]) -> list[File | Held]:
    if isinstance(style, str | Path) or _is_picture(style):
        return [cast("File | Held", style)]
    return list(cast("Iterable[File | Held]", style))


def _read_style(style: File | Held) -> tuple[Pixels, float]:
    """A painting and its weight."""
    from refvid.media.srgb import read_srgb

    if not isinstance(style, str | Path):
        return as_array(style, "a painting is (H, W, 3)"), 1.0
    source = parse_style(style)
    return read_srgb(source.image, may_shrink=True), source.weight


def _several_pictures(ref: Reference | Iterable[Reference] | None) -> list[Reference]:
    if ref is None:
        return []
    if isinstance(ref, str | Path | tuple) or _is_picture(ref):
        return [cast("Reference", ref)]
    return list(cast("Iterable[Reference]", ref))


def _find_picture(frames: Pixels | None, ref: Reference) -> GivenReference:
    """A reference for frames in memory, or for those that latents will give."""
    from refvid.media.srgb import read_srgb
    from refvid.rebuild.frames import check_pixels
    from refvid.rebuild.reference_feed import GivenReference

    if not isinstance(ref, str | Path):
        value, frame = ref if isinstance(ref, tuple) else (ref, None)
        pixels = as_array(value, "a reference is (H, W, 3)")
        check_pixels(pixels, 3, "a reference is (H, W, 3)")
        name = "a picture" if frame is None else f"a picture of frame {frame}"
        return GivenReference(name=name, read=lambda: pixels, frame=frame)
    source = parse_reference(ref)
    if source.time is not None:
        raise OptionError(
            "frames in memory have no times: give the reference as frame:N, or as b.png@N"
        )
    if source.image is not None:
        pixels = read_srgb(source.image, may_shrink=True)
    elif frames is None:
        raise OptionError(f"{ref!r} is no image file; latents have no frames to take")
    else:
        assert source.frame is not None, "else it is an image"
        if source.frame >= len(frames):
            raise InputError(f"there is no frame {source.frame}: the last one is {len(frames) - 1}")
        pixels = frames[source.frame]
    return GivenReference(name=source.describe(), read=lambda: pixels, frame=source.frame)
