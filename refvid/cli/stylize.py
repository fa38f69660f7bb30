"""`refvid stylize`: words -> jobs -> a restyled video each -> paths or JSON."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from refvid.cli import flags, model_flags
from refvid.cli.console import Console
from refvid.cli.groups import IO_PANEL
from refvid.cli.pipes import open_pipes
from refvid.cli.rebuilding import Rebuilding, Work, rebuilding_task
from refvid.cli.task import Task, gives_task
from refvid.errors import OptionError
from refvid.models.registry import MINI_STYLE
from refvid.words import parse_keyframe, parse_style

if TYPE_CHECKING:
    from refvid.rebuild.options import Styles

_style = partial(typer.Option, rich_help_panel="Style")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules(flags.BatchRules):
    """The same as for other commands, but results are called after the style."""

    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="File, folder/ or template.  [default: {dir}/{stem}_{style}{ext}]",
            rich_help_panel=IO_PANEL,
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """What the decoder is conditioned on, and how much that counts."""

    style: Annotated[
        list[str] | None,
        _style(
            "--style",
            metavar="IMAGE[:WEIGHT]",
            help="A painting to take colours, strokes and texture from; may be repeated.",
        ),
    ] = None
    keyframe: Annotated[
        list[str] | None,
        _style(
            "--keyframe",
            metavar="IMAGE@FRAME|IMAGE@TIME",
            help="A frame of the input that you have painted yourself, as in k.png@0 or "
            "k.png@1.5s; may be repeated.",
        ),
    ] = None
    style_scale: Annotated[
        float,
        _style(
            "--style-scale",
            metavar="0.25..4",
            min=0.25,
            max=4,
            help="Size of the strokes: 1 takes the painting as large as the frame.",
        ),
    ] = 1.0
    structure: Annotated[
        float,
        _style(
            "--structure",
            metavar="0..1",
            min=0,
            max=1,
            help="How much of the frame stays: 0 is nearly all painting, 1 keeps fine detail.",
        ),
    ] = 0.5
    preserve_color: Annotated[
        bool,
        _style("--preserve-color", help="Keep the input's colours; only lightness changes."),
    ] = False
    strength: Annotated[
        float, _style("--strength", metavar="0..1", min=0, max=1, help=flags.STRENGTH_HELP)
    ] = 1.0

    def parse(self) -> Styles:
        from refvid.rebuild.options import Styles

        return Styles(
            styles=tuple(parse_style(word) for word in self.style or ()),
            keyframes=tuple(parse_keyframe(word) for word in self.keyframe or ()),
            style_scale=self.style_scale,
            structure=self.structure,
            preserve_color=self.preserve_color,
        )


@gives_task
def stylize(
    stack: ExitStack,
    console: Console,
    inputs: flags.Inputs,
    style: Style,
    rules: Rules,
    part: flags.Range,
    choice: model_flags.StylizerChoice,
    encoding: flags.Encoding,
    how: Rebuilding,
) -> Task:
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
    if not style.style and not style.keyframe:
        raise OptionError("give a painting with --style IMAGE, or a painted frame with --keyframe")

    # Everything that can fail cheaply comes before torch, which takes seconds to import.
    styles = style.parse()
    options = how.parse(part, rules, encoding, strength=style.strength)
    model = choice.parse()

    def work() -> Work:
        from refvid.rebuild import stylize as module

        return Work(
            partial(module.choose_stylizer, model),
            module.plan_stylize,
            module.stylize,
            module.stylize_parts,
        )

    pipes = stack.enter_context(
        open_pipes(
            console,
            inputs,
            rules,
            how.container,
            compare=how.compare,
            reads_once=not styles.keyframes,
        )
    )
    return rebuilding_task(
        console,
        pipes,
        styles,
        options,
        work,
        model=MINI_STYLE,
        compare=how.compare,
        preview=part.preview is not None,
        style=styles.name,
    )
