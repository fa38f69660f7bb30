"""`-` in place of files: standard input and output.

y4m is read once and written as it comes. Other videos are read more than once, and other results
appear when they are whole: these are put into a temporary file first, and a program behind the pipe
gets a whole video or nothing.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

from refvid.cli.console import Console
from refvid.cli.flags import BatchRules
from refvid.cli.streams import taken_stdout
from refvid.errors import InputError, OptionError, OutputError

if TYPE_CHECKING:
    from refvid.media.inputs import Job
    from refvid.media.piped_video import PipedResult, PipedVideo

PIPE = "-"
Container = Literal["matroska", "y4m"]

_SUFFIXES = {"matroska": ".mkv", "y4m": ".y4m"}
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Pipes:
    """The words of a command, with files in place of pipes."""

    inputs: Sequence[str | Job]
    rules: BatchRules
    _stdout: BinaryIO | None = None
    _video: PipedVideo | None = None
    _sink: PipedResult | None = None

    @property
    def are_streams(self) -> bool:
        """Whether anything is read or written as it comes."""
        return self._video is not None or self._sink is not None

    def attach(self, jobs: Sequence[Job]) -> list[Job]:
        """Have jobs read and write what comes and goes only once."""
        video = self._video
        return [
            replace(job, sink=self._sink)
            if video is None or job.source != video.beginning
            else replace(job, sink=self._sink, piped=video, info=video.info)
            for job in jobs
        ]

    def finish(self, code: int) -> int:
        """Pass the result on, if all went well: takes and gives the exit code.

        Raises:
            OutputError: Nobody reads it to the end.
        """
        if self._stdout is None or self._sink is not None or code != 0 or self.rules.dry_run:
            return code
        assert self.rules.output is not None, "it is a file of ours"
        try:
            with Path(self.rules.output).open("rb") as result:
                shutil.copyfileobj(result, self._stdout, _BLOCK)
            self._stdout.flush()
        except OSError as error:
            raise OutputError(f"Cannot write to standard output: {error.strerror}.") from error
        return code


@contextmanager
def open_pipes(
    console: Console,
    inputs: Sequence[str | Job],
    rules: BatchRules,
    container: Container | None = None,
    *,
    compare: bool = False,
    reads_once: bool = False,
) -> Iterator[Pipes]:
    """Take the pipes among a command's inputs and output, if there are any.

    Args:
        console: Prints no results on standard output while a video goes there.
        inputs: As given.
        rules: As given.
        container: Of a result on standard output.
        compare: Whether a page beside the result is wanted, which reads the input once more.
        reads_once: Whether the command takes what is piped in as it comes, where that can be.

    Raises:
        OptionError: They do not go together, or with a terminal.
        InputError: Nothing comes in.
        OutputError: There is no room for temporary files.
    """
    reads, writes = PIPE in inputs, rules.output == PIPE
    _check(console, rules, container, reads=reads, writes=writes, compare=compare)
    if not reads and not writes:
        yield Pipes(inputs, rules)
        return
    from refvid.media.piped_video import PipedResult

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="refvid-pipe-")))
        stdout = sink = video = None
        if writes:
            assert container is not None, "checked above"
            stdout = stack.enter_context(taken_stdout())
            console.prints_paths = False
            result = str(folder / f"stdout{_SUFFIXES[container]}")
            console.names[result] = f"standard output's file in {folder.parent} (TMPDIR)"
            rules = replace(rules, output=result)
            if container == "y4m" and not rules.dry_run:
                sink = PipedResult(stdout)
        if reads:
            piped = folder / "stdin"
            console.names[str(piped)] = "standard input"
            video = _receive(piped, reads_once=reads_once and not compare)
            inputs = [str(piped) if word == PIPE else word for word in inputs]
        # What is piped is gone when the program ends.
        rules = replace(rules, no_resume=True)
        yield Pipes(inputs, rules, stdout, video, sink)


def _check(
    console: Console,
    rules: BatchRules,
    container: Container | None,
    *,
    reads: bool,
    writes: bool,
    compare: bool,
) -> None:
    output = rules.output
    if reads and (output is None or "{dir}" in output):
        raise OptionError(
            "what is piped in has no folder and no name: say with -o FILE where the result goes"
        )
    if reads and (sys.stdin is None or sys.stdin.isatty()):
        raise OptionError("-: nothing is piped in, as in ffmpeg ... -f matroska - | refvid ...")
    if not writes:
        if container is not None:
            raise OptionError("--container is for a result on standard output: -o -")
        return
    if container is None:
        raise OptionError("-o - needs a container: --container matroska or --container y4m")
    if console.json:
        raise OptionError("--json and -o - would both be written to standard output")
    if compare:
        raise OptionError("--compare writes a page beside the result: give that a file with -o")
    if sys.stdout is not None and sys.stdout.isatty() and not rules.dry_run:
        raise OptionError("-o - would fill the terminal: write > FILE or | PROGRAM behind it")


def _receive(target: Path, *, reads_once: bool) -> PipedVideo | None:
    """Put what is piped in into a file: its beginning, if that is all that need be kept of it."""
    from refvid.media.piped_video import PipedVideo
    from refvid.media.y4m import START

    stream = _unbuffered_stdin()
    block = b""
    while len(block) < len(START) and (more := _read(stream, len(START) - len(block))):
        block += more
    if not block:
        raise InputError("Nothing was piped in: standard input is empty.")
    try:
        if reads_once and block == START:
            video = PipedVideo.begin(block, stream, target)
            if video is not None:
                return video
            block = b""  # it is in the file
        with target.open("ab") as file:
            while block or (block := _read(stream, _BLOCK)):
                file.write(block)
                file.flush()
                block = b""
    except OSError as error:
        raise OutputError(
            f"What is piped in does not fit into {target.parent.parent}: {error.strerror}. Set "
            "TMPDIR to a folder with more room."
        ) from error
    return None


def _unbuffered_stdin() -> BinaryIO:
    """Gives what is there: a buffer would wait for more, without a look at signals in between."""
    try:
        descriptor = sys.stdin.fileno()
    except OSError:  # it is no file, but what a caller of the program put there
        return sys.stdin.buffer
    return cast("BinaryIO", open(descriptor, "rb", buffering=0, closefd=False))


def _read(stream: BinaryIO, size: int) -> bytes:
    try:
        return stream.read(size)
    except OSError as error:
        raise InputError(f"Cannot read standard input: {error.strerror}.") from error
