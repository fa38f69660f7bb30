"""The Typer app: global flags, the commands, and the one error boundary.

Nothing here imports torch, NumPy, PyAV or Rich: `--help` and shell completion stay instant.
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from itertools import takewhile
from typing import Annotated, Any

import typer

import refvid
from refvid.cli import (
    clean,
    compare,
    decode,
    demo,
    detokenize,
    doctor,
    encode,
    enhance,
    evaluate,
    info,
    job_lists,
    metrics,
    models,
    stylize,
    tokenize,
    train,
    ui,
)
from refvid.cli.allocator import reuse_freed_memory, spare_address_space
from refvid.cli.console import Console, error_document
from refvid.cli.file_errors import named_error
from refvid.cli.groups import USAGE_ERROR, HelpfulGroup, PanelCommand
from refvid.cli.readable import visible
from refvid.cli.signals import check_stopped
from refvid.errors import INTERRUPTED_EXIT_CODE, OptionError, OutputError

_ASKS_FOR_JSON = "refvid.json"
_HELP = {"help_option_names": ["-h", "--help"]}


class ProgramGroup(HelpfulGroup):
    """The error boundary: tests that run the app in-process see the program's exit codes."""

    # Typer keeps the context's type to itself, hence Any.
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # Words that no command understands are an error of the run, too, and told as it asks for.
        ctx.meta[_ASKS_FOR_JSON] = "--json" in list(takewhile("--".__ne__, args))
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        console = Console()
        console.json = ctx.meta[_ASKS_FOR_JSON]
        ctx.obj = console
        try:
            return super().invoke(ctx)
        except USAGE_ERROR as error:
            words: Any = error
            words.message = visible(words.message)
            _print_document(console, error_document(OptionError(words.format_message())))
            raise  # Typer prints usage errors (exit code 2).
        except (typer.Exit, typer.Abort):
            raise
        except BrokenPipeError:  # whoever reads the help has seen enough
            raise typer.Exit(OutputError.exit_code) from None
        except KeyboardInterrupt:
            console.note("interrupted")
            raise typer.Exit(INTERRUPTED_EXIT_CODE) from None
        except Exception as error:
            raise typer.Exit(_code_of(console, error)) from error
        finally:
            console.close()


app = typer.Typer(
    name="refvid",
    cls=ProgramGroup,
    context_settings=_HELP,
    no_args_is_help=True,
    # Without Rich, help opens faster and prints on any console; PanelCommand keeps the groups.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _code_of(console: Console, error: Exception) -> int:
    try:
        check_stopped()
    except KeyboardInterrupt:
        console.note("interrupted")
        return INTERRUPTED_EXIT_CODE
    return _report(console, named_error(error))


def _report(console: Console, error: Exception) -> int:
    document = error_document(error)
    _print_document(console, document)
    console.error(error)
    code: int = document["exit_code"]
    return code


def _print_document(console: Console, error: dict[str, Any]) -> None:
    if console.json:
        with suppress(OutputError):  # which may be the very error
            console.result_json(
                {"refvid": refvid.__version__, "error": error, "exit_code": error["exit_code"]}
            )


def _show_version(wanted: bool) -> None:
    if wanted:
        Console().result(f"refvid {refvid.__version__}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool,
        typer.Option(
            "-V", "--version", callback=_show_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Bring a video's lost details back from one clean reference image.

    `refvid help COMMAND` explains a command.

    Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 bug, 2 options,
    3 input, 4 output, 5 weights, 6 device or memory, 7 a batch with different failures,
    130 interrupted.
    """


for _command in (
    enhance.enhance,
    stylize.stylize,
    decode.decode,
    encode.encode,
    job_lists.batch,
    tokenize.tokenize,
    detokenize.detokenize,
    demo.demo,
    compare.compare,
    info.info,
    doctor.doctor,
    clean.clean,
    evaluate.evaluate,
    metrics.metrics,
    train.train,
    ui.ui,
):
    app.command(cls=PanelCommand, context_settings=_HELP)(_command)

app.add_typer(models.app)


def main() -> None:
    """Run the program; `refvid.__main__` has made sure that it can be stopped."""
    # Torch's threads must sleep while they wait: spinning, they take the cores from the threads
    # that read and encode (1.8 times slower on two cores). Read once, when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # New memory for a chunk's frames is touched for the first time in larger pages.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    reuse_freed_memory()
    spare_address_space()
    if "_REFVID_COMPLETE" in os.environ:
        # Typer would load Rich to clean help texts that hold no markup: half of the waiting time.
        sys.modules["rich"] = None  # type: ignore[assignment]  # how Python spells "not there"
    try:
        sys.exit(app())
    except (OSError, OutputError):  # of help or the version, before any command
        Console().error(OutputError("Cannot write to standard output."))
        sys.exit(OutputError.exit_code)
    finally:
        # Else they are looked through once more at the end, for half a second.
        gc.freeze()
