"""`refvid evaluate --task tokens`: tokenizers at 256x256, against their twin and at equal bits.

The protocol: of every clip the first frames, shrunk to a short side of 256 and cut to 256x256 in
the middle. Frame 0 is the reference; frames 1 to 16 count, as blocks 1-4, 5-8 and so on, for the
tokenizer with a reference and for its twin without. Bits of a stored reference are counted, as PNG
and as WebP. Nothing is random: the same clips and weights give the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch

from refvid.errors import InputError
from refvid.evaluation.clips import find_clips, read_clip, write_report
from refvid.evaluation.measures import Judge, Networks, frame_psnr, load_networks
from refvid.evaluation.rebuilding import Frames
from refvid.evaluation.rivals import CODECS, encode_like
from refvid.evaluation.token_report import (
    HOLD,
    PLAIN,
    REFERENCE,
    REFERENCE_16_WEBP,
    REFERENCE_WEBP,
    VECTORS,
    TokenReport,
    TokenResult,
)
from refvid.media.outputs import check_outputs
from refvid.models.mini.alignment import find_coarse, gray, refine
from refvid.models.registry import MINI_REFTOK_16, MINI_REFTOK_TWIN, MINI_VTOK
from refvid.progress import Progress, ProgressCallback
from refvid.rebuild.choose_tokenizer import LoadedTokenizer, choose_tokenizer
from refvid.rebuild.options import ModelOptions
from refvid.rebuild.pixels import clip_to_frames
from refvid.rebuild.tokenize import pad_frames
from refvid.tokens.picture import pack_picture, unpack_picture

SIDE = 256
NEAR = 16
"""Frames 1 to this one are measured in all ways."""

WEBP_QUALITY = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEvaluateOptions:
    """One evaluation."""

    clips: Path
    """Folder of clips."""

    model: ModelOptions = field(default_factory=ModelOptions)
    """The tokenizer with a reference; auto is mini-reftok."""

    twin: str = MINI_REFTOK_TWIN
    """The one without, that it is compared with: a name, or a path with weights."""

    frames: int = 49
    """Frames of each clip at most."""

    max_clips: int | None = None
    output: Path | None = None
    """Also write the report there: JSON if the name ends so, else Markdown."""


def evaluate_tokens(options: TokenEvaluateOptions, on_progress: ProgressCallback) -> TokenReport:
    """Run the protocol.

    Raises:
        InputError: The folder holds no clips, or one of them cannot be read.
        OutputError: The report cannot be written.
        CheckpointError, DeviceError, OptionError: A tokenizer is not to be had.
    """
    if options.output is not None:
        check_outputs([options.output], [options.clips], overwrite=True)
    paths = find_clips(options.clips, options.max_clips)
    if not paths:
        raise InputError(f"{options.clips} holds no clips.")
    place = {"device": options.model.device, "dtype": options.model.dtype}
    tokenizers = {
        name: choose_tokenizer(ModelOptions(model=model, **place))  # type: ignore[arg-type]
        for name, model in (
            (REFERENCE, options.model.model), (PLAIN, options.twin),
            (REFERENCE_16_WEBP, MINI_REFTOK_16), (VECTORS, MINI_VTOK),
        )
    }  # fmt: skip
    networks = load_networks(tokenizers[REFERENCE].device)
    # The slow ones that say little of so small pictures are left out.
    networks = Networks(lpips=networks.lpips, st_lpips=networks.st_lpips)
    results: list[TokenResult] = []
    for done, path in enumerate(paths):
        clip = middle_square(read_clip(path, options.frames, fewest=NEAR + 1))
        results += _evaluate_clip(path.stem, clip, tokenizers, networks)
        on_progress(Progress(done + 1, len(paths)))
    report = TokenReport(
        models={name: loaded.name for name, loaded in tokenizers.items()},
        hashes={name: loaded.tokenizer.facts.sha256 for name, loaded in tokenizers.items()},
        results=tuple(results),
    )
    write_report(report, options.output)
    return report


def middle_square(frames: Frames, side: int = SIDE) -> Frames:
    """Shrink or enlarge frames to a short side, and cut out the middle: (T, side, side, 3)."""
    height, width = frames.shape[1:3]
    scale = side / min(height, width)
    size = (max(side, round(width * scale)), max(side, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = np.stack([cv2.resize(frame, size, interpolation=how) for frame in frames])
    top, left = (size[1] - side) // 2, (size[0] - side) // 2
    return np.ascontiguousarray(resized[:, top : top + side, left : left + side], np.uint8)


def _evaluate_clip(
    name: str, clip: Frames, tokenizers: dict[str, LoadedTokenizer], networks: Networks
) -> Iterator[TokenResult]:
    judge = Judge(clip[: NEAR + 1], networks)
    exact = clip[0], 8 * len(pack_picture(clip[0], None))
    webp = pack_picture(clip[0], WEBP_QUALITY)
    small = unpack_picture(webp, SIDE, SIDE), 8 * len(webp)

    def result(
        system: str, frames: Frames, tokens: int, bits: float, stored: int, coded: int
    ) -> TokenResult:
        return TokenResult(
            system=system,
            clip=name,
            frames=len(clip),
            tokens=tokens,
            token_bits=bits,
            coded=coded,
            reference_bits=stored,
            psnr=frame_psnr(frames, clip[: len(frames)]),
            scores=judge.score(frames[: NEAR + 1]),
            motion=kept_motion(frames[: NEAR + 1], clip[: NEAR + 1]),
        )

    for system, tokenizer, (reference, stored) in (
        (REFERENCE, REFERENCE, exact),
        (REFERENCE_WEBP, REFERENCE, small),
        (REFERENCE_16_WEBP, REFERENCE_16_WEBP, small),
    ):
        frames, tokens, bits = code_clip(tokenizers[tokenizer], clip[1:], reference)
        whole = np.concatenate((reference[None], frames))
        found = result(system, whole, tokens, bits, stored, len(frames))
        yield found
        if system == REFERENCE_WEBP:
            near = found.bits_of(NEAR + 1)
    frames, tokens, bits = code_clip(tokenizers[PLAIN], clip[1:], None)
    # Its frame 0, which would have to be coded too, does not count.
    yield result(PLAIN, np.concatenate((clip[:1], frames)), tokens, bits, 0, len(frames))
    frames, tokens, bits = code_clip(tokenizers[VECTORS], clip, None)
    yield result(VECTORS, frames, tokens, bits, 0, len(clip))
    rows = tokenizers[VECTORS].tokenizer.facts.side
    in_key = (SIDE // rows) ** 2
    held = _hold(frames[:1], len(clip), tokens // in_key, tokenizers[VECTORS], clip)
    yield result(HOLD, *held, 0, len(clip))
    for codec in CODECS:
        made = encode_like(codec, clip[: NEAR + 1], near)
        if made is not None:
            yield result(codec, made[0], 0, made[1], 0, NEAR + 1)


def _hold(
    key: Frames, length: int, count: int, loaded: LoadedTokenizer, clip: Frames
) -> tuple[Frames, int, float]:
    """Key frames alone, as many as the tokens allow, spread evenly and each held."""
    places = [round(number * (length - 1) / max(1, count - 1)) for number in range(count)]
    shown, tokens, bits = [key[0]], 0, 0.0
    for place in places or [0]:
        frames, more, information = code_clip(loaded, clip[place : place + 1], None)
        shown[place:] = [frames[0]] * (length - place)
        tokens, bits = tokens + more, bits + information
    return np.stack(shown[:length]), tokens, bits


@torch.inference_mode()
def code_clip(
    loaded: LoadedTokenizer, frames: Frames, reference: Frames | None
) -> tuple[Frames, int, float]:
    """Encode and decode one shot.

    Args:
        loaded: The tokenizer.
        frames: (T, H, W, 3).
        reference: (H, W, 3) for those that use one.

    Returns:
        The decoded frames, the number of tokens (a vector is one), and their information [bits].
    """
    tokenizer, facts = loaded.tokenizer, loaded.tokenizer.facts
    told = None
    if facts.uses_reference:
        assert reference is not None, "the tokenizer uses one"
        told = pad_frames([reference], facts.size_multiple, loaded.device)[0]
    encoder = decoder = None
    made, tokens, bits = [], 0, 0.0
    remaining = iter(frames)
    while block := list(islice(remaining, facts.block)):
        clip = pad_frames(block, facts.size_multiple, loaded.device)
        found, encoder = tokenizer.encode(clip, told, encoder)
        decoded, decoder = tokenizer.decode(found, len(block), told, decoder)
        made.append(clip_to_frames(decoded.transpose(0, 1)[None], np.uint8))
        tokens += found.grid.numel() + len(found.vectors)
        bits += found.grid.numel() * float(np.log2(np.prod(facts.levels)))
        if facts.vector:
            bits += found.vectors.numel() * float(np.log2(np.prod(facts.vector_levels)))
    height, width = frames.shape[1:3]
    return np.concatenate(made)[:, :height, :width], tokens, bits


def kept_motion(frames: Frames, clean: Frames) -> float:
    """Share of the motion since frame 0 that frames keep: 1 is all, 0 what a held frame has.

    Dense displacements to frame 0 are found in both by the same search; what is kept is one minus
    the squared difference over the squared length, where the clean frames move.
    """
    missing = total = 0.0
    flows: list[object] = [None, None]
    for number in range(1, len(clean)):
        found = []
        for index, video in enumerate((clean, frames)):
            shades, first = gray(video[number]), gray(video[0])
            coarse = find_coarse(shades, first, flows[index])  # type: ignore[arg-type]
            flows[index] = coarse
            found.append(refine(shades, first, coarse))
        missing += float(np.square(found[0] - found[1]).sum())
        total += float(np.square(found[0]).sum())
    return 1 - missing / max(total, 1e-6)
