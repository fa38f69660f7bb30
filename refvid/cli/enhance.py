"""`refvid enhance`: words -> jobs -> a rebuilt video each -> paths or JSON."""

from __future__ import annotations

from functools import partial

import typer

from refvid.cli import flags, model_flags
from refvid.cli.batch import load_model
from refvid.cli.console import Console
from refvid.cli.groups import grouped
from refvid.cli.pipes import open_pipes
from refvid.cli.rebuilding import Rebuilding, Work, rebuild_all


@grouped
def enhance(
    ctx: typer.Context,
    console: Console,
    inputs: flags.Inputs,
    reference: flags.Reference,
    rules: flags.BatchRules,
    part: flags.Range,
    choice: model_flags.RebuilderChoice,
    encoding: flags.Encoding,
    how: Rebuilding,
) -> None:
    """Rebuild a video's lost details with a reference image.

    The result keeps size (unless --scale or --size enlarges it), frame times, sound, subtitles,
    chapters, colours and rotation. Its path is printed on stdout.

    \b
      refvid enhance clip.mp4 --ref photo.jpg
      refvid enhance clip.mp4 --ref frame:0 --preview 5s
      refvid enhance clip.mp4 --ref photo.jpg --scale 2
      refvid enhance videos/ -o results/ --ref frame:0 --skip-existing
    """
    # Everything that can fail cheaply comes before torch, which takes seconds to import.
    references = reference.parse()
    options = how.parse(part, rules, encoding, strength=reference.strength)
    model = choice.parse()

    def begin() -> Work:
        from refvid.rebuild import enhance as work
        from refvid.rebuild.choose_backbone import choose_backbone
        from refvid.rebuild.unchanged import no_model

        if options.strength == 0:
            return Work(no_model(), work.plan_enhance, work.enhance)
        if references.is_none:
            console.note("no --ref: decoding without a reference, which brings less back")
        loaded = load_model(console, partial(choose_backbone, model, may_fetch=not rules.dry_run))
        return Work(loaded, work.plan_enhance, work.enhance)

    pipes = ctx.with_resource(
        open_pipes(console, inputs, rules, how.container, compare=how.compare)
    )
    code = rebuild_all(
        console,
        pipes.inputs,
        pipes.rules,
        references,
        options,
        begin,
        model=model.registered,
        compare=how.compare,
        preview=part.preview is not None,
    )
    raise typer.Exit(pipes.finish(code))
