"""Tokens: made of videos, turned into videos, and read for training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from refvid.api.keywords import File, Position, Rate, check_job, make_encoding, to_path
from refvid.progress import ProgressCallback, ignore_progress
from refvid.time_words import parse_range, parse_rate
from refvid.words import parse_model, parse_reference

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from refvid.rebuild.options import Hdr
    from refvid.rebuild.plan import Report
    from refvid.settings import DType
    from refvid.tokens.layout import Shot, TokenFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedTokens:
    """What a file of tokens holds, in memory."""

    indices: NDArray[np.uint16]
    """(T, h, w): a grid for each block of `facts.block` frames, or for each key frame."""

    vectors: NDArray[np.uint16]
    """(M, K): of mini-vtok a vector for each later frame; else empty."""

    times: NDArray[np.int64]
    """(F, 2): when each frame is shown and how long, in units of `facts.time_base`."""

    shots: tuple[Shot, ...]
    """First frame, reference and whether that is the first frame itself, of each shot."""

    references: tuple[NDArray[np.uint8] | None, ...]
    """(H, W, 3) RGB each; None where only the hash is stored."""

    facts: TokenFacts
    """Levels, sizes, the tokenizer's hash and so on."""


def tokenize(
    source: File,
    output: File,
    *,
    ref: File | None = None,
    ref_quality: int | None = None,
    ref_hash_only: bool = False,
    export: bool = False,
    start: Position | None = None,
    end: Position | None = None,
    frames: int | None = None,
    preview: Position | None = None,
    cut_detection: bool = True,
    model: File = "auto",
    device: str = "auto",
    dtype: DType = "auto",
    hdr: Hdr = "refuse",
    rate: Rate | None = None,
    overwrite: bool = False,
    on_progress: ProgressCallback = ignore_progress,
) -> Report:
    """Turn a video into discrete tokens, which `detokenize` turns back.

    Args:
        source: See `enhance`, as for the others, and for what is returned and raised.
        output: A .tokens file.
        ref: One picture for all shots: a file, `frame:N` or `time:T`; None takes the first frame
            of each shot.
        ref_quality: Store references as WebP of this quality, 1 to 100; None stores them exactly.
        ref_hash_only: Store only the hash of `ref`.
        export: Write flat arrays and JSON beside the file, too.
        model: mini-reftok, mini-reftok-16, mini-reftok-twin, mini-vtok, or a path with weights.
        dtype: auto is fp32: in another precision some tokens are others.
    """
    from refvid.rebuild.tokens_options import TokenizeOptions

    options = TokenizeOptions(
        range=parse_range(start, end, frames, preview),
        hdr=hdr,
        sequence_rate=parse_rate(rate),
        overwrite=overwrite,
        reference=None if ref is None else parse_reference(ref),
        quality=ref_quality,
        hash_only=ref_hash_only,
        cut_detection=cut_detection,
        export=export,
    )
    job = check_job(source, output, overwrite=overwrite)
    from refvid.rebuild import tokenize as work
    from refvid.rebuild.choose_tokenizer import choose_tokenizer

    chosen = parse_model({"model": str(model), "device": device, "dtype": dtype})
    return work.tokenize(job, options, choose_tokenizer(chosen), on_progress)


def detokenize(
    source: File,
    output: File,
    *,
    ref: File | None = None,
    model: File = "auto",
    device: str = "auto",
    dtype: DType = "auto",
    codec: str | None = None,
    crf: float | None = None,
    pix_fmt: str | None = None,
    encoder_options: Mapping[str, object] | None = None,
    metadata: bool = True,
    overwrite: bool = False,
    on_progress: ProgressCallback = ignore_progress,
) -> Report:
    """Turn a file of tokens into a video.

    Args:
        source: A file of `tokenize`.
        output: See `enhance`, as for the others, and for what is returned and raised.
        ref: The reference, where the file holds only its hash.
        model: auto is the one that the file names.
    """
    from refvid.rebuild.tokens_options import DetokenizeOptions

    options = DetokenizeOptions(
        reference=to_path(ref),
        overwrite=overwrite,
        encoding=make_encoding(codec, crf, pix_fmt, encoder_options, metadata),
    )
    job = check_job(source, output, overwrite=overwrite)
    from refvid.rebuild import detokenize as work

    chosen = parse_model({"model": str(model), "device": device, "dtype": dtype})
    loaded = work.choose_detokenizer(chosen, [job.source])
    return work.detokenize(job, options, loaded, on_progress)


def load_tokens(file: File) -> LoadedTokens:
    """Read a file of tokens into memory, for training code; needs no torch.

    Raises:
        InputError: It is missing, damaged, or something else.
    """
    import numpy as np

    from refvid.errors import InputError
    from refvid.tokens.picture import unpack_picture
    from refvid.tokens.read import (
        open_tokens,
        read_grids,
        read_reference,
        read_times,
        read_vectors,
    )

    found = open_tokens(Path(file))
    facts = found.facts
    pictures: list[NDArray[np.uint8] | None] = []
    for number, stored in enumerate(found.stored):
        if not stored:
            pictures.append(None)
            continue
        try:
            data = read_reference(found, number)
            pictures.append(unpack_picture(data, facts.width, facts.height))
        except ValueError as error:
            raise InputError(f"{file}: a reference in it cannot be used: {error}.") from error
    return LoadedTokens(
        indices=read_grids(found, 0, found.grids).astype(np.uint16),
        vectors=read_vectors(found, 0, found.vectors).astype(np.uint16),
        times=read_times(found, 0, facts.frames),
        shots=found.shots,
        references=tuple(pictures),
        facts=facts,
    )
