"""`refvid tokenize`: video -> tokens, shot by shot and block by block."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from refvid import __version__
from refvid.media.fit import fit_image
from refvid.media.image import read_image
from refvid.media.inputs import Job, check_job_output
from refvid.media.origin_marks import read_origin_marks
from refvid.media.pipeline import CheckStop, run_pipeline
from refvid.media.pixel_conversion import to_uint8
from refvid.media.reader import Frame, open_video, read_frame
from refvid.media.video_info import VideoInfo
from refvid.models.tokenizer import Tokens
from refvid.progress import ProgressCallback, ignore_progress
from refvid.rebuild.choose_tokenizer import LoadedTokenizer, plan_token_memory
from refvid.rebuild.cuts import mark_shots
from refvid.rebuild.out_of_memory import out_of_memory_errors
from refvid.rebuild.pixels import frames_to_clip
from refvid.rebuild.plan import (
    Plan,
    Prepared,
    Report,
    Run,
    count_frames,
    prepare_run,
    read_source,
)
from refvid.rebuild.references import check_frame_exists
from refvid.rebuild.tokens_options import TokenizeOptions, check_tokens_name
from refvid.tokens.export import check_export, export_tokens
from refvid.tokens.layout import TokenFacts
from refvid.tokens.picture import Picture, hash_picture, pack_picture, unpack_picture
from refvid.tokens.read import open_tokens
from refvid.tokens.write import TokenWriter


def plan_tokenize(job: Job, options: TokenizeOptions, loaded: LoadedTokenizer) -> Plan:
    """Tell what `tokenize` would do, and raise what it would raise before its first frame."""
    return _prepare(job, options, loaded).plan


def tokenize(
    job: Job,
    options: TokenizeOptions,
    loaded: LoadedTokenizer,
    on_progress: ProgressCallback = ignore_progress,
) -> Report:
    """Turn one video into a file of tokens.

    Memory does not grow with the video. The output appears under its name when it is whole.

    Raises:
        InputError: The source or the reference cannot be read, or is HDR and not allowed.
        OutputError: The output cannot be written.
        OptionError: Options are impossible for this input or tokenizer.
        OutOfMemory: It does not fit.
    """
    started = time.monotonic()
    prepared = _prepare(job, options, loaded)
    info = prepared.info
    run = Run(job, started, prepared.plan, on_progress)
    overwrite = job.may_replace(options.overwrite)
    encoder = _Encoder(loaded, options, info)
    with (
        open_video(job.source, options.range, info=info) as video,
        TokenWriter(job.output, overwrite=overwrite) as output,
    ):

        def read(check_stop: CheckStop) -> Iterator[_Piece]:
            frames = run.count_read(video, check_stop)
            marked = mark_shots(
                frames, lambda frame: frame.pixels, detect_cuts=options.cut_detection
            )
            return _split(marked, loaded.tokenizer.facts.block, leads=encoder.leads)

        def write(encoded: _Encoded, check_stop: CheckStop) -> None:
            check_stop()
            if encoded.reference is not None:
                output.add_reference(*encoded.reference)
            if encoded.starts_shot:
                has_reference = loaded.tokenizer.facts.uses_reference
                output.begin_shot(has_reference=has_reference, is_led=encoder.leads)
            for pts, duration in encoded.times:
                output.add_frame(pts, duration)
            if encoded.tokens is not None:
                output.add_tokens(encoded.tokens.grid.numpy(), encoded.tokens.vectors.numpy())
            run.count_written(job.output, len(encoded.times))

        run_pipeline(read, encoder.encode, write)
        assert run.written == run.read, f"{run.read} in, {run.written} out"
        output.facts = _facts(loaded, info, run.written)
    written = open_tokens(job.output)
    if options.export:
        export_tokens(written, overwrite=overwrite)
    told = written.to_json()
    return run.report(
        notes=(_describe_bits(told["bits_per_pixel"], told["bits_per_pixel_with_references"]),)
    )


def _describe_bits(alone: float, with_references: float) -> str:
    return f"{alone:.4f} bits per pixel, {with_references:.4f} with references"


@dataclass(frozen=True, slots=True)
class _Piece:
    """Frames for one call of the tokenizer, and before them the reference's own frame."""

    frames: tuple[Frame, ...]
    starts_shot: bool


@dataclass(frozen=True, slots=True)
class _Encoded:
    times: tuple[tuple[int, int | None], ...]
    starts_shot: bool
    tokens: Tokens | None
    """None where all there is is the reference."""

    reference: tuple[str, str, bytes] | None
    """Hash, name and file of one that is new."""


def _split(frames: Iterable[tuple[Frame, bool]], block: int, *, leads: bool) -> Iterator[_Piece]:
    """Cut frames into blocks; where a shot's first frame leads it, that comes with its first."""
    waiting: list[Frame] = []
    starts_shot = True
    for frame, is_cut in frames:
        length = block + (1 if starts_shot and leads else 0)
        if waiting and (is_cut or len(waiting) == length):
            yield _Piece(tuple(waiting), starts_shot)
            waiting, starts_shot = [], False
        starts_shot = starts_shot or is_cut
        waiting.append(frame)
    if waiting:
        yield _Piece(tuple(waiting), starts_shot)


class _Encoder:
    """Pieces -> tokens; knows the reference and what goes from block to block."""

    def __init__(self, loaded: LoadedTokenizer, options: TokenizeOptions, info: VideoInfo) -> None:
        self._loaded, self._options, self._info = loaded, options, info
        uses_reference = loaded.tokenizer.facts.uses_reference
        self.leads = uses_reference and options.reference is None
        self._reference: Tensor | None = None
        self._new: tuple[str, str, bytes] | None = None
        self._state: Any = None
        if uses_reference and options.reference is not None:
            picture = read_reference_picture(options, info)
            self._take(picture, options.reference.describe())

    @out_of_memory_errors()
    @torch.inference_mode()
    def encode(self, piece: _Piece) -> _Encoded:
        tokenizer, frames = self._loaded.tokenizer, piece.frames
        if piece.starts_shot:
            self._state = None
            if self.leads:
                name = f"frame {frames[0].index} of the input"
                self._take(to_uint8(frames[0].pixels), name)
                frames = frames[1:]
        tokens = None
        if frames:
            clip = self._padded([frame.pixels for frame in frames])
            found, self._state = tokenizer.encode(clip, self._reference, self._state)
            tokens = Tokens(found.grid.cpu(), found.vectors.cpu())
        new, self._new = self._new, None
        times = tuple((frame.pts, frame.duration) for frame in piece.frames)
        return _Encoded(times, piece.starts_shot, tokens, new)

    def _take(self, picture: Picture, name: str) -> None:
        """From now on this is the reference: as it is stored, which may not be exactly."""
        data = b"" if self._options.hash_only else pack_picture(picture, self._options.quality)
        if data:
            picture = unpack_picture(data, self._info.width, self._info.height)
        self._new = hash_picture(picture), name, data
        self._reference = self._padded([picture])[0]

    def _padded(self, frames: list[Any]) -> Tensor:
        return pad_frames(frames, self._loaded.tokenizer.facts.size_multiple, self._loaded.device)


def pad_frames(frames: list[Any], multiple: int, device: torch.device) -> Tensor:
    """Frames (H, W, 3), integers -> (T, 3, H', W') in [-1, 1], at multiples of so many pixels."""
    clip = frames_to_clip(frames, device)[0].transpose(0, 1)
    down, right = (-side % multiple for side in clip.shape[-2:])
    return functional.pad(clip, (0, right, 0, down), mode="replicate") if down or right else clip


def read_reference_picture(options: TokenizeOptions, info: VideoInfo) -> Picture:
    """The one picture that was named, at the size of the video's frames.

    Raises:
        InputError: It cannot be read, or the video lacks the frame.
    """
    source = options.reference
    assert source is not None, "there is one"
    if source.image is not None:
        pixels: Any = read_image(source.image, may_shrink=True)
    else:
        if source.frame is not None:
            check_frame_exists(info, source.frame, "the reference")
        pixels = read_frame(info.path, index=source.frame, time=source.time, info=info).pixels
    return np.asarray(fit_image(to_uint8(pixels), info.width, info.height, "cover"), np.uint8)


def _prepare(job: Job, options: TokenizeOptions, loaded: LoadedTokenizer) -> Prepared:
    check_tokens_name(job.output)
    info = read_source(job, options)
    images = [options.reference.image] if options.reference and options.reference.image else []
    check_job_output(job, overwrite=options.overwrite, images=images)
    if options.export:
        check_export(job.output, overwrite=job.may_replace(options.overwrite))
    facts = loaded.tokenizer.facts
    memory = plan_token_memory(loaded, info.path, *_padded_size(loaded, info))
    notes = ["tokens hold no sound or subtitles"] if info.audio or info.subtitles else []
    reference = "none"
    if facts.uses_reference:
        asked = options.reference
        reference = "the first frame of each shot" if asked is None else asked.describe()
    elif options.reference is not None:
        notes.append(f"{loaded.name} uses no reference: --ref is left out")
    return prepare_run(
        "tokenize",
        job,
        loaded,
        info,
        memory,
        frames=count_frames(info, options),
        notes=notes,
        frame_rate=None if info.frame_rate is None else str(info.frame_rate),
        reference=reference,
    )


def _padded_size(loaded: LoadedTokenizer, info: VideoInfo) -> tuple[int, int]:
    """Height and width as the tokenizer sees frames [pixels]."""
    multiple = loaded.tokenizer.facts.size_multiple
    return -(-info.height // multiple) * multiple, -(-info.width // multiple) * multiple


def _facts(loaded: LoadedTokenizer, info: VideoInfo, frames: int) -> TokenFacts:
    own, color = loaded.tokenizer.facts, info.color
    marks = read_origin_marks(info.path, info.metadata)
    tall, wide = _padded_size(loaded, info)
    return TokenFacts(
        tokenizer=own.name,
        sha256=own.sha256,
        block=own.block,
        side=own.side,
        levels=own.levels,
        vector_levels=own.vector_levels,
        frames=frames,
        width=info.width,
        height=info.height,
        padded_width=wide,
        padded_height=tall,
        time_base=Fraction(info.time_base),
        frame_rate=info.frame_rate,
        is_variable_rate=info.is_variable_rate is not False,
        sample_aspect_ratio=info.sample_aspect_ratio,
        bit_depth=info.bit_depth if info.bit_depth in (8, 10, 12, 16) else 8,
        color=(color.primaries, color.transfer, color.matrix, color.range),
        source=info.path.name,
        source_type=marks.source_type or "",
        refvid=__version__,
    )
