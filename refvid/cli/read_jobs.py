"""Lists of jobs -> rows: CSV, JSON lines, TOML, and reports of earlier runs."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TextIO

from refvid.documents import parse_json, parse_toml, shown
from refvid.errors import InputError
from refvid.media.inputs import check_file

_TOML_JOB: Final = re.compile(r"\s*\[\[\s*job\s*\]\]")
_SEPARATOR: Final = re.compile(r"sep=(.)\s*", re.IGNORECASE)
"""A first line by which Excel is told what stands between cells."""

_AGAIN: Final = ("failed", "not begun", "not done")
"""What a report's jobs have become, where they are to be done again."""


@dataclass(frozen=True, slots=True)
class Row:
    """One job as it stands in a list."""

    line: int
    """Where it begins, from 1; of a report, where it began in the list."""

    cells: Mapping[str, Any] = field(default_factory=dict)
    """Column -> text, number, bool, or a list of these. What is empty is left out."""

    problem: str = ""
    """Why it is no row."""


def read_jobs(path: Path) -> list[Row]:
    """Read a list of jobs, of the kind that its name tells.

    Raises:
        InputError: There is no such file, it is of no such kind, or as a whole damaged.
    """
    check_file(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        kinds = ", ".join(_READERS)
        raise InputError(f"{path}: a list of jobs is one of {kinds}")
    if not path.is_file():
        raise InputError(f"{path} is no file")
    try:
        with path.open(encoding=_encoding(path), newline="") as file:
            return list(reader(file))
    except UnicodeError as error:
        raise InputError(
            f"cannot read the list {path}: it is neither UTF-8 nor UTF-16. Save it as UTF-8 (in "
            "Excel: CSV UTF-8)."
        ) from error
    except (ValueError, csv.Error, RecursionError) as error:
        raise InputError(f"cannot read the list {path}: {error}") from error


def _encoding(path: Path) -> str:
    """UTF-8, or UTF-16 with its mark at the start, which PowerShell and spreadsheets write."""
    with path.open("rb") as file:
        is_wide = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return "utf-16" if is_wide else "utf-8-sig"


def _read_csv(file: TextIO) -> Iterator[Row]:
    first = file.readline()
    separator = _SEPARATOR.fullmatch(first)
    if separator is None:
        file.seek(0)
    # Spreadsheets of some countries write semicolons.
    delimiter = max(",;\t", key=first.count) if separator is None else separator[1]
    rows = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
    header = [column_name(name) for name in next(rows, [])]
    if not any(header):
        raise ValueError("its first line does not name the columns")
    before = 1 if separator is None else 2
    begins = rows.line_num + before
    for row in rows:
        if any(cell.strip() for cell in row):
            yield _csv_row(begins, header, row)
        begins = rows.line_num + before


def _csv_row(line: int, header: list[str], row: list[str]) -> Row:
    if len(row) > len(header):
        return Row(line, problem=f"it has {len(row)} cells, but there are {len(header)} columns")
    cells: dict[str, Any] = {}
    for name, content in zip(header, row, strict=False):
        cell = content.strip()  # a blank before or behind a comma is no part of a file's name
        if not cell:
            continue
        if not name:
            return Row(line, problem=f"the cell {shown(cell)} is in a column without a name")
        # A column that stands there twice gives an option twice.
        cells[name] = [*_listed(cells[name]), cell] if name in cells else cell
    return Row(line, cells)


def _read_json_lines(file: TextIO) -> Iterator[Row]:
    for line, text in enumerate(file, 1):
        if not text.strip():
            continue
        try:
            value = parse_json(text)
        except ValueError as error:
            yield Row(line, problem=f"it is no JSON ({error})")
        else:
            yield _object_row(line, value)


def _read_toml(file: TextIO) -> Iterator[Row]:
    text = file.read().replace("\r\n", "\n")
    table = parse_toml(text)
    jobs = table.pop("job", [])
    if table or not isinstance(jobs, list):
        raise ValueError("each job is a table [[job]], and there is nothing beside them")
    lines = [n for n, line in enumerate(text.split("\n"), 1) if _TOML_JOB.match(line)]
    if len(lines) != len(jobs):  # one is part of a text, or jobs are written in another way
        lines = list(range(1, len(jobs) + 1))
    for line, job in zip(lines, jobs, strict=True):
        yield _object_row(line, job)


def _read_report(file: TextIO) -> Iterator[Row]:
    report = json.load(file)
    results = report.get("results") if isinstance(report, dict) else None
    if not isinstance(results, list):
        raise ValueError("it is no report of refvid batch --json")
    for number, result in enumerate(results, 1):
        if not isinstance(result, dict) or "row" not in result:
            raise ValueError("it is no report of refvid batch --json")
        if result.get("status") in _AGAIN:
            line = result.get("line")
            yield _object_row(line if isinstance(line, int) else number, result["row"])


_READERS: Final = {
    ".csv": _read_csv,
    ".jsonl": _read_json_lines,
    ".toml": _read_toml,
    ".json": _read_report,
}


def _object_row(line: int, value: object) -> Row:
    if not isinstance(value, dict):
        return Row(line, problem=f"{shown(value)} is no object with columns")
    cells = {}
    for name, cell in value.items():
        parts = _listed(cell)
        if not all(isinstance(part, str | int | float) for part in parts):
            return Row(line, problem=f"{name}: {shown(cell)} is neither text, number nor list")
        if cell not in (None, "", []):
            cells[column_name(name)] = cell
    return Row(line, cells)


def column_name(word: str) -> str:
    """`ref_fit`, `--ref-fit` and `Ref-Fit` are one column."""
    return word.strip().lstrip("-").replace("_", "-").lower()


def _listed(cell: Any) -> list[Any]:
    if cell is None:
        return []
    return cell if isinstance(cell, list) else [cell]
