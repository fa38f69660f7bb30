"""Option types that commands share, and how their words become values."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from refvid.cli.console import Console
from refvid.errors import CheckpointUnavailable, InputError, OptionError
from refvid.models.registry import backbones, names
from refvid.settings import LogLevel, Settings, load_settings

if TYPE_CHECKING:
    from refvid.workflows.enhance_options import ReferenceSource
    from refvid.workflows.rebuild_options import FrameRange, ModelOptions

IO_PANEL = "Input and output"
RANGE_PANEL = "Part of the video"
REFERENCE_PANEL = "Reference"
MODEL_PANEL = "Model and machine"
ENCODING_PANEL = "Encoding"
BATCH_PANEL = "Batch and scripts"

_JOINS = ", ".join(f"{spec.name}: {spec.joins_by}" for spec in backbones() if spec.joins_by)

Quiet = Annotated[
    bool,
    typer.Option("-q", "--quiet", help="Only errors on stderr.", rich_help_panel=BATCH_PANEL),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "-v", "--verbose", help="Say what is chosen and why.", rich_help_panel=BATCH_PANEL
    ),
]
Debug = Annotated[
    bool,
    typer.Option("--debug", help="Full log; tracebacks.", rich_help_panel=BATCH_PANEL),
]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object on stdout.", rich_help_panel=BATCH_PANEL),
]
Overwrite = Annotated[
    bool,
    typer.Option("-y", "--overwrite", help="Replace existing results.", rich_help_panel=IO_PANEL),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME|PATH",
        help=f"auto, {', '.join(names('restore'))}, or a path with weights.  [default: auto]",
        rich_help_panel=MODEL_PANEL,
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="A file downloaded by hand (.safetensors, .pt, .ckpt), for the model of --model.",
        rich_help_panel=MODEL_PANEL,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        "-d",
        "--device",
        metavar="NAME",
        help="auto, cpu, cuda, cuda:N, mps or xpu.  [default: auto]",
        rich_help_panel=MODEL_PANEL,
    ),
]
DTypeOption = Annotated[
    Literal["auto", "bf16", "fp16", "fp32"] | None,
    typer.Option(
        "--dtype",
        metavar="auto|bf16|fp16|fp32",
        help="Precision.  [default: auto]",
        rich_help_panel=MODEL_PANEL,
    ),
]
Chunk = Annotated[
    int | None,
    typer.Option(
        "--chunk",
        metavar="N",
        min=1,
        help="Frames per model call; fewer need less memory.",
        rich_help_panel=MODEL_PANEL,
    ),
]
Tile = Annotated[
    str,
    typer.Option(
        "--tile",
        metavar="auto|off|PX",
        help="Work in windows of PX pixels to save memory.",
        rich_help_panel=MODEL_PANEL,
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="What the model's work may take, e.g. 8G.  [default: what is free]",
        rich_help_panel=MODEL_PANEL,
    ),
]
Chunking = Annotated[
    Literal["carry", "independent"],
    typer.Option(
        "--chunking",
        help=f"Join chunks ({_JOINS}), or decode each alone as published.",
        rich_help_panel=MODEL_PANEL,
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="PATH",
        help="File, folder/ or template.  [default: {dir}/{stem}_refvid{ext}]",
        rich_help_panel=IO_PANEL,
    ),
]
SkipExisting = Annotated[
    bool,
    typer.Option(
        "-n",
        "--skip-existing",
        help="Leave inputs out whose result exists.",
        rich_help_panel=IO_PANEL,
    ),
]
Recursive = Annotated[
    bool,
    typer.Option(
        "-r",
        "--recursive",
        help="Look into folders below folders.",
        rich_help_panel=IO_PANEL,
    ),
]
Codec = Annotated[
    str | None,
    typer.Option(
        "-c",
        "--codec",
        metavar="NAME",
        help="h264, hevc, vp9, av1, prores, ffv1, png or an FFmpeg encoder."
        "  [default: like the input]",
        rich_help_panel=ENCODING_PANEL,
    ),
]
Crf = Annotated[
    float | None,
    typer.Option(
        "--crf",
        metavar="N",
        min=0,
        max=63,
        help="Quality: smaller is better and bigger.",
        rich_help_panel=ENCODING_PANEL,
    ),
]
PixFmt = Annotated[
    str | None,
    typer.Option(
        "--pix-fmt",
        metavar="NAME",
        help="FFmpeg pixel format.  [default: like the input]",
        rich_help_panel=ENCODING_PANEL,
    ),
]
EncoderOption = Annotated[
    list[str] | None,
    typer.Option(
        "-e",
        "--encoder-option",
        metavar="KEY=VALUE",
        help="For the encoder, e.g. preset=slow; may be repeated.",
        rich_help_panel=ENCODING_PANEL,
    ),
]
NoMetadata = Annotated[
    bool,
    typer.Option(
        "--no-metadata",
        help="Leave out tags, chapters and the provenance line.",
        rich_help_panel=ENCODING_PANEL,
    ),
]
FailFast = Annotated[
    bool,
    typer.Option(
        "--fail-fast",
        help="Stop a batch at its first failure.",
        rich_help_panel=BATCH_PANEL,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Print what would be done, and do nothing.",
        rich_help_panel=BATCH_PANEL,
    ),
]
RefFit = Annotated[
    Literal["cover", "contain", "stretch"],
    typer.Option(
        "--ref-fit",
        metavar="cover|contain|stretch",
        help="How a reference of another shape meets the frame.",
        rich_help_panel=REFERENCE_PANEL,
    ),
]
Start = Annotated[
    str | None,
    typer.Option(
        "--start",
        metavar="TIME",
        help="Begin here: 90, 1:30, 00:01:30.5, or frame 120f.",
        rich_help_panel=RANGE_PANEL,
    ),
]
End = Annotated[
    str | None,
    typer.Option("--end", metavar="TIME", help="Stop before this.", rich_help_panel=RANGE_PANEL),
]
Frames = Annotated[
    int | None,
    typer.Option(
        "--frames",
        metavar="N",
        min=1,
        help="At most so many frames.",
        rich_help_panel=RANGE_PANEL,
    ),
]
Preview = Annotated[
    str | None,
    typer.Option(
        "--preview",
        metavar="LENGTH",
        help="Only the first 5s, or 48f, from --start.",
        rich_help_panel=RANGE_PANEL,
    ),
]
Hdr = Annotated[
    Literal["refuse", "passthrough"],
    typer.Option(
        "--hdr",
        metavar="refuse|passthrough",
        help="What to do with HDR video, which the models have not learned.",
        rich_help_panel=ENCODING_PANEL,
    ),
]
Rate = Annotated[
    str | None,
    typer.Option(
        "--rate",
        metavar="FPS",
        help="Frame rate of image sequences: 25, 23.976, 24000/1001.  [default: 24]",
        rich_help_panel=IO_PANEL,
    ),
]


class PanelCommand(TyperCommand):
    """A command whose help groups options by panel, as plain text."""

    # Typer keeps these two types to itself, hence Any.
    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then one section per panel, then the rest."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        rest: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            row = param.get_help_record(ctx)
            if row is None:
                continue
            panel = getattr(param, "rich_help_panel", None)
            if param.param_type_name == "argument":
                # Without the Python type, which tells a user nothing.
                sections["Arguments"].append((row[0].partition(" <")[0], row[1]))
            elif panel:
                sections.setdefault(panel, []).append(row)
            else:
                rest.append(row)
        sections["Options"] = rest
        for title, rows in sections.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def start(
    ctx: typer.Context,
    *,
    quiet: bool = False,
    verbose: bool = False,
    debug: bool = False,
    as_json: bool = False,
) -> tuple[Console, Settings]:
    """Set the console up and read this machine's settings: every command's first line."""
    console: Console = ctx.obj
    flags: LogLevel | None = (
        "debug" if debug else "verbose" if verbose else "quiet" if quiet else None
    )
    console.start(flags or "normal", as_json=as_json)
    if quiet and verbose:
        raise OptionError("--quiet and --verbose exclude each other")
    settings = load_settings()
    if flags is None:
        console.start(settings.log_level, as_json=as_json)
    return console, settings


def model_options(
    settings: Settings,
    *,
    model: str | None,
    device: str | None,
    dtype: Literal["auto", "bf16", "fp16", "fp32"] | None,
    chunk: int | None = None,
    tile: int | Literal["auto", "off"] = "auto",
    weights: Path | None = None,
    memory: str | None = None,
    chunking: Literal["carry", "independent"] = "carry",
) -> ModelOptions:
    """Flags over settings."""
    from refvid.workflows.rebuild_options import ModelOptions

    if weights is not None and not weights.is_file():
        raise CheckpointUnavailable(f"--weights: there is no file {weights}")
    return ModelOptions(
        model=model or settings.model,
        weights=weights,
        device=device or settings.device,
        dtype=dtype or settings.dtype,
        chunk=chunk,
        tile=tile,
        memory=None if memory is None else parse_size(memory, "--memory"),
        chunking=chunking,
    )


_CLOCK = re.compile(r"(?:([0-9]+):)?([0-9]+):([0-9]{1,2}(?:\.[0-9]+)?)", re.ASCII)
_SECONDS = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)s?", re.ASCII)
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([KMGT]?)(?:i?B)?", re.ASCII | re.IGNORECASE)
_FRAMES = re.compile(r"([0-9]+)f", re.ASCII)
_NTSC = {
    "23.976": Fraction(24000, 1001),
    "23.98": Fraction(24000, 1001),
    "29.97": Fraction(30000, 1001),
    "47.95": Fraction(48000, 1001),
    "59.94": Fraction(60000, 1001),
    "119.88": Fraction(120000, 1001),
}


def parse_position(text: str, option: str) -> Fraction | int:
    """`90`, `5s`, `1:30`, `00:01:30.5` -> exact seconds; `120f` -> a frame index as int."""
    word = text.strip()
    if match := _FRAMES.fullmatch(word):
        return int(match[1])
    return _parse_seconds(word, option)


def parse_time(text: str, option: str) -> Fraction:
    """`90`, `5s`, `1:30`, `00:01:30.5` -> exact seconds."""
    return _parse_seconds(text.strip(), option)


def _parse_seconds(word: str, option: str) -> Fraction:
    if match := _SECONDS.fullmatch(word):
        return Fraction(match[1])
    if match := _CLOCK.fullmatch(word):
        hours, minutes, seconds = int(match[1] or 0), int(match[2]), Fraction(match[3])
        # `90:00` is ninety minutes, but `1:90` and `1:75:00` are slips.
        if seconds < 60 and (match[1] is None or minutes < 60):
            return hours * 3600 + minutes * 60 + seconds
    raise OptionError(
        f"{option}: {word!r} is not a time; write 90, 5s, 1:30, 00:01:30.5 or frames as 120f"
    )


def parse_range(
    start: str | None, end: str | None, frames: int | None, preview: str | None
) -> FrameRange:
    """The part of the video that --start, --end, --frames and --preview ask for."""
    from refvid.workflows.rebuild_options import FrameRange

    first = None if start is None else parse_position(start, "--start")
    last = None if end is None else parse_position(end, "--end")
    if preview is not None:
        if last is not None or frames is not None:
            raise OptionError("--preview excludes --end and --frames")
        length = parse_position(preview, "--preview")
        if length <= 0:
            raise OptionError("--preview must be longer than nothing")
        if isinstance(length, int):
            frames = length
        elif isinstance(first, int):
            raise OptionError(
                "--preview in seconds needs --start in seconds; "
                "with --start in frames write --preview 48f"
            )
        else:
            last = (first or 0) + length
    if type(first) is type(last) and first is not None and last is not None and last <= first:
        raise OptionError(f"--end {end} is not after --start {start}")
    return FrameRange(start=first, end=last, frames=frames)


def parse_reference(text: str | None) -> ReferenceSource | None:
    """`--ref`: an image's path, `frame:N` or `time:1:30`; an image must exist.

    Raises:
        OptionError: The words after `frame:` or `time:` make no sense.
        InputError: There is no such image.
    """
    if text is None:
        return None
    from refvid.workflows.enhance_options import ReferenceSource

    kind, _, rest = text.partition(":")
    if kind == "frame":
        if not re.fullmatch(r"[0-9]+", rest):
            raise OptionError(f"--ref: {text!r} needs a frame number, as in frame:0")
        return ReferenceSource(frame=int(rest))
    if kind == "time":
        return ReferenceSource(time=parse_time(rest, "--ref time:"))
    image = Path(text)
    if not image.is_file():
        problem = "is a folder" if image.is_dir() else "does not exist"
        raise InputError(
            f"--ref: the image {text} {problem}; give an image file, frame:N or time:SECONDS"
        )
    return ReferenceSource(image=image)


def parse_tile(text: str) -> int | Literal["auto", "off"]:
    """`--tile`: auto, off or a number of pixels."""
    if text == "auto":
        return "auto"
    if text == "off":
        return "off"
    if re.fullmatch(r"[0-9]+", text) and int(text) > 0:
        return int(text)
    raise OptionError(f"--tile: {text!r} is neither auto, off nor a number of pixels")


def parse_size(text: str, option: str) -> int:
    """An amount of memory [bytes]: a number, and K, M, G or T for powers of 1024."""
    if (match := _SIZE.fullmatch(text.strip())) is None:
        raise OptionError(f"{option}: {text!r} is no amount of memory; write 8G or 900M")
    number, unit = match.groups()
    count = int(Fraction(number) * 1024 ** " KMGT".index(unit.upper() or " "))
    if count < 1:
        raise OptionError(f"{option}: {text!r} is too little")
    return count


def parse_rate(text: str | None, option: str = "--rate") -> Fraction | None:
    """`--rate` and `--fps`: `24`, `30000/1001` or `23.976`, which means the exact NTSC rate."""
    if text is None:
        return None
    word = text.strip()
    if re.fullmatch(r"[0-9]+(?:\.[0-9]+)?|[0-9]+/[0-9]+", word):
        try:
            rate = _NTSC.get(word) or Fraction(word)
        except ZeroDivisionError:
            rate = Fraction(0)
        if 0 < rate <= 1000:
            return rate
    raise OptionError(f"{option}: {text!r} is not a frame rate; write 24, 23.976 or 24000/1001")


def parse_encoder_options(words: list[str]) -> dict[str, str]:
    """`-e preset=slow -e tune=grain` -> a dict; the last word for a key wins."""
    options = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            raise OptionError(f"--encoder-option: {word!r} is not of the form key=value")
        options[key.strip()] = value
    return options
