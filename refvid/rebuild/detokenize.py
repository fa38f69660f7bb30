"""`refvid detokenize`: tokens -> video, with the times and the size that they were made of."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from refvid.errors import InputError, OptionError
from refvid.media.fit import fit_image
from refvid.media.image import read_image
from refvid.media.inputs import Job, check_job_output
from refvid.media.output_plan import plan_output
from refvid.media.pipeline import CheckStop, run_pipeline
from refvid.media.pixel_conversion import to_uint8
from refvid.media.reader import Frame
from refvid.media.sequence import numbered_path
from refvid.media.source_type import SourceType
from refvid.models.tokenizer import Tokens
from refvid.progress import ProgressCallback, ignore_progress
from refvid.rebuild.choose_tokenizer import (
    LoadedTokenizer,
    check_same_tokenizer,
    choose_tokenizer,
    plan_token_memory,
)
from refvid.rebuild.implied_video import describe_tokens
from refvid.rebuild.options import ModelOptions
from refvid.rebuild.out_of_memory import out_of_memory_errors
from refvid.rebuild.pixels import Pixels, clip_to_frames
from refvid.rebuild.plan import Plan, Prepared, Report, Run, prepare_run
from refvid.rebuild.provenance import Provenance
from refvid.rebuild.result import create_result
from refvid.rebuild.tokenize import pad_frames
from refvid.rebuild.tokens_options import DetokenizeOptions
from refvid.tokens.picture import Picture, hash_picture, unpack_picture
from refvid.tokens.read import (
    TokenFile,
    open_tokens,
    read_grids,
    read_reference,
    read_times,
    read_vectors,
)

HOW = "decoded tokens"
"""How a result says that it was made."""


def choose_detokenizer(options: ModelOptions, sources: Sequence[Path]) -> LoadedTokenizer:
    """Load the tokenizer that was asked for, or the one of the first file that can be read.

    Raises:
        InputError: None can be read.
        CheckpointError, DeviceError, OptionError: See `choose_tokenizer`.
    """
    if options.model != "auto":
        return choose_tokenizer(options)
    failure: InputError | None = None
    for source in sources:
        try:
            return choose_tokenizer(options, wanted=open_tokens(source).facts.tokenizer)
        except InputError as error:
            failure = error
    assert failure is not None, "there is a source"
    raise failure


def plan_detokenize(job: Job, options: DetokenizeOptions, loaded: LoadedTokenizer) -> Plan:
    """Tell what `detokenize` would do, and raise what it would raise before its first frame."""
    return _prepare(job, options, loaded)[0].plan


def detokenize(
    job: Job,
    options: DetokenizeOptions,
    loaded: LoadedTokenizer,
    on_progress: ProgressCallback = ignore_progress,
) -> Report:
    """Turn one file of tokens into a video. The output appears under its name when it is whole.

    Raises:
        InputError: The file cannot be read, is damaged, another tokenizer's, or lacks its
            reference.
        OutputError: The output cannot be written.
        OptionError: Options are impossible for this input.
        OutOfMemory: It does not fit.
    """
    started = time.monotonic()
    prepared, tokens = _prepare(job, options, loaded)
    run = Run(job, started, prepared.plan, on_progress)
    info, facts = prepared.info, tokens.facts
    dtype = np.uint16 if info.bit_depth > 8 else np.uint8
    decoder = _Decoder(loaded, options, tokens, dtype)
    source_type = SourceType.ENHANCED.of(facts.source_type or None)
    origin = Provenance(loaded.name, HOW).origin(source_type, None)
    with create_result(
        job, prepared, options.encoding, origin, overwrite=options.overwrite
    ) as output:

        def read(check_stop: CheckStop) -> Iterator[_Piece]:
            for piece in _pieces(tokens):
                check_stop()
                yield piece

        def write(decoded: tuple[_Piece, Pixels], check_stop: CheckStop) -> None:
            piece, pixels = decoded
            for picture, (pts, duration) in zip(pixels, piece.times.tolist(), strict=True):
                check_stop()
                frame = Frame(
                    shown=picture, index=run.written, pts=pts, time_base=facts.time_base,
                    duration=duration or None,
                )  # fmt: skip
                output.write(picture, frame)
                run.count_written(numbered_path(job.output, frame.index))

        run_pipeline(read, decoder.decode, write)
        # Inside the block: nothing is published if it fails.
        assert run.written == facts.frames, f"{facts.frames} planned, {run.written} out"
    return run.report()


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one call of the tokenizer is given."""

    times: np.ndarray[Any, np.dtype[np.int64]]
    """(T, 2), of a reference that is a frame, too."""

    grids: np.ndarray[Any, np.dtype[np.int64]]
    vectors: np.ndarray[Any, np.dtype[np.int64]]
    begins_with: int | None
    """Number of the reference of the shot that starts here; -1: it has none."""

    is_led: bool


def _pieces(file: TokenFile) -> Iterator[_Piece]:
    facts, block = file.facts, file.facts.block
    grid = vector = 0
    for number, shot in enumerate(file.shots):
        done, length = 0, file.frames_of(number)
        while done < length:
            is_led = shot.is_led and not done
            frames = min(block + is_led, length - done)
            is_first = not done
            # Of a shot that is one frame long, there is only the reference.
            grids = int(is_first) if facts.vector_levels else int(frames > is_led)
            vectors = frames - is_first if facts.vector_levels else 0
            yield _Piece(
                read_times(file, shot.start + done, frames),
                read_grids(file, grid, grids),
                read_vectors(file, vector, vectors),
                shot.reference if is_first else None,
                is_led,
            )
            grid, vector, done = grid + grids, vector + vectors, done + frames


class _Decoder:
    """Pieces -> pixels; knows the reference and what goes from block to block."""

    def __init__(
        self, loaded: LoadedTokenizer, options: DetokenizeOptions, file: TokenFile, dtype: Any
    ) -> None:
        self._loaded, self._options, self._file, self._dtype = loaded, options, file, dtype
        self._picture: Picture | None = None
        self._reference: Tensor | None = None
        self._state: Any = None

    @out_of_memory_errors()
    @torch.inference_mode()
    def decode(self, piece: _Piece) -> tuple[_Piece, Pixels]:
        tokenizer, facts = self._loaded.tokenizer, self._file.facts
        if piece.begins_with is not None:
            self._state = None
            self._take(piece.begins_with)
        frames = len(piece.times) - piece.is_led
        made: list[Pixels] = []
        if piece.is_led:
            assert self._picture is not None, "a shot that is led has a reference"
            scale = 257 if self._dtype is np.uint16 else 1
            made.append((self._picture.astype(self._dtype) * self._dtype(scale))[None])
        if frames:
            tokens = Tokens(torch.from_numpy(piece.grids), torch.from_numpy(piece.vectors))
            clip, self._state = tokenizer.decode(tokens, frames, self._reference, self._state)
            shown = clip[:, :, : facts.height, : facts.width].transpose(0, 1)[None]
            made.append(clip_to_frames(shown, self._dtype))
        return piece, np.concatenate(made)

    def _take(self, number: int) -> None:
        if number < 0:
            self._picture = self._reference = None
            return
        self._picture = _read_picture(self._file, number, self._options.reference)
        multiple = self._loaded.tokenizer.facts.size_multiple
        self._reference = pad_frames([self._picture], multiple, self._loaded.device)[0]


def _read_picture(file: TokenFile, number: int, given: Path | None) -> Picture:
    """A reference, stored or given, whose hash is that of the file."""
    facts, path = file.facts, file.path
    if data := read_reference(file, number):
        try:
            picture = unpack_picture(data, facts.width, facts.height)
        except ValueError as error:
            raise InputError(f"{path}: a reference in it cannot be used: {error}.") from error
        where = f"{path}: a reference in it"
    else:
        assert given is not None, "the plan checks it"
        pixels = to_uint8(read_image(given, may_shrink=True))
        picture = np.asarray(fit_image(pixels, facts.width, facts.height, "cover"), np.uint8)
        where = str(given)
    if hash_picture(picture) != facts.reference_hashes[number]:
        raise InputError(
            f"{where} is not the picture that the tokens were made with "
            f"({facts.reference_names[number][:80]})."
        )
    return picture


def _prepare(
    job: Job, options: DetokenizeOptions, loaded: LoadedTokenizer
) -> tuple[Prepared, TokenFile]:
    tokens = open_tokens(job.source)
    facts = tokens.facts
    check_same_tokenizer(job.source, facts, loaded)
    _check_references(tokens, options, loaded)
    info = describe_tokens(tokens, options.encoding)
    images = [options.reference] if options.reference else []
    check_job_output(job, overwrite=options.overwrite, images=images)
    output = plan_output(job.output, info, options.encoding)
    memory = plan_token_memory(loaded, tokens.path, facts.padded_height, facts.padded_width)
    names = dict.fromkeys(facts.reference_names)
    prepared = prepare_run(
        "detokenize",
        job,
        loaded,
        info,
        memory,
        frames=facts.frames,
        output=output,
        notes=output.notes,
        frame_rate=None if facts.frame_rate is None else str(facts.frame_rate),
        reference=", ".join(list(names)[:3]) + ", ..." * (len(names) > 3) if names else "none",
    )
    return prepared, tokens


def _check_references(
    tokens: TokenFile, options: DetokenizeOptions, loaded: LoadedTokenizer
) -> None:
    """Raise `InputError` or `OptionError` where one is missing, or given for nothing."""
    uses = loaded.tokenizer.facts.uses_reference
    if any((shot.reference >= 0) != uses for shot in tokens.shots):
        raise InputError(f"{tokens.path} has shots without a reference, or references unused.")
    lacking = [name for name, stored in zip(
        tokens.facts.reference_names, tokens.stored, strict=True) if not stored]  # fmt: skip
    if lacking and options.reference is None:
        raise InputError(
            f"{tokens.path} holds only the hash of its reference ({lacking[0][:80]}): give the "
            "picture with --ref."
        )
    if not lacking and options.reference is not None:
        raise OptionError(f"{tokens.path} holds its references: leave out --ref.")
