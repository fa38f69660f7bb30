"""Weights whose licence a user must accept: ask on a terminal, else let the error say how."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import typer

from refvid.checkpoints.catalog import CATALOG, Catalog
from refvid.cli.console import Console
from refvid.errors import LicenceNotAccepted

T = TypeVar("T")


def asking_for_licence(console: Console, work: Callable[[], T], *, catalog: Catalog = CATALOG) -> T:
    """Do what may download weights; where a licence stands in the way, ask once and remember.

    Raises:
        LicenceNotAccepted: There is nobody to ask, or the answer is no.
    """
    try:
        return work()
    except LicenceNotAccepted as error:
        from refvid.checkpoints.cache import Cache

        entry = catalog.get(error.entry_name)
        if not _has_somebody_to_ask(console):
            raise
        console.warning(error.terms)
        if not typer.confirm("Do you accept it?", err=True):
            raise
        Cache.default().accept(entry)
    return work()


def _has_somebody_to_ask(console: Console) -> bool:
    quiet = console.json or console.level == "quiet"
    return not quiet and sys.stdin.isatty() and sys.stderr.isatty()
