"""`refvid enhance`: words -> jobs -> a rebuilt video each -> paths or JSON."""

from __future__ import annotations

from functools import partial

import typer

from refvid.cli import comparing, flags
from refvid.cli.batch import Batch, find_jobs, load_model
from refvid.cli.console import Console
from refvid.cli.groups import grouped
from refvid.words import parse_rate


@grouped
def enhance(
    console: Console,
    inputs: flags.Inputs,
    reference: flags.Reference,
    rules: flags.BatchRules,
    part: flags.Range,
    choice: flags.RebuilderChoice,
    encoding: flags.Encoding,
    *,
    compare: flags.Compare = False,
    rate: flags.Rate = None,
    no_cut_detection: flags.NoCutDetection = False,
    hdr: flags.Hdr = "refuse",
) -> None:
    """Rebuild a video's lost details with a reference image.

    The result keeps size, frame times, sound, subtitles, chapters, colours and rotation. Its path
    is printed on stdout.

    \b
      refvid enhance clip.mp4 --ref photo.jpg
      refvid enhance clip.mp4 --ref frame:0 --preview 5s
      refvid enhance videos/ -o results/ --ref frame:0 --skip-existing
    """
    # Everything that can fail cheaply comes before torch, which takes seconds to import.
    from refvid.media.outputs import check_replaces_no
    from refvid.rebuild.options import RebuildOptions

    references = reference.parse()
    options = RebuildOptions(
        range=part.parse(),
        strength=reference.strength,
        cut_detection=not no_cut_detection,
        hdr=hdr,
        sequence_rate=parse_rate(rate),
        overwrite=rules.overwrite,
        encoding=encoding.parse(),
    )
    model = choice.parse()
    if compare:
        comparing.check_range(options.range)
    jobs = find_jobs(inputs, rules, rate=options.sequence_rate)
    check_replaces_no([job.output for job in jobs], references.images, "the reference")
    batch = Batch(console, rules, jobs)
    if batch.ready:
        from refvid.rebuild import enhance as work
        from refvid.rebuild.choose_backbone import choose_backbone

        if references.source is None:
            console.note("no --ref: decoding without a reference, which brings less back")
        loaded = load_model(console, partial(choose_backbone, model))
        for job in batch:
            with batch.attempt(job) as outcome:
                if compare:
                    comparing.check_page(job.output, overwrite=rules.overwrite)
                if rules.dry_run:
                    outcome.report = work.plan_enhance(job, references, options, loaded)
                    continue
                with console.progress(job.source.name) as on_progress:
                    report = work.enhance(job, references, options, loaded, on_progress)
                if compare:
                    comparing.compare_with_input(console, job, options, report.frames)
                outcome.report = report
    raise typer.Exit(batch.finish())
