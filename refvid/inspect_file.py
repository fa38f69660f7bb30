"""`refvid info`: what a video, picture, image sequence or file of latents is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from refvid.latents.containers import sniff_container
from refvid.media.video_info import read_video_info


def inspect_file(path: Path) -> dict[str, Any]:
    """Describe a file in plain JSON types.

    Raises:
        InputError: Missing, damaged, without a video track, or tensors that are no latents.
    """
    if path.is_file() and sniff_container(path) is not None:
        # Videos and pictures need no torch.
        from refvid.latents.recognise import recognise_latents  # noqa: PLC0415

        return recognise_latents(path).to_json()
    return read_video_info(path).to_json()
