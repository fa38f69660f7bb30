"""File -> latents: whose they are, which axes, which scale, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from refvid.errors import InputError
from refvid.latents.choose_tensor import check_entry, choose_key
from refvid.latents.latents import Latents
from refvid.latents.layout import Decision, decide_layout, to_bcthw
from refvid.latents.measure import Measures, measure
from refvid.latents.own_facts import OwnFacts
from refvid.latents.producers import FORMAT, Producer, identify_producer
from refvid.latents.scale import decide_scale, scale_warning
from refvid.latents.tensor_file import TensorFile, open_tensor_file
from refvid.latents.wan import CHANNELS, SPATIAL_STRIDE, TEMPORAL_STRIDE
from refvid.latents.wishes import LatentWishes
from refvid.models.registry import VIDEOVAE_PLUS, WAN
from refvid.wording import counted

_HIGHEST_RATE: Final = 1000
_STRANGE_VALUE: Final = 60.0
_NOISE_CORRELATION: Final = 0.1


def recognise_latents(path: Path, wishes: LatentWishes | None = None) -> Latents:
    """Find the latents in a file, and decide what the file leaves open.

    What cannot be decided is left open in the result, so that it can be shown; `Latents.check`
    refuses it.

    Raises:
        InputError: The file is damaged or hostile, or holds no latents that refvid knows.
    """
    return recognise_in(open_tensor_file(path), wishes or LatentWishes())


def recognise_in(file: TensorFile, wishes: LatentWishes) -> Latents:
    """Do the same with a file that is open, or with what stands for one."""
    path, key = file.path, choose_key(file, wishes.key)
    producer = identify_producer(file, key)
    entry = file.entries[key]
    facts = OwnFacts.of(file) if producer is not None and producer.is_own else None
    check_entry(path, key, entry)
    saved = entry.load()
    known = producer.name if producer is not None and producer.is_channels_first else None
    channels = facts.channels if facts else CHANNELS
    try:
        layout = decide_layout(saved, channels, asked=wishes.layout, known=known)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    # An open layout is shown with the usual order.
    whole = to_bcthw(saved, layout.value or "bcthw")
    items = whole.shape[0]
    if facts and facts.chunk_latents and wishes.drop:
        raise InputError(f"{path} holds chunks that overlap: none of its latents can be dropped.")
    tensor = _drop(path, whole[_choose_item(path, items, wishes.item)], wishes.drop)
    measures = measure(tensor)
    backbone, backbone_reason = _decide_backbone(facts, producer, wishes)
    scale = decide_scale(wishes, producer, backbone, measures)
    return Latents(
        path=path,
        container=file.container,
        key=key,
        saved_shape=entry.shape,
        dtype=entry.dtype,
        backbone=backbone,
        backbone_reason=backbone_reason,
        producer=None if producer is None else producer.name,
        layout=layout,
        scale=scale,
        items=items,
        measures=measures,
        tensor=tensor,
        **_shown_size(tensor, facts, backbone, wishes.drop),
        chunk_latents=facts.chunk_latents if facts else 0,
        overlap_latents=facts.overlap_latents if facts else 0,
        frame_rate=_frame_rate(file.metadata),
        image_name=_text(file.metadata, "image_name"),
        metadata={name: str(value) for name, value in file.metadata.items()},
        warnings=tuple(_warnings(file, producer, tensor, items, wishes, measures, scale)),
    )


def read_backbone_name(path: Path) -> str:
    """Tell which backbone a file of latents is for, without looking at its numbers.

    Raises:
        InputError: The file is damaged or hostile.
    """
    file = open_tensor_file(path)
    name = file.metadata.get("backbone")
    return name if file.metadata.get("format") == FORMAT and isinstance(name, str) else WAN


def _choose_item(path: Path, items: int, asked: int | None) -> int:
    if asked is None:
        return 0
    if asked >= items:
        raise InputError(
            f"{path} holds {counted(items, 'video')}: there is no number {asked} (from 0)."
        )
    return asked


def _drop(path: Path, tensor: Tensor, count: int) -> Tensor:
    if count >= tensor.shape[1]:
        raise InputError(
            f"{path} has {tensor.shape[1]} latent frames: none is left after dropping {count}."
        )
    return tensor[:, count:]


def _decide_backbone(
    facts: OwnFacts | None, producer: Producer | None, wishes: LatentWishes
) -> tuple[str, str]:
    """Name of the backbone, and why: two of them have 16 channels, and nothing tells them apart."""
    if facts is not None:
        return facts.backbone, "refvid noted it in the file"
    if wishes.backbone == VIDEOVAE_PLUS:
        return VIDEOVAE_PLUS, "as asked; the file does not say"
    if producer is not None:
        return WAN, f"what {producer.name} saves"
    return WAN, (
        "the usual one of those with 16 channels; the file does not say. If it is VideoVAE+, "
        f"use --model {VIDEOVAE_PLUS}"
    )


def _shown_size(
    tensor: Tensor, facts: OwnFacts | None, backbone: str, dropped: int
) -> dict[str, int]:
    length, height, width = tensor.shape[1:]
    if facts is None:
        tall, wide = height * SPATIAL_STRIDE, width * SPATIAL_STRIDE
        return {
            "width": wide,
            "height": tall,
            "padded_width": wide,
            "padded_height": tall,
            # Wan's first latent frame stands for one frame.
            "frames": length * TEMPORAL_STRIDE - (TEMPORAL_STRIDE - 1 if backbone == WAN else 0),
            "temporal_stride": TEMPORAL_STRIDE,
        }
    extra, stride = facts.first_chunk_extra, facts.temporal_stride
    length = facts.distinct(length)
    padding = extra + (length + dropped - extra) * stride - facts.frames
    return {
        "width": facts.width,
        "height": facts.height,
        "padded_width": facts.padded_width,
        "padded_height": facts.padded_height,
        "frames": max(1, extra + (length - extra) * stride - padding),
        "temporal_stride": stride,
    }


def _frame_rate(metadata: dict[str, Any]) -> Fraction | None:
    for name in ("frame_rate", "fps"):
        value = metadata.get(name)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            continue
        try:
            rate = Fraction(str(value)[:40]).limit_denominator(100_000)
        except (ValueError, ZeroDivisionError, OverflowError):
            continue
        if 0 < rate <= _HIGHEST_RATE:
            return rate
    return None


def _text(metadata: dict[str, Any], name: str) -> str | None:
    value = metadata.get(name)
    return value if isinstance(value, str) and value else None


def _warnings(
    file: TensorFile,
    producer: Producer | None,
    tensor: Tensor,
    items: int,
    wishes: LatentWishes,
    measures: Measures,
    scale: Decision,
) -> Iterator[str]:
    if (warning := scale_warning(scale, producer)) is not None:
        yield warning
    if items > 1 and wishes.item is None:
        yield f"there are {items} videos in it: this is number 0, --item chooses another"
    if measures.bad_values:
        yield f"{measures.bad_values} values are NaN or infinite"
    elif measures.std < 1e-3:
        yield "the values hardly differ: this decodes to a flat picture"
    elif max(abs(measures.lowest), abs(measures.highest)) > _STRANGE_VALUE:
        yield f"the largest values ({measures.lowest:.3g} to {measures.highest:.3g}) are unusual"
    # What refvid encoded itself was a video.
    correlation = None if producer is not None and producer.is_own else measures.time_correlation
    if correlation is not None and abs(correlation) < _NOISE_CORRELATION and measures.std > 1e-3:
        yield (
            "neighbouring latents have nothing in common: they look like noise, perhaps saved "
            "before the last sampling step"
        )
    is_comfy = producer is not None and producer.name == "ComfyUI"
    if is_comfy and "latent_format_version_0" not in file.entries:
        yield "an old ComfyUI wrote it, or another program: it has no format version"
    height, width = file.metadata.get("height"), file.metadata.get("width")
    if isinstance(height, int) and isinstance(width, int):
        shown = (tensor.shape[2] * SPATIAL_STRIDE, tensor.shape[3] * SPATIAL_STRIDE)
        if (height, width) != shown:
            yield f"the file says {width}x{height}, but it decodes to {shown[1]}x{shown[0]}"
