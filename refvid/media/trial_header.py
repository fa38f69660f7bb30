"""What a container accepts: libav itself is asked, not a table."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import suppress

import av
from av.container import OutputContainer


def header_error(
    container: str,
    add_stream: Callable[[OutputContainer], object],
    options: Mapping[str, str] | None = None,
) -> av.FFmpegError | ValueError | None:
    """Write a header with one stream in memory.

    Args:
        container: libav's name of the format.
        add_stream: Adds the stream, and may open its encoder.
        options: Of the muxer.

    Returns:
        What libav says against it; None: it works.
    """
    scratch = av.open(io.BytesIO(), "w", format=container, container_options=dict(options or {}))
    try:
        add_stream(scratch)
        scratch.start_encoding()
    except (av.FFmpegError, ValueError) as error:
        return error
    finally:
        # A header without frames is all we want: what the trailer says to that is no matter.
        with suppress(av.FFmpegError, ValueError):
            scratch.close()
    return None
