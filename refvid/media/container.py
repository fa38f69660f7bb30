"""Opening media containers so that a damaged or hostile file gives an InputError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import av
from av.codec.context import Flags, ThreadType
from av.container import InputContainer
from av.format import formats_available
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from refvid.cores import usable_cores
from refvid.errors import InputError
from refvid.media.folders import is_folder

# Demuxers that open further files named in the input, or turn plain text into "video".
# fmt: off
_REFUSED_FORMATS: Final = frozenset({
    "adf", "bin", "concat", "concatf", "dash", "ffmetadata", "hls", "idf", "image2", "image2pipe",
    "imf", "lavfi", "rtp", "rtsp", "sap", "sdp", "svg_pipe", "tty", "xbin",
})
# fmt: on
PICTURE_BRANDS: Final = {"avif", "avis", "heic", "heix", "hevc", "hevx", "mif1", "msf1"}
"""What AVIF and HEIC files call themselves."""

_OPTIONS: Final = {
    "protocol_whitelist": "file",
    "format_whitelist": ",".join(sorted(formats_available - _REFUSED_FORMATS)),
}

MOST_PIXELS: Final = 2**26
"""Of a video's picture, 8192x8192: a decoder holds several, and a header of a few bytes may claim
any size."""

_DECODER_OPTIONS: Final = {"max_pixels": str(MOST_PIXELS)}


def libav_name(path: Path) -> str:
    """Return a path in a form that libav cannot take for a protocol, as in `http:x.mp4`."""
    return f"file:{path}"


@contextmanager
def input_errors(path: Path, doing: str = "read") -> Iterator[None]:
    """Turn the errors of libav and the file system into one InputError.

    Args:
        path: The file they are about.
        doing: What failed, for the message: "read", "decode".
    """
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist. Check the path.") from error
    except PermissionError as error:
        raise InputError(f"No permission to read {path}.") from error
    # PyAV reports some damage as plain ValueError (unknown codec, unset time base) and a
    # header that asks for absurd buffers as MemoryError.
    except (av.FFmpegError, OSError, ValueError, OverflowError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(
            f"Cannot {doing} {path}: {reason}. The file is damaged or not a video."
        ) from error


@contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """Open a media file for reading.

    Raises:
        InputError: It does not exist, is empty, or is no media file.
    """
    container = open_unmanaged(path)
    try:
        yield container
    finally:
        container.close()


def open_unmanaged(path: Path) -> InputContainer:
    """Like `open_container`, for an owner that closes the container itself."""
    if is_folder(path):
        raise InputError(f"{path} is a folder, not a video file.")
    with input_errors(path):
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty (0 bytes). Copy or download it again.")
        return av.open(
            libav_name(path),
            format=_format_of(path),
            metadata_errors="replace",
            options=_DECODER_OPTIONS,  # libav decodes while it looks what there is
            container_options=dict(_OPTIONS),
        )


def open_piped(source: Any, name: str) -> InputContainer:
    """Open what can only be read (`source.read`), in a format that is known by libav's name.

    Raises:
        av.FFmpegError: It is damaged.
    """
    container: InputContainer = av.open(
        source, format=name, metadata_errors="replace", options=_DECODER_OPTIONS
    )
    return container


def _format_of(path: Path) -> str | None:
    """Tell a file's format where libav would go by its name: `%d` in an image's is a number."""
    if "%" not in path.name:
        return None
    with path.open("rb") as file:
        nameless = SimpleNamespace(read=file.read, seek=file.seek, tell=file.tell)
        options = dict(_OPTIONS)
        with av.open(nameless, metadata_errors="replace", container_options=options) as container:
            return str(container.format.name)


def is_moving(path: Path) -> bool:
    """Whether a file holds more than one picture, by what libav finds in it; False if nothing."""
    try:
        with open_container(path) as container:
            stream = find_video_stream(container, path)
            with input_errors(path):
                packets = (packet for packet in container.demux(stream) if packet.size)
                return next(packets, None) is not None and next(packets, None) is not None
    except InputError:
        return False


def is_cover_art(stream: VideoStream) -> bool:
    """Whether a video stream is only a picture attached to the file."""
    return bool(stream.disposition & Disposition.attached_pic)


def is_poster(stream: Stream) -> bool:
    """Whether a video stream is the still picture of an AVIF or HEIC file, not a track."""
    brand = stream.container.metadata.get("major_brand", "")
    return stream.duration is None and brand in PICTURE_BRANDS


def find_video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the video to work on: the first one marked as default, else the first one.

    Raises:
        InputError: There is none, this build of libav cannot decode it, or its pictures are too
            large.
    """
    streams = [stream for stream in container.streams.video if not is_cover_art(stream)]
    if not streams:
        kinds = sorted({stream.type for stream in container.streams})
        has = f"only {' and '.join(kinds)}" if kinds else "nothing that can be read"
        raise InputError(f"{path} has no video track ({has}). Give a video file.")
    # The still that animated AVIFs show where nobody knows animations comes first.
    streams = [stream for stream in streams if not is_poster(stream)] or streams
    default = [stream for stream in streams if stream.disposition & Disposition.default]
    stream = (default or streams)[0]
    # PyAV leaves the context out when libav has no decoder, whatever its type stubs say.
    if getattr(stream, "codec_context", None) is None:
        raise InputError(f"{path}: no decoder for its video track. Convert it to H.264 first.")
    context = stream.codec_context
    if context.width * context.height > MOST_PIXELS:
        raise InputError(
            f"{path} is too large: its pictures are {context.width}x{context.height}, and refvid "
            f"reads videos of up to {MOST_PIXELS // 1_000_000} megapixels."
        )
    context.options = _DECODER_OPTIONS  # sizes may change on the way
    return stream


def set_up_decoder(stream: VideoStream, *, threads: bool, among: int = 1) -> None:
    """Prepare a stream's decoder, so that pictures are cropped to the pixel.

    libav crops less than the stream says where that would spoil the alignment of memory, unless
    it is told not to care.

    Args:
        stream: A video of which nothing was decoded.
        threads: Whether to decode ahead.
        among: How many videos are decoded at once: then they share the cores.
    """
    context = stream.codec_context
    context.flags |= Flags.unaligned
    if threads:
        context.thread_type = ThreadType.AUTO
        if among > 1:
            context.thread_count = max(1, usable_cores() // among)
    else:
        context.thread_count = 1
