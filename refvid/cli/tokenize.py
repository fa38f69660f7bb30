"""`refvid tokenize`: words -> jobs -> a file of tokens each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from refvid.cli import flags, model_flags
from refvid.cli.batch import Batch
from refvid.cli.console import Console
from refvid.cli.groups import IO_PANEL, REFERENCE_PANEL, grouped
from refvid.cli.jobs import find_jobs
from refvid.cli.kinds import check_video
from refvid.time_words import parse_rate
from refvid.words import parse_reference

if TYPE_CHECKING:
    from refvid.rebuild.reference_options import ReferenceSource

_reference = partial(typer.Option, rich_help_panel=REFERENCE_PANEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What blocks are encoded against."""

    ref: Annotated[
        str | None,
        _reference(
            "--ref",
            metavar="IMAGE|frame:N|time:T",
            help="One picture for all shots.  [default: the first frame of each shot]",
        ),
    ] = None
    ref_quality: Annotated[
        int | None,
        _reference(
            "--ref-quality",
            metavar="1..100",
            min=1,
            max=100,
            help="Store references as WebP of this quality.  [default: exactly, as PNG]",
        ),
    ] = None
    ref_hash_only: Annotated[
        bool,
        _reference("--ref-hash-only", help="Store only the hash of --ref, not the picture."),
    ] = False

    def parse(self) -> ReferenceSource | None:
        return None if self.ref is None else parse_reference(self.ref)


@grouped
def tokenize(
    console: Console,
    inputs: flags.Inputs,
    reference: Reference,
    rules: flags.BatchRules,
    part: flags.Range,
    choice: model_flags.TokenizerChoice,
    *,
    export: Annotated[
        bool,
        typer.Option(
            "--export",
            help="Also write flat arrays (.indices.bin, .times.bin) and .json beside the result.",
            rich_help_panel=IO_PANEL,
        ),
    ] = False,
    rate: flags.Rate = None,
    no_cut_detection: flags.NoCutDetection = False,
    hdr: flags.Hdr = "refuse",
) -> None:
    """Turn videos into discrete tokens, which `refvid detokenize` turns back.

    A block of four frames becomes a grid of whole numbers, given a reference that is stored beside
    them: by default the first frame of each shot. mini-vtok makes one token per frame after a key
    frame instead. Sound is not kept. `refvid info` shows what is in a file.

    \b
      refvid tokenize clip.mp4 -o clip.tokens
      refvid detokenize clip.tokens -o clip.mp4
    """
    # Everything that can fail cheaply comes before torch, which takes seconds to import.
    from refvid.media.outputs import check_replaces_no
    from refvid.rebuild.existing_tokens import find_tokens
    from refvid.rebuild.tokens_options import SUFFIX, TokenizeOptions, check_tokens_name

    options = TokenizeOptions(
        range=part.parse(),
        hdr=hdr,
        sequence_rate=parse_rate(rate),
        overwrite=rules.overwrite,
        reference=reference.parse(),
        quality=reference.ref_quality,
        hash_only=reference.ref_hash_only,
        cut_detection=not no_cut_detection,
        export=export,
    )
    model = choice.parse()
    jobs = find_jobs(
        inputs,
        rules,
        suffix=SUFFIX,
        rate=options.sequence_rate,
        preview=part.preview is not None,
        picture_option="--ref",
    )
    for job in jobs:
        check_tokens_name(job.output)
    outputs = [job.output for job in jobs]
    check_replaces_no(outputs, model.files, "the weights")
    source = options.reference
    if source is not None and source.image is not None:
        check_replaces_no(outputs, [source.image], "the reference")
    find_existing = partial(find_tokens, options=options, model=model.tokenizer)
    batch = Batch(console, rules, jobs, check_video, find_existing=find_existing)
    if batch.ready:
        from refvid.rebuild import tokenize as work
        from refvid.rebuild.choose_tokenizer import choose_tokenizer

        loaded = choose_tokenizer(model)
        console.note(f"model {loaded.name}: {loaded.reason}")
        for job in batch:
            with batch.attempt(job) as outcome:
                if rules.dry_run:
                    outcome.report = work.plan_tokenize(job, options, loaded)
                    continue
                with console.progress(job.source.name) as on_progress:
                    outcome.report = work.tokenize(job, options, loaded, on_progress)
    raise typer.Exit(batch.finish())
