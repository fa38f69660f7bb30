"""The program by its words, in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from refvid.cli.app import app


def run(*words: str | Path) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, [str(word) for word in words])


def done(*words: str | Path) -> Any:
    """Run a command that goes well, and give what it tells with --json."""
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)
