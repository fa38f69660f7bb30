"""References as pictures in a file of tokens: exact as PNG, or small as WebP."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
"""(H, W, 3) RGB."""


def hash_picture(picture: Picture) -> str:
    """SHA-256 of a picture's size and pixels."""
    digest = hashlib.sha256(f"{picture.shape[1]}x{picture.shape[0]} RGB8\n".encode())
    digest.update(np.ascontiguousarray(picture).tobytes())
    return digest.hexdigest()


def pack_picture(picture: Picture, quality: int | None) -> bytes:
    """A picture as a file: PNG, or WebP of a quality from 1 to 100."""
    file = io.BytesIO()
    if quality is None:
        Image.fromarray(picture).save(file, "PNG")
    else:
        Image.fromarray(picture).save(file, "WEBP", quality=quality, method=6)
    return file.getvalue()


def unpack_picture(data: bytes, width: int, height: int) -> Picture:
    """The picture in a file from `pack_picture`.

    Raises:
        ValueError: It is damaged, or of another size: nothing of another size is unpacked.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "WEBP")) as image:
            if image.size != (width, height):
                raise ValueError(f"it is {image.size[0]}x{image.size[1]}, not {width}x{height}")
            return np.array(image.convert("RGB"), np.uint8)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"it is no whole picture ({error})") from error
