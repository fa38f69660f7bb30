"""The line in which a result says how it was made. Imports no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from refvid import __version__
from refvid.media.origin_marks import Origin
from refvid.media.source_type import SourceType
from refvid.rebuild.options import RebuildOptions
from refvid.rebuild.reference_options import References

PLAIN: Final = " (plain decoder)"
"""The reference attention is skipped."""

_LINE: Final = re.compile(r"refvid \S+, model (\S+), (.+)")


@dataclass(frozen=True, slots=True)
class Provenance:
    """How a result was made, whatever the version."""

    model: str
    how: str
    """What the decoder was conditioned on, and how; file names only, since folders are private."""

    def comment(self) -> str:
        """The line."""
        return f"refvid {__version__}, model {self.model}, {self.how}"

    def origin(self, source_type: SourceType, source: Path | None) -> Origin:
        """What is written into the result; `source` is the video that was changed."""
        return Origin(comment=self.comment(), how=self.how, source_type=source_type, source=source)

    @classmethod
    def find(cls, comment: str | None) -> Self | None:
        """What a comment says; the user's own may stand above ours."""
        for line in reversed((comment or "").splitlines()):
            if (match := _LINE.fullmatch(line)) is not None:
                return cls(*match.groups())
        return None


def how_rebuilt(conditions: str, options: RebuildOptions) -> str:
    """Say how `enhance` and `stylize` make a result; what is as usual is not mentioned.

    Args:
        conditions: What the decoder is conditioned on.
        options: The rest.
    """
    words = [conditions, f"strength {options.strength:g}"]
    if options.enlargement:
        words.append(options.enlargement.describe())
    if options.hdr == "passthrough":
        words.append("HDR as it is coded")
    if not options.cut_detection:
        words.append("as one shot")
    if part := options.range.describe():
        words.append(part)
    return _one_line(", ".join(words))


def how_decoded(references: References, *, baseline: bool) -> str:
    """Say how `decode` makes a result."""
    return _one_line(f"decoded latents, {references.provenance()}{PLAIN * baseline}")


def _one_line(text: str) -> str:
    """File names may hold anything: what no line of text can is escaped."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in plain
    )
