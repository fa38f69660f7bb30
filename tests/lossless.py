"""Videos that are exactly the pictures that they are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np

from refvid.media.reader import open_video


def write_lossless(path: Path, frames: np.ndarray, rate: int = 24) -> None:
    """Write (T, H, W, 3) uint8 RGB."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
            container.mux(stream.encode(picture.reformat(format="bgr0")))
        container.mux(stream.encode(None))


def read_frames(path: Path) -> np.ndarray:
    """(T, H, W, 3) RGB."""
    with open_video(path) as video:
        return np.stack([frame.pixels for frame in video])
