"""Write latents as safetensors, chunk by chunk.

One tensor `latents`, float32 [1, C, T, h, w], and text beside it:

    format, format_version    refvid-latents, 1
    refvid                    version that wrote it
    backbone                  mini, wan2.1, videovae+: which model reads it
    scale                     raw: what the encoder gave, not normalised
    frame_rate                frames per second, e.g. 30000/1001
    frames, width, height     of the video, without padding
    padded_width, padded_height, channels, temporal_stride, first_chunk_extra
                              how the model sees it
    chunk_latents, overlap_latents
                              only where the model's chunks stand alone: the latent frames of
                              each, and how many of them a chunk shares with the one before; both
                              are stored, since each is right beside its own neighbours only
    domain                    only of HDR: sdr, if it was encoded as models see it, see
                              `refvid.media.domain`, and not as it is coded
    bit_depth, primaries, transfer
                              of its pixels; the last two as H.273 numbers
    source                    its name
    source_type               what it said it is, as the IPTC's term; only where it said something
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self, cast

import numpy as np
from torch import Tensor

from refvid.errors import OutputError
from refvid.latents.producers import FORMAT
from refvid.media.partial_file import PartialFile
from refvid.media.unfinished import cannot_write
from refvid.media.video_writer import Part
from refvid.media.work_folder import WorkFolder
from refvid.safetensors_file import safetensors_header

FORMAT_VERSION: Final = "1"
KEY: Final = "latents"

_BLOCK_FRAMES: Final = 256


class LatentWriter:
    """Takes latents in order and leaves a finished file, or nothing.

    The file has its channels first, and its length is known only at the end: until then the
    latents wait, frame by frame, in temporary files: one, or with a work folder one for each of its
    stretches, of which those that are there begin the result. Memory does not grow.
    """

    def __init__(
        self, output: Path, *, overwrite: bool = False, work: WorkFolder | None = None
    ) -> None:
        self.output = output
        self.metadata: dict[str, str] = {}
        """Text to store; may be filled in until the end."""

        self._overwrite = overwrite
        self._work = work
        self._partial: PartialFile | None = None
        self._spool: BinaryIO | None = None
        self._kept: list[Path] = []
        """Spools of finished stretches."""

        self._shape: tuple[int, int, int] | None = None
        self.length = 0
        """Latent frames so far."""

    @property
    def channels(self) -> int:
        """Of the latents; 0 where there are none so far."""
        return self._shape[0] if self._shape else 0

    def write(self, latents: Tensor) -> None:
        """Append latents (1, C, t, h, w)."""
        batch, channels, length, height, width = latents.shape
        shape = (channels, height, width)
        if batch != 1 or self._shape not in (None, shape):
            raise ValueError(f"latents of shape {tuple(latents.shape)} do not follow {self._shape}")
        self._shape = shape
        frames = latents[0].transpose(0, 1).float().cpu().contiguous().numpy()
        try:
            if self._spool is None:
                self._spool = self._open_spool()
            self._spool.write(frames.astype("<f4", copy=False).tobytes())
            self.length += length
        except OSError as error:
            raise cannot_write(self.output, error) from error

    def __enter__(self) -> Self:
        self._partial = PartialFile(self.output, overwrite=self._overwrite)
        for stretch in self._work.stretches if self._work is not None else ():
            self._kept += stretch.files
            channels, height, width = stretch.facts["writer"]["shape"]
            self._shape = (channels, height, width)
            self.length = stretch.facts["writer"]["length"]
        return self

    def end_stretch(self) -> Part:
        """Finish what was written since the last call; see `VideoWriter.end_stretch`."""
        assert self._work is not None, "there is a folder for it"
        assert self._spool is not None, "a stretch has latents"
        path = self._work.file("latents")
        try:
            self._spool.close()
        except OSError as error:
            raise cannot_write(self.output, error) from error
        finally:
            self._spool = None
        self._kept.append(path)
        return Part([path], {"shape": self._shape, "length": self.length})

    def _open_spool(self) -> BinaryIO:
        if self._work is not None:
            return self._work.file("latents").open("wb+")
        # Beside the output: that is where there must be room.
        return cast("BinaryIO", tempfile.TemporaryFile(dir=self.output.parent))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except OSError as failure:
            raise cannot_write(self.output, failure) from failure
        finally:
            if self._spool is not None:
                with suppress(OSError):  # what it could not write was said, or does not matter
                    self._spool.close()
                self._spool = None
            if self._partial is not None:
                self._partial.discard()

    def _finish(self) -> None:
        assert self._partial is not None, "used as a context manager"
        if self._shape is None:
            raise OutputError(f"{self.output} was not written: there were no latents.")
        channels, height, width = self._shape
        spools: list[Path | BinaryIO] = [*self._kept]
        if self._spool is not None:
            self._spool.flush()
            spools.append(self._spool)
        pieces = [
            np.memmap(spool, dtype="<f4", mode="r").reshape(-1, channels, height, width)
            for spool in spools
        ]
        shape = (1, channels, sum(map(len, pieces)), height, width)
        with self._partial.path.open("wb") as file:
            own = {"format": FORMAT, "format_version": FORMAT_VERSION, **self.metadata}
            file.write(safetensors_header(own, {KEY: ("F32", shape)}))
            for channel in range(channels):
                for piece in pieces:
                    for start in range(0, len(piece), _BLOCK_FRAMES):
                        file.write(piece[start : start + _BLOCK_FRAMES, channel].tobytes())
        del pieces
        self._partial.publish()
