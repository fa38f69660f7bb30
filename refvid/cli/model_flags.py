"""Flags for a model and the machine that it runs on, in groups as in `flags`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from refvid import settings
from refvid.cli.groups import MODEL_PANEL, values_of
from refvid.models.registry import backbones, names
from refvid.words import parse_model

if TYPE_CHECKING:
    from refvid.rebuild.options import ModelOptions

_model = partial(typer.Option, rich_help_panel=MODEL_PANEL)

_JOINS = ", ".join(f"{spec.name}: {spec.joins_by}" for spec in backbones() if spec.joins_by)

Model = Annotated[
    str | None,
    _model(
        "--model",
        metavar="NAME|PATH",
        help=f"auto, {', '.join(names('restore'))}, or a path with weights.  [default: auto]",
    ),
]
Device = Annotated[
    str | None,
    _model(
        "-d",
        "--device",
        metavar="NAME",
        help="auto, cpu, cuda, cuda:N, mps or xpu.  [default: auto]",
    ),
]
Devices = Annotated[
    str | None,
    _model(
        "-d",
        "--device",
        metavar="NAME,...",
        help="auto, cpu, cuda, cuda:N, mps or xpu; several work at once: cuda:0,cuda:1 or "
        "cuda:all, or two processes: cpu:2.  [default: auto]",
    ),
]
DType = Annotated[
    settings.DType | None,
    _model("--dtype", metavar="auto|bf16|fp16|fp32", help="Precision.  [default: auto]"),
]
Chunk = Annotated[
    int | None,
    _model("--chunk", metavar="N", min=1, help="Frames per model call; fewer need less memory."),
]
Tile = Annotated[
    str,
    _model("--tile", metavar="auto|off|PX", help="Work in windows of PX pixels to save memory."),
]
Memory = Annotated[
    str | None,
    _model(
        "--memory",
        metavar="SIZE",
        help="What the model's work may take, e.g. 8G.  [default: what is free]",
    ),
]


class _Choice:
    """Flags for a model: those of `ModelOptions` that a command has, under the same names."""

    __slots__ = ()

    def parse(self) -> ModelOptions:
        return parse_model(values_of(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice(_Choice):
    """Which model, and where it runs."""

    model: Model = None
    weights: Annotated[
        Path | None,
        _model(
            "--weights",
            metavar="FILE",
            help="A file downloaded by hand (.safetensors, .pt, .ckpt), for the model of --model.",
        ),
    ] = None
    device: Device = None
    dtype: DType = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerChoice(_Choice):
    """Which tokenizer, and where it runs."""

    model: Annotated[
        str | None,
        _model(
            "--model",
            metavar="NAME|PATH",
            help=f"auto, {', '.join(names('tokens'))}, or a path with weights.  [default: auto]",
        ),
    ] = None
    device: Device = None
    dtype: Annotated[
        settings.DType | None,
        _model(
            "--dtype",
            metavar="auto|bf16|fp16|fp32",
            help="Precision; auto is fp32: tokens depend on it.  [default: auto]",
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderChoice(ModelChoice):
    """The same, where several devices may work, and how much each encodes at once."""

    device: Devices = None
    chunk: Chunk = None
    memory: Memory = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderChoice(ModelChoice):
    """The same, where several devices may work, and how much each decodes at once."""

    device: Devices = None
    chunk: Chunk = None
    tile: Tile = "auto"
    memory: Memory = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuilderChoice(DecoderChoice):
    """The same, and how chunks are joined."""

    chunking: Annotated[
        Literal["carry", "independent"],
        _model(
            "--chunking",
            help=f"Join chunks ({_JOINS}), or decode each alone as published.",
        ),
    ] = "carry"


@dataclass(frozen=True, slots=True, kw_only=True)
class StylizerChoice(_Choice):
    """Where the one model for styles runs, and how much it does at once."""

    weights: Annotated[
        Path | None,
        _model(
            "--weights",
            metavar="FILE",
            help="From refvid train --task style.  [default: the bundled ones]",
        ),
    ] = None
    device: Devices = None
    dtype: DType = None
    chunk: Chunk = None
    tile: Tile = "auto"
    memory: Memory = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BriefChoice(_Choice):
    """Which model, and where it runs, where nobody brings weights."""

    model: Model = None
    device: Device = None
    dtype: DType = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where networks run."""

    device: Device = None
