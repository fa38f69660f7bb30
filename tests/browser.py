"""A Chromium for tests of pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def chromium() -> Iterator[Any]:
    """Start it, headless; skip the test where there is none."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="needs Playwright: pip install --group browser"
    )
    with sync_api.sync_playwright() as playwright:
        named = os.environ.get("REFVID_CHROMIUM")
        found = named or shutil.which("chromium") or shutil.which("google-chrome")
        if found is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("needs Chromium: install it, or set REFVID_CHROMIUM to its path")
        # Without a sandbox: containers that run as root have none, and the pages are our own.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()
