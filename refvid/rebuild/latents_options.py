"""What can be asked of `decode` and `encode` about files of latents. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from refvid.errors import OptionError
from refvid.latents.wishes import LatentWishes
from refvid.media.encoding import Encoding
from refvid.rebuild.provenance import how_decoded
from refvid.rebuild.reference_options import References

SUFFIX = ".safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentReferences:
    """What `decode` conditions the decoder on."""

    references: References = References()  # noqa: RUF009 - frozen
    """Files alone: latents have no frames that could be taken."""

    baseline: bool = False
    """Skip the reference attention: the plain decoder, for comparison."""

    def __post_init__(self) -> None:
        if self.baseline and not self.references.is_none:
            raise OptionError("The plain decoder takes no reference. Leave out one of the two.")

    @property
    def files(self) -> tuple[Path, ...]:
        """The images, or the folder, and the video."""
        return self.references.images

    def for_inputs(self, count: int) -> LatentReferences:
        """The same, for so many inputs."""
        return replace(self, references=self.references.for_inputs(count))

    def how(self) -> str | None:
        """Say how a result is made; None where each has references of its own."""
        if self.references.folder is not None:
            return None
        return how_decoded(self.references, baseline=self.baseline)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeOptions:
    """How a file of latents becomes a video."""

    wishes: LatentWishes = LatentWishes()  # noqa: RUF009 - frozen
    frame_rate: Fraction | None = None
    """None: what the file says, or the rate that the model generates."""

    overwrite: bool = False
    resume: bool = True
    """See `SourceOptions`."""

    encoding: Encoding = Encoding()  # noqa: RUF009 - frozen

    def __post_init__(self) -> None:
        if self.frame_rate is not None and not 0 < self.frame_rate <= 1000:
            raise OptionError(f"A frame rate is above 0 and at most 1000, not {self.frame_rate}.")


def check_latents_name(output: Path) -> None:
    """Raise `OptionError` where latents would be written to another kind of file."""
    if output.suffix.lower() != SUFFIX:
        raise OptionError(
            f"Latents are written as {SUFFIX}, not as {output.suffix or 'that'}: {output}."
        )
