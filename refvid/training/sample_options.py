"""What a batch is drawn like, for both tasks, and how that changes from stage to stage."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from refvid.errors import OptionError
from refvid.training.bounds import check_share

_SHARES = (
    "unrelated", "missing", "degraded_reference", "undegraded", "relit_reference", "photographed",
    "token_dropout", "made",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleOptions:
    """How samples are drawn."""

    clips: int = 4
    """Clips per batch, each with a reference of its own."""

    frames: int = 3
    """Frames per clip."""

    crop: int = 128
    """Side of the frames' crops [pixels], a multiple of 8."""

    reference_crop: int = 256
    """Side of the reference's crop around them [pixels], a multiple of 8."""

    consecutive: bool = False
    """Frames follow each other and the reference is one of them, as the causal backbones need it;
    else they are any frames around a reference that is none of them."""

    reference_frame: Literal["random", "first"] = "random"
    """Which frame of consecutive ones is the reference; the first one for comparison only: it
    does not generalise (RefDecoder, arXiv:2605.15196, table 9)."""

    max_distance: int = 16
    """Frames between a frame and its reference, at most; where they are not consecutive."""

    unrelated: float = 0.20
    """Share of samples whose reference comes from another clip."""

    missing: float = 0.12
    """Share of batches without a reference."""

    degraded_reference: float = 0.05
    """Share of samples whose reference is as degraded as the clip."""

    undegraded: float = 0.08
    """Share of samples whose frames are clean: a good video must come out as it went in."""

    relit_reference: float = 0.10
    """Share of samples whose reference has another exposure."""

    photographed: float = 0.0
    """Share of samples whose reference went through another camera and was registered; where
    references are aligned before the network sees them."""

    made: float = 0.1
    """Share of samples from clips made by code, where there are any (`data.made`)."""

    token_dropout: float = 0.0
    """Every step zeroes a share of the latent tokens, drawn between 0 and this."""

    def __post_init__(self) -> None:
        if min(self.clips, self.frames) < 1:
            raise OptionError("clips and frames are at least 1.")
        if self.crop % 8 or self.reference_crop % 8 or not 8 <= self.crop <= self.reference_crop:
            raise OptionError(
                "crop and reference_crop are multiples of 8, the second no smaller than the first; "
                f"not {self.crop} and {self.reference_crop}."
            )
        check_share(self, *_SHARES)


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleSampleOptions:
    """What drawing samples for the task style asks for beside `SampleOptions`."""

    content_scale: tuple[float, float] = (0.5, 1.0)
    """Smallest and largest size of the content, 1 being that of its clip: the crop is cut from a
    window that is as much larger."""

    style_area: tuple[float, float] = (0.5, 2.0)
    """Smallest and largest area of the style image, as a multiple of the frames' crop."""

    style_window: tuple[float, float] = (0.4, 1.0)
    """Smallest and largest window of a style image that is shown, as a share of its sides: in a
    small one strokes are large."""

    lead: int = 3
    """Up to so many frames are painted before those that are decoded: in use, nearly all of a
    painting is carried along from earlier frames."""

    flip: float = 0.5
    """Share of contents, and of styles, that are mirrored."""

    def __post_init__(self) -> None:
        if self.lead < 0:
            raise OptionError("lead is not negative.")
        for name in ("content_scale", "style_area", "style_window"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise OptionError(f"{name} is two rising numbers above 0, not {low:g}, {high:g}.")
        if self.style_window[1] > 1:
            raise OptionError("style_window is at most 1: no window is larger than the style.")
        check_share(self, "flip")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageConfig:
    """One stage of the curriculum; None takes the value of `samples`."""

    share: float = 1.0
    """Length in relation to the other stages'."""

    clips: int | None = None
    frames: int | None = None
    crop: int | None = None
    reference_crop: int | None = None

    def __post_init__(self) -> None:
        if self.share <= 0:
            raise OptionError(f"share is more than 0, not {self.share:g}.")

    def apply(self, samples: SampleOptions) -> SampleOptions:
        """The samples of this stage."""
        sizes = {
            name: value
            for name in ("clips", "frames", "crop", "reference_crop")
            if (value := getattr(self, name)) is not None
        }
        return replace(samples, **sizes)
