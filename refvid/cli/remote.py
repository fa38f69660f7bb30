"""What a worker does: one job after the other, each as its command does it, and tells of it."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from refvid.cli.console import Console, error_document
from refvid.cli.file_errors import named_error
from refvid.cli.jobs import job_names
from refvid.cli.signals import check_stopped, clean_up_when_stopped
from refvid.cli.task import Call, Models, Task, carry_out, understand
from refvid.errors import InputError
from refvid.media.publishing import hearing_of_results
from refvid.progress import Progress

if TYPE_CHECKING:
    from refvid.distribution.engine import Perform, Tell
    from refvid.progress import ProgressCallback
    from refvid.rebuild.parts import Made, Part, PartMaker
    from refvid.settings import LogLevel

_TOLD_EVERY_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Said:
    """A line for people."""

    text: str


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """What a worker has to know of the program that has started it; makes it ready."""

    folder: Path
    """Where relative paths begin."""

    level: LogLevel
    seen: tuple[Path, ...] = ()
    """Files and folders that must be there, seen from another machine, too."""

    def __call__(self, place: str) -> Perform:
        """Get ready for work on a device.

        Raises:
            DeviceError: There is no such device.
            InputError: Files are not to be seen from here.
        """
        if threading.current_thread() is threading.main_thread():
            clean_up_when_stopped()
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise InputError(self._is_invisible(self.folder)) from error
        for path in self.seen:
            if not os.path.lexists(path):
                raise InputError(self._is_invisible(path))
        from refvid.device import choose_device

        choose_device(place)
        return _Worker(place, self.level).perform

    @staticmethod
    def _is_invisible(path: Path) -> str:
        import platform

        return (
            f"{path} is not to be seen on {platform.node()}: all machines need the same files "
            "under the same names, as on a network disk"
        )


@dataclass(frozen=True, slots=True)
class PartCall:
    """A part of the one job of a call."""

    call: Call
    part: Part
    path: Path
    """Where its frames go."""

    secure: bool
    """Whether they are kept for a run that goes on."""


class _Worker:
    """Keeps the model from one job to the next."""

    def __init__(self, place: str, level: LogLevel) -> None:
        self._place = place
        self._console = TellingConsole()
        self._console.start(level, as_json=True)
        self._models = Models(self._console)
        self._parts: tuple[Call, PartMaker] | None = None

    def perform(self, call: Call | PartCall, tell: Tell) -> dict[str, Any] | Made:
        """Do a job: gives what became of it, as in the JSON of its command; or make a part."""
        self._console.tell = tell
        if isinstance(call, PartCall):
            return self._make(call)
        (job,) = call.values["inputs"]
        try:
            values = {**call.values, "device": self._place}
            with ExitStack() as stack:
                stack.enter_context(hearing_of_results(tell))
                task = understand(find_command(call.command), values, self._console, stack)
                return self._carry_out(task)
        except Exception as error:  # noqa: BLE001 -- it must not cost the other jobs
            check_stopped()
            self._console.error(error)
            failure = error_document(named_error(error, job.output))
            return {**job_names(job), "status": "failed", "error": failure}

    def _make(self, part: PartCall) -> dict[str, Any] | Made:
        call = part.call
        (job,) = call.values["inputs"]
        try:
            if self._parts is None or self._parts[0] != call:
                values = {**call.values, "device": self._place}
                with ExitStack() as stack:
                    task = understand(find_command(call.command), values, self._console, stack)
                assert task.splits is not None, "else there are no parts"
                self._parts = (call, task.splits.begin(self._models, job))
            return self._parts[1].make(part.part, part.path, secure=part.secure)
        except Exception as error:  # noqa: BLE001 -- as above
            check_stopped()
            self._console.error(error)
            return error_document(named_error(error, job.output))

    def _carry_out(self, task: Task) -> dict[str, Any]:
        carry_out(self._console, task, self._models)
        [result] = self._console.document["results"]
        return dict(result)


class TellingConsole(Console):
    """Tells another process what there is to say."""

    def __init__(self) -> None:
        super().__init__()
        self.tell: Tell = lambda _content: None
        self.document: dict[str, Any] = {}

    def _say(self, text: str) -> None:
        self.tell(Said(text))

    def result_json(self, document: dict[str, Any]) -> None:
        self.document = document

    def error(self, error: BaseException, *, context: str = "") -> None:  # noqa: ARG002 -- base's
        # The document has it, but for what only --debug shows.
        if self.level == "debug":
            for line in "".join(traceback.format_exception(error)).splitlines():
                self._say(line)

    @contextmanager
    def progress(
        self,
        label: str,  # noqa: ARG002 -- base's
        unit: str = "frame",  # noqa: ARG002
        **facts: Any,  # noqa: ARG002
    ) -> Iterator[ProgressCallback]:
        self.tell(Progress(0, None))
        yield _seldom(self.tell)


def _seldom(tell: Tell) -> Callable[[Progress], None]:
    told_at = 0.0

    def update(progress: Progress) -> None:
        nonlocal told_at
        now = time.monotonic()
        if now - told_at >= _TOLD_EVERY_S or progress.done == progress.total:
            told_at = now
            tell(progress)

    return update


def find_command(name: str) -> Callable[..., None]:
    """The function of a command that gives a task."""
    return commands()[name]


def commands() -> Mapping[str, Callable[..., None]]:
    """All commands that a list of jobs may have."""
    from refvid.cli import decode, encode, enhance, stylize

    return {
        "enhance": enhance.enhance,
        "stylize": stylize.stylize,
        "decode": decode.decode,
        "encode": encode.encode,
    }
