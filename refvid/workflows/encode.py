"""`refvid encode`: video -> latents, for `refvid decode` and for other programs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from refvid import __version__
from refvid.errors import InputError, OptionError
from refvid.inference.chunks import Chunk, count_chunks, pad_length, split_into_chunks
from refvid.inference.memory import Budget
from refvid.inference.pixels import frames_to_clip, pad_clip, padded_size
from refvid.inference.reconstruct import ShotState, check_numbers, work_within_budget
from refvid.latents.write import LatentWriter
from refvid.media.partial_file import check_target
from refvid.media.reader import Frame, open_video
from refvid.media.video_info import VideoInfo, read_video_info
from refvid.workflows.choose_model import LoadedBackbone, choose_backbone
from refvid.workflows.encode_options import EncodeOptions
from refvid.workflows.pipeline import CheckStop, run_pipeline
from refvid.workflows.plan import (
    out_of_memory_errors,
    plain_fields,
    plan_memory,
    refuse_independent_chunks,
)
from refvid.workflows.progress import Progress, ProgressCallback, ignore_progress
from refvid.workflows.rebuild_plan import check_dynamic_range, count_frames

__all__ = [
    "EncodeOptions",
    "EncodePlan",
    "EncodeReport",
    "choose_backbone",
    "encode",
    "plan_encode",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodePlan:
    """What a run would do (`--dry-run`)."""

    source: Path
    output: Path
    frames: int | None
    """An estimate where the container does not tell it exactly; None where it is unknown."""

    width: int
    height: int
    frame_rate: str | None
    model: str
    model_reason: str
    device: str
    dtype: str
    chunk: int
    """Frames per model call."""

    chunks: int | None
    memory_bytes: int
    """Estimated peak working memory of the model [bytes]."""

    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return plain_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeReport:
    """What a run did."""

    plan: EncodePlan
    frames: int
    latent_frames: int
    seconds: float
    bytes_written: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**plain_fields(self), "plan": self.plan.to_json()}


def plan_encode(options: EncodeOptions, loaded: LoadedBackbone) -> EncodePlan:
    """Tell what `encode` would do, and raise what it would raise before its first frame."""
    return _prepare(options, loaded)[0]


def encode(
    options: EncodeOptions,
    loaded: LoadedBackbone,
    on_progress: ProgressCallback = ignore_progress,
) -> EncodeReport:
    """Encode one video as a single shot, as pipelines do.

    Memory does not grow with the video. The output appears under its name when it is whole.

    Raises:
        InputError: The source cannot be read, or is HDR and not allowed.
        OutputError: The output cannot be written.
        OptionError: Options are impossible for this input or model.
        OutOfMemory: It does not fit, even in the shortest chunks.
    """
    started = time.monotonic()
    plan, info, budget = _prepare(options, loaded)
    encoder = _Encoder(loaded, budget)
    part = options.range
    frames = latent_frames = 0
    with (
        open_video(
            options.source,
            start=part.start,
            end=part.end,
            frames=part.frames,
            rate=options.sequence_rate,
        ) as video,
        LatentWriter(options.output, overwrite=options.overwrite) as output,
    ):

        def read(check_stop: CheckStop) -> Iterator[Chunk[Frame]]:
            def unmarked() -> Iterator[tuple[Frame, bool]]:
                for frame in video:
                    check_stop()
                    yield frame, False

            return split_into_chunks(unmarked(), budget.lengths)

        def write(encoded: tuple[int, Tensor], check_stop: CheckStop) -> None:
            nonlocal frames, latent_frames
            check_stop()
            count, latents = encoded
            output.write(latents)
            frames += count
            latent_frames += latents.shape[2]
            on_progress(Progress(frames, None if plan.frames is None else max(plan.frames, frames)))

        run_pipeline(read, encoder.encode, write)
        output.metadata.update(_metadata(loaded, info, frames, latent_frames, encoder.channels))
        output.metadata.update(_chunk_metadata(loaded, budget))
    return EncodeReport(
        plan=plan,
        frames=frames,
        latent_frames=latent_frames,
        seconds=time.monotonic() - started,
        bytes_written=options.output.stat().st_size,
    )


class _Encoder:
    """Takes chunks of frames through the model, with the state that it carries."""

    def __init__(self, loaded: LoadedBackbone, budget: Budget) -> None:
        self.channels = 0
        self._loaded = loaded
        self._budget = budget
        self._state: ShotState | None = None

    @torch.inference_mode()
    def encode(self, chunk: Chunk[Frame]) -> tuple[int, Tensor]:
        """Give the number of frames that are final, and the chunk's latents (1, C, t, h, w)."""
        backbone = self._loaded.backbone
        with out_of_memory_errors():
            clip = frames_to_clip([frame.pixels for frame in chunk.frames], self._loaded.device)
            frames, height, width = clip.shape[2:]

            def step(
                position: int, length: int, state: ShotState | None, _tile: int | None
            ) -> tuple[Tensor, ShotState]:
                part = clip[:, :, position : position + length]
                whole = pad_length(length, state is None, backbone.limits)
                encoded = backbone.encode(
                    pad_clip(part, backbone.limits, whole), state.encoder if state else None
                )
                check_numbers(backbone, encoded.latents)
                return encoded.latents.to(torch.float32), ShotState(encoded.state, None)

            result = work_within_budget(
                step,
                backbone,
                frames,
                (height, width),
                self._state,
                self._budget,
                clip.device,
                stride=backbone.limits.temporal_stride,
            )
        self._state, self._budget = result.state, result.budget
        self.channels = result.clip.shape[1]
        return len(chunk.final), result.clip.cpu()


def _prepare(
    options: EncodeOptions, loaded: LoadedBackbone
) -> tuple[EncodePlan, VideoInfo, Budget]:
    info = read_video_info(options.source, rate=options.sequence_rate)
    check_dynamic_range(info, options.hdr)
    refuse_independent_chunks(loaded)
    if options.output.exists() and options.output.samefile(options.source):
        raise OptionError(f"The output {options.output} is also the input: give another.")
    check_target(options.output, overwrite=options.overwrite)
    frames = count_frames(info, options.range)
    budget, memory_bytes, notes = plan_memory(
        options.model, loaded, info.path, info.height, info.width
    )
    if info.is_variable_rate:
        notes.append("latents have no timestamps: the variable frame rate becomes its average")
    if info.audio or info.subtitles:
        notes.append("latents hold no sound or subtitles")
    plan = EncodePlan(
        source=options.source,
        output=options.output,
        frames=frames,
        width=info.width,
        height=info.height,
        frame_rate=None if info.frame_rate is None else str(info.frame_rate),
        model=loaded.name,
        model_reason=loaded.reason,
        device=str(loaded.device),
        dtype=loaded.dtype_name,
        chunk=budget.lengths.longest,
        chunks=None if frames is None else count_chunks(frames, budget.lengths),
        memory_bytes=memory_bytes,
        notes=tuple(notes),
    )
    return plan, info, budget


def _metadata(
    loaded: LoadedBackbone, info: VideoInfo, frames: int, latent_frames: int, channels: int
) -> dict[str, str]:
    """What `refvid.latents.write` documents."""
    if latent_frames == 0:
        raise InputError(f"{info.path} has no frames in the range asked for.")
    limits = loaded.backbone.limits
    tall, wide = padded_size(info.height, info.width, limits)
    values = {
        "refvid": __version__,
        "backbone": loaded.name,
        "scale": "raw",
        "frames": frames,
        "width": info.width,
        "height": info.height,
        "padded_width": wide,
        "padded_height": tall,
        "channels": channels,
        "temporal_stride": limits.temporal_stride,
        "first_chunk_extra": limits.first_chunk_extra,
        "bit_depth": info.bit_depth,
        "source": info.path.name,
        "primaries": info.color.primaries,
        "transfer": info.color.transfer,
    }
    if info.frame_rate is not None:
        values["frame_rate"] = info.frame_rate
    return {name: str(value) for name, value in values.items()}


def _chunk_metadata(loaded: LoadedBackbone, budget: Budget) -> dict[str, str]:
    """How the latents were cut, where each chunk must be decoded as it was encoded."""
    limits, lengths = loaded.backbone.limits, budget.lengths
    if not limits.overlap:
        return {}
    return {
        "chunk_latents": str(lengths.following // limits.temporal_stride),
        "overlap_latents": str(lengths.overlap // limits.temporal_stride),
    }
