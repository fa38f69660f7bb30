"""What a run is conditioned on: read and checked before the first frame, fed chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

from torch import Tensor

from refvid.errors import InputError, OptionError
from refvid.media.file_kind import notes_on_pages
from refvid.media.fit import fit_image
from refvid.media.pixel_conversion import to_uint8
from refvid.media.reader import read_frame
from refvid.media.source_type import SourceType
from refvid.media.video_info import USUAL_RATE, VideoInfo
from refvid.models.backbone import Reference, ReferenceFinder
from refvid.rebuild.canvas import Canvas
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.edit_mask import EditMask
from refvid.rebuild.findings import Findings
from refvid.rebuild.pixels import Pixels
from refvid.rebuild.reference_choice import make_feed, prepare_reference
from refvid.rebuild.reference_feed import GivenReference, ReferenceFeed
from refvid.rebuild.reference_options import References, ReferenceSource
from refvid.rebuild.reference_pictures import ReferencePictures
from refvid.rebuild.reference_video import ReferenceVideo, look_at_video
from refvid.rebuild.video_feed import VideoFeed, held_in_step

_TRIED_TOGETHER = 2
"""References in a trial: a model that takes more hardly works longer for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What a run gives to the model, ready for one video."""

    reference: Any = None
    """What `Backbone.decode` takes as `reference`; None decodes without one."""

    feed: ReferenceFeed | None = None
    """Chooses another reference for every chunk, in place of that one."""

    finish: Callable[[Tensor, Tensor], Tensor] | None = None
    """Made of the input and the model's result, both (1, 3, T, H, W) in [-1, 1], before the two
    are mixed by strength."""

    close: Callable[[], None] = lambda: None
    """Ends what reads along."""

    remarks: Callable[[], Sequence[str]] = tuple
    """What the user should know at the end."""


class Conditioning(Protocol):
    """What the decoder is conditioned on: what `enhance` and `stylize` do not have in common."""

    @property
    def images(self) -> Sequence[Path]:
        """Files that are read; the output must not replace them."""
        ...

    source_type: SourceType
    """What its results are, if nothing but this were known."""

    @property
    def names(self) -> Sequence[str]:
        """References in words, where it shall be told which frames each of them served."""
        ...

    @property
    def asked(self) -> object:
        """What the user asked for: a dataclass."""
        ...

    def describe(self) -> str:
        """In words, for the plan."""
        ...

    def provenance(self) -> str:
        """In words, for the output's metadata; file names only, since folders are private."""
        ...

    def read(self, info: VideoInfo, canvas: Canvas) -> Sequence[str]:
        """Read the images and keep them for `prepare`; give notes for the user.

        Raises:
            InputError: An image cannot be read, or the video is known to lack the frame that is
                asked for.
            OptionError: What is asked for makes no sense for this video.
        """
        ...

    def held_bytes(self, canvas: Canvas, frames: int) -> int:
        """What is in main memory beside the model's work, once it was read, for chunks of so many
        frames [bytes].
        """
        ...

    def rehearse(self, frame: Pixels, loaded: LoadedBackbone) -> Any:
        """Make what `Backbone.decode` takes as `reference` for a trial, with a frame (H, W, 3) of
        it in place of pictures of the scene.
        """
        ...

    def judge(self, findings: Findings) -> Sequence[str]:
        """Warn the user, if what was found in the images calls for it."""
        ...

    def prepare(self, info: VideoInfo, canvas: Canvas, loaded: LoadedBackbone) -> Conditions:
        """Fit what was read to the video, as the model sees it, and embed it."""
        ...


class SceneReferences:
    """`Conditioning` on pictures of the scene, or on nothing.

    Args:
        references: Those of one input.
        has_pictures: Whether the input has frames that can be looked at before they are decoded.
    """

    source_type = SourceType.ENHANCED

    def __init__(self, references: References, *, has_pictures: bool = True) -> None:
        assert references.folder is None, "the folder's pictures for this input are found"
        self.images = references.images
        self.names = references.names
        self.asked = self._asked = references
        self._has_pictures = has_pictures
        self._pictures = ReferencePictures()
        self._video: VideoInfo | None = None
        self._mask: EditMask | None = None
        self._numbers: dict[int, int] = {}
        """Of pictures that are read, by that of their reference."""

    def describe(self) -> str:
        return self._asked.describe()

    def provenance(self) -> str:
        return self._asked.provenance()

    def read(self, info: VideoInfo, canvas: Canvas) -> Sequence[str]:
        notes: list[str] = []
        for source in self._asked.sources:
            _check_place(info, source)
        _check_apart(info, self._asked.sources)
        for number, source in enumerate(self._asked.sources):
            if source.image is not None:
                self._numbers[number] = self._pictures.add_image(source.image, canvas.bring)
                notes += notes_on_pages(source.image)
        if self._asked.video is not None:
            self._video, remarks = look_at_video(self._asked.video, info)
            notes += remarks
        if self._asked.mask is not None:
            self._mask = EditMask(self._asked.mask, info, canvas.size)
            notes += self._mask.notes
        return notes

    def held_bytes(self, canvas: Canvas, frames: int) -> int:
        held = self._pictures.held_bytes
        if self._video is not None:
            held += held_in_step(self._video, self._mask, canvas.size, frames)
        return held

    def rehearse(self, frame: Pixels, loaded: LoadedBackbone) -> Any:
        count = min(len(self.names), _TRIED_TOGETHER)
        if not count:
            return None
        return rehearse_references(frame, loaded, count)

    def judge(self, findings: Findings) -> Sequence[str]:
        warning = findings.warning(fit=self._asked.fit)
        return () if warning is None else (warning,)

    def prepare(self, info: VideoInfo, canvas: Canvas, loaded: LoadedBackbone) -> Conditions:
        sources = self._asked.sources
        if not sources and self._video is None:
            return Conditions()
        given = [self._give(number, source, info, canvas) for number, source in enumerate(sources)]
        feed = make_feed(
            given,
            loaded,
            canvas.size,
            fit=self._asked.fit,
            first=partial(_first_frame, info, canvas),
            rate=info.frame_rate,
            has_pictures=self._has_pictures,
            joint=self._asked.joint,
            enlarged=canvas.enlargement_of(info.size),
        )
        if self._video is None:
            return Conditions(feed=feed)
        is_alike = self._video.color == info.color
        reader = ReferenceVideo(
            self._video,
            canvas.size,
            1 / (info.frame_rate or USUAL_RATE),
            canvas.to_domain if is_alike else canvas.bring,
        )
        both = VideoFeed(feed, len(sources), reader, self._mask)
        return Conditions(feed=both, close=both.close, remarks=both.remarks)

    def _give(
        self, number: int, source: ReferenceSource, info: VideoInfo, canvas: Canvas
    ) -> GivenReference:
        frame, time = source.frame, source.time
        if source.image is None:
            own = read_frame(info.path, index=frame, time=time, info=info)
            frame, time = own.index, None
            self._numbers[number] = self._pictures.add_pixels(canvas.to_domain(own.pixels))
        return GivenReference(
            name=source.describe(),
            read=partial(self._pictures.__getitem__, self._numbers[number]),
            frame=frame,
            time=time,
        )


def rehearse_references(frame: Pixels, loaded: LoadedBackbone, count: int) -> Any:
    """What `Backbone.decode` takes as `reference` for frames like one (H, W, 3), with that one in
    place of so many references.
    """
    if not loaded.backbone.limits.finds_references:
        size = frame.shape[1], frame.shape[0]
        return prepare_reference(loaded.backbone, fit_image(frame, *size, "stretch"), loaded.device)
    finder, pixels = cast("ReferenceFinder", loaded.backbone), to_uint8(frame)
    return finder.prepare_references({n: Reference(read=lambda: pixels) for n in range(count)})


def _first_frame(info: VideoInfo, canvas: Canvas) -> Pixels | None:
    try:
        return canvas.to_picture(read_frame(info.path, index=0, info=info).pixels)
    except InputError:
        return None  # latents, or a video whose own job will say what is wrong with it


def check_frame_exists(info: VideoInfo, index: int, wanted_for: str) -> None:
    """Raise `InputError` where a video is known to be too short for the frame of an index."""
    if info.frame_count_is_exact:
        assert info.frame_count is not None, "an exact count is known"
        if index >= info.frame_count:
            raise InputError(
                f"{info.path} has no frame {index} for {wanted_for}: the last one is "
                f"{info.frame_count - 1}."
            )


def _check_place(info: VideoInfo, source: ReferenceSource) -> None:
    wanted_for = "the reference" if source.image is None else f"the reference {source.image}"
    if source.frame is not None:
        check_frame_exists(info, source.frame, wanted_for)
    length = info.duration if info.frame_count_is_exact else None
    if source.time is not None and length and source.time >= length:
        raise InputError(
            f"{info.path} is only {float(length):.3f} s long: it has nothing at {source.place} "
            f"for {wanted_for}. Choose an earlier time."
        )


def _check_apart(info: VideoInfo, sources: Sequence[ReferenceSource]) -> None:
    """Refuse a time and a frame that mean the same, where the rate tells."""
    rate = info.frame_rate
    if rate is None or info.is_variable_rate is not False:
        return
    taken: dict[int, ReferenceSource] = {}
    for source in sources:
        frame = _frame_at(source, rate)
        if frame is None:
            continue
        other = taken.setdefault(frame, source)
        if other is not source:
            raise OptionError(
                f"Two references for frame {frame}: {other.describe()} and {source.describe()}. "
                "Give one, or another frame or time."
            )


def _frame_at(source: ReferenceSource, rate: Fraction) -> int | None:
    return source.frame if source.time is None else int(source.time * rate)
