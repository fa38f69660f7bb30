"""How what a user writes becomes values: the words of flags, which Python may give as numbers, too.
Those for times are in `time_words`.

Messages name the flag; in Python, the keyword has its name. Loads nothing heavy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal, cast

from refvid.documents import shown
from refvid.errors import CheckpointUnavailable, InputError, OptionError
from refvid.media.folders import exists, is_file, is_folder, refuse_special
from refvid.time_words import DECIMALS, WHOLE, parse_time

if TYPE_CHECKING:
    from refvid.rebuild.enlargement import Enlargement
    from refvid.rebuild.latents_options import LatentReferences
    from refvid.rebuild.options import KeyframeSource, ModelOptions, StyleSource
    from refvid.rebuild.reference_options import ReferenceFit, References, ReferenceSource

_SIZE = re.compile(rf"({WHOLE}(?:{DECIMALS})?)([KMGT]?)(?:i?B)?", re.ASCII | re.IGNORECASE)
_LEAST_MEMORY = 1 << 20
"""Nobody means less without a unit [bytes]."""

_WEIGHT = re.compile(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+", re.ASCII)
_FRAME = re.compile(rf"({WHOLE})f?")
_SIDES = re.compile(rf"({WHOLE})[x×:*]({WHOLE})", re.IGNORECASE)
_LINES = re.compile(rf"({WHOLE})p", re.IGNORECASE)
_TIME = re.compile(r".+s|.*:.*")
_OTHER_WORDS = ", frame:N or time:SECONDS"


def parse_references(
    ref: str | Path | Iterable[str | Path] | None = None,
    refs: str | Path | None = None,
    fit: ReferenceFit = "auto",
    *,
    joint: bool = False,
    video: str | Path | None = None,
    mask: str | Path | None = None,
) -> References:
    """`--ref`, once or several times, `--refs`, and what else there is for references.

    Raises:
        OptionError: Words make no sense, or two references belong to one frame.
        InputError: There is no such file or folder.
    """
    from refvid.media.file_kind import is_picture
    from refvid.media.inputs import check_source
    from refvid.rebuild.reference_options import References

    for path in (video, mask):
        if path is not None:
            check_source(Path(path))
    if video is not None and is_picture(Path(video)):
        raise OptionError(f"--ref-video: {video} is a single picture; write --ref {video}")
    is_one = isinstance(ref, str | Path) or not isinstance(ref, Iterable)
    words: list[Any] = [] if ref is None else [ref] if is_one else list(cast("Iterable[Any]", ref))
    for word in words:
        if not isinstance(word, str | Path):
            raise OptionError(
                "--ref: references of files are files, or words such as frame:0, not "
                f"{type(word).__name__}. Pictures in memory are for refvid.enhance_frames."
            )
    folder = None if refs is None else Path(refs)
    if folder is not None and not is_folder(folder):
        raise InputError(f"--refs: there is no folder {folder}")
    return References(
        sources=tuple(parse_reference(word) for word in words),
        folder=folder,
        video=None if video is None else Path(video),
        mask=None if mask is None else Path(mask),
        fit=fit,
        joint=joint,
    )


def parse_reference(value: str | Path) -> ReferenceSource:
    """`--ref`: an image's path, or with its place `b.png@40` or `b.png@12s`; `frame:N` and
    `time:1:30` for the input's own frames. An existing file wins.

    Raises:
        OptionError: The words after `frame:`, `time:` or `@` make no sense.
        InputError: There is no such image.
    """
    from refvid.rebuild.reference_options import ReferenceSource

    kind, _, rest = ("", "", "") if isinstance(value, Path) else value.partition(":")
    if kind == "frame":
        if not re.fullmatch(WHOLE, rest):
            raise OptionError(f"--ref: {shown(value)} needs a frame number, as in frame:0")
        return ReferenceSource(frame=int(rest))
    if kind == "time":
        return ReferenceSource(time=parse_time(rest, "--ref time"))
    image = Path(value)
    if isinstance(value, str) and re.fullmatch(r"[0-9]+f?", value) and not exists(image):
        raise OptionError(f"--ref: for the input's own frame write frame:{value.rstrip('f')}")
    path, _, place = str(value).rpartition("@")
    if path and not exists(image):
        found = _parse_place(path, place, "--ref")
        if found is None and is_file(Path(path)):
            raise OptionError(
                f"--ref: {shown(place)} is no place in a video; write {path}@40 for the frame's "
                "number, or @1.5s or @1:30 for its time"
            )
        if found is not None:
            return ReferenceSource(image=_existing(Path(path), "--ref", _OTHER_WORDS), **found)
    return ReferenceSource(image=_existing(image, "--ref", _OTHER_WORDS))


def _parse_place(path: str, place: str, option: str) -> dict[str, Any] | None:
    """The frame or time after an image's `@`; None where it is neither."""
    if match := _FRAME.fullmatch(place):
        return {"frame": int(match[1])}
    if _TIME.fullmatch(place):
        return {"time": parse_time(place, f"{option} {path}@")}
    return None


def parse_latent_references(
    ref: str | Path | Iterable[str | Path] | None,
    refs: str | Path | None,
    fit: ReferenceFit,
    *,
    baseline: bool,
    joint: bool = False,
    video: str | Path | None = None,
    mask: str | Path | None = None,
) -> LatentReferences:
    """What decode takes as `--ref`, `--refs`, `--ref-video` and so on, and `--baseline`.

    Raises:
        OptionError: A reference is no image, or they exclude each other.
        InputError: There is no such image or folder.
    """
    from refvid.rebuild.latents_options import LatentReferences

    references = parse_references(ref, refs, fit, joint=joint, video=video, mask=mask)
    for source in references.sources:
        if source.image is None:
            raise OptionError(
                f"--ref: {source.describe()} is no image file; latents have no frames to take"
            )
    return LatentReferences(references=references, baseline=baseline)


def parse_style(value: str | Path) -> StyleSource:
    """`--style`: an image's path, and after a colon its weight; an existing file wins.

    Raises:
        OptionError: The weight is 0 or beyond all measure.
        InputError: There is no such image.
    """
    from refvid.rebuild.options import StyleSource

    path, _, tail = str(value).rpartition(":")
    if path and _WEIGHT.fullmatch(tail) and not is_file(Path(value)):
        return StyleSource(image=_existing(Path(path), "--style"), weight=float(tail))
    if path and is_file(Path(path)) and not exists(Path(value)):
        raise OptionError(f"--style: the weight {shown(tail)} is no number; write {path}:2")
    several = str(value).split(",")
    if len(several) > 1 and all(is_file(Path(part)) for part in several):
        again = " ".join(f"--style {part}" for part in several)
        raise OptionError(f"--style: give one image each time: {again}")
    return StyleSource(image=_existing(Path(value), "--style"))


def parse_keyframe(word: str) -> KeyframeSource:
    """`--keyframe`: an image's path, `@`, and its frame's number (12, 12f) or time (1.5s, 1:30).

    Raises:
        OptionError: What comes after the last `@` is neither.
        InputError: There is no such image.
    """
    from refvid.rebuild.options import KeyframeSource

    path, _, place = word.rpartition("@")
    if path and (found := _parse_place(path, place, "--keyframe")) is not None:
        return KeyframeSource(image=_existing(Path(path), "--keyframe"), **found)
    number = "0"
    if not path:
        # Styles have their weight after a colon.
        before, _, after = word.rpartition(":")
        path, number = (before, after) if before and _FRAME.fullmatch(after) else (word, "0")
    raise OptionError(
        f"--keyframe: {shown(word)} does not say which frame it is; write {path}@{number} for the "
        "frame's number, or @1.5s or @1:30 for its time"
    )


def parse_model(given: Mapping[str, Any]) -> ModelOptions:
    """Flags for a model, under their names, `tile` and `memory` as words.

    Raises:
        OptionError: A word makes no sense.
        CheckpointUnavailable: There is no such file with weights.
    """
    from refvid.rebuild.options import ModelOptions

    values = dict(given)
    if "tile" in values:
        values["tile"] = parse_tile(values["tile"])
    if values.get("memory") is not None:
        values["memory"] = parse_size(values["memory"], "--memory")
    weights = values.get("weights")
    if weights is not None:
        values["weights"] = Path(weights)
        if not exists(values["weights"]):  # a folder, too
            raise CheckpointUnavailable(f"--weights: there is no file {weights}")
    return ModelOptions(**values)


def parse_tile(value: str | int) -> int | Literal["auto", "off"]:
    """`--tile`: auto, off or a number of pixels."""
    word = str(value)
    if word == "auto":
        return "auto"
    if word == "off":
        return "off"
    if re.fullmatch(WHOLE, word) and int(word) > 0:
        return int(word)
    raise OptionError(f"--tile: {shown(word)} is neither auto, off nor a number of pixels")


def parse_size(value: str | int, option: str) -> int:
    """An amount of memory [bytes]: a number, and K, M, G or T for powers of 1024."""
    word = str(value)
    if (match := _SIZE.fullmatch(word.strip())) is None:
        raise OptionError(f"{option}: {shown(word)} is no amount of memory; write 8G or 900M")
    number, unit = match.groups()
    count = int(Fraction(number) * 1024 ** " KMGT".index(unit.upper() or " "))
    if count < (1 if unit else _LEAST_MEMORY):
        raise OptionError(f"{option}: {shown(word)} is {count} bytes; write 8G or 900M")
    return count


def parse_enlargement(scale: int | None, size: str | None) -> Enlargement:
    """`--scale 2` and `--size`: `1920x1080`, or `1080p` for the shorter side.

    Raises:
        OptionError: Both are given, or a word makes no sense.
    """
    from refvid.rebuild.enlargement import Enlargement

    if size is None:
        return Enlargement(scale=scale)
    if scale is not None:
        raise OptionError("--scale and --size exclude each other")
    if match := _SIDES.fullmatch(size.strip()):
        return Enlargement(size=(int(match[1]), int(match[2])))
    if match := _LINES.fullmatch(size.strip()):
        return Enlargement(lines=int(match[1]))
    raise OptionError(f"--size: {shown(size)} is no size; write 1920x1080 or 1080p")


def parse_encoder_options(words: list[str]) -> dict[str, str]:
    """`-e preset=slow -e tune=grain` -> a dict; the last word for a key wins."""
    options = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            raise OptionError(f"--encoder-option: {shown(word)} is not of the form key=value")
        options[key.strip()] = value
    return options


def _existing(image: Path, option: str, others: str = "") -> Path:
    """The path of an image, if there is a file that may be one; `others` are other words for it."""
    from refvid.media.inputs import VIDEO_SUFFIXES
    from refvid.media.similar_name import did_you_mean

    if is_folder(image):
        raise InputError(f"{option}: {image} is a folder; give an image file{others}")
    refuse_special(image)
    if not is_file(image):
        raise InputError(
            f"{option}: the image {image} does not exist; give an image file{others}"
            f"{did_you_mean(image)}"
        )
    if image.suffix.lower() in VIDEO_SUFFIXES - {".gif"}:
        raise InputError(
            f"{option}: {image} is a video; give a picture{others}. To take a frame of a video: "
            f"refvid enhance {quote(str(image))} --strength 0 --start 5s --frames 1 -o frame_%d.png"
        )
    return image
