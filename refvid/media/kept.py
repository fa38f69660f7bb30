"""What becomes of everything that a video carries: kept, converted, or lost and said.

The tables decide what the program does and says, and are the ones in `docs/kept.md`, which
`python -m refvid.media.kept docs/kept.md` writes anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from refvid.errors import OptionError
from refvid.media.hdr10 import HDR10_ENCODERS


class Fate(StrEnum):
    """What becomes of something."""

    KEPT = "kept"
    CONVERTED = "converted"
    LOST = "lost, and said"
    REFUSED = "refused, and said"
    OBSOLETE = "left out: it is about the old coding"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the tables."""

    what: str
    """For people: it can stand in a sentence."""

    fate: Fate
    how: str = ""
    """How, when, or what counts as nothing."""

    encoders: frozenset[str] = frozenset()
    """Where it is kept by some encoders only: libavcodec's names. With others it is lost."""

    containers: frozenset[str] = frozenset()
    """Where some containers keep it, too, whatever the encoder: libavformat's names."""

    def is_kept(self, encoder: str, container: str) -> bool:
        """Whether results of this kind keep it."""
        if not self.encoders:
            return self.fate is not Fate.LOST
        return encoder in self.encoders or container in self.containers


_X264: Final = frozenset({"libx264"})
_X26X: Final = frozenset({"libx264", "libx265"})
_OF_SOUND: Final = "comes with packets of sound, which are copied"
_BY_FRAME: Final = "arrives at the frames: see there"
_FROM_ANALYSIS: Final = "made by analysis; no file holds it"

FRAME_DATA: Final[Mapping[str, Entry]] = {
    "PANSCAN": Entry(what="pan and scan offsets", fate=Fate.LOST, how="if they move anything"),
    "A53_CC": Entry(what="closed captions", fate=Fate.KEPT, encoders=_X26X),
    "STEREO3D": Entry(
        what="marks of stereoscopic video",
        fate=Fate.KEPT,
        encoders=_X264,
        containers=frozenset({"matroska", "webm"}),
    ),
    "MATRIXENCODING": Entry(what="matrix encoding", fate=Fate.KEPT, how=_OF_SOUND),
    "DOWNMIX_INFO": Entry(what="down-mix levels", fate=Fate.KEPT, how=_OF_SOUND),
    "REPLAYGAIN": Entry(what="replay gain", fate=Fate.KEPT, how="as the track's tags"),
    "DISPLAYMATRIX": Entry(
        what="rotation and mirroring",
        fate=Fate.CONVERTED,
        how="frames come out upright; other angles to the nearest quarter turn, which is said",
    ),
    "AFD": Entry(what="active format description", fate=Fate.LOST, how="if not the whole frame"),
    "MOTION_VECTORS": Entry(what="motion vectors", fate=Fate.OBSOLETE),
    "SKIP_SAMPLES": Entry(what="samples to skip", fate=Fate.KEPT, how=_OF_SOUND),
    "AUDIO_SERVICE_TYPE": Entry(what="audio service type", fate=Fate.KEPT, how=_OF_SOUND),
    "MASTERING_DISPLAY_METADATA": Entry(
        what="the mastering display", fate=Fate.KEPT, encoders=HDR10_ENCODERS
    ),
    "GOP_TIMECODE": Entry(
        what="time code of picture groups", fate=Fate.LOST, how="if it does not begin at 0"
    ),
    "SPHERICAL": Entry(what="marks of spherical (360 degree) video", fate=Fate.LOST),
    "CONTENT_LIGHT_LEVEL": Entry(
        what="content light levels", fate=Fate.KEPT, encoders=HDR10_ENCODERS
    ),
    "ICC_PROFILE": Entry(what="the colour profile (ICC)", fate=Fate.LOST),
    "S12M_TIMECODE": Entry(
        what="time code of frames", fate=Fate.LOST, how="if it does not begin at 0"
    ),
    "DYNAMIC_HDR_PLUS": Entry(what="HDR10+ metadata", fate=Fate.LOST),
    "REGIONS_OF_INTEREST": Entry(what="regions of interest", fate=Fate.OBSOLETE),
    "VIDEO_ENC_PARAMS": Entry(what="quantisers", fate=Fate.OBSOLETE),
    "SEI_UNREGISTERED": Entry(
        what="private data of the video stream",
        fate=Fate.LOST,
        how="the settings that x264 and x265 write there are about the old coding",
    ),
    "FILM_GRAIN_PARAMS": Entry(
        what="film grain", fate=Fate.CONVERTED, how="the decoder adds it to the pixels"
    ),
    "DETECTION_BBOXES": Entry(what="detected objects", fate=Fate.OBSOLETE, how=_FROM_ANALYSIS),
    "DOVI_RPU_BUFFER": Entry(what="Dolby Vision metadata", fate=Fate.LOST),
    "DOVI_METADATA": Entry(what="Dolby Vision metadata", fate=Fate.LOST),
    "DYNAMIC_HDR_VIVID": Entry(what="HDR Vivid metadata", fate=Fate.LOST),
    "AMBIENT_VIEWING_ENVIRONMENT": Entry(what="the ambient viewing environment", fate=Fate.LOST),
    "VIDEO_HINT": Entry(what="changed rectangles", fate=Fate.OBSOLETE, how=_FROM_ANALYSIS),
}
"""Side data of frames, by libav's names (`AV_FRAME_DATA_...`): all that PyAV knows."""

UNREADABLE: Final = "UNREADABLE"
"""Stands for side data of frames of which PyAV does not know the name."""

_UNKNOWN: Final = "side data of a kind that is not known"

PACKET_DATA: Final[Mapping[str, Entry]] = {
    "palette": Entry(what="palette", fate=Fate.CONVERTED, how="into the colours of the frames"),
    "new_extradata": Entry(what="new decoder settings", fate=Fate.CONVERTED, how="by the decoder"),
    "param_change": Entry(what="new sizes or rates", fate=Fate.CONVERTED, how="by the decoder"),
    "h263_mb_info": Entry(what="places of macroblocks", fate=Fate.OBSOLETE),
    "replay_gain": Entry(what="replay gain", fate=Fate.KEPT, how="as the track's tags"),
    "display_matrix": Entry(what="rotation", fate=Fate.CONVERTED, how=_BY_FRAME),
    "stereo_3d": Entry(what="marks of stereoscopic video", fate=Fate.KEPT, how=_BY_FRAME),
    "audio_service_type": Entry(what="audio service type", fate=Fate.KEPT, how=_OF_SOUND),
    "quality_stats": Entry(what="quality of the coding", fate=Fate.OBSOLETE),
    "fallback_track": Entry(what="fallback track", fate=Fate.OBSOLETE, how="track numbers change"),
    "cpb_properties": Entry(what="buffer sizes", fate=Fate.OBSOLETE),
    "skip_samples": Entry(what="samples to skip", fate=Fate.KEPT, how=_OF_SOUND),
    "jp_dual_mono": Entry(what="dual mono", fate=Fate.KEPT, how=_OF_SOUND),
    "strings_metadata": Entry(what="tags of packets", fate=Fate.OBSOLETE, how="of no video file"),
    "subtitle_position": Entry(
        what="place of a subtitle", fate=Fate.KEPT, how="with subtitles that are copied"
    ),
    "matroska_block_additional": Entry(
        what="transparency", fate=Fate.LOST, how="of VP8 and VP9; other additions as frames' data"
    ),
    "webvtt_identifier": Entry(what="WebVTT names", fate=Fate.KEPT, how="with the subtitles"),
    "webvtt_settings": Entry(what="WebVTT settings", fate=Fate.KEPT, how="with the subtitles"),
    "metadata_update": Entry(what="tags that change", fate=Fate.OBSOLETE, how="of live streams"),
    "mpegts_stream_id": Entry(what="stream numbers", fate=Fate.OBSOLETE),
    "mastering_display_metadata": Entry(
        what="the mastering display", fate=Fate.KEPT, how=_BY_FRAME
    ),
    "spherical": Entry(what="marks of spherical video", fate=Fate.LOST, how=_BY_FRAME),
    "content_light_level": Entry(what="content light levels", fate=Fate.KEPT, how=_BY_FRAME),
    "a53_cc": Entry(what="closed captions", fate=Fate.KEPT, how=_BY_FRAME),
    "encryption_init_info": Entry(what="encryption", fate=Fate.REFUSED),
    "encryption_info": Entry(what="encryption", fate=Fate.REFUSED),
    "afd": Entry(what="active format description", fate=Fate.LOST, how=_BY_FRAME),
    "prft": Entry(what="time of recording of frames", fate=Fate.OBSOLETE, how="of live streams"),
    "icc_profile": Entry(what="the colour profile (ICC)", fate=Fate.LOST, how=_BY_FRAME),
    "dovi_conf": Entry(
        what="Dolby Vision",
        fate=Fate.LOST,
        how="what lies below it (HDR10, HLG, SDR) is worked on; where that shows wrong colours, "
        "refused without --hdr passthrough",
    ),
    "s12m_timecode": Entry(what="time code of frames", fate=Fate.LOST, how=_BY_FRAME),
    "dynamic_hdr10_plus": Entry(what="HDR10+ metadata", fate=Fate.LOST, how=_BY_FRAME),
    "iamf_mix_gain_param": Entry(what="gains of immersive sound", fate=Fate.KEPT, how=_OF_SOUND),
    "iamf_info_param": Entry(what="immersive sound", fate=Fate.KEPT, how=_OF_SOUND),
    "iamf_recon_gain_info_param": Entry(what="immersive sound", fate=Fate.KEPT, how=_OF_SOUND),
    "ambient_viewing_environment": Entry(
        what="the ambient viewing environment", fate=Fate.LOST, how=_BY_FRAME
    ),
    "frame_cropping": Entry(what="cropping", fate=Fate.CONVERTED, how="as players crop"),
    "lcevc": Entry(what="an enhancement layer (LCEVC)", fate=Fate.LOST),
    "3d_reference_displays": Entry(
        what="marks of stereoscopic displays", fate=Fate.LOST, how=_BY_FRAME
    ),
    "rtcp_sr": Entry(what="clock of a live stream", fate=Fate.OBSOLETE),
}
"""Side data of packets and streams, by PyAV's names: all that it knows."""

PROPERTIES: Final[Mapping[str, Entry]] = {
    "size": Entry(what="width and height", fate=Fate.KEPT, how="but for --scale and --size"),
    "pixel shape": Entry(
        what="the pixel shape", fate=Fate.KEPT, how="Matroska holds it for H.264 and HEVC only"
    ),
    "cropping": Entry(what="cropping", fate=Fate.CONVERTED, how="to the pixel, as players crop"),
    "frame times": Entry(
        what="frame times",
        fate=Fate.KEPT,
        how="from 0 on; where the clock jumps, what follows is joined; missing ones are made",
    ),
    "frame rate": Entry(what="the frame rate", fate=Fate.KEPT, how="also a variable one"),
    "interlacing": Entry(
        what="marks of interlaced video",
        fate=Fate.KEPT,
        how="frames are worked on as they are; enlarged and turned ones are marked no more",
        encoders=frozenset({"libx264", "prores_ks", "ffv1"}),
    ),
    "colour tags": Entry(what="matrix, range, primaries, transfer", fate=Fate.KEPT),
    "chroma siting": Entry(
        what="chroma siting", fate=Fate.CONVERTED, how="it becomes that of the codec"
    ),
    "bit depth": Entry(what="bit depth", fate=Fate.KEPT, how="up to what the encoder takes"),
    "transparency": Entry(what="transparency", fate=Fate.LOST),
    "codec, profile, level": Entry(
        what="the coding", fate=Fate.CONVERTED, how="the codec is kept where its container allows"
    ),
    "language": Entry(what="the language", fate=Fate.KEPT),
    "dispositions": Entry(what="default, forced and the like", fate=Fate.KEPT),
}
"""Properties of the video stream."""

TAGS: Final[Mapping[str, Entry]] = {
    "of the file": Entry(what="tags of the file", fate=Fate.KEPT, how="unless --no-metadata"),
    "of a track": Entry(what="tags of a track", fate=Fate.KEPT, how="unless --no-metadata"),
    "language": Entry(what="the language", fate=Fate.KEPT),
    "timecode": Entry(
        what="the time code",
        fate=Fate.KEPT,
        how="moved on where a part begins later; of a variable rate it is lost then, and said",
    ),
    "rotate": Entry(what="rotation", fate=Fate.CONVERTED, how="frames come out upright"),
    "alpha_mode": Entry(what="transparency", fate=Fate.LOST),
    "BPS, DURATION, NUMBER_OF_..., _STATISTICS_...": Entry(what="statistics", fate=Fate.OBSOLETE),
    "ENCODER, VENDOR_ID": Entry(what="writing programs", fate=Fate.OBSOLETE),
    "XMP": Entry(
        what="an XMP packet",
        fate=Fate.CONVERTED,
        how="the IPTC's digital source type goes over or a stronger one; the rest is lost",
    ),
    "C2PA": Entry(
        what="signed content credentials",
        fate=Fate.LOST,
        how="or, with --c2pa-cert and --c2pa-key, kept within the result's own",
    ),
    "major_brand, minor_version, compatible_brands": Entry(what="brands", fate=Fate.OBSOLETE),
}
"""Tags; the names are those of libav."""

TRACKS: Final[Mapping[str, Entry]] = {
    "sound": Entry(
        what="sound",
        fate=Fate.KEPT,
        how="packet by packet; encoded anew where the container cannot hold it, and said; what an "
        "edit list hides is left out",
    ),
    "subtitles": Entry(
        what="subtitles", fate=Fate.KEPT, how="converted where the container wants it, and said"
    ),
    "chapters": Entry(what="chapters", fate=Fate.KEPT),
    "attachments": Entry(what="attachments", fate=Fate.KEPT, how="in .mkv; else lost, and said"),
    "cover pictures": Entry(what="cover pictures", fate=Fate.LOST),
    "other programmes": Entry(what="other channels of a transport stream", fate=Fate.LOST),
    "further videos": Entry(what="further videos", fate=Fate.LOST),
    "data": Entry(
        what="data", fate=Fate.LOST, how="chapters and time code are made anew in mp4 and mov"
    ),
}
"""What lies beside the video."""


def is_stored(name: str, encoder: str) -> bool:
    """Whether an encoder stores a kind of frame data."""
    return name in FRAME_DATA and encoder in FRAME_DATA[name].encoders


def describe_kinds(names: Iterable[str]) -> list[str]:
    """Return people's words for kinds of frame data."""
    found = set(names)
    kinds = [entry.what for name, entry in FRAME_DATA.items() if name in found]
    return [*dict.fromkeys(kinds), *([_UNKNOWN] if UNREADABLE in found else [])]


def describe_losses(names: Iterable[str], *, encoder: str, codec: str, container: str) -> list[str]:
    """Say what kinds of frame data a result does without.

    Args:
        names: Of `FRAME_DATA`, as found in the source.
        encoder: libavcodec's name.
        codec: For the message.
        container: libavformat's name.

    Returns:
        At most two notes: about what no result holds, and what this encoder does not.
    """
    found = set(names)
    lost = [
        entry
        for name, entry in FRAME_DATA.items()
        if name in found and not entry.is_kept(encoder, container)
    ]
    never = [entry.what for entry in lost if not entry.encoders]
    if UNREADABLE in found:
        never.append(_UNKNOWN)
    not_here = [entry.what for entry in lost if entry.encoders]
    notes = []
    if never:
        notes.append(f"not kept: {_list(never)}")
    if not_here:
        notes.append(f"not kept, as {codec} ({encoder}) does not store it: {_list(not_here)}")
    return notes


def _list(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def to_markdown() -> str:
    """Return the page for people."""
    sections = {
        "Tracks": TRACKS,
        "Properties of the video": PROPERTIES,
        "Tags": TAGS,
        "Side data of frames": FRAME_DATA,
        "Side data of packets and streams": PACKET_DATA,
    }
    lines = [
        "# What is kept, what is converted, what is lost",
        "",
        "What becomes of everything that a video carries. What is lost and said is named in a note",
        "of the run, and in that of `--dry-run`. This page is made from the program's own tables:",
        "`python -m refvid.media.kept docs/kept.md`.",
        "",
        "A result in `.y4m` holds pictures, their rate and range, and nothing else, which is said.",
    ]
    for title, entries in sections.items():
        lines += ["", f"## {title}", "", "| | what | becomes |", "| --- | --- | --- |"]
        lines += [
            f"| {_code(title, name)} | {e.what} | {_fate(e)} |" for name, e in entries.items()
        ]
    lines += [
        "",
        "Side data of frames is what PyAV knows by name. Kinds that it does not know are",
        "mentioned, without their names. Of streams it shows nothing; libav passes most of it on",
        "to the frames, and cropping and Dolby Vision are read from a header that libav writes.",
        "",
    ]
    return "\n".join(lines)


def _code(title: str, name: str) -> str:
    return f"`{name}`" if title.startswith("Side data") or title == "Tags" else name


def _fate(entry: Entry) -> str:
    fate = str(entry.fate)
    if entry.encoders:
        fate += f" by {', '.join(sorted(entry.encoders))}"
        if entry.containers:
            fate += f", and in {', '.join(sorted(entry.containers))}"
        fate += f"; else {Fate.LOST}"
    return f"{fate}: {entry.how}" if entry.how else fate


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise OptionError("usage: python -m refvid.media.kept FILE")
    Path(sys.argv[1]).write_text(to_markdown(), encoding="utf-8", newline="\n")
