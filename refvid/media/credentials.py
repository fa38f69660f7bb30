"""Content credentials: signed statements of how a file was made (C2PA), by c2pa-python."""

from __future__ import annotations

import io
import json
import logging
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from refvid import __version__
from refvid.errors import OptionError, OutputError
from refvid.media.source_type import SourceType

logger = logging.getLogger(__name__)

SIGNED_CONTAINERS: Final[dict[str, str]] = {
    "mp4": "video/mp4",
    "mov": "video/quicktime",
}
"""libavformat's names of what can be signed -> media types."""

INSTALL: Final = "pip install c2pa-python"
_ALGORITHMS: Final = ("es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What results are signed with."""

    certificate: Path
    """PEM: the signer's certificate, and those that vouch for it."""

    key: Path
    """PEM: its private key, PKCS #8."""

    algorithm: str = "es256"

    def __post_init__(self) -> None:
        if self.algorithm not in _ALGORITHMS:
            raise OptionError(
                f"--c2pa-alg must be one of {', '.join(_ALGORITHMS)}, not {self.algorithm!r}."
            )

    def check(self, container: str) -> None:
        """Find what would fail after all the work.

        Args:
            container: libavformat's name of the result's.

        Raises:
            OptionError: Its files cannot be signed, the package is missing, or certificate and key
                cannot be used.
        """
        if container not in SIGNED_CONTAINERS:
            raise OptionError(
                f"A result of the kind {container} cannot be signed: choose .mp4 or .mov, or "
                "leave out --c2pa-cert and --c2pa-key."
            )
        if not can_sign():
            raise OptionError(f"Signing needs one more package: {INSTALL}")
        self._try()

    def sign(self, unsigned: Path, signed: Path, made: Statement) -> None:
        """Write a signed copy of a finished file.

        Raises:
            OutputError: The signer refuses, e.g. because the certificate has ended.
        """
        import c2pa  # noqa: PLC0415 -- an extra

        media_type = SIGNED_CONTAINERS[made.container]
        builder = c2pa.Builder(json.dumps(made.manifest(media_type)))
        try:
            with self._signer() as signer, unsigned.open("rb") as source, signed.open("w+b") as out:
                if made.source is None:
                    kind = c2pa.C2paDigitalSourceType[_constant(made.source_type)]
                    builder.set_intent(c2pa.C2paBuilderIntent.CREATE, kind)
                else:
                    builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
                    _add_source(builder, made.source)
                builder.sign(signer, media_type, source, out)
        except (c2pa.C2paError, OSError) as error:
            raise OutputError(f"{unsigned.name} cannot be signed: {error}.") from error
        finally:
            builder.close()

    def _try(self) -> None:
        """Sign a picture of one pixel: whatever is wrong with the certificate shows here."""
        import c2pa  # noqa: PLC0415 -- an extra
        from PIL import Image  # noqa: PLC0415 -- start-up time

        picture = io.BytesIO()
        Image.new("L", (1, 1)).save(picture, "PNG")
        picture.seek(0)
        claim = {"claim_generator_info": [{"name": "refvid", "version": __version__}]}
        builder = c2pa.Builder(json.dumps(claim))
        try:
            builder.set_intent(
                c2pa.C2paBuilderIntent.CREATE, c2pa.C2paDigitalSourceType.DIGITAL_CREATION
            )
            with self._signer() as signer:
                builder.sign(signer, "image/png", picture, io.BytesIO())
        except c2pa.C2paError as error:
            raise self._unusable(error) from error
        finally:
            builder.close()

    def _unusable(self, error: Exception) -> OptionError:
        return OptionError(
            f"{self.certificate} and {self.key} cannot be signed with ({error}). They are a "
            "certificate chain and a private key (PKCS #8) in PEM files; --c2pa-alg names the "
            "algorithm of the key."
        )

    def _signer(self) -> Any:
        import c2pa  # noqa: PLC0415 -- an extra

        try:
            certificate, key = self.certificate.read_bytes(), self.key.read_bytes()
        except OSError as error:
            raise OptionError(
                f"Cannot read {error.filename} to sign with: {error.strerror}."
            ) from error
        try:
            info = c2pa.C2paSignerInfo(self.algorithm.encode(), certificate, key, None)
            return c2pa.Signer.from_info(info)
        except c2pa.C2paError as error:
            raise self._unusable(error) from error


def can_sign() -> bool:
    """Whether the package that signs and reads credentials is there."""
    return find_spec("c2pa") is not None


def make_credentials(
    certificate: Path | None, key: Path | None, algorithm: str = "es256"
) -> Credentials | None:
    """Credentials, where both files are given.

    Raises:
        OptionError: One without the other.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise OptionError("--c2pa-cert and --c2pa-key belong together: signing needs both.")
    return Credentials(certificate=certificate, key=key, algorithm=algorithm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What is signed."""

    container: str
    title: str
    how: str
    """See `Provenance`."""

    source_type: SourceType
    source: Path | None
    """The video that was changed: its own credentials are kept within the result's. None: it was
    made from something that is no media."""

    def manifest(self, media_type: str) -> dict[str, object]:
        """The claim, before the signer adds what it must hold."""
        action = {
            "action": "c2pa.edited",
            "softwareAgent": {"name": "refvid", "version": __version__},
            "digitalSourceType": self.source_type.uri,
            "description": self.how,
        }
        edits = [] if self.source is None else [action]
        return {
            "claim_generator_info": [{"name": "refvid", "version": __version__}],
            "title": self.title,
            "format": media_type,
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": edits}}]
            if edits
            else [],
        }


def read_credentials(path: Path) -> dict[str, Any] | None:
    """What a file's credentials say, where the package is there to read them.

    Returns:
        `state` ("Valid", "Trusted", "Invalid"), `signer`, `title` and `generator`; None without
        credentials or the package.
    """
    if not can_sign():
        return None
    import c2pa  # noqa: PLC0415 -- an extra

    try:
        with c2pa.Reader(path) as reader:
            store = json.loads(reader.json())
            state = reader.get_validation_state()
    except (c2pa.C2paError, OSError, ValueError):
        return None
    manifest = store.get("manifests", {}).get(store.get("active_manifest"), {})
    signature = manifest.get("signature_info") or {}
    generators = manifest.get("claim_generator_info") or [{}]
    return {
        "state": state,
        "signer": signature.get("issuer") or signature.get("common_name"),
        "title": manifest.get("title"),
        "generator": generators[0].get("name"),
    }


def _add_source(builder: Any, source: Path) -> None:
    import c2pa  # noqa: PLC0415 -- an extra

    ingredient = {"title": source.name, "relationship": "parentOf"}
    try:
        with source.open("rb") as file:
            builder.add_ingredient(json.dumps(ingredient), source.suffix.lstrip(".").lower(), file)
    except c2pa.C2paError as error:
        # Of a kind that holds no credentials, as Matroska: none of its own are lost.
        logger.info("%s is not named in the credentials as their source: %s", source, error)


def _constant(source_type: SourceType) -> str:
    return "".join(f"_{c}" if c.isupper() else c for c in source_type.value).upper()
