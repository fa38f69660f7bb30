"""The project's texts for people, cut into what can be checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?:^|\$\(|/|-[mv] )refvid ([^\n)#]+)", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        """Its path within the project, with forward slashes."""
        return self.path.relative_to(PROJECT).as_posix()

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def blocks(self, *languages: str) -> list[str]:
        """Code blocks in these languages."""
        return [code for language, code in _BLOCK.findall(self.text) if language in languages]

    def inline(self) -> list[str]:
        """Pieces of `code` within the text; a pipe in a table is written with a backslash."""
        prose = _BLOCK.sub("", self.text)
        return [code.replace("\\|", "|") for code in re.findall(r"`([^`\n]+)`", prose)]

    def commands(self) -> list[str]:
        """Lines of shell blocks that call refvid, without the name and what a shell adds."""
        code = "\n".join(self.blocks("sh", "bash")).replace("\\\n", " ")
        return [words.partition(">")[0].strip() for words in _COMMAND.findall(code)]

    def table(self, *header: str) -> list[list[str]]:
        """Cells of the rows below a table's header."""
        lines = self.text.splitlines()
        start = lines.index(f"| {' | '.join(header)} |") + 2
        rows = []
        for line in lines[start:]:
            if not line.startswith("|"):
                break
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        return rows


PAGES = tuple(
    Page(path)
    for path in (
        PROJECT / "README.md",
        PROJECT / "CONTRIBUTING.md",
        *sorted((PROJECT / "docs").glob("*.md")),
        PROJECT / "benchmarks" / "README.md",
        *sorted((PROJECT / "refvid" / "assets").glob("*.md")),
    )
)


def page(name: str) -> Page:
    """One of them by its path within the project."""
    return next(one for one in PAGES if one.name == name)


def code_in(cell: str) -> list[str]:
    """Pieces of `code` in a cell of a table."""
    return [code.replace("\\|", "|") for code in re.findall(r"`([^`]+)`", cell)]
