"""What a run would do, what it did, and how the plan is made: once, and handed on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from refvid.errors import InputError, OptionError
from refvid.media.inputs import Job
from refvid.media.output_plan import OutputPlan
from refvid.media.pipeline import CheckStop
from refvid.media.reader import Frame
from refvid.media.unchanged import is_unchanged
from refvid.media.video_info import VideoInfo, read_video_info
from refvid.progress import Progress, ProgressCallback
from refvid.rebuild.canvas import Canvas
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.chunks import count_chunks
from refvid.rebuild.findings import Findings, Served
from refvid.rebuild.hdr import check_hdr
from refvid.rebuild.memory import Budget, MemoryPlan
from refvid.rebuild.options import SourceOptions
from refvid.wording import counted

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from refvid.rebuild.choose_tokenizer import LoadedTokenizer

Kind = Literal["rebuild", "decode", "encode", "tokenize", "detokenize"]

_LEFT_OUT: Final = MappingProxyType(
    {
        "rebuild": {"latents", "frame_rate", "frame_rate_reason"},
        "decode": set[str](),
        "encode": {"latents", "frame_rate_reason", "tile", "codec", "pix_fmt", "reference"},
        "tokenize": {"latents", "frame_rate_reason", "tile", "codec", "pix_fmt"},
        "detokenize": {"latents", "frame_rate_reason", "tile"},
    }
)
"""What a kind of run has not, in JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run would do (`--dry-run`)."""

    kind: Kind
    source: Path
    output: Path
    latents: dict[str, Any] | None = None
    """What was recognised, and why; see `Latents.to_json`."""

    frames: int | None
    """An estimate where the container does not tell it exactly; None where it is unknown."""

    width: int
    """Of the result [pixels], as `height`."""

    height: int
    frame_rate: str | None = None
    frame_rate_reason: str | None = None
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

    codec: str | None = None
    pix_fmt: str | None = None
    reference: str | None = None
    """Human words for what conditions the decoder: the image's path, `frame 0 of the input`, the
    styles with their weights, `none`, or `none (plain decoder)`."""

    estimated_seconds: float | None = None
    """How long the model's work would take [s]; None where nobody asked or nobody knows."""

    estimate_reason: str | None = None
    """How that was found out, or why not; None where nobody asked."""

    notes: tuple[str, ...] = ()
    """Anything done differently from what the user might expect, e.g. a stream that is dropped."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        left_out = {"kind", *_LEFT_OUT[self.kind]}
        if self.estimate_reason is None:
            left_out |= {"estimated_seconds", "estimate_reason"}
        return _plain_fields(self, left_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run did."""

    plan: Plan
    frames: int
    latent_frames: int | None = None
    """Of those that write latents."""

    cuts: tuple[int, ...] | None = None
    """Index of the first frame after each shot cut, counted in the output; of those that look."""

    references: Findings | None = None
    """What was found in the references, by models that can tell."""

    served: tuple[Served, ...] = ()
    """Which frames each of the references served."""

    notes: tuple[str, ...] = ()
    """What the user should know of the result."""

    warnings: tuple[str, ...] = ()
    """What is likely not as the user wants it, and the way out."""

    resumed: int = 0
    """Frames that an interrupted run had finished."""

    seconds: float
    bytes_written: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        left_out = {name for name in ("latent_frames", "cuts") if getattr(self, name) is None}
        left_out |= {"references", "served", "notes"}
        found: dict[str, Any] = {}
        if self.references is not None:
            found["references"] = self.references.to_json()
        if self.served:
            found["served"] = [one.to_json() for one in self.served]
        return {**_plain_fields(self, left_out), **found, "plan": self.plan.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A plan, and what was learned while it was made: nothing is found out twice."""

    plan: Plan
    info: VideoInfo
    """Of the source."""

    canvas: Canvas
    budget: Budget
    output: OutputPlan | None = None
    """None where no video is written."""


def prepare_run(
    kind: Kind,
    job: Job,
    loaded: LoadedBackbone | LoadedTokenizer,
    info: VideoInfo,
    memory: MemoryPlan,
    *,
    frames: int | None,
    canvas: Canvas | None = None,
    output: OutputPlan | None = None,
    notes: Iterable[str] = (),
    **facts: Any,
) -> Prepared:
    """Write down how a run will go.

    Args:
        kind: What is done.
        job: Where from and where to.
        loaded: The model.
        info: The video that is read, or that latents stand for.
        memory: How much of it is worked on at once.
        frames: How many there are, if known.
        canvas: How the model sees it; None: as it is.
        output: How the result is written.
        notes: For the user, besides those of `output` and `memory`.
        facts: Fields of `Plan` that only this kind has.
    """
    lengths = memory.budget.lengths
    canvas = canvas or Canvas(size=info.size)
    plan = Plan(
        kind=kind,
        source=job.source,
        output=job.output,
        frames=frames,
        width=canvas.size[0],
        height=canvas.size[1],
        model=loaded.name,
        model_reason=loaded.reason,
        device=str(loaded.device),
        dtype=loaded.dtype_name,
        chunk=lengths.longest,
        chunks=None if frames is None else count_chunks(frames, lengths),
        tile=memory.budget.tile,
        memory_bytes=memory.memory_bytes,
        notes=tuple(notes),
        **facts,
    )
    if output is not None:
        plan = replace(plan, codec=output.codec, pix_fmt=output.pix_fmt)
    return Prepared(plan=plan, info=info, canvas=canvas, budget=memory.budget, output=output)


def read_source(job: Job, options: SourceOptions) -> VideoInfo:
    """Describe the video of a job, unless whoever named its output has done so just now.

    Raises:
        InputError: It cannot be read, or is HDR and that is not allowed or possible.
    """
    info = job.info
    # In a batch, hours may lie between the naming of the output and its turn.
    if info is None or not (info.state and is_unchanged(job.source, info.state)):
        info = read_video_info(job.source, rate=options.sequence_rate, companions=True)
    check_hdr(info, options)
    return info


def count_frames(info: VideoInfo, options: SourceOptions) -> int | None:
    """Number of frames in the part of a video that is asked for; None where it is unknown.

    Raises:
        InputError: There are none.
    """
    frames = options.range.count_frames(info.frame_count, info.frame_rate)
    if frames == 0 and info.frame_count_is_exact:
        raise InputError(
            f"{info.path} has only {counted(info.frame_count or 0, 'frame')}: none of them is in "
            "the range asked for. Choose an earlier start."
        )
    return frames


def refuse_independent_chunks(loaded: LoadedBackbone) -> None:
    """Raise `OptionError` where every chunk would be a shot of its own: latents are one."""
    if loaded.backbone.limits.independent_chunks:
        raise OptionError("Files of latents are one continuous shot: leave out independent chunks.")


class Run:
    """Counts frames on both sides, so that none is lost or doubled, and tells how far it is."""

    def __init__(self, job: Job, started: float, plan: Plan, on_progress: ProgressCallback) -> None:
        self.read = self.written = 0
        self._sink = job.sink
        self._started = started
        self._plan = plan
        self._on_progress = on_progress
        self._files: set[Path] = set()
        """That hold the result; none where it goes to a pipe."""

        self._resumed = 0

    def go_on(self, files: Iterable[Path], frames: int) -> None:
        """Take note of what an interrupted run had finished: so many frames, in some files."""
        self.read = self.written = self._resumed = frames
        if self._sink is None:
            self._files.update(files)

    def count_read(self, frames: Iterable[Frame], check_stop: CheckStop) -> Iterator[Frame]:
        """Pass frames through."""
        for frame in frames:
            check_stop()
            self.read += 1
            yield frame

    def count_written(self, file: Path, frames: int = 1) -> None:
        """Take note of frames that went to a file, or to the pipe in its place."""
        self.written += frames
        if self._sink is None:
            self._files.add(file)
        total = self._plan.frames
        # An estimate of the total may be too low.
        self._on_progress(
            Progress(
                self.written, None if total is None else max(total, self.written), self._resumed
            )
        )

    def report(self, **found: Any) -> Report:
        """Sum up, once the output is there."""
        piped = 0 if self._sink is None else self._sink.written
        return Report(
            plan=self._plan,
            frames=self.written,
            resumed=self._resumed,
            seconds=time.monotonic() - self._started,
            bytes_written=piped + sum(path.stat().st_size for path in self._files),
            **found,
        )


def _plain_fields(record: DataclassInstance, left_out: set[str]) -> dict[str, Any]:
    """Turn a plan or report into plain JSON types, field by field."""
    return {
        field.name: _plain(getattr(record, field.name))
        for field in fields(record)
        if field.name not in left_out
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
