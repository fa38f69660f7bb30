"""Options -> a loaded tokenizer on a device, and what it needs for a video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from refvid.checkpoints.load import load_backbone
from refvid.device import DTYPE_NAMES, choose_device, choose_dtype, free_bytes
from refvid.errors import InputError, OptionError, OutOfMemory
from refvid.models.registry import MINI_REFTOK, find_backbone, names
from refvid.models.tokenizer import Tokenizer
from refvid.rebuild.choose_backbone import check_kind
from refvid.rebuild.chunks import ChunkLengths
from refvid.rebuild.memory import Budget, MemoryPlan
from refvid.rebuild.options import ModelOptions
from refvid.tokens.layout import TokenFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedTokenizer:
    """A tokenizer ready to run."""

    tokenizer: Tokenizer
    device: torch.device
    dtype: torch.dtype
    reason: str
    """Why this one, for people."""

    @property
    def name(self) -> str:
        """What `--model` calls it."""
        return self.tokenizer.name

    @property
    def dtype_name(self) -> str:
        """bf16, fp16 or fp32."""
        return DTYPE_NAMES[self.dtype]


def choose_tokenizer(options: ModelOptions, *, wanted: str | None = None) -> LoadedTokenizer:
    """Pick device and tokenizer, and load the weights.

    Tokens are computed in float32 unless another precision is asked for: a number that is rounded
    in another way is another token.

    Args:
        options: What was asked for.
        wanted: Name of the one that a file of tokens was made by.

    Raises:
        OptionError: The name is not known, or the model makes no tokens.
        DeviceError: The device is not on this machine.
        CheckpointError: The weights are missing or do not fit.
    """
    device = choose_device(options.device)
    dtype = torch.float32 if options.dtype == "auto" else choose_dtype(options.dtype, device)
    name, reason = options.model, "as asked"
    if name == "auto":
        name, reason = wanted or MINI_REFTOK, "the file's" if wanted else "the default"
    if wanted is not None and options.model == "auto" and find_backbone(name) is None:
        raise InputError(
            f"The tokens are those of {wanted[:80]!r}, which this version does not know: give its "
            "weights with --model PATH."
        )
    check_kind(name, "tokens")
    if find_backbone(name) is None and not Path(name).exists():
        raise OptionError(
            f"There is no tokenizer {name}: --model takes {', '.join(names('tokens'))}, or the "
            "path of a file with weights."
        )
    loaded = load_backbone(name, device, dtype)
    check_kind(loaded.name, "tokens")  # where a path was given
    return LoadedTokenizer(
        tokenizer=cast("Tokenizer", loaded), device=device, dtype=dtype, reason=reason
    )


def check_same_tokenizer(path: Path, facts: TokenFacts, loaded: LoadedTokenizer) -> None:
    """Raise `InputError` where tokens are another tokenizer's, or do not fit what they say."""
    own = loaded.tokenizer.facts
    if facts.sha256 != own.sha256:
        raise InputError(
            f"{path} holds tokens of {facts.tokenizer[:80]} ({facts.sha256[:12]}), not of "
            f"{own.name} ({own.sha256[:12]}): give the weights that made them with --model PATH."
        )
    told = facts.levels, facts.vector_levels, facts.side, facts.block
    if told != (own.levels, own.vector_levels, own.side, own.block) or (
        facts.padded_width % own.size_multiple or facts.padded_height % own.size_multiple
    ):
        raise InputError(
            f"{path} names its tokenizer, but contradicts it: levels, block or size are others. "
            "Make it again with refvid tokenize."
        )


def plan_token_memory(loaded: LoadedTokenizer, source: Path, height: int, width: int) -> MemoryPlan:
    """What a block of frames of a padded size takes.

    Raises:
        OutOfMemory: It does not fit.
    """
    needed = loaded.tokenizer.working_bytes(height, width)
    free = free_bytes(loaded.device)
    if free is not None and needed > free:
        raise OutOfMemory(
            f"{source}: {width}x{height} does not fit into memory: a block needs about "
            f"{needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free on {loaded.device}. "
            "Close other programs, or make the video smaller first."
        )
    block = loaded.tokenizer.facts.block
    return MemoryPlan(Budget(ChunkLengths(block, block), None), needed, [])
