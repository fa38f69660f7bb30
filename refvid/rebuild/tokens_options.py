"""What can be asked of `tokenize` and `detokenize`. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from refvid.errors import OptionError
from refvid.media.encoding import Encoding
from refvid.rebuild.options import SourceOptions
from refvid.rebuild.reference_options import ReferenceSource

SUFFIX = ".tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizeOptions(SourceOptions):
    """How a video becomes tokens."""

    reference: ReferenceSource | None = None
    """One picture for all shots; None takes the first frame of each."""

    quality: int | None = None
    """References are stored as WebP of this quality, 1 to 100, and blocks are encoded against what
    is stored; None stores them exactly, as PNG."""

    hash_only: bool = False
    """Store no picture: whoever decodes must have it."""

    cut_detection: bool = True
    """Begin a shot at cuts."""

    export: bool = False
    """Write flat arrays and JSON beside the file, too."""

    def __post_init__(self) -> None:
        SourceOptions.__post_init__(self)  # slots make a new class, which super() does not know
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise OptionError(f"The quality of references is from 1 to 100, not {self.quality}.")
        if self.reference is not None and self.reference.image and self.reference.place:
            raise OptionError(
                "A picture is a reference of all shots here: give it without a place."
            )
        if self.hash_only and self.reference is None:
            raise OptionError(
                "The first frames of shots must be stored: nobody else has them. Leave out "
                "--ref-hash-only, or name a picture with --ref."
            )
        if self.hash_only and self.quality is not None:
            raise OptionError("--ref-hash-only stores no picture: leave out --ref-quality.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DetokenizeOptions:
    """How a file of tokens becomes a video."""

    reference: Path | None = None
    """The picture, where the file holds only its hash."""

    overwrite: bool = False
    encoding: Encoding = Encoding()  # noqa: RUF009 - frozen


def check_tokens_name(output: Path) -> None:
    """Raise `OptionError` where tokens would be written to another kind of file."""
    if output.suffix.lower() != SUFFIX:
        raise OptionError(
            f"Tokens are written as {SUFFIX}, not as {output.suffix or 'that'}: {output}."
        )
