"""Latents: made of videos, and turned into videos."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from refvid.api.keywords import (
    File,
    Position,
    Provenance,
    Rate,
    check_job,
    make_encoding,
    make_signer,
)
from refvid.api.models import use_model
from refvid.progress import ProgressCallback, ignore_progress
from refvid.time_words import parse_range, parse_rate
from refvid.words import parse_latent_references

if TYPE_CHECKING:
    from refvid.latents.wishes import Layout, Scale
    from refvid.rebuild.choose_backbone import LoadedBackbone
    from refvid.rebuild.options import Hdr
    from refvid.rebuild.plan import Report
    from refvid.rebuild.reference_options import ReferenceFit


def decode(
    source: File,
    output: File,
    *,
    ref: File | Iterable[File] | None = None,
    refs: File | None = None,
    ref_video: File | None = None,
    mask: File | None = None,
    ref_joint: bool = False,
    ref_fit: ReferenceFit = "auto",
    baseline: bool = False,
    key: str | None = None,
    layout: Layout | None = None,
    latent_scale: Scale | None = None,
    drop_latents: int = 0,
    item: int | None = None,
    fps: Rate | None = None,
    model: File | LoadedBackbone = "auto",
    codec: str | None = None,
    crf: float | None = None,
    pix_fmt: str | None = None,
    encoder_options: Mapping[str, object] | None = None,
    metadata: bool = True,
    provenance: Provenance = "auto",
    c2pa_cert: File | None = None,
    c2pa_key: File | None = None,
    c2pa_alg: str = "es256",
    overwrite: bool = False,
    resume: bool = True,
    on_progress: ProgressCallback = ignore_progress,
) -> Report:
    """Decode latents that a diffusion pipeline saved, with a reference image.

    Args:
        source: A file of latents: .safetensors, .latent, .pt, .npy or .npz.
        output: See `enhance`, as for the others, and for what is returned and raised.
        ref: An image file, or one with its place as `b.png@40` or `b.png@2.5s`; or several.
        refs: A folder with images, see `enhance`; also by the name that is stored in the file.
        ref_video: A clean video of the same moments: frames of each chunk's time are references.
        mask: A picture or video, white where nothing of that video counts.
        baseline: The plain decoder without the reference attention, to compare with.
        key: Which tensor of the file; like the next two, None is what the file tells.
        layout: Order of its axes.
        latent_scale: Pipelines save normalized latents, ComfyUI's SaveLatent raw ones.
        drop_latents: Leave out the first so many, such as the reference latents of VACE.
        item: Which of several videos in one tensor, from 0.
        fps: Frame rate; None is the file's, else 16.
        model: auto is the one that the latents are made for.
    """
    from refvid.latents.wishes import LatentWishes
    from refvid.rebuild.latents_options import DecodeOptions

    references = parse_latent_references(
        ref, refs, ref_fit, baseline=baseline, joint=ref_joint, video=ref_video, mask=mask
    )
    options = DecodeOptions(
        wishes=LatentWishes(
            key=key, layout=layout, scale=latent_scale, item=item, drop=drop_latents
        ),
        frame_rate=parse_rate(fps, "--fps"),
        overwrite=overwrite,
        resume=resume,
        encoding=make_encoding(
            codec,
            crf,
            pix_fmt,
            encoder_options,
            metadata,
            provenance=provenance,
            credentials=make_signer(c2pa_cert, c2pa_key, c2pa_alg),
        ),
    )
    job = check_job(source, output, overwrite=overwrite)
    from refvid.rebuild import decode as work

    loaded = use_model(model, latents=job.source, attention=not baseline)
    return work.decode(job, references, options, loaded, on_progress)


def encode(
    source: File,
    output: File,
    *,
    start: Position | None = None,
    end: Position | None = None,
    frames: int | None = None,
    preview: Position | None = None,
    model: File | LoadedBackbone = "auto",
    hdr: Hdr = "auto",
    rate: Rate | None = None,
    overwrite: bool = False,
    resume: bool = True,
    on_progress: ProgressCallback = ignore_progress,
) -> Report:
    """Encode a video to latents, which `decode` turns back.

    Args:
        source: See `enhance`, as for the others, and for what is returned and raised.
        output: A .safetensors file. It holds one tensor, `latents`, raw and float32,
            [1, channels, time, height, width].
    """
    from refvid.rebuild.options import SourceOptions

    options = SourceOptions(
        range=parse_range(start, end, frames, preview),
        hdr=hdr,
        sequence_rate=parse_rate(rate),
        overwrite=overwrite,
        resume=resume,
    )
    job = check_job(source, output, overwrite=overwrite)
    from refvid.rebuild import encode as work

    return work.encode(job, options, use_model(model, attention=False), on_progress)
