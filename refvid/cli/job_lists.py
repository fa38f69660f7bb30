"""`refvid batch`: a list of jobs -> all of them checked -> done by workers -> paths or a report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from refvid.cli import flags, model_flags
from refvid.cli.console import Console
from refvid.cli.groups import BATCH_PANEL, grouped


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRules:
    """How a list of jobs is taken."""

    overwrite: flags.Overwrite = False
    skip_existing: flags.SkipExisting = False
    keep_going: Annotated[
        bool,
        typer.Option(
            "--keep-going",
            help="Do the good jobs of a list that has bad ones.",
            rich_help_panel=BATCH_PANEL,
        ),
    ] = False
    fail_fast: flags.FailFast = False
    no_resume: flags.NoResume = False
    dry_run: flags.DryRun = False
    shard: flags.Shard = None
    ray: flags.Ray = None
    progress: flags.ProgressAs = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Which devices do the jobs."""

    device: model_flags.Devices = None


@grouped
def batch(
    ctx: typer.Context,
    console: Console,
    jobs: Annotated[
        Path,
        typer.Argument(
            metavar="JOBS",
            help="A list: .csv, .jsonl, .toml, or the .json report of an earlier run.",
            show_default=False,
        ),
    ],
    rules: ListRules,
    machine: Machine,
) -> None:
    """Do a list of jobs, each with a command, files and options of its own.

    The columns of a list are command (enhance, stylize, decode or encode; without one enhance),
    input, and the options of that command without dashes: output, ref, crf, ... The whole list is
    checked before the first job begins. The report of --json is a list, too: of what has failed.

    \b
      refvid batch jobs.csv --dry-run
      refvid batch jobs.csv --device cuda:all --json > report.json
      refvid batch report.json --device cuda:all
    """
    from refvid.cli.list_run import run_list
    from refvid.cli.remote import commands

    program: Any = ctx.parent  # Typer keeps its type to itself
    known = {name: program.command.get_command(program, name) for name in commands()}
    raise typer.Exit(run_list(console, jobs, rules, machine.device, known))
