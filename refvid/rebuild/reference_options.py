"""What can be asked of references: pictures of the scene, a video of it, and where they count.

Imports no torch, so that wrong options fail at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

from refvid.errors import InputError, OptionError
from refvid.rebuild.reference_folder import pictures_for

ReferenceFit = Literal["auto", "cover", "contain", "stretch"]
"""auto finds its place in the video, or takes the fit that shows more of it."""

_MOST_NAMED = 4
"""References that a result's metadata name; of more it holds a digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceSource:
    """A picture of the scene, and which frame of the input it belongs to.

    Without an image it is that frame of the input itself. A picture without a frame and a time
    belongs to the whole input.
    """

    image: Path | None = None
    """An image file."""

    frame: int | None = None
    """Which frame, counted from 0 over the whole file (not the trimmed range)."""

    time: Fraction | None = None
    """The frame shown at this time [s], counted from the video's first frame."""

    def __post_init__(self) -> None:
        if self.image is None and self.frame is None and self.time is None:
            raise OptionError("A reference is an image, or a frame of the input.")
        if self.frame is not None and self.time is not None:
            raise OptionError("A reference belongs to a frame or to a time: give one of the two.")
        if (self.frame or 0) < 0 or (self.time or 0) < 0:
            raise OptionError("A reference's frame or time counts from 0 and is not negative.")

    @property
    def place(self) -> str:
        """Where it belongs in words, e.g. `frame 12` or `1.5 s`; nothing where to all."""
        if self.frame is not None:
            return f"frame {self.frame}"
        return "" if self.time is None else f"{float(self.time):g} s"

    def describe(self, *, name_only: bool = False) -> str:
        """Say it in words, e.g. `frame 0 of the input` or `a.png at 12 s`."""
        if self.image is not None:
            name = self.image.name if name_only else str(self.image)
            return f"{name} at {self.place}" if self.place else name
        if self.frame is not None:
            return f"frame {self.frame} of the input"
        return f"the input's frame at {self.place}"


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """What `enhance` conditions the decoder on."""

    sources: tuple[ReferenceSource, ...] = ()
    """None decodes without a reference, unless there is a folder or a video."""

    folder: Path | None = None
    """Where further pictures are, see `pictures_for`; `of` replaces it by those of an input."""

    video: Path | None = None
    """A video of the scene, in step with the input by time: a file, or images in a row."""

    mask: Path | None = None
    """A picture or video: white where the input shows something else than that video does."""

    joint: bool = False
    """Let a model that was trained with one reference see several at once."""

    is_only_input: bool = True
    """Whether a folder may be meant for this input alone."""

    fit: ReferenceFit = "auto"

    def __post_init__(self) -> None:
        if self.fit not in get_args(ReferenceFit):
            raise OptionError(
                f"A reference is fitted by auto, cover, contain or stretch, not {self.fit!r}."
            )
        if self.mask is not None and self.video is None:
            raise OptionError(
                "A mask tells where a reference video does not count: give --ref-video, too."
            )
        places: dict[object, ReferenceSource] = {}
        for source in self.sources:
            place = (source.frame, source.time)
            other = places.setdefault(source.image if place == (None, None) else place, source)
            if other is source:
                continue
            if place == (None, None):
                raise OptionError(f"The reference {source.image} is given twice.")
            raise OptionError(
                f"Two references for {source.place}: {other.describe()} and "
                f"{source.describe()}. Give one, or another frame or time."
            )

    def for_inputs(self, count: int) -> References:
        """The same, for so many inputs."""
        if count > 1 and self.video is not None:
            raise OptionError(
                f"The reference video {self.video} belongs to one input, and there are {count}: "
                "give them one by one."
            )
        return replace(self, is_only_input=count == 1)

    def of(self, source: Path, stored_name: str | None = None) -> References:
        """Those of one input, with the pictures that the folder has for it.

        Raises:
            InputError: It has none, or may not be listed.
            OptionError: Two of them belong to one frame.
        """
        if self.folder is None:
            return self
        found = pictures_for(self.folder, source, stored_name, is_only_input=self.is_only_input)
        if not found:
            raise InputError(
                f"{self.folder} holds no picture for {source}: name it {source.stem}.png, or put "
                f"several into {self.folder / source.stem}."
            )
        mine = tuple(
            ReferenceSource(image=one.path, frame=one.frame, time=one.time) for one in found
        )
        return replace(self, sources=(*self.sources, *mine), folder=None)

    @property
    def is_none(self) -> bool:
        """Whether nothing is given."""
        return not self.sources and self.folder is None and self.video is None

    @property
    def takes_frames(self) -> bool:
        """Whether some of them are frames of the input."""
        return any(source.image is None for source in self.sources)

    @property
    def images(self) -> tuple[Path, ...]:
        """All files that are read beside the input; of a folder, itself."""
        images = [source.image for source in self.sources]
        files = (*images, self.folder, self.video, self.mask)
        return tuple(path for path in files if path is not None)

    @property
    def names(self) -> list[str]:
        """Each of them in words; the video is the last."""
        names = [source.describe() for source in self.sources]
        return names if self.video is None else [*names, f"the video {self.video}"]

    def describe(self) -> str:
        """Say them in words, for the plan."""
        masked = "" if self.mask is None else f" but for the mask {self.mask}"
        return _listed(self.names) + masked

    def provenance(self) -> str:
        """In words, for the metadata of results; file names only, since folders are private."""
        names = [source.describe(name_only=True) for source in self.sources]
        names += [] if self.video is None else [f"video {self.video.name}"]
        word = "references" if len(names) > 1 else "reference"
        masked = "" if self.mask is None else f" but for {self.mask.name}"
        joint = " at once" * self.joint
        return f"{word} {_listed(names)}{joint}{masked}" + f", fit {self.fit}" * (
            self.fit != "auto"
        )


def _listed(names: Sequence[str]) -> str:
    if len(names) <= _MOST_NAMED:
        return " + ".join(names) or "none"
    digest = hashlib.sha256("\n".join(names).encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return f"{names[0]} and {len(names) - 1} more ({digest})"
