"""What a run that rebuilds a video would do and what it did, and how the plan is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from torch import Tensor

from refvid.errors import InputError, OptionError
from refvid.inference.chunks import count_chunks
from refvid.inference.memory import Budget
from refvid.media.output_plan import plan_output
from refvid.media.partial_file import check_target
from refvid.media.video_info import VideoInfo, read_video_info
from refvid.workflows.choose_model import LoadedBackbone
from refvid.workflows.plan import plain_fields, plan_memory
from refvid.workflows.rebuild_options import FrameRange, RebuildOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildPlan:
    """What a run would do (`--dry-run`)."""

    source: Path
    output: Path
    frames: int | None
    """An estimate where the container does not tell it exactly; None where it is unknown."""

    width: int
    height: int
    model: str
    model_reason: str
    """Why this model was chosen."""

    device: str
    dtype: str
    chunk: int
    """Frames per model call."""

    chunks: int | None
    """Model calls, if there are no cuts; None where the number of frames is unknown."""

    tile: int | None
    """Side of the spatial windows [pixels]; None decodes whole frames."""

    memory_bytes: int
    """Estimated peak working memory of the model [bytes]."""

    codec: str
    pix_fmt: str
    reference: str
    """Human words for what conditions the decoder: the image's path, `frame 0 of the input`, the
    styles with their weights, or `none`."""

    notes: tuple[str, ...] = ()
    """Anything done differently from what the user might expect, e.g. a stream that is dropped."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return plain_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildReport:
    """What a run did."""

    plan: RebuildPlan
    frames: int
    cuts: tuple[int, ...]
    """Index of the first frame after each shot cut, counted in the output."""

    seconds: float
    bytes_written: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**plain_fields(self), "plan": self.plan.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What a run gives to the model, ready for one video."""

    reference: Any = None
    """What `Backbone.decode` takes as `reference`; None decodes without one."""

    finish: Callable[[Tensor, Tensor], Tensor] | None = None
    """Made of the input and the model's result, both (1, 3, T, H, W) in [-1, 1], before the two
    are mixed by strength."""


class Conditioning(Protocol):
    """What the decoder is conditioned on: what `enhance` and `stylize` do not have in common."""

    @property
    def files(self) -> Sequence[Path]:
        """Images that are read; the output must not replace them."""
        ...

    def describe(self) -> str:
        """In words, for the plan."""
        ...

    def provenance(self) -> str:
        """In words, for the output's metadata; file names only, since folders are private."""
        ...

    def check(self, info: VideoInfo) -> Sequence[str]:
        """Raise what `prepare` would, as far as that is cheap to know; give notes for the user.

        Raises:
            InputError: An image cannot be read, or the video has not the frame that is asked for.
        """
        ...

    def prepare(self, info: VideoInfo, loaded: LoadedBackbone) -> Conditions:
        """Read the images, fit them to the video and embed them."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """A plan with what the run needs besides."""

    plan: RebuildPlan
    info: VideoInfo
    budget: Budget


def prepare(
    options: RebuildOptions, conditioning: Conditioning, loaded: LoadedBackbone
) -> Preparation:
    """Check everything that can be checked cheaply, and decide how the run will go.

    Raises:
        InputError: The source or what conditions the decoder cannot be read, or the source is HDR
            and that is not allowed.
        OutputError: The output cannot be written there or like that.
        OptionError: Options are impossible for this input or model.
        OutOfMemory: Frames of this size do not fit into memory.
    """
    info = read_video_info(options.source, rate=options.sequence_rate)
    check_dynamic_range(info, options.hdr)
    _check_output_is_no_input(options.output, (options.source, *conditioning.files))
    output = plan_output(options.output, info, options.encoding)
    check_target(options.output, overwrite=options.overwrite)
    remarks = conditioning.check(info)
    budget, memory_bytes, notes = plan_memory(
        options.model, loaded, info.path, info.height, info.width
    )
    frames = count_frames(info, options.range)
    plan = RebuildPlan(
        source=options.source,
        output=options.output,
        frames=frames,
        width=info.width,
        height=info.height,
        model=loaded.name,
        model_reason=loaded.reason,
        device=str(loaded.device),
        dtype=loaded.dtype_name,
        chunk=budget.lengths.longest,
        chunks=None if frames is None else count_chunks(frames, budget.lengths),
        tile=budget.tile,
        memory_bytes=memory_bytes,
        codec=output.codec,
        pix_fmt=output.pix_fmt,
        reference=conditioning.describe(),
        notes=(*output.notes, *remarks, *notes),
    )
    return Preparation(plan=plan, info=info, budget=budget)


def count_frames(info: VideoInfo, part: FrameRange) -> int | None:
    """Number of frames in a part of a video; None where it is unknown.

    Raises:
        InputError: There are none.
    """
    frames = part.count_frames(info.frame_count, info.frame_rate)
    if frames == 0 and info.frame_count_is_exact:
        raise InputError(
            f"{info.path} has only {info.frame_count} frames: none of them is in the range asked "
            "for. Choose an earlier start."
        )
    return frames


def check_dynamic_range(info: VideoInfo, hdr: Literal["refuse", "passthrough"]) -> None:
    """Refuse HDR video, unless it is asked for."""
    if info.color.is_hdr and hdr == "refuse":
        raise InputError(
            f"{info.path} is HDR video ({info.color.transfer_name}), which the model was not made "
            "for: colours and highlights may suffer. Convert it to SDR first, or use "
            "--hdr passthrough to work on the coded values as they are."
        )


def check_frame_exists(info: VideoInfo, index: int, wanted_for: str) -> None:
    """Raise `InputError` where a video is known to be too short for the frame of an index."""
    if info.frame_count_is_exact:
        assert info.frame_count is not None, "an exact count is known"
        if index >= info.frame_count:
            raise InputError(
                f"{info.path} has no frame {index} for {wanted_for}: the last one is "
                f"{info.frame_count - 1}."
            )


def _check_output_is_no_input(output: Path, inputs: Sequence[Path]) -> None:
    for path in inputs:
        if path.exists() and output.exists() and output.samefile(path):
            raise OptionError(f"The output {output} is also an input: give another.")
