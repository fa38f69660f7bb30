"""Files of safetensors, whose header is measured before it is parsed.

The format itself is safe: it holds numbers, and every tensor must lie within the file. But a header
is JSON of up to 100 MB, which takes twenty times as much when it is parsed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from safetensors import SafetensorError, safe_open

_MOST_HEADER_BYTES: Final = 2**24
"""A checkpoint with a thousand tensors has 0.1 MB; a workflow that made latents, a few MB."""

_MOST_TENSORS: Final = 50_000

_ITEM_BYTES: Final = {"U8": 1, "U16": 2, "F32": 4, "I64": 8}


@contextmanager
def open_safetensors(path: Path, framework: Literal["pt", "numpy"] = "pt") -> Iterator[Any]:
    """Open a file as `safetensors.safe_open` does, for torch or NumPy.

    Raises:
        SafetensorError: It is no whole file of this format, or its header is beyond measure.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        header, size = int.from_bytes(file.read(8), "little"), path.stat().st_size
    if header > size - 8:
        raise SafetensorError(f"its header claims {header} bytes, but it has {size}")
    if header > _MOST_HEADER_BYTES:
        raise SafetensorError(f"its header has {header} bytes, more than any file of tensors needs")
    with safe_open(path, framework=framework) as content:
        count = len(content.keys())
        if count > _MOST_TENSORS:
            raise SafetensorError(f"it holds {count} tensors, more than any network has")
        yield content


def safetensors_header(
    metadata: Mapping[str, str], tensors: Mapping[str, tuple[str, Sequence[int]]]
) -> bytes:
    """Length and JSON of a file whose tensors are written after it, one by one and in this order.

    Args:
        metadata: Text beside the tensors.
        tensors: Type (U8, U16, F32 or I64) and shape of each.
    """
    entries: dict[str, Any] = {"__metadata__": dict(metadata)}
    position = 0
    for name, (kind, shape) in tensors.items():
        end = position + math.prod(shape) * _ITEM_BYTES[kind]
        entries[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
