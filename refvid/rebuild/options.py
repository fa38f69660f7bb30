"""What can be asked of the commands that take files through a model.

Imports no torch, so that wrong options fail at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

from refvid.errors import OptionError
from refvid.media.encoding import Encoding
from refvid.media.frame_range import FrameRange
from refvid.models.registry import Chunking, names
from refvid.rebuild.enlargement import Enlargement
from refvid.settings import DType

Hdr = Literal["auto", "refuse", "passthrough"]
"""Of HDR video: in a domain that models know, not at all, or its code values as they are."""

SMALLEST_SCALE, LARGEST_SCALE = 0.25, 4.0

_STRUCTURE = 0.5
"""Of a style, where nobody asks for another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """Which model runs, where and how."""

    model: str = "auto"
    """auto, mini, wan2.1, videovae+, or the path of a file with weights or of a folder with one."""

    weights: Path | None = None
    """A file with weights for that model; with auto, its contents tell which model it is."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:N, mps or xpu[:N]."""

    dtype: DType = "auto"
    chunk: int | None = None
    """Frames per model call; None lets the backbone choose."""

    tile: int | Literal["auto", "off"] = "auto"
    """Side of the spatial windows [pixels]."""

    memory: int | None = None
    """What the model's work may take [bytes]; None is what is free."""

    chunking: Chunking = "carry"
    """Whether chunks are joined (wan2.1 carries its causal state from one to the next, those of
    videovae+ overlap), or each is decoded alone as the published inference scripts do."""

    attention: bool = True
    """Whether the reference attention is wanted; without it, it is not even loaded."""

    def __post_init__(self) -> None:
        if self.chunking not in get_args(Chunking):
            raise OptionError(f"Chunks are carried or independent, not {self.chunking!r}.")

    @property
    def registered(self) -> str | None:
        """The model, where it is known by name; None where it is only found when it is loaded."""
        return self.model if self.model in names("restore") else None

    @property
    def tokenizer(self) -> str | None:
        """The same of tokenizers."""
        return self.model if self.model in names("tokens") else None

    @property
    def files(self) -> tuple[Path, ...]:
        """What is given by its path."""
        return (*([self.weights] if self.weights else []), Path(self.model))


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """How a video is read, by `encode` and by those that rebuild it."""

    range: FrameRange = FrameRange()  # noqa: RUF009 - frozen
    hdr: Hdr = "auto"
    """What to do with PQ and HLG video."""

    sequence_rate: Fraction | None = None
    """Frame rate for image-sequence inputs; None is 24."""

    overwrite: bool = False
    resume: bool = True
    """Go on with what an interrupted run of the same work has left beside the output, and keep what
    is finished for the next."""

    def __post_init__(self) -> None:
        if self.hdr not in get_args(Hdr):
            raise OptionError(f"HDR is auto, refuse or passthrough, not {self.hdr!r}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildOptions(SourceOptions):
    """How a video is rebuilt, whatever the decoder is conditioned on."""

    strength: float = 1.0
    """0 gives the input back, for which no model is needed, 1 the model's full result; blended in
    pixels."""

    cut_detection: bool = True
    """Reset the causal state at shot cuts."""

    enlargement: Enlargement = Enlargement()  # noqa: RUF009 - frozen
    encoding: Encoding = Encoding()  # noqa: RUF009 - frozen

    def __post_init__(self) -> None:
        SourceOptions.__post_init__(self)  # slots make a new class, which super() does not know
        if not 0 <= self.strength <= 1:
            raise OptionError(f"The strength must be from 0 to 1, not {self.strength}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleSource:
    """An image whose colours, strokes and texture the clip shall have."""

    image: Path
    weight: float = 1.0
    """Its share among several; only the ratios count."""

    def __post_init__(self) -> None:
        # Up to here ratios are numbers that any precision can hold.
        if not 1e-6 <= self.weight <= 1e6:
            raise OptionError(
                f"The weight of the style {self.image} must be above 0, and no more than a "
                f"million, not {self.weight:g}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyframeSource:
    """A frame of the clip that the user has painted: exactly one of `frame` and `time` is set."""

    image: Path
    frame: int | None = None
    """Which frame, counted from 0 over the whole file (not the trimmed range)."""

    time: Fraction | None = None
    """The frame shown at this time [s], counted from the video's first frame."""

    def __post_init__(self) -> None:
        if (self.frame is None) == (self.time is None):
            raise OptionError("A keyframe needs the number or the time of its frame.")
        if (self.frame or 0) < 0 or (self.time or 0) < 0:
            raise OptionError("A keyframe's number or time counts from 0 and is not negative.")

    @property
    def place(self) -> str:
        """In words, e.g. `frame 12` or `1.5 s`."""
        return f"frame {self.frame}" if self.time is None else f"{float(self.time):g} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Styles:
    """What `stylize` conditions the decoder on. Nothing in it is random."""

    styles: tuple[StyleSource, ...] = ()
    """None is needed where keyframes are given: then the painted frames are the style."""

    keyframes: tuple[KeyframeSource, ...] = ()
    style_scale: float = 1.0
    """Size of the strokes: that of the style image, as a multiple of the frame's size."""

    structure: float = _STRUCTURE
    """How much of the frame stays: 0 paints nearly everything, 1 keeps what little stands out."""

    preserve_color: bool = False
    """Keep the colours of the input, and take only lightness from the result."""

    def __post_init__(self) -> None:
        if not self.styles and not self.keyframes:
            raise OptionError("There is no style: give a style image or a painted keyframe.")
        check_style_scale(self.style_scale)
        check_structure(self.structure)

    def for_inputs(self, count: int) -> Styles:  # noqa: ARG002 -- as for references
        """The same, for so many inputs."""
        return self

    def of(self, source: Path) -> Styles:  # noqa: ARG002 -- as for references
        """Those of one input: the same for all."""
        return self

    @property
    def images(self) -> tuple[Path, ...]:
        """All files that are read beside the input."""
        return (*(s.image for s in self.styles), *(k.image for k in self.keyframes))

    @property
    def name(self) -> str:
        """What a result is called after: its styles, else its keyframes."""
        images = [s.image for s in self.styles] or [k.image for k in self.keyframes]
        # A percent sign would stand for a number.
        return "+".join(dict.fromkeys(image.stem for image in images)).replace("%", "_")[:60]

    def describe(self, name: Callable[[Path], str] = str) -> str:
        """Say them in words, with paths as `name` gives them."""
        total = sum(style.weight for style in self.styles)
        several = len(self.styles) > 1
        words = [
            f"style {name(style.image)}" + f" ({style.weight / total:.0%})" * several
            for style in self.styles
        ]
        words += [f"keyframe {name(key.image)} at {key.place}" for key in self.keyframes]
        words += ["the input's colours"] * self.preserve_color
        return ", ".join(words)

    def provenance(self) -> str:
        """In words, for the metadata of results."""
        scale = f", style scale {self.style_scale:g}" * (self.style_scale != 1)
        structure = f", structure {self.structure:g}" * (self.structure != _STRUCTURE)
        return self.describe(lambda path: path.name) + scale + structure


def check_style_scale(scale: float) -> None:
    """Raise `OptionError` for strokes of an impossible size."""
    if not SMALLEST_SCALE <= scale <= LARGEST_SCALE:
        raise OptionError(
            f"The style's scale must be from {SMALLEST_SCALE:g} to {LARGEST_SCALE:g}, "
            f"not {scale:g}."
        )


def check_structure(structure: float) -> None:
    """Raise `OptionError` for more of the frame than all, or less than nothing."""
    if not 0 <= structure <= 1:
        raise OptionError(f"structure must be from 0 to 1, not {structure:g}.")
