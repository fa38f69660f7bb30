"""What every writer promises: a finished output, or nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import av

from refvid.errors import OutputError, RefvidError
from refvid.media.output_plan import OutputPlan
from refvid.media.pixel_conversion import Pixels
from refvid.media.reader import Frame
from refvid.media.unfinished import cannot_write


class Part(NamedTuple):
    """A stretch as its writer left it."""

    files: list[Path]
    facts: dict[str, Any]
    """In plain JSON types."""


class VideoWriter(ABC):
    """Takes frames in order and leaves a finished file, or nothing. Made by `create_video`.

    `write` may be called in another thread than the one that made it, but only in one.
    """

    def __init__(self, output: Path, plan: OutputPlan) -> None:
        self.output = output
        self.plan = plan
        self.frames_written = 0

    def write(self, pixels: Pixels, frame: Frame) -> None:
        """Encode one frame.

        Args:
            pixels: (H, W, 3) RGB, uint8 or uint16 at full scale.
            frame: The source frame that these pixels replace: its timestamp is kept.

        Raises:
            OutputError: Encoding or writing failed.
        """
        expected = (self.plan.height, self.plan.width, 3)
        if pixels.shape != expected:
            raise ValueError(f"a frame is {pixels.shape}, but the video is {expected}")
        with self._output_errors():
            self._write(pixels, frame)
        self.frames_written += 1

    def write_unchanged(self, frame: Frame) -> None:
        """Encode a source frame as it is.

        Args:
            frame: From a reader that keeps what was decoded: that goes to the encoder where it
                has the output's format, else the RGB pixels do.

        Raises:
            OutputError: Encoding or writing failed.
        """
        with self._output_errors():
            self._write_unchanged(frame)
        self.frames_written += 1

    def __enter__(self) -> Self:
        try:
            with self._output_errors():
                self._open()
        except BaseException:
            self._discard()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                if self.frames_written == 0:
                    raise OutputError(f"{self.output} was not written: there were no frames.")
                with self._output_errors():
                    self._finish()
        finally:
            self._discard()

    @contextmanager
    def _output_errors(self) -> Iterator[None]:
        """Name the output in whatever libav or the file system reports."""
        try:
            yield
        except RefvidError:
            raise
        except (av.FFmpegError, OSError) as error:
            raise cannot_write(self.output, error) from error

    def end_stretch(self) -> Part:
        """Finish what was written since the last call: it depends on nothing that follows.

        Returns:
            What a work folder needs to have it again, see `create_video`.

        Raises:
            OutputError: Encoding or writing failed.
        """
        with self._output_errors():
            return self._end_stretch()

    @abstractmethod
    def _open(self) -> None: ...

    @abstractmethod
    def _write(self, pixels: Pixels, frame: Frame) -> None: ...

    def _write_unchanged(self, frame: Frame) -> None:
        self._write(frame.pixels, frame)

    @abstractmethod
    def _end_stretch(self) -> Part: ...

    @abstractmethod
    def _finish(self) -> None: ...

    @abstractmethod
    def _discard(self) -> None:
        """Free everything and remove what is not published. May be called twice."""
