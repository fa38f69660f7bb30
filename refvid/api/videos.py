"""Videos that come back in another look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from refvid.api.keywords import (
    File,
    Position,
    Provenance,
    Rate,
    Sound,
    Tracks,
    check_job,
    make_encoding,
    make_signer,
)
from refvid.api.models import use_model
from refvid.models.registry import MINI_STYLE
from refvid.progress import ProgressCallback, ignore_progress
from refvid.time_words import parse_range, parse_rate
from refvid.words import parse_enlargement, parse_keyframe, parse_references, parse_style

if TYPE_CHECKING:
    from refvid.rebuild.choose_backbone import LoadedBackbone
    from refvid.rebuild.options import Hdr
    from refvid.rebuild.plan import Report
    from refvid.rebuild.reference_options import ReferenceFit


def enhance(
    source: File,
    output: File,
    *,
    ref: File | Iterable[File] | None = None,
    refs: File | None = None,
    ref_video: File | None = None,
    mask: File | None = None,
    ref_joint: bool = False,
    ref_fit: ReferenceFit = "auto",
    strength: float = 1.0,
    start: Position | None = None,
    end: Position | None = None,
    frames: int | None = None,
    preview: Position | None = None,
    cut_detection: bool = True,
    scale: int | None = None,
    size: str | None = None,
    model: File | LoadedBackbone = "auto",
    codec: str | None = None,
    crf: float | None = None,
    pix_fmt: str | None = None,
    encoder_options: Mapping[str, object] | None = None,
    audio: Sound = "auto",
    subs: Tracks = "copy",
    metadata: bool = True,
    provenance: Provenance = "auto",
    c2pa_cert: File | None = None,
    c2pa_key: File | None = None,
    c2pa_alg: str = "es256",
    hdr: Hdr = "auto",
    rate: Rate | None = None,
    overwrite: bool = False,
    resume: bool = True,
    on_progress: ProgressCallback = ignore_progress,
) -> Report:
    """Rebuild a video's lost details with a picture of the scene.

    The result keeps size (but for `scale` and `size`), frame times, sound, subtitles, chapters,
    colours and rotation.

    Args:
        source: A video, an image, a folder of images, or a pattern such as `shot_%04d.png`.
        output: A file whose suffix names the container, or a pattern for images.
        ref: An image file, or one with its place as `b.png@40` or `b.png@12s`, or a frame of the
            source as `frame:N` or `time:T`; or several of them.
        refs: A folder with an image of the source's name, or with a folder of that name with
            images, whose names may be frames or times; or with images for this source alone.
        ref_video: A clean video of the same moments, as the original of an edited one is.
        mask: A picture or video, white where the source shows something else than that one; None
            finds it from the difference.
        ref_joint: wan2.1 and videovae+ see up to 3 references at once, which they have not learned.
        ref_fit: How a reference of another shape meets the frame; auto finds its place.
        strength: 0 gives the source back, 1 the full result, 0.5 half of each.
        start: Begin here: seconds, or words as `1:30` or `90f` (frame 90).
        end: Stop before this, likewise.
        frames: At most so many.
        preview: Only so long, likewise, from `start` on; excludes `end` and `frames`.
        cut_detection: Begin anew at shot cuts.
        scale: Make the result 2, 3 or 4 times as large.
        size: Enlarge to `1920x1080`, or to `1080p` for the shorter side; excludes `scale`.
        model: What `load_model` gave, or a name or path to load for this call.
        codec: h264, hevc, vp9, av1, prores, ffv1, png or an FFmpeg encoder; None: as the source.
        crf: Quality: smaller is better and bigger.
        pix_fmt: FFmpeg pixel format; None: as the source.
        encoder_options: For the encoder, e.g. `{"preset": "slow"}`.
        audio: Whether sound is kept; `copy` fails where the container cannot hold it as it is.
        subs: Whether subtitles are.
        metadata: Keep tags and chapters, and write the provenance.
        provenance: `none` leaves out the lines about how it was made.
        c2pa_cert: Certificate chain (PEM) to sign an mp4 or mov with.
        c2pa_key: Its private key (PEM).
        c2pa_alg: Of the key.
        hdr: HDR video is seen by the model as SDR and stays HDR (`auto`), is refused, or goes in
            as it is coded (`passthrough`).
        rate: Frames per second of image sequences, as `25` or `30000/1001`; None is 24.
        overwrite: Replace an existing output.
        resume: Go on with what an interrupted call of the same work has left beside the output.
        on_progress: Told how many frames are done; not always in the calling thread, but never in
            two at once.

    Returns:
        A `refvid.rebuild.plan.Report`: what was done and found, and the `plan` that was followed.

    Raises:
        InputError: Source or reference is missing, damaged, or HDR and not allowed.
        OutputError: The output exists, or cannot be written there or like that.
        OptionError: Options are impossible, or do not fit each other or the source.
        CheckpointError: The weights are missing or do not fit.
        DeviceError: There is no such device, or not enough memory (`OutOfMemory`).
    """
    from refvid.rebuild.options import RebuildOptions

    references = parse_references(
        ref, refs, ref_fit, joint=ref_joint, video=ref_video, mask=mask
    ).of(Path(source))
    options = RebuildOptions(
        range=parse_range(start, end, frames, preview),
        strength=strength,
        cut_detection=cut_detection,
        enlargement=parse_enlargement(scale, size),
        hdr=hdr,
        sequence_rate=parse_rate(rate),
        overwrite=overwrite,
        resume=resume,
        encoding=make_encoding(
            codec,
            crf,
            pix_fmt,
            encoder_options,
            metadata,
            audio,
            subs,
            provenance=provenance,
            credentials=make_signer(c2pa_cert, c2pa_key, c2pa_alg),
        ),
    )
    job = check_job(source, output, overwrite=overwrite, images=references.images)
    from refvid.rebuild import enhance as work

    loaded = use_model(model, strength=strength)
    return work.enhance(job, references, options, loaded, on_progress)


def stylize(
    source: File,
    output: File,
    *,
    style: File | Iterable[File] = (),
    keyframe: str | Iterable[str] = (),
    style_scale: float = 1.0,
    structure: float = 0.5,
    preserve_color: bool = False,
    strength: float = 1.0,
    start: Position | None = None,
    end: Position | None = None,
    frames: int | None = None,
    preview: Position | None = None,
    cut_detection: bool = True,
    scale: int | None = None,
    size: str | None = None,
    model: File | LoadedBackbone = MINI_STYLE,
    codec: str | None = None,
    crf: float | None = None,
    pix_fmt: str | None = None,
    encoder_options: Mapping[str, object] | None = None,
    audio: Sound = "auto",
    subs: Tracks = "copy",
    metadata: bool = True,
    provenance: Provenance = "auto",
    c2pa_cert: File | None = None,
    c2pa_key: File | None = None,
    c2pa_alg: str = "es256",
    hdr: Hdr = "auto",
    rate: Rate | None = None,
    overwrite: bool = False,
    resume: bool = True,
    on_progress: ProgressCallback = ignore_progress,
) -> Report:
    """Restyle a video after one painting, or several. Nothing is random.

    Args:
        style: Paintings, as `art.jpg` or with a weight as `art.jpg:2`.
        keyframe: Frames of the source that you have painted, as `k.png@0` or `k.png@1.5s`.
        style_scale: Size of the strokes, 0.25 to 4; 1 takes the painting as large as the frame.
        structure: How much of the frame stays, 0 to 1.
        preserve_color: Keep the source's colours; only lightness changes.
        source: See `enhance`, as for the others, and for what is returned and raised.
    """
    from refvid.rebuild.options import RebuildOptions, Styles

    styles = Styles(
        styles=tuple(parse_style(word) for word in _several(style)),
        keyframes=tuple(parse_keyframe(str(word)) for word in _several(keyframe)),
        style_scale=style_scale,
        structure=structure,
        preserve_color=preserve_color,
    )
    options = RebuildOptions(
        range=parse_range(start, end, frames, preview),
        strength=strength,
        cut_detection=cut_detection,
        enlargement=parse_enlargement(scale, size),
        hdr=hdr,
        sequence_rate=parse_rate(rate),
        overwrite=overwrite,
        resume=resume,
        encoding=make_encoding(
            codec,
            crf,
            pix_fmt,
            encoder_options,
            metadata,
            audio,
            subs,
            provenance=provenance,
            credentials=make_signer(c2pa_cert, c2pa_key, c2pa_alg),
        ),
    )
    job = check_job(source, output, overwrite=overwrite, images=styles.images)
    from refvid.rebuild import stylize as work

    loaded = use_model(model, "style", strength=strength)
    return work.stylize(job, styles, options, loaded, on_progress)


def _several(files: File | Iterable[File]) -> list[File]:
    return [files] if isinstance(files, str | Path) else list(files)
