"""Which files the page may read and write: what was uploaded, and what lies in its folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from refvid.errors import InputError, OptionError
from refvid.media.file_kind import is_picture, picture_suffix
from refvid.media.folders import is_folder
from refvid.media.inputs import Source
from refvid.media.naming import result_name
from refvid.media.output_plan import default_suffix
from refvid.media.sequence import find_images, is_sequence_pattern
from refvid.media.video_info import VideoInfo

_OWN_FRAME = re.compile(r"(frame|time):")
_PLACE = re.compile(r"[@:][^@:/\\]*$")
_CONTAINERS = {"prores": ".mov", "ffv1": ".mkv"}
"""Of codecs that the usual ones do not hold."""


def choose_source(upload: str | None, typed: str, root: Path) -> Path:
    """The file that is meant, by an upload or by its path in the page's folder; there it may also
    be a folder of images, or a pattern such as `shot_%04d.png`.

    Raises:
        InputError: There is none, or it lies elsewhere, as any of the images does.
        OptionError: Both are given.
    """
    typed = typed.strip()
    if upload and typed:
        raise OptionError("Give a dropped file or a path, not both: empty one of the two.")
    if upload:
        if not Path(upload).is_file():
            raise InputError("The dropped file did not arrive. Drop it again.")
        return Path(upload)
    if not typed:
        raise InputError(
            "There is nothing to work on: drop a file and wait until it has arrived, or write its "
            "path."
        )
    path = root / typed
    with suppress(OSError, ValueError):  # such names are no folders, and told below
        if is_folder(path) or is_sequence_pattern(path):
            return _images_within(path, typed, root)
    return _within(typed, root)


def name_pictures(
    uploads: Sequence[str] | None, places: str, typed: str, root: Path, *, has_frames: bool
) -> list[str]:
    """What the library takes for references, paintings or keyframes.

    Args:
        uploads: Dropped pictures.
        places: Where these belong, as in `0, 12s`; none, or one for each.
        typed: Others in words, between commas: paths in the page's folder, with their places or
            weights; and `frame:0` or `time:1:30`, where the video's own frames may be meant.
        root: That folder.
        has_frames: Whether they may.

    Raises:
        InputError: A file is missing, or lies elsewhere.
        OptionError: The number of places is another than that of pictures.
    """
    given, belong = list(uploads or ()), _words(places)
    if belong and len(belong) != len(given):
        raise OptionError(
            f"There are {len(belong)} places for {len(given)} dropped pictures: give each one, or "
            "none."
        )
    named = (
        [f"{file}@{place}" for file, place in zip(given, belong, strict=True)] if belong else given
    )
    for word in _words(typed):
        if has_frames and _OWN_FRAME.match(word):
            named.append(word)
            continue
        # An existing file wins, as on the command line.
        place = None if (root / word).exists() else _PLACE.search(word)
        path = _within(word[: place.start()] if place else word, root)
        named.append(f"{path}{place[0] if place else ''}")
    return named


def name_result(
    source: Path,
    mark: str,
    root: Path,
    *,
    info: VideoInfo | None,
    codec: str | None,
    is_taken: Callable[[Path], bool],
    as_video: bool = False,
) -> Path:
    """A name for a result in the folder that nothing has yet, so that nothing is replaced.

    Args:
        source: What it is made of.
        mark: What comes behind the name of that.
        root: The folder.
        info: Of the source; None where that is latents.
        codec: That is asked for.
        is_taken: Tells of names that waiting work has.
        as_video: Whether images become a video; else they go into a folder of their own.

    Raises:
        InputError: There are thousands of them already.
    """
    if info is None:
        suffix = ".mp4"
    else:
        suffix = picture_suffix(source) if is_picture(source) else default_suffix(info)
    suffix = _CONTAINERS.get(codec or "", suffix)
    for number in range(1, 10_000):
        ending = f"{mark}{'' if number == 1 else f'_{number}'}"
        name = result_name(Source(path=source), lambda _: suffix, ending, as_file=as_video)
        first = root / name.parts[0]  # the file, or the folder of images
        if not first.exists() and not first.is_symlink() and not is_taken(root / name):
            return root / name
    raise InputError(f"{root} is full of results of {source.name}: move some away.")


def _images_within(path: Path, word: str, root: Path) -> Path:
    pattern = path.name if is_sequence_pattern(path) else ""
    folder = (path.parent if pattern else path).resolve()
    path = folder / pattern
    if not folder.is_relative_to(root):
        raise _is_outside(word, root)
    for image in find_images(path):
        if not image.path.resolve().is_relative_to(root):
            raise _is_outside(f"{word}: {image.path.name}", root)
    return path


def _is_outside(word: str, root: Path) -> InputError:
    return InputError(f"{word} is outside of {root}, the folder that this page may use.")


def _within(word: str, root: Path) -> Path:
    # Resolved first: neither `..` nor a link leads out of the folder.
    try:
        path = (root / word).resolve()
        if not path.is_relative_to(root):
            raise _is_outside(word, root)
        is_file = path.is_file()
    except (OSError, ValueError):  # too long, or with a zero byte
        is_file = False
    if not is_file:
        raise InputError(f"There is no file {word} in {root}.")
    return path


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]
