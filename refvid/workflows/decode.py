"""`refvid decode`: latents that a pipeline saved -> video, with a reference image."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from refvid import __version__
from refvid.checkpoints.transfer import TransferCallback, ignore_transfer
from refvid.errors import InputError, OptionError
from refvid.inference.chunks import ChunkLengths, count_chunks
from refvid.inference.decode import decode_latents
from refvid.inference.memory import Budget
from refvid.inference.overlap import ChunkJoiner
from refvid.inference.pixels import Pixels, clip_to_frames, padded_size
from refvid.inference.reconstruct import ShotState
from refvid.inference.reference import prepare_reference
from refvid.latents.recognise import (
    LatentChunk,
    Latents,
    read_backbone_name,
    recognise_latents,
)
from refvid.latents.wan import DEFAULT_RATE
from refvid.media.color import (
    PRIMARIES_NAMES,
    RANGE_LIMITED,
    TRANSFER_NAMES,
    UNSPECIFIED,
    ColorInfo,
)
from refvid.media.image import fit_image, read_image
from refvid.media.output_plan import plan_output
from refvid.media.partial_file import check_target
from refvid.media.reader import Frame
from refvid.media.sequence import numbered_path
from refvid.media.video_info import VideoInfo
from refvid.media.writer import create_video
from refvid.models.backbone import Backbone
from refvid.workflows.choose_model import LoadedBackbone, choose_backbone
from refvid.workflows.decode_options import DecodeOptions, find_reference
from refvid.workflows.pipeline import CheckStop, run_pipeline
from refvid.workflows.plan import (
    out_of_memory_errors,
    plain_fields,
    plan_memory,
    refuse_independent_chunks,
)
from refvid.workflows.progress import Progress, ProgressCallback, ignore_progress
from refvid.workflows.rebuild_options import ModelOptions

__all__ = [
    "DecodeOptions",
    "DecodePlan",
    "DecodeReport",
    "choose_decoder",
    "decode",
    "plan_decode",
]

logger = logging.getLogger(__name__)

_BT709 = 1
_BT2020 = 9
"""Numbers of H.273. Generated video has no tags of its own: BT.709 is what players show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodePlan:
    """What a run would do (`--dry-run`)."""

    source: Path
    output: Path
    latents: dict[str, Any]
    """What was recognised, and why; see `Latents.to_json`."""

    frames: int
    width: int
    height: int
    frame_rate: str
    frame_rate_reason: str
    model: str
    model_reason: str
    device: str
    dtype: str
    chunk: int
    """Frames per model call."""

    chunks: int
    tile: int | None
    memory_bytes: int
    """Estimated peak working memory of the model [bytes]."""

    codec: str
    pix_fmt: str
    reference: str
    """The image's path, `none`, or `none (plain decoder)`."""

    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return plain_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeReport:
    """What a run did."""

    plan: DecodePlan
    frames: int
    seconds: float
    bytes_written: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**plain_fields(self), "plan": self.plan.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Preparation:
    plan: DecodePlan
    latents: Latents
    info: VideoInfo
    reference: Path | None
    budget: Budget
    frame_rate: Fraction


def choose_decoder(
    options: ModelOptions,
    sources: Sequence[Path],
    on_transfer: TransferCallback = ignore_transfer,
) -> LoadedBackbone:
    """Load the model that the latents are made for, or the one that was asked for.

    Raises:
        InputError: No model is asked for, and no source says which it needs.
        CheckpointError, DeviceError, OptionError: See `choose_backbone`.
    """
    if options.model != "auto" or options.weights is not None:
        return choose_backbone(options, on_transfer)
    failure: InputError | None = None
    for source in sources:
        try:
            name = read_backbone_name(source)
        except InputError as error:
            failure = error
            continue
        loaded = choose_backbone(replace(options, model=name), on_transfer)
        return replace(loaded, reason=f"{source.name} holds its latents")
    assert failure is not None, "there is a source"
    raise failure


def plan_decode(options: DecodeOptions, loaded: LoadedBackbone) -> DecodePlan:
    """Tell what `decode` would do, and raise what it would raise before its first frame."""
    return _prepare(options, loaded).plan


def decode(
    options: DecodeOptions,
    loaded: LoadedBackbone,
    on_progress: ProgressCallback = ignore_progress,
    on_plan: Callable[[DecodePlan], None] = lambda _plan: None,
) -> DecodeReport:
    """Decode one file of latents.

    Reading, computing and writing overlap; at most 3 chunks are alive at once. The output appears
    under its name when it is whole. `on_plan` hears what was decided before the work begins.

    Raises:
        InputError: The latents or the reference cannot be read, are damaged, made for another
            model, or leave open what they are.
        OutputError: The output cannot be written.
        OptionError: Options are impossible for this input or model.
        OutOfMemory: It does not fit, even in the smallest chunks and tiles.
    """
    started = time.monotonic()
    preparation = _prepare(options, loaded)
    latents, plan, budget = preparation.latents, preparation.plan, preparation.budget
    on_plan(plan)
    reference = _prepare_reference(options, loaded, preparation)
    backbone = plain_decoder(loaded.backbone) if options.baseline else loaded.backbone
    decoder = _Decoder(backbone, loaded.device, reference, preparation)
    files: set[Path] = set()
    written = 0
    with create_video(
        options.output,
        like=preparation.info,
        encoding=options.encoding,
        overwrite=options.overwrite,
        provenance={"comment": _provenance(preparation)},
    ) as output:

        def read(check_stop: CheckStop) -> Iterator[LatentChunk]:
            lengths, stride = budget.lengths, latents.temporal_stride
            # The first chunk of a shot has an extra frame where it has an extra latent.
            first = max(1, -(-lengths.first // stride))
            following = max(1, lengths.following // stride)
            for piece in latents.chunks(first, following, lengths.overlap // stride):
                check_stop()
                yield piece

        def write(pixels: Pixels, check_stop: CheckStop) -> None:
            nonlocal written
            for picture in pixels:
                check_stop()
                frame = Frame(
                    pixels=picture,
                    index=written,
                    pts=written,
                    time_base=1 / preparation.frame_rate,
                    duration=1,
                )
                output.write(picture, frame)
                files.add(numbered_path(options.output, written))
                written += 1
                on_progress(Progress(written, plan.frames))

        run_pipeline(read, decoder.decode, write)
        # Inside the block: nothing is published if it fails.
        assert written == plan.frames, f"{plan.frames} planned, {written} out"
    return DecodeReport(
        plan=plan,
        frames=written,
        seconds=time.monotonic() - started,
        bytes_written=sum(path.stat().st_size for path in files),
    )


def plain_decoder(backbone: Backbone) -> Backbone:
    """The same model with its reference attention skipped.

    Raises:
        OptionError: It has no such decoder.
    """
    decoder = backbone.plain()
    if decoder is None:
        raise OptionError(
            f"The model {backbone.name} has no plain decoder to compare with: leave out --baseline."
        )
    return decoder


class _Decoder:
    """Takes chunks of latents through the model, with the state that it carries."""

    def __init__(
        self,
        backbone: Backbone,
        device: torch.device,
        reference: Any,
        preparation: _Preparation,
    ) -> None:
        self._backbone = backbone
        self._device = device
        self._reference = reference
        self._budget = preparation.budget
        self._state: ShotState | None = None
        self._joiner = ChunkJoiner()
        self._stride = preparation.latents.temporal_stride
        self._size = preparation.info.size
        self._padded_size = (
            preparation.latents.padded_height,
            preparation.latents.padded_width,
        )
        self._left = preparation.plan.frames
        self._dtype = np.uint16 if preparation.info.bit_depth > 8 else np.uint8

    def decode(self, chunk: LatentChunk) -> Pixels:
        """One chunk -> (T, H, W, 3): its final frames, without what encoding had padded."""
        with out_of_memory_errors():
            result = decode_latents(
                self._backbone,
                chunk.latents.to(self._device),
                self._reference,
                self._state,
                self._budget,
                self._padded_size,
            )
            self._state, self._budget = result.state, result.budget
            joined = self._joiner.join(
                result.clip, chunk.shared * self._stride, chunk.held_back * self._stride
            )
            width, height = self._size
            clip = joined[:, :, : self._left, :height, :width]
            self._left -= clip.shape[2]
            return clip_to_frames(clip, self._dtype)


def _prepare(options: DecodeOptions, loaded: LoadedBackbone) -> _Preparation:
    """Check everything that can be checked cheaply, and decide how the run will go."""
    latents = recognise_latents(options.source, replace(options.wishes, backbone=loaded.name))
    latents.check()
    if latents.items > 1 and options.wishes.item is None:
        raise InputError(
            f"{latents.path} holds {latents.items} videos: choose one with --item, from 0."
        )
    _check_model(latents, loaded)
    if options.baseline:
        plain_decoder(loaded.backbone)
    reference = _find_reference(options, latents)
    rate, rate_reason = _choose_rate(options, latents)
    info = _describe(latents, rate)
    if options.output.exists() and options.output.samefile(options.source):
        raise OptionError(f"The output {options.output} is also the input: give another.")
    output = plan_output(options.output, info, options.encoding)
    check_target(options.output, overwrite=options.overwrite)
    budget, memory_bytes, notes = plan_memory(
        options.model, loaded, latents.path, info.height, info.width
    )
    budget = replace(budget, lengths=_stored_lengths(latents, budget.lengths))
    plan = DecodePlan(
        source=options.source,
        output=options.output,
        latents=latents.to_json(),
        frames=latents.frames,
        width=info.width,
        height=info.height,
        frame_rate=str(rate),
        frame_rate_reason=rate_reason,
        model=loaded.name,
        model_reason=loaded.reason,
        device=str(loaded.device),
        dtype=loaded.dtype_name,
        chunk=budget.lengths.longest,
        chunks=count_chunks(latents.frames, budget.lengths),
        tile=budget.tile,
        memory_bytes=memory_bytes,
        codec=output.codec,
        pix_fmt=output.pix_fmt,
        reference=_describe_reference(options, reference),
        notes=(*latents.warnings, *output.notes, *notes),
    )
    return _Preparation(
        plan=plan,
        latents=latents,
        info=info,
        reference=reference,
        budget=budget,
        frame_rate=rate,
    )


def _stored_lengths(latents: Latents, lengths: ChunkLengths) -> ChunkLengths:
    """The chunks that the latents were encoded in, where they stand alone and are no longer."""
    stored = latents.chunk_latents * latents.temporal_stride
    if not 0 < stored <= lengths.longest:
        return lengths
    return ChunkLengths(stored, stored, latents.overlap_latents * latents.temporal_stride)


def _check_model(latents: Latents, loaded: LoadedBackbone) -> None:
    refuse_independent_chunks(loaded)
    limits = loaded.backbone.limits
    if latents.backbone != loaded.name:
        raise InputError(
            f"{latents.path} holds latents of {latents.backbone}, which the model {loaded.name} "
            f"cannot read. Use --model {latents.backbone}."
        )
    size = (latents.padded_height, latents.padded_width)
    if padded_size(latents.height, latents.width, limits) != size:
        raise InputError(
            f"{latents.path} decodes to {size[1]}x{size[0]}, but the model {loaded.name} takes "
            f"multiples of {limits.size_multiple} from {limits.min_size} on."
        )
    if latents.temporal_stride != limits.temporal_stride:
        raise InputError(f"{latents.path} was written by another version of {loaded.name}.")


def _find_reference(options: DecodeOptions, latents: Latents) -> Path | None:
    reference = options.reference
    if options.references is not None:
        reference = find_reference(options.references, options.source, latents.image_name)
    if reference is not None:
        read_image(reference)
        if options.output.exists() and options.output.samefile(reference):
            raise OptionError(f"The output {options.output} is also the reference: give another.")
    return reference


def _choose_rate(options: DecodeOptions, latents: Latents) -> tuple[Fraction, str]:
    if options.frame_rate is not None:
        return options.frame_rate, "as asked"
    if latents.frame_rate is not None:
        return latents.frame_rate, "stored in the file"
    return Fraction(DEFAULT_RATE), "what Wan's models generate; the file does not say"


def _describe(latents: Latents, rate: Fraction) -> VideoInfo:
    """The video that the latents stand for: what the writer takes over as far as it can."""
    depth = 10 if latents.metadata.get("bit_depth") in ("10", "12", "16") else 8
    return VideoInfo(
        path=latents.path,
        container="latents",
        codec="h264",
        pix_fmt="yuv420p" if depth == 8 else "yuv420p10le",
        bit_depth=depth,
        width=latents.width,
        height=latents.height,
        rotation=0,
        sample_aspect_ratio=Fraction(1),
        frame_rate=rate,
        is_variable_rate=False,
        time_base=1 / rate,
        duration=latents.frames / rate,
        frame_count=latents.frames,
        frame_count_is_exact=True,
        color=_color(latents),
        metadata={},
        is_image_sequence=True,  # there are no other tracks to copy
    )


def _color(latents: Latents) -> ColorInfo:
    primaries = _known_tag(latents, "primaries", PRIMARIES_NAMES)
    return ColorInfo(
        matrix=_BT2020 if primaries == _BT2020 else _BT709,
        range=RANGE_LIMITED,
        primaries=primaries,
        transfer=_known_tag(latents, "transfer", TRANSFER_NAMES),
    )


def _known_tag(latents: Latents, name: str, known: Mapping[int, str]) -> int:
    value = latents.metadata.get(name)
    numbers = {str(number): number for number in known if number != UNSPECIFIED}
    return numbers.get(value or "", _BT709)


def _prepare_reference(
    options: DecodeOptions, loaded: LoadedBackbone, preparation: _Preparation
) -> Any:
    """Read the reference, fit it to the video and embed it; None without one."""
    if preparation.reference is None:
        return None
    width, height = preparation.info.size
    fitted = fit_image(read_image(preparation.reference), width, height, options.reference_fit)
    with out_of_memory_errors():
        return prepare_reference(loaded.backbone, fitted, loaded.device)


def _describe_reference(options: DecodeOptions, reference: Path | None) -> str:
    if reference is not None:
        return str(reference)
    return "none (plain decoder)" if options.baseline else "none"


def _provenance(preparation: _Preparation) -> str:
    """One line for the output's metadata; file names only, since folders are private."""
    plan, reference = preparation.plan, preparation.reference
    words = plan.reference if reference is None else reference.name
    return f"refvid {__version__}, model {plan.model}, decoded latents, reference {words}"
