"""Zip archives, whose directory is measured before it is read.

`zipfile` makes an object of every entry: fifteen times as much as the file takes on the disk.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_MOST_BYTES: Final = 2**23
"""Of a directory: about a hundred thousand entries; a checkpoint has one per tensor."""


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive for reading.

    Raises:
        zipfile.BadZipFile: It is none, or its directory is beyond measure.
        OSError: It cannot be read.
    """
    with _MeasuredFile(path) as file, zipfile.ZipFile(file) as archive:
        file.most = None
        yield archive


class _MeasuredFile(io.FileIO):
    """A file that refuses to be read in a piece beyond measure, as a directory is read at once.

    And a place that no file has is damage, not an error of the system.
    """

    most: int | None = _MOST_BYTES

    def seek(self, offset: int, whence: int = 0, /) -> int:
        try:
            return super().seek(offset, whence)
        except (OSError, OverflowError) as error:
            raise zipfile.BadZipFile("it points outside of itself") from error

    def read(self, size: int | None = -1, /) -> bytes:
        if self.most is not None and size is not None and size > self.most:
            raise zipfile.BadZipFile(f"its directory takes {size} bytes")
        return super().read(size) or b""
