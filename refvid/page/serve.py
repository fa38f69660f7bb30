"""Serve the page, to this machine alone unless another address is asked for."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from refvid.errors import InputError, OptionError, OutputError
from refvid.page.jobs import Jobs

if TYPE_CHECKING:
    from refvid.page.tasks import Task

_OLDEST: Final = 6
"""Major version of Gradio."""


def check_place(root: Path, host: str, port: int) -> None:
    """Tell what is in the way of the page.

    Raises:
        OptionError: Gradio is not installed, or too old.
        InputError: The folder is missing.
        OutputError: The port is in use, or the address is none of this machine.
    """
    try:
        version = importlib.metadata.version("gradio")
    except importlib.metadata.PackageNotFoundError as error:
        raise OptionError("The page needs Gradio. Run: pip install gradio") from error
    if int(version.partition(".")[0]) < _OLDEST:
        raise OptionError(f"Gradio {version} is too old. Run: pip install --upgrade gradio")
    if not root.is_dir():
        raise InputError(f"There is no folder {root}: create it, or choose another with --root.")
    try:
        tempfile.TemporaryFile(dir=root).close()
    except OSError as error:
        raise OutputError(
            f"Cannot write into {root}: {error.strerror}. Choose another folder with --root."
        ) from error
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address[:2], family=family).close()
    except OSError as error:
        raise OutputError(
            f"The page cannot use port {port} of {host}: {error.strerror}. Choose another with "
            "--port, or another address with --host."
        ) from error


def serve(
    root: Path,
    host: str,
    port: int,
    make_tasks: Callable[[], Sequence[Task]],
    *,
    describe: Callable[[Exception, Path | None], str],
    on_ready: Callable[[str], None],
) -> None:
    """Serve until an exception such as Ctrl-C's, which ends what is being done at once.

    Args:
        root: The folder that the page reads and writes.
        host: Address to listen on.
        port: Of that address.
        make_tasks: Tells what the page offers.
        describe: Says in a sentence what an error means; told what was being written.
        on_ready: Told the page's address.

    Raises:
        OptionError, InputError, OutputError: See `check_place`.
    """
    check_place(root, host, port)
    root = root.resolve()
    # Read by Gradio and by what it uses when they are loaded.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    with tempfile.TemporaryDirectory(prefix="refvid-ui-", ignore_cleanup_errors=True) as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads
        import gradio as gr  # noqa: PLC0415 -- an extra, and the settings above come first

        from refvid.page.layout import CSS, Page, build_page  # noqa: PLC0415 -- the same
        from refvid.page.tasks import Models  # noqa: PLC0415 -- the same

        def say(error: Exception, written: Path | None = None) -> str:
            # Nobody knows the folder of uploads, or wants to.
            words = describe(error, written)
            for folder in Path(uploads).iterdir():
                words = words.replace(f"{folder}{os.sep}", "")
            return words

        def let_see(result: Path) -> None:
            # As it is, without a copy in the folder of uploads.
            gr.set_static_paths([result])
            blocks.allowed_paths.append(str(result))

        jobs = Jobs(lambda error, job: say(error, job.output))
        page = Page(root, jobs, Models(), lambda error, _: say(error), let_see)
        blocks = build_page(page, make_tasks())
        _launch(gr, blocks, host, port, CSS)
        try:
            on_ready(blocks.local_url)
            jobs.work()
        finally:
            # At once, whatever browsers still wait for; what that cuts short is no news.
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
            blocks.server.force_exit = True
            blocks.close(verbose=False)


def _launch(gr: Any, blocks: Any, host: str, port: int, css: str) -> None:
    try:
        blocks.launch(
            server_name=host,
            server_port=port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            css=css,
            # Others come from Google's servers.
            theme=gr.themes.Default(font="system-ui", font_mono="monospace"),
        )
    except OSError as error:
        raise OutputError(f"The page cannot use port {port} of {host}: {error}") from error
