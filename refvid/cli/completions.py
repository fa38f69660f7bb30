"""Write the shell completion scripts: `python -m refvid.cli.completions completions/`.

Packagers install these files; users without a package run `refvid --install-completion`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from refvid.errors import OptionError

FILES = {
    "bash": "refvid.bash",
    "zsh": "_refvid",
    "fish": "refvid.fish",
    "powershell": "refvid.ps1",
}


def completion_script(shell: str) -> str:
    """The script that makes a shell ask `refvid` for completions."""
    # A process of its own, because Typer answers this request at start-up and then exits.
    code = "from refvid.cli.app import app; app(prog_name='refvid')"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "_REFVID_COMPLETE": f"source_{shell}"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    return run.stdout.strip() + "\n"


def write_completions(folder: Path) -> None:
    """Write one file per shell."""
    folder.mkdir(parents=True, exist_ok=True)
    for shell, name in FILES.items():
        (folder / name).write_text(completion_script(shell), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise OptionError("usage: python -m refvid.cli.completions FOLDER")
    write_completions(Path(sys.argv[1]))
