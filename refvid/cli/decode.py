"""`refvid decode`: words -> jobs -> a video for each file of latents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from refvid.cli import comparing, flags, model_flags
from refvid.cli.batch import decisions
from refvid.cli.console import Console
from refvid.cli.groups import IO_PANEL, REFERENCE_PANEL
from refvid.cli.jobs import count_inputs, find_jobs
from refvid.cli.kinds import check_latents, check_result
from refvid.cli.pipes import open_pipes
from refvid.cli.task import Models, Task, gives_task
from refvid.errors import InputError, OptionError
from refvid.time_words import parse_rate
from refvid.words import parse_latent_references

if TYPE_CHECKING:
    from refvid.cli.task import Do
    from refvid.latents.wishes import LatentWishes
    from refvid.media.inputs import Job
    from refvid.rebuild.choose_backbone import LoadedBackbone
    from refvid.rebuild.latents_options import DecodeOptions, LatentReferences
    from refvid.rebuild.plan import Plan, Report

_reference = partial(typer.Option, rich_help_panel=REFERENCE_PANEL)
_latents = partial(
    typer.Option, rich_help_panel="What the latents are, where the file does not say"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What the decoder is conditioned on."""

    ref: Annotated[
        list[str] | None,
        _reference(
            "--ref",
            metavar="IMAGE[@FRAME|@TIME]",
            help="The clean picture: for I2V the image that the video was made from; may be "
            "repeated.",
        ),
    ] = None
    refs: flags.Refs = None
    ref_video: flags.RefVideo = None
    mask: Annotated[
        str | None,
        _reference(
            "--mask",
            metavar="IMAGE|VIDEO",
            help="White where nothing of --ref-video counts, as the latents show something else.",
        ),
    ] = None
    ref_joint: flags.RefJoint = False
    ref_fit: flags.RefFit = "auto"
    baseline: Annotated[
        bool,
        _reference(
            "--baseline",
            help="The plain decoder without the reference attention, to compare with.",
        ),
    ] = False

    def parse(self) -> LatentReferences:
        return parse_latent_references(
            self.ref,
            self.refs,
            self.ref_fit,
            baseline=self.baseline,
            joint=self.ref_joint,
            video=self.ref_video,
            mask=self.mask,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the latents are."""

    key: Annotated[
        str | None, _latents("--key", metavar="NAME", help="Which tensor of the file.")
    ] = None
    layout: Annotated[
        Literal["bcthw", "btchw", "cthw", "tchw"] | None,
        _latents(
            "--layout",
            metavar="bcthw|btchw|cthw|tchw",
            help="Order of its axes: batch, channels, time, height, width.",
        ),
    ] = None
    latent_scale: Annotated[
        Literal["raw", "normalized"] | None,
        _latents(
            "--latent-scale",
            metavar="raw|normalized",
            help="Pipelines save normalized latents, ComfyUI's SaveLatent raw ones.",
        ),
    ] = None
    drop_latents: Annotated[
        int,
        _latents(
            "--drop-latents",
            metavar="N",
            min=0,
            help="Leave out the first N, such as the reference latents of VACE.",
        ),
    ] = 0
    item: Annotated[
        int | None,
        _latents(
            "--item",
            metavar="N",
            min=0,
            help="Which of several videos in one tensor, from 0.",
        ),
    ] = None

    def parse(self) -> LatentWishes:
        from refvid.latents.wishes import LatentWishes

        return LatentWishes(
            key=self.key,
            layout=self.layout,
            scale=self.latent_scale,
            item=self.item,
            drop=self.drop_latents,
        )


@gives_task
def decode(
    stack: ExitStack,
    console: Console,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="LATENTS",
            help="Files of saved latents (.safetensors, .latent, .pt, .npy, .npz), wildcards, "
            "folders, or - for stdin.",
            show_default=False,
        ),
    ],
    reference: Reference,
    rules: flags.BatchRules,
    wishes: Wishes,
    choice: model_flags.DecoderChoice,
    encoding: flags.PictureEncoding,
    *,
    compare: flags.Compare = False,
    container: flags.Container = None,
    fps: Annotated[
        str | None,
        typer.Option(
            "--fps",
            metavar="FPS",
            help="Frame rate: 16, 23.976, 24000/1001.  [default: the file's, else 16]",
            rich_help_panel=IO_PANEL,
        ),
    ] = None,
) -> Task:
    """Decode latents that a diffusion pipeline saved, with a reference image.

    For Wan 2.1 (and what shares its VAE), for VideoVAE+ where --model says so, and for files of
    `refvid encode`. Axes, scale and key
    are told from the contents; what is not clear is asked for. `refvid info FILE` shows it all.

    \b
      refvid decode latents.pt --ref first.png
      refvid decode latents/ --refs images/ -o videos/ --skip-existing
      refvid decode latents.pt --baseline -o plain.mp4
    """
    if compare and not (reference.ref or reference.refs or reference.ref_video):
        raise OptionError(
            "--compare shows what a reference brings: give --ref, --refs or --ref-video"
        )

    # Everything that can fail cheaply comes before torch, which takes seconds to import.
    from refvid.latents.containers import holds_tensors
    from refvid.media.outputs import check_replaces_no
    from refvid.rebuild.existing import find_video
    from refvid.rebuild.latents_options import DecodeOptions

    references = reference.parse()
    options = DecodeOptions(
        wishes=wishes.parse(),
        frame_rate=parse_rate(fps, "--fps"),
        overwrite=rules.overwrite,
        encoding=encoding.parse(),
    )
    model = replace(choice.parse(), attention=not references.baseline)
    pipes = stack.enter_context(open_pipes(console, inputs, rules, container, compare=compare))
    rules = pipes.rules
    options = replace(options, resume=not rules.no_resume)
    check_result(rules.output, options.encoding)
    jobs = pipes.attach(find_jobs(pipes.inputs, rules, suffix=".mp4", accepts=holds_tensors))
    references = references.for_inputs(count_inputs(jobs))
    check_replaces_no([job.output for job in jobs], references.files, "the reference")

    def begin(models: Models, ready: Sequence[Job]) -> Do:
        from refvid.rebuild import decode as work
        from refvid.rebuild.choose_backbone import choose_backbone
        from refvid.rebuild.choose_decoder import name_decoder
        from refvid.rebuild.trial import Trial

        if references.baseline:
            console.note("the plain decoder: no reference attention")
        elif references.references.is_none:
            console.note("no --ref: decoding without a reference, which brings less back")

        def load(sources: Iterable[Path]) -> LoadedBackbone:
            chosen, reason = name_decoder(model, sources)
            choose = partial(choose_backbone, chosen, may_fetch=not rules.dry_run)
            return models.load(choose, reason)

        try:
            loaded: LoadedBackbone | None = load(job.source for job in ready)
        except InputError:
            loaded = None  # none can be read: each job says what is wrong with its own
        trial = Trial()

        def do(job: Job) -> Plan | Report:
            mine = loaded or load([job.source])
            if compare:
                comparing.check_page(job, overwrite=rules.overwrite)
            if rules.dry_run:
                return work.plan_decode(job, references, options, mine, trial)
            with console.progress(job.source.name) as on_progress:
                report = work.decode(
                    job, references, options, mine, on_progress, partial(_tell, console)
                )
            if compare:
                _compare_with_plain(console, job, options, mine, report.plan)
            return report

        return do

    return Task(
        jobs=jobs,
        rules=rules,
        begin=begin,
        check=check_latents,
        find_existing=partial(find_video, how=references.how(), model=model.registered),
        reads=references.files,
        stays_here=pipes.are_streams,
        finish=pipes.finish,
    )


def _tell(console: Console, plan: Plan) -> None:
    for name, words in decisions(plan).items():
        console.note(f"{plan.source.name}: {name} {words}")


def _compare_with_plain(
    console: Console, job: Job, options: DecodeOptions, loaded: LoadedBackbone, plan: Plan
) -> None:
    """Decode once more without the reference, for a page beside the result."""
    from refvid.rebuild.decode import decode as decode_latents
    from refvid.rebuild.latents_options import LatentReferences

    has_plain = loaded.backbone.plain() is not None
    assert plan.frames is not None, "files of latents tell it"
    assert plan.frame_rate is not None, "the same"
    with TemporaryDirectory(prefix="refvid-compare-") as folder:
        # Encoded alike: the page shows the difference between decoders, not between encoders.
        plain = replace(job, output=Path(folder, job.output.name))
        with console.progress(f"{job.source.name}, without reference") as on_progress:
            decode_latents(
                plain, LatentReferences(baseline=has_plain), options, loaded, on_progress
            )
        comparing.write_comparison(
            console,
            plain.output,
            job.output,
            labels=("plain decoder" if has_plain else "without reference", "with reference"),
            frames=plan.frames,
            overwrite=job.may_replace(options.overwrite),
            rate=Fraction(plan.frame_rate),
        )
