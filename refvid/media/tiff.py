"""TIFF pictures of more than 8 bits, whose pixels may lie in strips, tiles or planes.

Pillow cuts such colours to 8 bits, libav takes tiles for strips and knows no BigTIFF, OpenCV mixes
planes up: each is asked for what it reads right.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

_PHOTOMETRIC, _BITS, _PLANES, _EXTRA, _FORMAT = 262, 258, 284, 338, 339
_TILE_SIDES: Final = (322, 323)
_MIN_IS_WHITE, _RGB = 0, 2
_UNSIGNED: Final = 1
_ASSOCIATED, _UNASSOCIATED = 1, 2
_MOST_TILE_PIXELS: Final = 2**24
_STRIP_PIXELS: Final = 2**22
_FULL: Final = 65535


def is_deep_tiff(image: Image.Image) -> bool:
    """Whether an open image is a TIFF with more than 8 bits per channel."""
    return isinstance(image, TiffImageFile) and max(_tag(image, _BITS, (1,))) > 8


def is_planar(image: Image.Image) -> bool:
    """Whether an open TIFF keeps its colours apart, in strips: libav reads these.

    Raises:
        ValueError: It keeps them apart in tiles, which nothing here reads.
    """
    assert isinstance(image, TiffImageFile)
    if _tag(image, _PLANES, (1,))[0] != 2:
        return False
    if _tag(image, _TILE_SIDES[0], (0,))[0]:
        raise ValueError("its colours are stored apart and in tiles. Save it again without tiles")
    return True


def check_tiff(image: Image.Image) -> None:
    """Refuse a TIFF whose numbers nobody can be sure of.

    Raises:
        ValueError: They are floating-point, signed or longer than 16 bits.
    """
    if not isinstance(image, TiffImageFile):
        return
    formats, bits = set(_tag(image, _FORMAT, (_UNSIGNED,))), max(_tag(image, _BITS, (1,)))
    # 4 is "undefined", which writers of plain numbers use too.
    if not formats <= {_UNSIGNED, 4} or bits > 16:
        raise ValueError(
            "its numbers are floating-point, signed or longer than 16 bits, and their range is not "
            "known. Save it with 8 or 16 bits per channel"
        )


def read_deep_tiff(path: Path, image: Image.Image, background: int) -> npt.NDArray[np.uint16]:
    """Read a deep TIFF that is not planar.

    Args:
        path: The file.
        image: The same, open; its header has been checked.
        background: The grey on which transparency is laid, 0 to 255.

    Returns:
        (H, W, 3) RGB at full scale, turned as its orientation says.

    Raises:
        ValueError: It is damaged, or stored in a way that cannot be read.
    """
    assert isinstance(image, TiffImageFile)
    width, height = (_tag(image, side, (0,))[0] for side in _TILE_SIDES)
    if width * height > _MOST_TILE_PIXELS:
        raise ValueError(f"its tiles are {width}x{height} pixels. Save it again without tiles")
    stored = _decode(path)
    if sorted(stored.shape[:2]) != sorted(image.size):
        raise ValueError("its size is not clear")
    if stored.ndim == 2:
        return _gray(image, stored)
    photometric = _tag(image, _PHOTOMETRIC, (_RGB,))[0]
    if photometric != _RGB or stored.shape[2] not in (3, 4) or stored.dtype != np.uint16:
        raise ValueError("its colours are of a kind that cannot be read. Save it as RGB")
    extra = _tag(image, _EXTRA, (0,))[0] if stored.shape[2] == 4 else 0
    pixels = np.empty((*stored.shape[:2], 3), np.uint16)
    rows = max(1, _STRIP_PIXELS // stored.shape[1])
    for top in range(0, stored.shape[0], rows):
        strip = stored[top : top + rows]
        pixels[top : top + rows] = strip[:, :, 2::-1]
        if extra:
            pixels[top : top + rows] = _over_gray(strip, extra, background * 257)
    return pixels


def _decode(path: Path) -> npt.NDArray[Any]:
    """(H, W) or (H, W, 3 or 4) as OpenCV gives it: blue first, turned upright."""
    import cv2  # noqa: PLC0415 -- takes longer to load than most pictures

    # It would tell stderr what is raised here. OpenCV 5 has moved the function.
    set_log_level: Any = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
    level = set_log_level(0)
    try:
        # From memory: OpenCV opens no names with foreign letters on Windows.
        stored = cv2.imdecode(np.memmap(path, np.uint8, "r"), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(str(error)) from error
    finally:
        set_log_level(level)
    if stored is None:
        raise ValueError("its compression or its contents cannot be read")
    return stored


def _gray(image: TiffImageFile, stored: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    most = (1 << max(_tag(image, _BITS, (16,)))) - 1
    values = np.minimum(stored, most).astype(np.uint16)
    if most < _FULL:
        values = (values.astype(np.uint32) * _FULL // most).astype(np.uint16)
    if _tag(image, _PHOTOMETRIC, (1,))[0] == _MIN_IS_WHITE:
        values = _FULL - values
    return np.repeat(values[:, :, np.newaxis], 3, axis=2)


def _over_gray(strip: npt.NDArray[np.uint16], extra: int, gray: int) -> npt.NDArray[np.uint16]:
    """Lay transparent pixels on a grey."""
    colors, alpha = strip[:, :, 2::-1].astype(np.float32), strip[:, :, 3:].astype(np.float32)
    alpha /= _FULL
    if extra == _UNASSOCIATED:
        colors *= alpha
    mixed = np.rint(np.minimum(colors + gray * (1 - alpha), _FULL))
    return cast("npt.NDArray[np.uint16]", mixed.astype(np.uint16))


def _tag(image: TiffImageFile, number: int, default: tuple[int, ...]) -> tuple[int, ...]:
    value = image.tag_v2.get(number, default)
    values = value if isinstance(value, tuple) else (value,)
    return tuple(int(part) for part in values) or default
