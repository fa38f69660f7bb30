"""`refvid enhance`: words -> jobs -> a rebuilt video each -> paths or JSON."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from refvid.cli import flags, model_flags
from refvid.cli.console import Console
from refvid.cli.pipes import open_pipes
from refvid.cli.rebuilding import Rebuilding, Work, rebuilding_task
from refvid.cli.task import Task, gives_task


@gives_task
def enhance(
    stack: ExitStack,
    console: Console,
    inputs: flags.Inputs,
    reference: flags.Reference,
    rules: flags.BatchRules,
    part: flags.Range,
    choice: model_flags.RebuilderChoice,
    encoding: flags.Encoding,
    how: Rebuilding,
) -> Task:
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

    def work() -> Work:
        from refvid.rebuild import enhance as module
        from refvid.rebuild.choose_backbone import choose_backbone

        if references.is_none and options.strength > 0:
            console.note("no --ref: decoding without a reference, which brings less back")
        choose = partial(choose_backbone, model, may_fetch=not rules.dry_run)
        return Work(choose, module.plan_enhance, module.enhance, module.enhance_parts)

    pipes = stack.enter_context(
        open_pipes(
            console,
            inputs,
            rules,
            how.container,
            compare=how.compare,
            reads_once=not references.takes_frames,
        )
    )
    return rebuilding_task(
        console,
        pipes,
        references,
        options,
        work,
        model=model.registered,
        compare=how.compare,
        preview=part.preview is not None,
    )
