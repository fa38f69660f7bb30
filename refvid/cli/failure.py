"""An error of another process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refvid.errors import RefvidError


class Failure(RefvidError):
    """As its document tells it; see `error_document`."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(document["message"])
        self.document = dict(document)
        self.exit_code = document["exit_code"]
