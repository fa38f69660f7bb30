"""What the console shows while a checkpoint is fetched, checked and converted."""

import io
import sys

import pytest

from refvid.cli.console import Console
from refvid.cli.progress_lines import TransferLines
from refvid.progress import Transfer

MIB = 1 << 20


def test_lines_for_logs() -> None:
    said: list[str] = []
    now = 0.0
    lines = TransferLines(said.append, lambda: now)
    for second in range(11):
        now = float(second)
        lines.update(Transfer("downloading x", second * 10 * MIB, 100 * MIB))
    assert said == [f"downloading x: {done}0.0 MiB of 100.0 MiB" for done in (2, 4, 6, 8, 10)]
    said.clear()
    lines.update(Transfer("checking x", 0, MIB))
    now += 1
    lines.update(Transfer("checking x", MIB, MIB))
    assert not said  # over in a moment
    now += 40
    lines.update(Transfer("checking x", 5, None))
    assert said == ["checking x: 5 B"]


@pytest.mark.parametrize("level", ["quiet", "normal"])
def test_bars_for_terminals(monkeypatch: pytest.MonkeyPatch, level) -> None:
    screen = io.StringIO()
    screen.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.delenv("CI", raising=False)
    console = Console()
    console.start(level)
    with console.transfers() as on_transfer:
        on_transfer(Transfer("downloading x", 10 * MIB, 100 * MIB))
        console.warning("broken; going on")
        on_transfer(Transfer("downloading x", 0, 100 * MIB))  # a server began again
        on_transfer(Transfer("checking x", 100 * MIB, 100 * MIB))
    console.close()
    shown = screen.getvalue()
    assert "broken" in shown
    assert ("downloading x:  10%" in shown) == (level == "normal")
    assert ("checking x: 100%" in shown) == (level == "normal")
