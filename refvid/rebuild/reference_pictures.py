"""Reference pictures in bounded memory: read when they are used, however many there are."""

from __future__ import annotations

import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from refvid.errors import InputError
from refvid.media.color import ColorInfo
from refvid.media.image import read_still
from refvid.media.unchanged import check_unchanged, file_state
from refvid.rebuild.pixels import Pixels

_MOST_BYTES = 256 << 20
"""Of pictures that wait in memory; one is kept whatever its size."""


class ReferencePictures:
    """Pictures by number; those that were used last stay in memory.

    Image files are read again when they are needed again. Pictures without a file of their own are
    kept in a temporary one, which has no name and ends with this object.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._readers: list[Callable[[], Pixels]] = []
        self._recent: OrderedDict[int, Pixels] = OrderedDict()
        self._file: IO[bytes] | None = None

    def add_image(
        self, path: Path, take: Callable[[Pixels, ColorInfo | None], Pixels] = lambda p, _: p
    ) -> int:
        """Read an image file, and give the number that it has from now on.

        `take` turns its pixels (H, W, 3) into what the model would see; it also gets their colours,
        or None for sRGB.

        Raises:
            InputError: It cannot be read.
        """

        def read() -> Pixels:
            still = read_still(path, may_shrink=True)
            return take(still.pixels, still.color)

        pixels = read()
        state = file_state(path)

        def read_again() -> Pixels:
            check_unchanged(path, state)
            return read()

        return self._add(pixels, read_again)

    def add_pixels(self, pixels: Pixels) -> int:
        """Keep (H, W, 3) pixels, and give their number."""
        return self._add(pixels, self._keep(pixels))

    @property
    def held_bytes(self) -> int:
        """What is in memory [bytes]."""
        return sum(pixels.nbytes for pixels in self._recent.values())

    def __getitem__(self, number: int) -> Pixels:
        """(H, W, 3) uint8 or uint16."""
        pixels = self._recent.pop(number, None)
        if pixels is None:
            pixels = self._readers[number]()
        self._recent[number] = pixels
        self._forget()
        return pixels

    def _add(self, pixels: Pixels, read_again: Callable[[], Pixels]) -> int:
        number = len(self._readers)
        self._readers.append(read_again)
        self._recent[number] = pixels
        self._forget()
        return number

    def _forget(self) -> None:
        while len(self._recent) > 1 and self.held_bytes > self._most_bytes:
            self._recent.popitem(last=False)

    def _keep(self, pixels: Pixels) -> Callable[[], Pixels]:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 -- it ends with this object
            weakref.finalize(self, self._file.close)
        file = self._file
        start = file.seek(0, 2)
        try:
            file.write(np.ascontiguousarray(pixels).data)
        except OSError as error:
            raise InputError(
                f"References from the input have no room in {tempfile.gettempdir()}: "
                f"{error.strerror}. Free some space, or name another folder in TMPDIR."
            ) from error
        shape, dtype, length = pixels.shape, pixels.dtype, pixels.nbytes

        def read_again() -> Pixels:
            file.seek(start)
            return np.frombuffer(file.read(length), dtype).reshape(shape)

        return read_again
