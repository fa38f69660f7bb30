"""Everything that can be said about a training run, as data.

A run is written down as one tree of these: a config file holds the tree, and
`--set optimizer.rate=1e-4` changes one leaf. `refvid.training.defaults` has what differs between
backbones.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from refvid.documents import shown
from refvid.errors import OptionError
from refvid.models.registry import MINI, MINI_REFTOK_TWIN, Kind, find_backbone, names
from refvid.training.bounds import check_positive, check_share
from refvid.training.loss_config import LossConfig, StyleLossConfig
from refvid.training.sample_options import SampleOptions, StageConfig, StyleSampleOptions

Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """What to learn from."""

    videos: Path | None = None
    """Folder of clean videos, searched with its subfolders; those of one source start with the
    same word before a `_`."""

    images: Path | None = None
    """Folder of pictures, which become clips by camera paths and moving layers."""

    styles: Path | None = None
    """Folder of paintings, for the task style without pairs. A file whose name goes on where
    another's ends (scream_detail.png beside scream.png) shows a part of the same picture."""

    triplets: Path | None = None
    """Folder of triplets (content, style, stylised), for the task style with pairs; see
    `refvid.training.triplets`."""

    valid_styles: tuple[str, ...] = ()
    """File names of styles to hold out; none given holds out a share of them."""

    valid: Path | None = None
    """Folder of held-out videos; None holds out some of the sources."""

    valid_share: float = 0.1
    """Share of the sources held out where there is no such folder, and of the styles."""

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

    made: int = 0
    """Clips that are made by code, of the kinds that camera clips lack: plain, titles, subtitles,
    screens, cartoons, stars, bars, grain, darkness and others, in turn. Sizes as from pictures."""

    cache: Path | None = None
    """Decoded crops; None is `cache` in the run's folder."""

    workers: int | None = None
    """Processes that decode, degrade and draw; 0 does it in the training process. None: one per
    core for decoding; for drawing 0 beside a CPU and up to 4 beside a GPU."""

    @property
    def preparing_workers(self) -> int:
        """Processes that decode and degrade."""
        return (os.cpu_count() or 1) if self.workers is None else self.workers

    def __post_init__(self) -> None:
        check_positive(self, "max_frames", "excerpts", "frame_step", "photo_frames")
        check_share(self, "valid_share")
        if self.made < 0:
            raise OptionError(f"made is not negative, not {self.made}.")


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
        check_share(self, "pretrained_share", "warmup_share", "final_share", "ema_decay")


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
        check_positive(self, "keep_checkpoints", "log_steps", "valid_steps", "accumulate")
        if self.checkpoint_minutes < 0:
            raise OptionError("checkpoint_minutes is not negative.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One training run."""

    task: Kind = "restore"
    """restore brings details back, style repaints clips in the manner of a picture, tokens makes
    clips of few codes."""

    backbone: str = MINI
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
    style_samples: StyleSampleOptions = field(default_factory=StyleSampleOptions)
    stages: tuple[StageConfig, ...] = (StageConfig(),)
    latents: LatentsConfig = field(default_factory=LatentsConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    style_loss: StyleLossConfig = field(default_factory=StyleLossConfig)
    run: RunConfig = field(default_factory=RunConfig)

    @property
    def cache(self) -> Path:
        """Folder for what is made of the data: may be shared by runs."""
        return self.data.cache or self.output / "cache"

    def __post_init__(self) -> None:
        if not self.stages:
            raise OptionError("stages: at least one is needed.")
        spec = find_backbone(self.backbone)
        if spec is None or spec.recipe is None:
            raise OptionError(f"the backbone {shown(self.backbone)} is none that can be trained.")
        if spec.kind != self.task:
            raise OptionError(
                f"the task {self.task} is for the backbones {', '.join(names(self.task))} alone; "
                f"{self.backbone} is for the task {spec.kind}."
            )
        if self.task == "style":
            self._check_style()
        elif self.data.styles or self.data.triplets:
            raise OptionError("styles and triplets are for the task style: add --task style.")
        if self.task == "tokens" and (self.latents.folder is not None or self.unconditional):
            raise OptionError(
                "latents and unconditional are not for the task tokens: the network without a "
                f"reference is the backbone {MINI_REFTOK_TWIN}."
            )

    def _check_style(self) -> None:
        if self.data.variants:
            raise OptionError("data.variants is 0 for the task style: nothing is degraded.")
        if self.latents.folder is not None:
            raise OptionError("latents are not for the task style.")
        if self.unconditional:
            raise OptionError("unconditional is not for the task style: the style is all there is.")
        data = self.data
        if data.triplets and (data.styles or data.videos or data.images or data.valid):
            raise OptionError(
                "give triplets, or styles with videos and images to repaint: not both."
            )
