"""`refvid detokenize`: words -> jobs -> a video for each file of tokens."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from refvid.cli import flags, model_flags
from refvid.cli.batch import Batch
from refvid.cli.console import Console
from refvid.cli.groups import REFERENCE_PANEL, grouped
from refvid.cli.jobs import find_jobs
from refvid.cli.kinds import check_result, check_tokens
from refvid.errors import InputError, OptionError
from refvid.words import parse_reference


@grouped
def detokenize(
    console: Console,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="TOKENS",
            help="Files of refvid tokenize, wildcards or folders.",
            show_default=False,
        ),
    ],
    rules: flags.BatchRules,
    choice: model_flags.TokenizerChoice,
    encoding: flags.PictureEncoding,
    *,
    ref: Annotated[
        str | None,
        typer.Option(
            "--ref",
            metavar="IMAGE",
            help="The reference, where the file holds only its hash.",
            rich_help_panel=REFERENCE_PANEL,
        ),
    ] = None,
) -> None:
    """Turn files of tokens back into videos, with the times that the tokens were made of.

    The tokenizer is the one that the file names; another one is refused.

    \b
      refvid detokenize clip.tokens -o clip.mp4
      refvid detokenize tokens/ -o videos/ --skip-existing
    """
    # Everything that can fail cheaply comes before torch, which takes seconds to import.
    from refvid.media.outputs import check_replaces_no
    from refvid.rebuild.existing import find_video
    from refvid.rebuild.tokens_options import DetokenizeOptions
    from refvid.tokens.read import is_token_file

    source = None if ref is None else parse_reference(ref)
    if source is not None and (source.image is None or source.place):
        raise OptionError(f"--ref: {ref!r} is no image file; tokens have no frames to take")
    options = DetokenizeOptions(
        reference=None if source is None else source.image,
        overwrite=rules.overwrite,
        encoding=encoding.parse(),
    )
    model = choice.parse()
    check_result(rules.output, options.encoding)
    jobs = find_jobs(inputs, rules, suffix=".mp4", accepts=is_token_file)
    if options.reference is not None:
        check_replaces_no([job.output for job in jobs], [options.reference], "the reference")
    find_existing = partial(find_video, how=None, model=model.tokenizer)
    batch = Batch(console, rules, jobs, check_tokens, find_existing)
    if batch.ready:
        from refvid.rebuild import detokenize as work

        sources = [job.source for job in batch.ready]
        try:
            loaded = work.choose_detokenizer(model, sources)
        except InputError:
            loaded = None  # none can be read: each job says what is wrong with its own
        for job in batch:
            with batch.attempt(job) as outcome:
                mine = loaded or work.choose_detokenizer(model, [job.source])
                if rules.dry_run:
                    outcome.report = work.plan_detokenize(job, options, mine)
                    continue
                with console.progress(job.source.name) as on_progress:
                    outcome.report = work.detokenize(job, options, mine, on_progress)
    raise typer.Exit(batch.finish())
