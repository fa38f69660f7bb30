"""HDR: whether a video may be worked on, and as what the model sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from refvid.errors import InputError
from refvid.media.color import HLG, PQ, UNSPECIFIED, ColorInfo
from refvid.media.domain import WHITE_LEVEL, Domain
from refvid.media.video_info import VideoInfo
from refvid.rebuild.options import SourceOptions

_SEEN_AS_SDR = "sdr"

_BASE_LAYERS = {1: PQ, 4: HLG, 6: PQ}
"""What lies below Dolby Vision, by what it says of its compatibility."""


def check_hdr(info: VideoInfo, options: SourceOptions) -> None:
    """Raise `InputError` where a video is HDR, and that is not allowed or possible."""
    if info.hdr is None or options.hdr == "passthrough":
        return
    if options.hdr == "refuse":
        raise InputError(
            f"{info.path} is HDR video ({info.hdr}): --hdr refuse leaves it out. Choose another "
            "--hdr to work on it, or convert it to SDR first."
        )
    if not _coded(info).is_hdr:
        raise InputError(
            f"{info.path} is {info.hdr}, whose colours only Dolby Vision knows. Convert it to "
            "HDR10, HLG or SDR first, or use --hdr passthrough to work on its values as they are."
        )


def find_domain(info: VideoInfo, options: SourceOptions) -> Domain | None:
    """As what the model sees a video; None: as it is coded."""
    return None if options.hdr == "passthrough" else Domain.of(_coded(info))


def domain_notes(info: VideoInfo, domain: Domain | None) -> list[str]:
    """Tell the user."""
    if domain is None or not domain.is_hdr:
        return []
    note = f"HDR ({info.hdr}): the model sees it as SDR, with diffuse white at {WHITE_LEVEL:.0%}"
    return [f"{note}; the result is HDR again"]


def domain_facts(domain: Domain | None) -> dict[str, str]:
    """What refvid's own files of latents say of it: nothing where pictures went in as coded."""
    return {"domain": _SEEN_AS_SDR} if domain is not None and domain.is_hdr else {}


def stored_domain(facts: Mapping[str, object], color: ColorInfo) -> Domain | None:
    """Where latents' pictures are, by what their file says, and the tags of the result."""
    if color.is_hdr and facts.get("domain") != _SEEN_AS_SDR:
        return None  # they went in as they were coded
    return Domain.of(color)


def _coded(info: VideoInfo) -> ColorInfo:
    """How the pictures are coded; of Dolby Vision, those below it."""
    if info.dolby_vision is None or not info.dolby_vision.is_hdr:
        return info.color
    below = _BASE_LAYERS.get(info.dolby_vision.compatibility, UNSPECIFIED)
    is_tagged = below != UNSPECIFIED and info.color.is_hdr
    return info.color if is_tagged else replace(info.color, transfer=below)
