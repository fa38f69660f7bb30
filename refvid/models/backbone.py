"""What every backbone offers: encode, decode with or without a reference, and its limits as data.

A backbone is a video autoencoder with its reference-conditioned decoder (RefDecoder,
arXiv:2605.15196). State that a causal model carries from one chunk to the next is passed in and
handed back, never kept in the module: one loaded backbone may serve several videos at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

TOKEN_SIDE: Final = 16
"""Side of what a token of the reference attention stands for [pixels]."""


@dataclass(frozen=True, slots=True)
class Memory:
    """How far back what a model carries from chunk to chunk reaches. Before that, other frames
    change not a bit of the result.
    """

    frames: int = 0
    """By which its layers look back, together."""

    chunks: int = 0
    """Times that it sees a whole chunk at once in between: back to the chunk's start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneLimits:
    """What a backbone accepts; callers plan with it and pad, so nothing asserts deep inside."""

    size_multiple: int
    """Height and width of a clip must be multiples of this."""

    min_size: int
    """Smallest height and width of a clip [pixels]; a multiple of `size_multiple`."""

    temporal_stride: int
    """Frames per latent frame after the first chunk's first frame."""

    first_chunk_extra: int
    """1 where the first frame of a shot makes a latent frame of its own (Wan: 4k + 1), else 0."""

    default_chunk: int
    """Frames per chunk when the user asks for nothing; chunks after the first one of a shot."""

    max_chunk: int
    """Most frames per chunk, whatever their size."""

    chunk_tokens: int | None = None
    """Tokens of 16x16 pixels that a chunk and its reference may have together: chunks of small
    frames may be longer than `max_chunk`. None: they may not."""

    trained_pixels: int | None = None
    """Largest area of a frame that the network was trained with; larger ones go in tiles unless
    the user says otherwise. None: no such limit."""

    overlap: int = 0
    """Frames that neighbouring chunks of a shot share, where the model carries no state from one
    to the next; their results are cross-faded. A multiple of `temporal_stride`."""

    lookahead: int = 0
    """Frames behind a frame that its result depends on: of a chunk's last so many, `decode` gives a
    provisional result, and the final one with the next chunk; see `Decoded.revised`. 0: none. For
    backbones without temporal stride or overlap."""

    finds_references: bool = False
    """Whether it takes several references of any size and finds what they show by itself
    (`prepare_references`); else one of the clip's size (`prepare_reference`)."""

    joins_references: bool = False
    """Whether it may be given several references of the clip's size at once (`join_references`)."""

    memory: Memory | None = None
    """How far back its state reaches: from so far before on, an interrupted run begins again. None:
    nobody knows, or to the start of the shot."""

    packs_state: bool = False
    """Whether its state can be written down (`StatePacker`)."""

    recomputed: int = 0
    """The last so many frames before a state that is written down have left nothing in it: an
    interrupted run computes them once more."""

    rebuilds_clips: bool = False
    """Whether it can go from clip to clip at once (`ClipRebuilder`)."""

    independent_chunks: bool = False
    """Whether every chunk is a shot of its own to the model: `first_chunk_extra` for all."""

    def longest_chunk(self, height: int, width: int) -> int:
        """Most frames per chunk of frames of a size [pixels]."""
        if self.chunk_tokens is None:
            return self.max_chunk
        tokens = -(-height // TOKEN_SIDE) * -(-width // TOKEN_SIDE)
        return max(self.max_chunk, self.chunk_tokens // tokens - 1)  # the reference is one more


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A picture that conditions the decoder; read when it is used, since there may be many."""

    read: Callable[[], NDArray[np.uint8]]
    """Gives (h, w, 3) RGB, of any size."""

    frame: int | None = None
    """The frame that it belongs to, counted from the first one of the shot, may lie before or
    behind the shot; None: it serves them all."""

    is_placed: bool = False
    """Whether it has the video's size and every pixel lies where the video's does; else it is
    found in the video."""

    enlarged: float = 1.0
    """How many times as large the video's frames are as they were recorded: they hold no more
    detail than before."""

    remembered: dict[str, Any] = field(default_factory=dict, compare=False)
    """Where a model keeps what little it has learned of the picture, for the whole video."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceUse:
    """What a chunk found in one of its references."""

    reference: int
    """Number among those given."""

    frames: int
    """Frames that it served."""

    found: float
    """Share of these frames' texture that was found in it."""

    sharper: float
    """Its fine detail over the video's, where it was found; about 1 is no sharper."""

    worth: float
    """How much of that counts, from 0 to 1: nothing where it would do harm."""

    is_registered: bool
    """Whether its size, place and colours were brought to the shot's."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One decoded chunk."""

    clip: Tensor
    """(B, 3, revised + T, H, W) in [-1, 1]."""

    state: Any
    """What the next chunk of the same shot needs; opaque to callers."""

    uses: tuple[ReferenceUse, ...] = ()
    """What was found in each reference, from backbones that can tell."""

    revised: int = 0
    """Frames at the start of `clip` that are the last of the shot before this chunk once more, now
    that what comes after them is known: `lookahead` of them, or all where there are fewer. 0 from
    backbones that do not look ahead."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One encoded chunk."""

    latents: Tensor
    """(B, C, t, h, w): the posterior's mode on the latent grid."""

    state: Any
    """What the next chunk of the same shot needs; opaque to callers."""


class Backbone(Protocol):
    """A ready model on its device. All methods run without gradients."""

    @property
    def name(self) -> str:
        """What `--model` calls it."""
        ...

    @property
    def limits(self) -> BackboneLimits: ...

    def encode(self, clip: Tensor, state: Any = None) -> Encoded:
        """Encode one chunk of a shot.

        Args:
            clip: (B, 3, T, H, W) in [-1, 1], as `limits` allow.
            state: None at the start of a shot, else the state of the chunk before.
        """
        ...

    def prepare_reference(self, reference: Tensor) -> Any:
        """Embed a reference (B, 3, H, W) in [-1, 1], once per clip; opaque to callers."""
        ...

    def decode(
        self,
        latents: Tensor,
        reference: Any = None,
        state: Any = None,
        *,
        tile: int | None = None,
    ) -> Decoded:
        """Decode one chunk of a shot.

        Args:
            latents: (B, C, t, h, w) from `encode`.
            reference: What `prepare_reference` gave, or None to decode without a reference.
            state: None at the start of a shot, else the state of the chunk before.
            tile: Work in spatial windows of about this many pixels a side, to bound memory;
                None decodes whole frames.

        Returns:
            The clip that belongs to these latents, as large as the one that was encoded.
        """
        ...

    def working_bytes(self, height: int, width: int, frames: int, tile: int | None) -> int:
        """Estimate of the memory one `encode` and `decode` of such a chunk needs [bytes]."""
        ...

    def plain(self) -> Backbone | None:
        """The same weights without the reference attention; None where that is no decoder."""
        ...

    def bound_memory(self) -> None:
        """From now on keep nothing on the device that may wait in main memory.

        For a budget that is less than what is free, which a backbone left alone looks at.
        """
        ...


@dataclass(frozen=True, slots=True)
class Keyframe:
    """A frame of the clip that the user has painted himself."""

    painted: Tensor
    """(1, 3, H, W) in [-1, 1]."""

    frame: Tensor
    """(1, 3, H, W) in [-1, 1]: the clip's own frame at that place."""


class StyleBackbone(Backbone, Protocol):
    """A backbone of the kind style: its reference is one or more style images."""

    def prepare_styles(
        self,
        styles: Sequence[tuple[Tensor, float]],
        keyframes: Sequence[Keyframe] = (),
        structure: float = 0.5,
    ) -> Any:
        """Gather what `decode` needs, once per clip; of keyframes alone, they are the style too.

        `structure` says how much of the frames stays, from 0 to 1.

        Styles are images (1, 3, h, w) in [-1, 1], h and w multiples of 8 and at least 32, with
        positive weights, of which only the ratios count; `ValueError` where there is nothing.
        """
        ...


class ReferenceJoiner(Backbone, Protocol):
    """A backbone whose limits say `joins_references`."""

    def join_references(self, prepared: Sequence[Any]) -> Any:
        """Take what `prepare_reference` gave for each of several as one; opaque to callers."""
        ...


@dataclass(frozen=True, slots=True)
class PackedState:
    """A state as it can be written to a file."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]
    """In plain JSON types."""


class StatePacker(Backbone, Protocol):
    """A backbone whose limits say `packs_state`: one with `Memory` that has no end.

    Only its decoder carries state.
    """

    def pack_state(self, state: Any) -> PackedState:
        """Write down the state that `decode` gave back for one clip."""
        ...

    def unpack_state(self, packed: PackedState, reference: Any, size: tuple[int, int]) -> Any:
        """Make it again; after `BackboneLimits.recomputed` frames it is the same in every bit.

        Args:
            packed: From `pack_state`, of this model.
            reference: What `decode` is given next, made anew of the same pictures.
            size: Height and width of the frames that it gives [pixels].

        Raises:
            KeyError, TypeError, ValueError: It is not what was written.
        """
        ...


class ClipRebuilder(Backbone, Protocol):
    """A backbone whose limits say `rebuilds_clips`: its decoder starts from the clip itself, and
    its encoder has no state.
    """

    def rebuild(
        self,
        clip: Tensor,
        reference: Any = None,
        state: Any = None,
        *,
        tile: int | None = None,
    ) -> Decoded:
        """What `decode` makes of `encode`'s latents, but for rounding, without making these.

        Args:
            clip: (B, 3, T, H, W) in [-1, 1], one chunk of a shot.
            reference: As for `decode`.
            state: As for `decode`.
            tile: As for `decode`.
        """
        ...


class ReferenceFinder(Backbone, Protocol):
    """A backbone whose limits say `finds_references`."""

    def prepare_references(self, references: Mapping[int, Reference]) -> Any:
        """Take references by number, once per video; opaque to callers.

        Every token of a frame may use any of them.
        """
        ...
