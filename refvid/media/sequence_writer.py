"""Writing images: a numbered sequence, or one."""

from __future__ import annotations

import logging
from itertools import islice
from pathlib import Path

from refvid.errors import OutputError
from refvid.media.folders import is_folder
from refvid.media.image import encode_image
from refvid.media.image_marks import ImageMarks
from refvid.media.origin_marks import Origin
from refvid.media.output_plan import OutputPlan
from refvid.media.partial_file import PartialFile, check_target
from refvid.media.partial_folder import PartialFolder
from refvid.media.pixel_conversion import Pixels
from refvid.media.reader import Frame
from refvid.media.sequence import find_images, numbered_path
from refvid.media.video_writer import Part, VideoWriter
from refvid.media.work_folder import WorkFolder

logger = logging.getLogger(__name__)


class SequenceWriter(VideoWriter):
    """Writes numbered images into a hidden folder; they appear when all are there."""

    def __init__(
        self,
        output: Path,
        plan: OutputPlan,
        *,
        origin: Origin | None,
        overwrite: bool,
        create_folder: bool,
        work: WorkFolder | None,
    ) -> None:
        super().__init__(output, plan)
        self._marks = _marks_of(origin)
        self._overwrite = overwrite
        self._create_folder = create_folder
        self._work = work
        self._folder: PartialFolder | None = None
        self._names: dict[str, None] = {}
        self._kept = 0
        """How many of them belong to finished stretches."""

    def _open(self) -> None:
        self._folder = PartialFolder(
            self.output, create_folder=self._create_folder, work=self._work
        )
        for stretch in self._work.stretches if self._work is not None else ():
            for path in stretch.files:
                self._names[path.name] = None
                self._check(self.output.with_name(path.name))
        self._kept = self.frames_written = len(self._names)

    def _write(self, pixels: Pixels, frame: Frame) -> None:
        assert self._folder is not None
        number = frame.index if frame.number is None else frame.number
        target = numbered_path(self.output, number)
        if target.name in self._names:
            raise OutputError(f"{self.output} gives two frames the same name. Use %04d in it.")
        self._check(target)  # now rather than after hours of work
        (self._folder.path / target.name).write_bytes(encode_image(pixels, target, self._marks))
        self._names[target.name] = None

    def _end_stretch(self) -> Part:
        assert self._folder is not None
        names = list(islice(self._names, self._kept, None))
        self._kept = len(self._names)
        return Part([self._folder.path / name for name in names], {"frames": len(names)})

    def _finish(self) -> None:
        assert self._folder is not None
        for name in self._names:
            self._check(self.output.with_name(name))
        self._folder.publish(list(self._names), overwrite=self._overwrite)
        others = sum(image.path.name not in self._names for image in find_images(self.output))
        if others:
            logger.warning("%s: %d other images of such names stay there", self.output, others)

    def _check(self, target: Path) -> None:
        if is_folder(target.parent):  # else it is made
            check_target(target, overwrite=self._overwrite)

    def _discard(self) -> None:
        if self._folder is not None:
            self._folder.discard()


class ImageWriter(VideoWriter):
    """Writes one image."""

    def __init__(
        self, output: Path, plan: OutputPlan, *, origin: Origin | None, overwrite: bool
    ) -> None:
        super().__init__(output, plan)
        self._marks = _marks_of(origin)
        self._overwrite = overwrite
        self._partial: PartialFile | None = None

    def _open(self) -> None:
        self._partial = PartialFile(self.output, overwrite=self._overwrite)

    def _write(self, pixels: Pixels, frame: Frame) -> None:  # noqa: ARG002 -- it has no time
        assert self._partial is not None
        self._partial.path.write_bytes(encode_image(pixels, self.output, self._marks))

    def _end_stretch(self) -> Part:
        raise NotImplementedError  # it is one

    def _finish(self) -> None:
        assert self._partial is not None
        self._partial.publish()

    def _discard(self) -> None:
        if self._partial is not None:
            self._partial.discard()


def _marks_of(origin: Origin | None) -> ImageMarks | None:
    return None if origin is None else ImageMarks.of(origin.comment, origin.source_type)
