"""A folder of references: which of its pictures belong to an input, and to which frames of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from refvid.media.folders import is_folder, list_files
from refvid.media.heif import SUFFIXES as HEIF_SUFFIXES
from refvid.media.heif import can_read_heif
from refvid.media.image import IMAGE_SUFFIXES
from refvid.media.outputs import path_identity

_FRAME = re.compile(r"(?:frame[ _-]?)?([0-9]{1,15})f?", re.ASCII | re.IGNORECASE)
_TIME = re.compile(
    r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)s)?",
    re.ASCII | re.IGNORECASE,
)
_ENDINGS = ("_refvid", "_latents", "_latent")
"""What programs add to the name of what they made of an input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPicture:
    """A picture of a folder, and the frame that its name says; with neither it is for all."""

    path: Path
    frame: int | None = None
    time: Fraction | None = None
    """[s]"""


def pictures_for(
    folder: Path, source: Path, stored_name: str | None = None, *, is_only_input: bool
) -> list[FoundPicture]:
    """Find the pictures that belong to an input.

    The one of its name, or else all in the folder of its name, or else, for the only input, all.
    Letter case, the kind of image and what programs add to a name (`_latents`, `_refvid`) do not
    matter.

    Args:
        folder: Where to look.
        source: The input.
        stored_name: A picture's name that is stored in the input: then that one is meant.
        is_only_input: Whether there is no other.

    Raises:
        InputError: A folder may not be listed.
    """
    identity = path_identity(source)
    images = [image for image in pictures_in(folder) if path_identity(image) != identity]
    # Only the last part: a name in a file must not point outside the folder.
    stored = None if stored_name is None else stored_name.replace("\\", "/").rpartition("/")[2]
    if named := [image for image in images if image.name == stored]:
        return [FoundPicture(path=named[0])]
    stems = [] if stored is None else [stored, Path(stored).stem]
    for stem in [*stems, *_stems(source)]:
        for image in images:
            if image.stem.casefold() == stem.casefold():
                return [FoundPicture(path=image)]
        is_name = stem not in ("", ".", "..")
        if is_name and is_folder(folder / stem) and (inside := pictures_in(folder / stem)):
            return _placed(inside)
    return _placed(images) if is_only_input else []


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, by name; with those of HEIF where these can be read.

    Raises:
        InputError: It may not be listed.
    """
    files = list_files(folder)
    suffixes = IMAGE_SUFFIXES
    if any(path.suffix.lower() in HEIF_SUFFIXES for path in files) and can_read_heif():
        suffixes |= HEIF_SUFFIXES
    return [path for path in files if path.suffix.lower() in suffixes]


def _stems(path: Path) -> list[str]:
    stems = [path.stem]
    for ending in _ENDINGS:
        stems.append(stems[-1].removesuffix(ending))
    return list(dict.fromkeys(stem for stem in stems if stem))


def _placed(images: Sequence[Path]) -> list[FoundPicture]:
    """All of them; their names may say frames (`48`, `frame_0048`) or times (`12s`, `1m30.5s`)."""
    return [_read_name(image) for image in images]


def _read_name(image: Path) -> FoundPicture:
    before, _, after = image.stem.rpartition("@")
    word = after if before else image.stem
    if (match := _FRAME.fullmatch(word)) is not None:
        return FoundPicture(path=image, frame=int(match[1]))
    match = _TIME.fullmatch(word)
    if match is not None and any(match.groups()):
        hours, minutes, seconds = (Fraction(part or 0) for part in match.groups())
        return FoundPicture(path=image, time=hours * 3600 + minutes * 60 + seconds)
    return FoundPicture(path=image)
