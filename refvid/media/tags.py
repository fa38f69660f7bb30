"""Tags and chapters that go over to a result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from av.container.core import Chapter

# Tags that mp4 and mov have a place for; others need the QuickTime key table.
_MP4_TAGS: Final = frozenset(
    {
        "album", "album_artist", "artist", "comment", "composer", "copyright", "creation_time",
        "date", "description", "encoder", "episode_id", "genre", "grouping", "keywords",
        "location", "lyrics", "network", "show", "synopsis", "title", "track",
    }
)  # fmt: skip
# Written by muxers about the file they made.
_STALE_TAGS: Final = frozenset(
    {"compatible_brands", "duration", "encoder", "major_brand", "minor_version"}
)
# About pixels as they are stored: they are upright and opaque in the result.
_STALE_VIDEO_TAGS: Final = frozenset({"rotate", "alpha_mode"})
# What QuickTime calls languages, where others use another of two codes.
# fmt: off
_QUICKTIME_LANGUAGES: Final = MappingProxyType({
    "bod": "tib", "cym": "wel", "cze": "ces", "deu": "ger", "ell": "gre", "eus": "baq",
    "fas": "per", "fre": "fra", "hye": "arm", "isl": "ice", "kat": "geo", "mkd": "mac",
    "msa": "may", "mya": "bur", "nld": "dut", "nob": "nor", "rum": "ron", "slo": "slk",
    "sqi": "alb", "swe": "sve", "zho": "chi",
})
# fmt: on


def fits_mp4(tags: Iterable[str]) -> bool:
    """Whether mp4 and mov have a place of their own for all of these tags."""
    return _MP4_TAGS.issuperset(tags)


def file_tags(source: Mapping[str, str], provenance: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a result.

    Args:
        source: Tags of the source's file.
        provenance: To be added, below what the source says under the same name.
    """
    kept = {k: v for k, v in source.items() if k.lower() not in _STALE_TAGS}
    for key, value in provenance.items():
        # The source's own comment is the user's: ours goes below it.
        kept[key] = f"{kept[key]}\n{value}" if key in kept else value
    return kept


def video_tags(source: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a result's video stream, by those of the source's."""
    return {k: v for k, v in source.items() if k.lower() not in _STALE_VIDEO_TAGS}


def read_track_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return a track's tags by the names and codes that all containers use."""
    read = dict(tags)
    if "name" in read and "title" not in read:  # as mp4 and mov call it
        read["title"] = read.pop("name")
    if read.get("language") == _QUICKTIME_LANGUAGES["swe"]:  # known to QuickTime alone
        read["language"] = "swe"
    return read


def fit_track_tags(tags: Mapping[str, str], container: str) -> dict[str, str]:
    """Return a track's tags as a container (libav's name) stores them."""
    fitted = dict(tags)
    if container == "mov" and "language" in fitted:
        fitted["language"] = _QUICKTIME_LANGUAGES.get(fitted["language"], fitted["language"])
    return fitted


def cut_chapters(
    chapters: Iterable[Chapter], origin: Fraction, start: Fraction | None, end: Fraction | None
) -> Iterator[Chapter]:
    """Keep the chapters of a part, in times of the result.

    Args:
        chapters: Of the source, on its own clock.
        origin: The time of that clock that becomes 0 [s].
        start: Where the part begins, from `origin` on [s]; None is the beginning.
        end: Where it ends; None is the end.
    """
    offset = start or Fraction(0)
    for chapter in chapters:
        time_base = chapter["time_base"] or Fraction(1)
        begins = chapter["start"] * time_base - origin - offset
        ends = chapter["end"] * time_base - origin
        ends = (ends if end is None else min(ends, end)) - offset
        begins = max(begins, Fraction(0))
        if ends > begins:
            cut = chapter.copy()
            cut["start"], cut["end"] = round(begins / time_base), round(ends / time_base)
            yield cut
