"""`refvid info`: what a video, picture or image sequence is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from refvid.media.video_info import read_video_info


def inspect_file(path: Path) -> dict[str, Any]:
    """Describe a file in plain JSON types.

    Raises:
        InputError: Missing, damaged, or without a video track.
    """
    return read_video_info(path).to_json()
