"""How media came to be, in the terms of the IPTC, and the XMP packets in which files say it.

The vocabulary is http://cv.iptc.org/newscodes/digitalsourcetype/; the property is
`Iptc4xmpExt:DigitalSourceType` of the IPTC Photo and Video Metadata standards.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

_VOCABULARY: Final = "cv.iptc.org/newscodes/digitalsourcetype/"
_NAMESPACE: Final = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"

# Attribute or element; prefixes other than the usual one, and other properties, are not looked for.
_PROPERTY: Final = re.compile(
    rb"Iptc4xmpExt:DigitalSourceType\s*(?:=\s*[\"']|>|\s[^<>]{0,200}resource\s*=\s*[\"'])"
    rb"\s*([A-Za-z0-9:/._-]{1,200})"
)


class SourceType(StrEnum):
    """The terms that results are given, the weakest first."""

    ENHANCED = "algorithmicallyEnhanced"
    """Changed by an algorithm that adds nothing of its own: `enhance`."""

    COMPOSITE = "compositeWithTrainedAlgorithmicMedia"
    """Made of something real and of what a trained model made: `stylize`."""

    GENERATED = "trainedAlgorithmicMedia"
    """Made by a trained model: `decode` of latents that were generated."""

    @property
    def uri(self) -> str:
        """The term as files hold it."""
        return f"http://{_VOCABULARY}{self}"

    def of(self, source: str | None) -> SourceType:
        """What a result is if its source was of a type: what was generated stays generated."""
        known = [term for term in SourceType if source == term.value]
        return max([self, *known], key=list(SourceType).index)


def term_of(uri: str) -> str | None:
    """The term of the vocabulary that a URI names, whatever its scheme; None if it is another."""
    _, found, term = uri.strip().partition(_VOCABULARY)
    return term.rstrip("/") or None if found else None


def xmp_packet(source_type: SourceType) -> bytes:
    """An XMP packet (UTF-8) that says a result's type."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="{_NAMESPACE}" '
        f'Iptc4xmpExt:DigitalSourceType="{source_type.uri}"/>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()


def find_in_xmp(packet: bytes) -> str | None:
    """The term that an XMP packet says; None where it says none.

    No XML is parsed: packets come from anywhere.
    """
    match = _PROPERTY.search(packet)
    return None if match is None else term_of(match[1].decode("ascii"))
