"""Everything that can be said about a training run, as data.

A run is written down as one tree of these: a config file holds the tree, and
`--set optimizer.rate=1e-4` changes one leaf. `defaults_of` has what differs between backbones.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from refvid.errors import OptionError

BackboneName = Literal["mini", "wan2.1", "videovae+"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


_SHARES = (
    "unrelated", "missing", "degraded_reference", "undegraded", "relit_reference", "token_dropout",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """What to learn from."""

    videos: Path | None = None
    """Folder of clean videos, searched with its subfolders; those of one source start with the
    same word before a `_`."""

    images: Path | None = None
    """Folder of pictures, which become clips by camera paths and moving layers."""

    valid: Path | None = None
    """Folder of held-out videos; None holds out some of the sources."""

    valid_share: float = 0.1
    """Share of the sources held out where there is no such folder."""

    exclude: tuple[str, ...] = ()
    """File names to leave out."""

    variants: int = 3
    """Degraded versions of every clip; 0 gives the network clean clips, as the paper does."""

    max_frames: int = 33
    """Frames of a cached excerpt."""

    excerpts: int = 1
    """Excerpts of every video, one after the other from its start."""

    short_side: int | None = None
    """Larger videos are shrunk to this [pixels]; None keeps their size."""

    frame_step: int = 1
    """Every n-th frame is used."""

    photo_frames: int = 13
    photo_size: tuple[int, int] = (448, 320)
    """Width and height of the clips from pictures [pixels]."""

    cache: Path | None = None
    """Decoded crops; None is `cache` in the run's folder."""

    workers: int | None = None
    """Processes that decode, degrade and draw; 0 does it in the training process. None: one per
    core for decoding; for drawing 0 beside a CPU and up to 4 beside a GPU."""

    def __post_init__(self) -> None:
        _positive(self, "max_frames", "excerpts", "frame_step", "photo_frames")
        _share(self, "valid_share")


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
        _share(self, *_SHARES)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentsConfig:
    """Latent fine-tuning: saved latents of a diffusion model, with a reference for each."""

    folder: Path | None = None
    """Files with latents; every second batch comes from them. None: no such batches."""

    references: Path | None = None
    """Pictures with the latents' names; None looks beside the latents."""

    bidirectional: bool = True
    """Half of them reversed in time; False is the appendix's first stage, forward only."""

    scale: Literal["auto", "raw", "normalized"] = "auto"
    """What the values are; auto recognises it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerConfig:
    """AdamW and its schedule: linear warm-up, then a cosine down to `final_share`."""

    rate: float = 2e-4
    """Learning rate of new modules."""

    pretrained_share: float = 0.1
    """Learning rate of a pretrained decoder, as a share of `rate`."""

    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 1e-2
    warmup_steps: int = 1000
    warmup_share: float = 0.01
    """The warm-up starts at this share of `rate`."""

    final_share: float = 0.01
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    """The exported weights are an exponential moving average of the learned ones."""

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise OptionError(f"rate is more than 0, not {self.rate:g}.")
        _share(self, "pretrained_share", "warmup_share", "final_share", "ema_decay")


@dataclass(frozen=True, slots=True, kw_only=True)
class LossConfig:
    """What is compared, see `refvid.training.losses`."""

    pixels: Literal["l1", "detail"] = "l1"
    """Mean absolute error, or Charbonnier error of pixels and their differences."""

    perceptual: Literal["auto", "lpips", "gradients", "none"] = "auto"
    """auto takes LPIPS where it can be had, else multi-scale gradients."""

    perceptual_weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """How long, on what, and what is told on the way."""

    steps: int | None = None
    """Planned length; the schedule and the stages go by it."""

    minutes: float | None = None
    """Planned length where `steps` is not given, over all resumptions."""

    max_minutes: float | None = None
    """Stop this call after so long, with a checkpoint; the plan stays as it is."""

    checkpoint_minutes: float = 5.0
    keep_checkpoints: int = 2
    log_steps: int = 20
    valid_steps: int = 500
    valid_batches: int = 4
    picture_steps: int = 500
    """A sheet of input, output and clean frame every so many steps; 0: none."""

    precision: Precision = "auto"
    """auto computes in bf16 where the machine is fast at it; weights stay in fp32."""

    accumulate: int = 1
    """Batches per step."""

    device: Literal["auto", "cpu"] = "auto"
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "minutes", "max_minutes"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise OptionError(f"{name} is more than 0, not {value:g}.")
        _positive(self, "keep_checkpoints", "log_steps", "valid_steps", "accumulate")
        if self.checkpoint_minutes < 0:
            raise OptionError("checkpoint_minutes is not negative.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One training run."""

    backbone: BackboneName = "mini"
    output: Path
    """Folder of the run: checkpoints, metrics, pictures, weights."""

    init: str | None = None
    """Weights to begin with: a file, or the name of a model; the optimiser starts afresh."""

    seed: int = 0
    unconditional: bool = False
    """Train the decoder without references and their attention, to compare with."""

    network: dict[str, Any] = field(default_factory=dict)
    """Sizes of the network that differ from the backbone's own."""

    data: DataConfig = field(default_factory=DataConfig)
    samples: SampleOptions = field(default_factory=SampleOptions)
    stages: tuple[StageConfig, ...] = (StageConfig(),)
    latents: LatentsConfig = field(default_factory=LatentsConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        if not self.stages:
            raise OptionError("stages: at least one is needed.")


_PAPER: dict[str, Any] = {
    "data": {"variants": 0, "max_frames": 33, "short_side": 480},
    "samples": {
        "clips": 2,
        "frames": 17,
        "crop": 256,
        "reference_crop": 256,
        "consecutive": True,
        "unrelated": 0.05,
        "missing": 0.1,
        "degraded_reference": 0.0,
        "undegraded": 0.0,
        "relit_reference": 0.0,
        "token_dropout": 0.7,
    },
    "stages": [{"share": 1.0, "frames": 5}, {"share": 1.0, "frames": 17}],
    "optimizer": {"rate": 2e-4},
    "run": {"steps": 100_000, "checkpoint_minutes": 20.0},
}

_DEFAULTS: dict[str, dict[str, Any]] = {
    "mini": {
        "samples": {"missing": 0.25, "undegraded": 0.06},
        "optimizer": {
            "rate": 1e-3,
            "betas": [0.9, 0.99],
            "weight_decay": 1e-4,
            "warmup_steps": 200,
            "clip_norm": 0.5,
        },
        "loss": {"pixels": "detail", "perceptual": "none"},
        "run": {"minutes": 60.0},
    },
    "wan2.1": _PAPER,
    "videovae+": {
        **_PAPER,
        "samples": {**_PAPER["samples"], "frames": 16, "crop": 216, "reference_crop": 216},
        "stages": [{"share": 1.0, "frames": 4}, {"share": 1.0, "frames": 16}],
    },
}


def defaults_of(backbone: str) -> dict[str, Any]:
    """What a backbone's recipe sets where neither file nor command line does.

    `mini`: the recipe of the bundled weights. The others: the paper's (RefDecoder,
    arXiv:2605.15196, appendix B.2).

    Raises:
        OptionError: There is no such backbone.
    """
    if backbone not in _DEFAULTS:
        raise OptionError(f"backbone: {backbone!r} is none of {', '.join(_DEFAULTS)}.")
    return _DEFAULTS[backbone]


def _positive(config: object, *names: str) -> None:
    for name in names:
        if getattr(config, name) < 1:
            raise OptionError(f"{name} is at least 1, not {getattr(config, name)}.")


def _share(config: object, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(config, name) <= 1:
            raise OptionError(f"{name} is between 0 and 1, not {getattr(config, name):g}.")
