"""What can be asked of `decode` and `encode` about files of latents. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from refvid.errors import InputError, OptionError
from refvid.latents.wishes import LatentWishes
from refvid.media.encoding import Encoding
from refvid.media.image_folder import images_in
from refvid.rebuild.options import ReferenceFit, References, ReferenceSource
from refvid.rebuild.provenance import how_decoded

SUFFIX = ".safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentReferences:
    """What `decode` conditions the decoder on."""

    image: Path | None = None
    """None decodes without one."""

    folder: Path | None = None
    """A folder with an image for every file of latents, found by its name."""

    fit: ReferenceFit = "auto"
    baseline: bool = False
    """Skip the reference attention: the plain decoder, for comparison."""

    def __post_init__(self) -> None:
        if self.image is not None and self.folder is not None:
            raise OptionError("Give one reference, or a folder of them, not both.")
        if self.baseline and (self.image or self.folder):
            raise OptionError("The plain decoder takes no reference. Leave out one of the two.")

    @property
    def files(self) -> tuple[Path, ...]:
        """The image, or the folder."""
        return tuple(path for path in (self.image, self.folder) if path is not None)

    def how(self) -> str | None:
        """Say how a result is made; None where each has a reference of its own."""
        if self.folder is not None:
            return None
        source = None if self.image is None else ReferenceSource(image=self.image)
        return how_decoded(References(source=source, fit=self.fit), baseline=self.baseline)

    def find(self, latents: Path, image_name: str | None) -> Path | None:
        """The image for a file of latents; see `find_reference`."""
        if self.folder is None:
            return self.image
        return find_reference(self.folder, latents, image_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeOptions:
    """How a file of latents becomes a video."""

    wishes: LatentWishes = LatentWishes()  # noqa: RUF009 - frozen
    frame_rate: Fraction | None = None
    """None: what the file says, or the rate that the model generates."""

    overwrite: bool = False
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


def find_reference(folder: Path, latents: Path, image_name: str | None) -> Path:
    """Find the image that belongs to a file of latents.

    It has the name that is stored in the file, or the file's own name, without what programs
    add to it (`_latents`, `_refvid`); letter case and the kind of image do not matter.

    Raises:
        InputError: There is none.
    """
    # Only the last part: a file of latents must not point outside the folder.
    stored = None if image_name is None else image_name.replace("\\", "/").rpartition("/")[2]
    images = images_in(folder)
    if stored is not None:
        for image in images:
            if image.name == stored:
                return image
    stems = [] if stored is None else [stored, Path(stored).stem]
    for stem in [*stems, *_stems(latents)]:
        for image in images:
            if image.stem.casefold() == stem.casefold():
                return image
    wanted = f" or {stored}" if stored else ""
    raise InputError(f"{folder} holds no image named {latents.stem}{wanted} for {latents}.")


def _stems(path: Path) -> list[str]:
    stems = [path.stem]
    for ending in ("_refvid", "_latents", "_latent"):
        stems.append(stems[-1].removesuffix(ending))
    return list(dict.fromkeys(stem for stem in stems if stem))
