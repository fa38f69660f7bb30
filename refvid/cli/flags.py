"""Flags in groups: each is declared once, and a command takes and hands on whole groups.

A command says which groups it has:

    @grouped
    def encode(console: Console, inputs: flags.Inputs, rules: flags.BatchRules, ...) -> None:

`grouped` turns the fields of groups into options, and in their place gives the command the group as
filled in: flag over environment over config file over default. `console` stands for the flags that
every command has, and comes ready to print.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from refvid.cli.groups import (
    BATCH_PANEL,
    ENCODING_PANEL,
    IO_PANEL,
    RANGE_PANEL,
    REFERENCE_PANEL,
    values_of,
)
from refvid.errors import OptionError
from refvid.time_words import parse_range
from refvid.words import parse_encoder_options, parse_references

if TYPE_CHECKING:
    from refvid.media.encoding import Encoding as EncodingValue
    from refvid.media.frame_range import FrameRange
    from refvid.rebuild.reference_options import References

_io = partial(typer.Option, rich_help_panel=IO_PANEL)
_range = partial(typer.Option, rich_help_panel=RANGE_PANEL)
_reference = partial(typer.Option, rich_help_panel=REFERENCE_PANEL)
_encoding = partial(typer.Option, rich_help_panel=ENCODING_PANEL)
_batch = partial(typer.Option, rich_help_panel=BATCH_PANEL)

STRENGTH_HELP = "0 gives the input back, without a model; 1 the full result."

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="Videos, wildcards, folders, image sequences (shot_%04d.png), or - for stdin.",
        show_default=False,
    ),
]
Overwrite = Annotated[bool, _io("-y", "--overwrite", help="Replace existing results.")]
Compare = Annotated[
    bool,
    _io(
        "--compare",
        help="Also write a page that compares: {stem}_compare.html beside the result.",
    ),
]
Rate = Annotated[
    str | None,
    _io(
        "--rate",
        metavar="FPS",
        help="Frame rate of image sequences: 25, 23.976, 24000/1001.  [default: 24]",
    ),
]
Scale = Annotated[
    int | None,
    _io(
        "--scale",
        metavar="2|3|4",
        min=2,
        max=4,
        help="Make the result so many times as large; detail comes from the reference.",
    ),
]
Size = Annotated[
    str | None,
    _io(
        "--size",
        metavar="WxH|1080p",
        help="Enlarge to that size; 1080p is of the shorter side.",
    ),
]
RefFit = Annotated[
    Literal["auto", "cover", "contain", "stretch"],
    _reference(
        "--ref-fit",
        metavar="auto|cover|contain|stretch",
        help="How a reference of another shape meets the frame; auto finds its place.",
    ),
]
Refs = Annotated[
    str | None,
    _reference(
        "--refs",
        metavar="FOLDER",
        help="References by the names of inputs: FOLDER/STEM.png, or all of FOLDER/STEM/, whose "
        "names may be frames (48.png) or times (12s.png).",
    ),
]
RefVideo = Annotated[
    str | None,
    _reference(
        "--ref-video",
        metavar="VIDEO",
        help="A clean video of the same moments, as the original of an edited one is.",
    ),
]
RefJoint = Annotated[
    bool,
    _reference(
        "--ref-joint",
        help="wan2.1 and videovae+ see up to 3 references at once, which they have not learned.",
    ),
]
Frames = Annotated[
    int | None, _range("--frames", metavar="N", min=1, help="At most so many frames.")
]
NoCutDetection = Annotated[
    bool, _range("--no-cut-detection", help="Take the whole input as one shot.")
]
NoMetadata = Annotated[
    bool,
    _encoding("--no-metadata", help="Leave out tags, chapters and the provenance line."),
]
Container = Annotated[
    Literal["matroska", "y4m"] | None,
    _io("--container", metavar="matroska|y4m", help="Of a result on standard output, with -o -."),
]
Hdr = Annotated[
    Literal["auto", "refuse", "passthrough"],
    _encoding(
        "--hdr",
        metavar="auto|refuse|passthrough",
        help="HDR video: stays HDR and the model sees it as SDR, not at all, or as it is coded.",
    ),
]
FailFast = Annotated[bool, _batch("--fail-fast", help="Stop a batch at its first failure.")]
NoResume = Annotated[
    bool, _batch("--no-resume", help="Begin anew, and keep nothing to go on with.")
]
DryRun = Annotated[bool, _batch("--dry-run", help="Print what would be done, and do nothing.")]
SkipExisting = Annotated[
    bool, _io("-n", "--skip-existing", help="Leave inputs out whose result is there and whole.")
]
Shard = Annotated[
    str | None,
    _batch(
        "--shard",
        metavar="I/N",
        help="Do only part I of N; auto takes both from SLURM's arrays, or RANK and WORLD_SIZE.",
    ),
]
Ray = Annotated[
    str | None,
    _batch("--ray", metavar="ADDRESS", help="Work on all devices of a Ray cluster; auto finds it."),
]
ProgressAs = Annotated[
    Literal["auto", "json"],
    _batch("--progress", metavar="auto|json", help="json: stderr has one JSON object a line."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRules:
    """Where results go, and how a batch takes existing ones and failures."""

    output: Annotated[
        str | None,
        _io(
            "-o",
            "--output",
            metavar="PATH",
            help="File, folder/, template, or - for stdout.  [default: {dir}/{stem}_refvid{ext}]",
        ),
    ] = None
    overwrite: Overwrite = False
    skip_existing: SkipExisting = False
    recursive: Annotated[
        bool, _io("-r", "--recursive", help="Look into folders below folders.")
    ] = False
    fail_fast: FailFast = False
    no_resume: NoResume = False
    dry_run: DryRun = False
    shard: Shard = None
    ray: Ray = None
    progress: ProgressAs = "auto"

    def __post_init__(self) -> None:
        if self.overwrite and self.skip_existing:
            raise OptionError("--overwrite and --skip-existing exclude each other")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What `enhance` conditions the decoder on, and how much that counts."""

    ref: Annotated[
        list[str] | None,
        _reference(
            "--ref",
            metavar="IMAGE[@FRAME|@TIME]|frame:N|time:T",
            help="A clean picture: an image file, with the place that it belongs to as in "
            "b.png@40 or b.png@12s, or a frame of the input itself; may be repeated.",
        ),
    ] = None
    refs: Refs = None
    ref_video: RefVideo = None
    mask: Annotated[
        str | None,
        _reference(
            "--mask",
            metavar="IMAGE|VIDEO",
            help="White where the input shows something else than --ref-video does."
            "  [default: found from the difference]",
        ),
    ] = None
    ref_joint: RefJoint = False
    ref_fit: RefFit = "auto"
    strength: Annotated[
        float, _reference("--strength", metavar="0..1", min=0, max=1, help=STRENGTH_HELP)
    ] = 1.0

    def parse(self) -> References:
        return parse_references(
            self.ref,
            self.refs,
            self.ref_fit,
            joint=self.ref_joint,
            video=self.ref_video,
            mask=self.mask,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Which part of a video."""

    start: Annotated[
        str | None,
        _range("--start", metavar="TIME", help="Begin here: 90, 1:30, 00:01:30.5, or frame 120f."),
    ] = None
    end: Annotated[str | None, _range("--end", metavar="TIME", help="Stop before this.")] = None
    frames: Frames = None
    preview: Annotated[
        str | None,
        _range("--preview", metavar="LENGTH", help="Only the first 5s, or 48f, from --start."),
    ] = None

    def parse(self) -> FrameRange:
        return parse_range(self.start, self.end, self.frames, self.preview)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Codec:
    codec: Annotated[
        str | None,
        _encoding(
            "-c",
            "--codec",
            metavar="NAME",
            help="h264, hevc, vp9, av1, prores, ffv1, png or an FFmpeg encoder."
            "  [default: like the input]",
        ),
    ] = None
    crf: Annotated[
        float | None,
        _encoding(
            "--crf", metavar="N", min=0, max=63, help="Quality: smaller is better and bigger."
        ),
    ] = None
    pix_fmt: Annotated[
        str | None,
        _encoding(
            "--pix-fmt", metavar="NAME", help="FFmpeg pixel format.  [default: like the input]"
        ),
    ] = None
    encoder_option: Annotated[
        list[str] | None,
        _encoding(
            "-e",
            "--encoder-option",
            metavar="KEY=VALUE",
            help="For the encoder, e.g. preset=slow; may be repeated.",
        ),
    ] = None

    provenance: Annotated[
        Literal["auto", "none"],
        _encoding(
            "--provenance",
            metavar="auto|none",
            help="Whether the result says how it was made: a comment and the IPTC's source type.",
        ),
    ] = "auto"
    c2pa_cert: Annotated[
        Path | None,
        _encoding(
            "--c2pa-cert",
            metavar="FILE",
            help="Sign the result (mp4, mov) with this certificate chain, PEM.",
        ),
    ] = None
    c2pa_key: Annotated[
        Path | None, _encoding("--c2pa-key", metavar="FILE", help="Its private key, PEM.")
    ] = None
    c2pa_alg: Annotated[
        str,
        _encoding(
            "--c2pa-alg", metavar="NAME", help="Of the key: es256, es384, es512, ps256, ed25519."
        ),
    ] = "es256"

    def parse(self) -> EncodingValue:
        from refvid.media.credentials import make_credentials
        from refvid.media.encoding import Encoding

        values = values_of(self)
        values["credentials"] = make_credentials(
            values.pop("c2pa_cert"), values.pop("c2pa_key"), values.pop("c2pa_alg")
        )
        values["encoder_options"] = parse_encoder_options(values.pop("encoder_option") or [])
        values["metadata"] = not values.pop("no_metadata")
        return Encoding(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureEncoding(_Codec):
    """How a result without other tracks is written."""

    no_metadata: NoMetadata = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding(_Codec):
    """How a result is written; None follows the input."""

    audio: Annotated[
        Literal["auto", "copy", "none"],
        _encoding(
            "--audio",
            metavar="auto|copy|none",
            help="Sound tracks; auto encodes anew what the container cannot hold as it is.",
        ),
    ] = "auto"
    subtitles: Annotated[
        Literal["copy", "none"],
        _encoding("--subs", metavar="copy|none", help="Subtitles."),
    ] = "copy"
    no_metadata: NoMetadata = False
