"""File -> latents: which tensor, which axes, which scale, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from refvid.errors import InputError
from refvid.latents.layout import Decision, decide_layout, to_bcthw
from refvid.latents.measure import Measures, measure
from refvid.latents.own_facts import OwnFacts
from refvid.latents.producers import FORMAT, Producer, identify_producer
from refvid.latents.scale import decide_scale
from refvid.latents.tensor_file import Entry, TensorFile, open_tensor_file
from refvid.latents.wan import (
    CHANNELS,
    OTHER_MODELS,
    SPATIAL_STRIDE,
    TEMPORAL_STRIDE,
    to_raw,
)
from refvid.latents.wishes import LatentWishes
from refvid.models.registry import VIDEOVAE_PLUS, WAN

_KEYS: Final = ("latent_tensor", "latents", "latent", "samples", "frames")
_PREFIX: Final = "latents_"
_MOST_SIDE: Final = 1024
_HIGHEST_RATE: Final = 1000
_SHOWN_KEYS: Final = 8
_IMPOSSIBLE_VALUE: Final = 1e4
_STRANGE_VALUE: Final = 60.0
_NOISE_CORRELATION: Final = 0.1


class LatentChunk(NamedTuple):
    """What goes through the decoder at once."""

    latents: Tensor
    """(1, C, t, h, w) float32, raw."""

    shared: int
    """Latent frames at its start that stand for the same frames as the last ones before it."""

    held_back: int
    """Latent frames at its end that the next chunk shares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latents:
    """One video's latents in a file, still on the disk where the format allows."""

    path: Path
    container: str
    key: str
    saved_shape: tuple[int, ...]
    dtype: str
    backbone: str
    """Name of the backbone whose latents these are."""

    backbone_reason: str
    producer: str | None
    layout: Decision
    scale: Decision
    items: int
    measures: Measures
    tensor: Tensor = field(repr=False)
    """(C, T, h, w) of any float type, as saved; mapped from the disk."""

    width: int
    """Of the frames, as shown [pixels]."""

    height: int
    padded_width: int
    """Of what the decoder gives [pixels]."""

    padded_height: int
    frames: int
    temporal_stride: int
    chunk_latents: int
    """Latent frames of each stored chunk, where a model's chunks stand alone; 0: one sequence."""

    overlap_latents: int
    """Latent frames that a stored chunk shares with the one before it; both are stored."""

    frame_rate: Fraction | None
    image_name: str | None
    metadata: dict[str, str]
    warnings: tuple[str, ...]

    @property
    def length(self) -> int:
        """Number of latent frames."""
        return self.tensor.shape[1]

    def check(self) -> None:
        """Refuse what cannot be decoded.

        Raises:
            InputError: A decision is open, or values are no numbers.
        """
        if self.measures.bad_values:
            raise InputError(
                f"{self.path}: {self.measures.bad_values} values are NaN or infinite. The program "
                "that made these latents failed, often for want of precision: make them again, "
                "there in bf16 or fp32."
            )
        if max(abs(self.measures.lowest), abs(self.measures.highest)) > _IMPOSSIBLE_VALUE:
            raise InputError(
                f"{self.path}: the values go from {self.measures.lowest:.3g} to "
                f"{self.measures.highest:.3g}, which no latents do."
            )
        if self.layout.value is None:
            raise InputError(
                f"{self.path}: {self.layout.reason}. Say which with --layout bcthw or btchw."
            )
        if self.scale.value is None:
            raise InputError(
                f"{self.path}: whether these latents are raw or normalised is not clear "
                f"({self.scale.reason}; margin {_signed(self.scale.margin)}). Say it with "
                "--latent-scale: pipelines save normalized ones, ComfyUI's SaveLatent raw ones."
            )

    def read(self, start: int, stop: int) -> Tensor:
        """Load latent frames as raw latents.

        Returns:
            (1, C, stop - start, h, w) float32.
        """
        piece = self.tensor[None, :, start:stop].to(torch.float32)
        return to_raw(piece) if self.scale.value == "normalized" else piece.clone()

    def chunks(self, first: int, following: int, overlap: int = 0) -> Iterator[LatentChunk]:
        """Load all latents, so many at a time; as they were encoded, where chunks stand alone.

        Args:
            first: Latent frames of the first chunk.
            following: Of every later one, what it shares included.
            overlap: What a later chunk shares with the one before it.
        """
        stored = self.chunk_latents
        if stored:
            first, following, overlap = stored, stored, self.overlap_latents
        start = shared = 0
        while start < self.length:
            stop = min(start + (following if start else first), self.length)
            held_back = overlap if stop < self.length else 0
            yield LatentChunk(self.read(start, stop), shared, held_back)
            # Stored chunks hold what they share themselves.
            start = stop if stored else stop - held_back
            shared = held_back

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "path": str(self.path),
            "kind": "latents",
            "container": self.container,
            "key": self.key,
            "shape": list(self.saved_shape),
            "dtype": self.dtype,
            "backbone": self.backbone,
            "backbone_reason": self.backbone_reason,
            "producer": self.producer,
            "layout": self.layout.value,
            "layout_reason": self.layout.reason,
            "layout_margin": _rounded(self.layout.margin),
            "scale": self.scale.value,
            "scale_reason": self.scale.reason,
            "scale_margin": _rounded(self.scale.margin),
            "videos": self.items,
            "latent_frames": self.length,
            "chunk_latents": self.chunk_latents or None,
            "overlap_latents": self.overlap_latents if self.chunk_latents else None,
            "frames": self.frames,
            "width": self.width,
            "height": self.height,
            "frame_rate": None if self.frame_rate is None else str(self.frame_rate),
            "image_name": self.image_name,
            "mean": _rounded(self.measures.mean),
            "std": _rounded(self.measures.std),
            "lowest": _rounded(self.measures.lowest),
            "highest": _rounded(self.measures.highest),
            "bad_values": self.measures.bad_values,
            "time_correlation": _rounded(self.measures.time_correlation),
            "warnings": list(self.warnings),
        }


def recognise_latents(path: Path, wishes: LatentWishes | None = None) -> Latents:
    """Find the latents in a file, and decide what the file leaves open.

    What cannot be decided is left open in the result, so that it can be shown; `Latents.check`
    refuses it.

    Raises:
        InputError: The file is damaged or hostile, or holds no latents that refvid knows.
    """
    wishes = wishes or LatentWishes()
    file = open_tensor_file(path)
    key = _choose_key(file, wishes.key)
    producer = identify_producer(file, key)
    entry = file.entries[key]
    facts = OwnFacts.of(file) if producer is not None and producer.name == "refvid" else None
    _check_entry(path, key, entry)
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
        scale=decide_scale(wishes, producer, backbone, measures),
        items=items,
        measures=measures,
        tensor=tensor,
        **_shown_size(tensor, facts, backbone, wishes.drop),
        chunk_latents=facts.chunk_latents if facts else 0,
        overlap_latents=facts.overlap_latents if facts else 0,
        frame_rate=_frame_rate(file.metadata),
        image_name=_text(file.metadata, "image_name"),
        metadata={name: str(value) for name, value in file.metadata.items()},
        warnings=tuple(_warnings(file, producer, tensor, items, wishes, measures)),
    )


def read_backbone_name(path: Path) -> str:
    """Tell which backbone a file of latents is for, without looking at its numbers.

    Raises:
        InputError: The file is damaged or hostile.
    """
    file = open_tensor_file(path)
    name = file.metadata.get("backbone")
    return name if file.metadata.get("format") == FORMAT and isinstance(name, str) else WAN


def _choose_key(file: TensorFile, asked: str | None) -> str:
    entries = file.entries
    if asked is not None:
        if asked not in entries:
            raise InputError(f"{file.path} has no tensor {asked!r}. {_list_keys(file)}")
        return asked
    if "" in entries:
        return ""
    for name in _KEYS:
        # Also one level down, as in {"latent": {"samples": ...}}.
        for key in (name, f"{name}.samples", f"{name}.latents"):
            if key in entries:
                return key
    prefixed = [key for key in entries if key.startswith((_PREFIX, "latent_tensor_"))]
    if len(prefixed) == 1:
        return prefixed[0]
    likely = [
        key
        for key, entry in entries.items()
        if entry.is_float and len(entry.shape) in (4, 5) and CHANNELS in entry.shape[-4:-2]
    ]
    if len(likely) == 1 and not prefixed:
        return likely[0]
    problem = "holds several tensors that may be latents" if likely else "holds no Wan latents"
    hint = " Choose one with --key." if likely else ""
    others = {
        OTHER_MODELS[side]
        for entry in entries.values()
        if entry.is_float and len(entry.shape) == 5
        for side in entry.shape[1:3]
        if side in OTHER_MODELS
    }
    if len(entries) == 1 and not likely and others:
        problem += f", it looks like {min(others)}"
    raise InputError(f"{file.path} {problem}. {_list_keys(file)}{hint}")


def _list_keys(file: TensorFile) -> str:
    if not file.entries:
        return "It holds no tensors."
    shown = [
        f"{key or '(bare)'} {list(entry.shape)}"
        for key, entry in list(file.entries.items())[:_SHOWN_KEYS]
    ]
    more = len(file.entries) - len(shown)
    return f"It holds {', '.join(shown)}{f' and {more} more' if more else ''}."


def _check_entry(path: Path, key: str, entry: Entry) -> None:
    name = f"{path}: {key}" if key else str(path)
    if not entry.is_float:
        raise InputError(f"{name} holds {entry.dtype}, but latents are floating-point numbers.")
    if len(entry.shape) not in (4, 5):
        raise InputError(
            f"{name} has the shape {list(entry.shape)}: video latents have 4 or 5 axes, such as "
            "[1, 16, 21, 60, 104]."
        )
    if math.prod(entry.shape) == 0:
        raise InputError(f"{name} is empty: its shape is {list(entry.shape)}.")
    if max(entry.shape[-2:]) > _MOST_SIDE:
        raise InputError(
            f"{name} has the shape {list(entry.shape)}, whose frames would be "
            f"{entry.shape[-1] * SPATIAL_STRIDE}x{entry.shape[-2] * SPATIAL_STRIDE} pixels."
        )


def _choose_item(path: Path, items: int, asked: int | None) -> int:
    if asked is None:
        return 0
    if asked >= items:
        raise InputError(f"{path} holds {items} videos: there is no number {asked} (from 0).")
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
) -> Iterator[str]:
    if items > 1 and wishes.item is None:
        yield f"there are {items} videos in it: this is number 0, --item chooses another"
    if measures.bad_values:
        yield f"{measures.bad_values} values are NaN or infinite"
    elif measures.std < 1e-3:
        yield "the values hardly differ: this decodes to a flat picture"
    elif max(abs(measures.lowest), abs(measures.highest)) > _STRANGE_VALUE:
        yield f"the largest values ({measures.lowest:.3g} to {measures.highest:.3g}) are unusual"
    correlation = measures.time_correlation
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


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4)


def _signed(value: float | None) -> str:
    return "unknown" if value is None else f"{value:+.3f}"
