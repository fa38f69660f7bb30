"""`refvid stylize`: words -> options -> the workflow, once per input -> paths or JSON."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refvid.cli import comparing, rebuilding
from refvid.cli import options as opt
from refvid.errors import InputError, OptionError

if TYPE_CHECKING:
    from refvid.workflows.stylize_options import KeyframeSource, StyleSource, StylizeOptions

_STYLE_PANEL = "Style"
_WEIGHT = re.compile(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+", re.ASCII)
_FRAME = re.compile(r"([0-9]+)f?", re.ASCII)
_TIME = re.compile(r".+s|.*:.*")


def stylize(
    ctx: typer.Context,
    inputs: rebuilding.Inputs,
    style: Annotated[
        list[str] | None,
        typer.Option(
            "--style",
            metavar="IMAGE[:WEIGHT]",
            help="A painting to take colours, strokes and texture from; may be repeated.",
            rich_help_panel=_STYLE_PANEL,
        ),
    ] = None,
    keyframe: Annotated[
        list[str] | None,
        typer.Option(
            "--keyframe",
            metavar="IMAGE@FRAME|IMAGE@TIME",
            help="A frame of the input that you have painted yourself, as in k.png@0 or "
            "k.png@1.5s; may be repeated.",
            rich_help_panel=_STYLE_PANEL,
        ),
    ] = None,
    style_scale: Annotated[
        float,
        typer.Option(
            "--style-scale",
            metavar="0.25..4",
            min=0.25,
            max=4,
            help="Size of the strokes: 1 takes the painting as large as the frame.",
            rich_help_panel=_STYLE_PANEL,
        ),
    ] = 1.0,
    preserve_color: Annotated[
        bool,
        typer.Option(
            "--preserve-color",
            help="Keep the input's colours; only lightness changes.",
            rich_help_panel=_STYLE_PANEL,
        ),
    ] = False,
    strength: Annotated[
        float,
        typer.Option(
            "--strength",
            metavar="0..1",
            min=0,
            max=1,
            help="0 gives the input back, 1 the full result.",
            rich_help_panel=_STYLE_PANEL,
        ),
    ] = 1.0,
    output: opt.Output = None,
    overwrite: opt.Overwrite = False,
    skip_existing: opt.SkipExisting = False,
    recursive: opt.Recursive = False,
    compare: comparing.Compare = False,
    rate: opt.Rate = None,
    start: opt.Start = None,
    end: opt.End = None,
    frames: opt.Frames = None,
    preview: opt.Preview = None,
    no_cut_detection: rebuilding.NoCutDetection = False,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            metavar="FILE",
            help="From refvid train --task style.  [default: the bundled ones]",
            rich_help_panel=opt.MODEL_PANEL,
        ),
    ] = None,
    device: opt.Device = None,
    dtype: opt.DTypeOption = None,
    chunk: opt.Chunk = None,
    tile: opt.Tile = "auto",
    memory: opt.Memory = None,
    codec: opt.Codec = None,
    crf: opt.Crf = None,
    pix_fmt: opt.PixFmt = None,
    encoder_option: opt.EncoderOption = None,
    audio: rebuilding.Audio = "copy",
    subs: rebuilding.Subtitles = "copy",
    no_metadata: opt.NoMetadata = False,
    hdr: opt.Hdr = "refuse",
    fail_fast: opt.FailFast = False,
    dry_run: opt.DryRun = False,
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    debug: opt.Debug = False,
) -> None:
    """Restyle a video after one painting, or several.

    The result has the structure and motion of the input, and its size, frame times, sound,
    subtitles and chapters. Nothing is random: the same words give the same result. Its path is
    printed on stdout.

    \b
      refvid stylize clip.mp4 --style art.jpg
      refvid stylize clip.mp4 --style art.jpg:2 --style wave.jpg:1
      refvid stylize clip.mp4 --keyframe painted.png@0
      refvid stylize videos/ -o results/ --style art.jpg --preserve-color
    """
    console, settings = opt.start(ctx, quiet=quiet, verbose=verbose, debug=debug, as_json=as_json)
    if overwrite and skip_existing:
        raise OptionError("--overwrite and --skip-existing exclude each other")
    if not style and not keyframe:
        raise OptionError("give a painting with --style IMAGE, or a painted frame with --keyframe")

    # Everything that can fail cheaply comes before torch, which takes seconds to import.
    from refvid.workflows.stylize_options import StylizeOptions

    options = StylizeOptions(
        source=Path(),  # each job puts in its own
        output=Path(),
        styles=tuple(parse_style(word) for word in style or ()),
        keyframes=tuple(parse_keyframe(word) for word in keyframe or ()),
        style_scale=style_scale,
        preserve_color=preserve_color,
        range=opt.parse_range(start, end, frames, preview),
        strength=strength,
        cut_detection=not no_cut_detection,
        hdr=hdr,
        sequence_rate=opt.parse_rate(rate),
        overwrite=overwrite,
        encoding=rebuilding.encoding_options(
            settings,
            codec=codec,
            crf=crf,
            pix_fmt=pix_fmt,
            encoder_option=encoder_option,
            audio=audio,
            subs=subs,
            no_metadata=no_metadata,
        ),
        model=opt.model_options(
            settings,
            model=None,
            weights=weights,
            device=device,
            dtype=dtype,
            chunk=chunk,
            tile=opt.parse_tile(tile),
            memory=memory,
        ),
    )
    command = rebuilding.Command(
        console=console,
        options=options,
        workflow=lambda: _workflow(options),
        images=options.images,
        recursive=recursive,
        compare=compare,
        skip_existing=skip_existing,
        fail_fast=fail_fast,
        dry_run=dry_run,
    )
    raise typer.Exit(command.run(inputs, output or settings.output))


def _workflow(options: StylizeOptions) -> rebuilding.Workflow[StylizeOptions]:
    from refvid.workflows import stylize as workflow

    return rebuilding.Workflow(
        load=lambda on_transfer: workflow.choose_stylizer(options.model, on_transfer),
        plan=workflow.plan_stylize,
        run=workflow.stylize,
    )


def parse_style(word: str) -> StyleSource:
    """`--style`: an image's path, and after a colon its weight; an existing file wins.

    Raises:
        OptionError: The weight is 0 or beyond all measure.
        InputError: There is no such image.
    """
    from refvid.workflows.stylize_options import StyleSource

    path, _, tail = word.rpartition(":")
    if path and _WEIGHT.fullmatch(tail) and not _is_file(Path(word)):
        return StyleSource(image=_existing(Path(path), "--style"), weight=float(tail))
    return StyleSource(image=_existing(Path(word), "--style"))


def parse_keyframe(word: str) -> KeyframeSource:
    """`--keyframe`: an image's path, `@`, and its frame's number (12, 12f) or time (1.5s, 1:30).

    Raises:
        OptionError: What comes after the last `@` is neither.
        InputError: There is no such image.
    """
    from refvid.workflows.stylize_options import KeyframeSource

    path, _, place = word.rpartition("@")
    if path and (match := _FRAME.fullmatch(place)):
        return KeyframeSource(image=_existing(Path(path), "--keyframe"), frame=int(match[1]))
    if path and _TIME.fullmatch(place):
        time = opt.parse_time(place, f"--keyframe {path}@")
        return KeyframeSource(image=_existing(Path(path), "--keyframe"), time=time)
    raise OptionError(
        f"--keyframe: {word!r} does not say which frame it is; write {path or word}@0 for the "
        "frame's number, or @1.5s or @1:30 for its time"
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False  # such as a name that is too long for the system


def _existing(image: Path, option: str) -> Path:
    if not _is_file(image):
        raise InputError(f"{option}: there is no image file {image}")
    return image
