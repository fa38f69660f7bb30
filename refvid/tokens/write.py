"""Write a file of tokens, block by block: memory does not grow with the video."""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from refvid.errors import OutputError
from refvid.media.partial_file import PartialFile
from refvid.media.unfinished import cannot_write
from refvid.safetensors_file import safetensors_header
from refvid.tokens.layout import (
    INDICES,
    REFERENCE_ENDS,
    REFERENCES,
    SHOTS,
    TIMES,
    VECTORS,
    Shot,
    TokenFacts,
)

_SPOOLED: Final = (INDICES, VECTORS, TIMES, REFERENCES)


class TokenWriter:
    """Takes tokens in order and leaves a finished file, or nothing.

    How many there are is known only at the end, and stands at the beginning of the file: until
    then they wait in temporary files beside it.
    """

    def __init__(self, output: Path, *, overwrite: bool = False) -> None:
        self.output = output
        self.facts: TokenFacts | None = None
        """Must be there at the end; without hashes and names of references, which are kept here."""

        self.frames = 0
        self._overwrite = overwrite
        self._partial: PartialFile | None = None
        self._open = ExitStack()
        self._spools: dict[str, IO[bytes]] = {}
        self._rows = dict.fromkeys(_SPOOLED, 0)
        self._vector = 0
        self._shots: list[Shot] = []
        self._reference_ends: list[int] = []
        self._hashes: list[str] = []
        self._names: list[str] = []

    def begin_shot(self, *, has_reference: bool, is_led: bool = False) -> None:
        """A shot begins with the next frame; its reference is the last one that was added."""
        reference = len(self._reference_ends) - 1 if has_reference else -1
        self._shots.append(Shot(self.frames, reference, is_led))

    def add_reference(self, sha256: str, name: str, picture: bytes = b"") -> None:
        """Add a reference: its hash, and the picture's file unless only the hash is kept."""
        self._append(REFERENCES, np.frombuffer(picture, np.uint8))
        self._reference_ends.append(self._rows[REFERENCES])
        self._hashes.append(sha256)
        self._names.append(name)

    def add_frame(self, pts: int, duration: int | None) -> None:
        """Take note of a frame's time."""
        self._append(TIMES, np.array([[pts, duration or 0]], np.int64))
        self.frames += 1

    def add_tokens(self, grids: NDArray[Any], vectors: NDArray[Any]) -> None:
        """Append grids (n, h, w) and vectors (m, K), whole numbers below 2^16."""
        self._vector = vectors.shape[1]
        self._append(INDICES, grids.astype(np.uint16))
        self._append(VECTORS, vectors.astype(np.uint16))

    def _append(self, name: str, rows: NDArray[Any]) -> None:
        data = np.ascontiguousarray(rows).astype(rows.dtype.newbyteorder("<"), copy=False)
        try:
            self._spools[name].write(data.tobytes())
        except OSError as error:
            raise cannot_write(self.output, error) from error
        self._rows[name] += len(rows)

    def __enter__(self) -> Self:
        self._partial = PartialFile(self.output, overwrite=self._overwrite)
        try:
            for name in _SPOOLED:
                # Beside the output: that is where there must be room.
                spool = tempfile.TemporaryFile(dir=self.output.parent)
                self._spools[name] = self._open.enter_context(spool)
        except OSError as error:
            self._open.close()
            self._partial.discard()
            raise cannot_write(self.output, error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except OSError as failure:
            raise cannot_write(self.output, failure) from failure
        finally:
            self._open.close()
            if self._partial is not None:
                self._partial.discard()

    def _finish(self) -> None:
        assert self._partial is not None, "used as a context manager"
        if self.facts is None or not self.frames:
            raise OutputError(f"{self.output} was not written: there were no frames.")
        facts, rows = self.facts, self._rows
        small = {
            SHOTS: np.array(self._shots, "<i8").reshape(-1, 3),
            REFERENCE_ENDS: np.array(self._reference_ends, "<i8"),
        }
        shapes: dict[str, tuple[str, list[int]]] = {
            TIMES: ("I64", [rows[TIMES], 2]),
            SHOTS: ("I64", list(small[SHOTS].shape)),
            REFERENCE_ENDS: ("I64", list(small[REFERENCE_ENDS].shape)),
            INDICES: ("U16", [rows[INDICES], *facts.grid]),
            REFERENCES: ("U8", [rows[REFERENCES]]),
        }
        if facts.vector_levels:
            shapes[VECTORS] = ("U16", [rows[VECTORS], self._vector])
        metadata = facts.to_metadata()
        if self._hashes:
            metadata["reference_hashes"] = ",".join(self._hashes)
            metadata["reference_names"] = json.dumps(self._names)
        with self._partial.path.open("wb") as file:
            file.write(safetensors_header(metadata, shapes))
            for name in shapes:
                if name in small:
                    file.write(small[name].tobytes())
                else:
                    self._spools[name].seek(0)
                    shutil.copyfileobj(self._spools[name], file)
        self._partial.publish()
