"""`refvid encode`: words -> jobs -> a file of latents each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from refvid.cli import flags, model_flags
from refvid.cli.console import Console
from refvid.cli.jobs import find_jobs
from refvid.cli.kinds import check_video
from refvid.cli.pipes import open_pipes
from refvid.cli.task import Models, Task, gives_task
from refvid.time_words import parse_rate

if TYPE_CHECKING:
    from refvid.cli.task import Do
    from refvid.media.inputs import Job
    from refvid.rebuild.plan import Plan, Report


@gives_task
def encode(
    stack: ExitStack,
    console: Console,
    inputs: flags.Inputs,
    rules: flags.BatchRules,
    part: flags.Range,
    choice: model_flags.EncoderChoice,
    *,
    rate: flags.Rate = None,
    hdr: flags.Hdr = "auto",
) -> Task:
    """Encode videos to latents: safetensors files that `refvid decode` turns back.

    A file holds one tensor, `latents`, raw and float32, [1, channels, time, height, width], with
    frame rate, number of frames and size as metadata. Sound is not kept.

    \b
      refvid encode clip.mp4 -o latents.safetensors --model wan2.1
      refvid decode latents.safetensors --ref photo.jpg
    """
    # Everything that can fail cheaply comes before torch, which takes seconds to import.
    from refvid.media.outputs import check_replaces_no
    from refvid.rebuild.existing import find_latents
    from refvid.rebuild.latents_options import SUFFIX, check_latents_name
    from refvid.rebuild.options import SourceOptions

    options = SourceOptions(
        range=part.parse(),
        hdr=hdr,
        sequence_rate=parse_rate(rate),
        overwrite=rules.overwrite,
    )
    model = replace(choice.parse(), attention=False)  # it only encodes
    pipes = stack.enter_context(open_pipes(console, inputs, rules))
    options = replace(options, resume=not pipes.rules.no_resume)
    jobs = find_jobs(
        pipes.inputs,
        rules,
        suffix=SUFFIX,
        rate=options.sequence_rate,
        preview=part.preview is not None,
    )
    for job in jobs:
        check_latents_name(job.output)
    # These have the same kind of name.
    check_replaces_no([job.output for job in jobs], model.files, "the weights")

    def begin(models: Models, ready: Sequence[Job]) -> Do:  # noqa: ARG001 -- `decode` needs them
        from refvid.rebuild import encode as work
        from refvid.rebuild.choose_backbone import choose_backbone
        from refvid.rebuild.trial import Trial

        loaded = models.load(partial(choose_backbone, model, may_fetch=not rules.dry_run))
        trial = Trial()

        def do(job: Job) -> Plan | Report:
            if rules.dry_run:
                return work.plan_encode(job, options, loaded, trial)
            with console.progress(job.source.name) as on_progress:
                return work.encode(job, options, loaded, on_progress)

        return do

    return Task(
        jobs=jobs,
        rules=rules,
        begin=begin,
        check=check_video,
        find_existing=partial(find_latents, options=options, model=model.registered),
        reads=model.files,
    )
