"""HEIF (.heic), in which phones save photographs: read where pillow-heif is installed."""

from __future__ import annotations

from typing import IO, Final

_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1"})

SUFFIXES: Final = frozenset({".heic", ".heif", ".hif"})

NAME: Final = "HEIF"
"""Pillow's, of the format."""


def is_heif(file: IO[bytes]) -> bool:
    """Whether a file begins as HEIF does; AVIF may begin so, too. It goes back to its start."""
    file.seek(0)
    start = file.read(12)
    file.seek(0)
    return start[4:8] == b"ftyp" and start[8:12] in _BRANDS


def can_read_heif() -> bool:
    """Teach Pillow to read it; False where the package for that is not installed."""
    try:
        import pillow_heif  # noqa: PLC0415 -- optional, and wanted for few files
    except ImportError:
        return False
    pillow_heif.register_heif_opener(thumbnails=False)
    return True
