"""What a command was asked for, before anything of it is done.

The commands that take files through a model only say what is to be done: their functions give a
`Task`. `carry_out` does it, here or in other processes; `refvid batch` has many of them.
"""

from __future__ import annotations

import gc
import inspect
import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from refvid.cli.batch import Batch
from refvid.cli.console import Console
from refvid.cli.flags import BatchRules
from refvid.cli.groups import fill_groups, grouped
from refvid.cli.licence import asking_for_licence
from refvid.distribution.places import parse_places

if TYPE_CHECKING:
    from refvid.media.inputs import Job
    from refvid.rebuild.choose_backbone import LoadedBackbone
    from refvid.rebuild.existing import Existing
    from refvid.rebuild.memory import Budget
    from refvid.rebuild.parts import MakeParts, Part, PartMaker
    from refvid.rebuild.plan import Plan, Report

    Do = Callable[..., Plan | Report]
    """Does one job, or with --dry-run plans it; takes what has its parts made, where other
    processes rebuild them (see `Splits`)."""


class Models:
    """Loads models, and keeps the last one: the next job often wants the same."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._key: Hashable = None
        self._loaded: LoadedBackbone | None = None
        self._fitted: dict[Hashable, dict[tuple[int, int], Budget]] = {}
        """What fitted into memory, of each model: it may be loaded again."""

    def load(self, choose: partial[LoadedBackbone], reason: str = "") -> LoadedBackbone:
        """Load the model that a command chooses, and say which and why.

        Args:
            choose: Takes what hears of downloads; its arguments tell which model it is.
            reason: Why it is this one, where `choose` does not know.
        """
        key = (choose.func, choose.args, tuple(sorted(choose.keywords.items())))
        if self._loaded is not None and key == self._key:
            return self._loaded
        self._loaded = None  # two might not fit into memory
        with self._console.transfers() as on_transfer:
            loaded = asking_for_licence(self._console, lambda: choose(on_transfer))
        loaded = replace(loaded, reason=reason) if reason else loaded
        loaded.fitted.update(self._fitted.get(key, {}))
        self._fitted[key] = loaded.fitted
        self._key, self._loaded = key, loaded
        self._console.note(f"model {loaded.name}: {loaded.reason}")
        return loaded


@dataclass(frozen=True, slots=True)
class Call:
    """A command with the values of all its flags: what another process can understand, too."""

    command: str
    values: Mapping[str, Any]

    def about(self, job: Job, among: int) -> Call:
        """The same for one job of so many, which are found already."""
        alone = {"shard": None, "ray": None, "progress": "auto", "fail_fast": False}
        if "container" in self.values:  # the result is a file, which may be passed on afterwards
            alone["container"] = None
        output = os.path.join(os.curdir, job.output)  # noqa: PTH118 -- `./-` is no pipe
        # What is known of the file cannot be pickled, and hours may lie in between.
        job = replace(job, info=None, among=among)
        values = {**self.values, **alone, "inputs": [job], "output": output}
        return Call(self.command, values)

    def again(self, reason: str) -> Call:
        """The same, of one job, once more: its result is there, but something beside it is not."""
        (job,) = self.values["inputs"]
        values = {"inputs": [replace(job, replaces=reason)], "skip_existing": False}
        return Call(self.command, {**self.values, **values})


@dataclass(frozen=True, slots=True)
class Splits:
    """How one job is done by several devices."""

    find: Callable[[Job, int], Sequence[Part]]
    """Finds parts for so many devices; there may be one, or none."""

    begin: Callable[[Models, Job], PartMaker]
    """Gets ready to make parts."""

    join: Callable[[Models, Job, MakeParts], Plan | Report]
    """Does the job, while others make its parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Jobs, and how they are done."""

    jobs: Sequence[Job]
    rules: BatchRules
    begin: Callable[[Models, Sequence[Job]], Do]
    """Loads the model for the jobs that can run, once there are some."""

    check: Callable[[Path], None]
    """Raises `InputError` for a source that is not there, or of another kind."""

    find_existing: Callable[[Job], Existing | None]
    """Looks at what stands where a result would go."""

    stays_here: bool = False
    """Whether no other process can do it, since what is piped comes once."""

    splits: Splits | None = None
    """None where jobs cannot be split."""

    finish: Callable[[int], int] = int
    """Takes and gives the exit code, when all is done."""

    reads: tuple[Path, ...] = ()
    """Files that are read beside the sources."""


def carry_out(console: Console, task: Task, models: Models | None = None) -> int:
    """Do a task's jobs here, one after the other, and give the exit code.

    Args:
        console: Where results and messages go.
        task: The task.
        models: Has the model of the task before; None begins without.
    """
    batch = batch_of(console, task)
    if batch.ready:
        with _loading():
            do = task.begin(models or Models(console), batch.ready)
        for job in batch:
            with batch.attempt(job) as outcome:
                outcome.report = do(job)
    return batch.finish()


@contextmanager
def _loading() -> Iterator[None]:
    """Load what is needed without looking for garbage, and never look through it again.

    Torch makes hundreds of thousands of objects that stay: by default, Python looks through all of
    them every few hundred (a tenth of the time until the first frame). It must do so again before
    frames come: rings of objects may hold pictures.
    """
    usual = gc.get_threshold()
    gc.set_threshold(50_000, 20)
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # later, garbage of other tasks would stay as well
            gc.freeze()
        gc.set_threshold(*usual)


def batch_of(console: Console, task: Task) -> Batch:
    """Find out which jobs of a task can run."""
    return Batch(console, task.rules, task.jobs, task.check, task.find_existing)


def gives_task(command: Callable[..., Task]) -> Callable[..., None]:
    """Make a command for Typer of one that takes groups, and gives what is to be done."""
    return grouped(command, _carry_out)


def _carry_out(command: Callable[..., Task], values: Mapping[str, Any], console: Console) -> None:
    console.tells_events = values["progress"] == "json"
    places = parse_places(values["device"] or "auto")
    with ExitStack() as stack:
        task = understand(command, {**values, "device": places[0]}, console, stack)
        is_here = len(places) == 1 and task.rules.ray is None
        if task.rules.dry_run or task.stays_here or is_here:
            code = carry_out(console, task)
        else:
            from refvid.cli.elsewhere import carry_out_elsewhere

            call = Call(command.__name__, values)
            code = carry_out_elsewhere(console, task, call, places)
        raise typer.Exit(task.finish(code))


def understand(
    command: Callable[..., Any], values: Mapping[str, Any], console: Console, stack: ExitStack
) -> Task:
    """Tell what a command made by `gives_task` would do.

    Args:
        command: The command.
        values: Of all its flags, under their names.
        console: Where its messages go.
        stack: Closes what it opens.

    Raises:
        RefvidError: The words make no sense.
    """
    function: Callable[..., Task] = inspect.unwrap(command)
    return function(**fill_groups(function, values, console, stack))
