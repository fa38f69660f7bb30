"""`refvid enhance`: rebuild a video's lost details with a reference image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from refvid.inference.reference import prepare_reference
from refvid.media.encoding import Encoding as EncodingOptions
from refvid.media.image import fit_image, read_image
from refvid.media.reader import read_frame
from refvid.media.video_info import VideoInfo
from refvid.workflows.choose_model import LoadedBackbone, choose_backbone
from refvid.workflows.enhance_options import EnhanceOptions, ReferenceFit, ReferenceSource
from refvid.workflows.progress import ProgressCallback, ignore_progress
from refvid.workflows.rebuild import rebuild
from refvid.workflows.rebuild_options import FrameRange, ModelOptions
from refvid.workflows.rebuild_plan import (
    Conditions,
    RebuildPlan,
    RebuildReport,
    check_frame_exists,
    prepare,
)

__all__ = [
    "EncodingOptions",
    "EnhanceOptions",
    "FrameRange",
    "LoadedBackbone",
    "ModelOptions",
    "RebuildPlan",
    "RebuildReport",
    "ReferenceFit",
    "ReferenceSource",
    "choose_backbone",
    "enhance",
    "plan_enhance",
]


def plan_enhance(options: EnhanceOptions, loaded: LoadedBackbone) -> RebuildPlan:
    """Tell what `enhance` would do, and raise what it would raise before its first frame."""
    return prepare(options, _Reference(options), loaded).plan


def enhance(
    options: EnhanceOptions,
    loaded: LoadedBackbone,
    on_progress: ProgressCallback = ignore_progress,
) -> RebuildReport:
    """Rebuild one video with its reference; see `rebuild` for what is raised."""
    return rebuild(options, _Reference(options), loaded, on_progress)


@dataclass(frozen=True, slots=True)
class _Reference:
    """`Conditioning` on a picture of the scene, or on nothing."""

    options: EnhanceOptions

    @property
    def files(self) -> Sequence[Path]:
        source = self.options.reference
        return () if source is None or source.image is None else (source.image,)

    def describe(self) -> str:
        source = self.options.reference
        return "none" if source is None else source.describe()

    def provenance(self) -> str:
        names = [path.name for path in self.files]
        return f"reference {names[0] if names else self.describe()}"

    def check(self, info: VideoInfo) -> Sequence[str]:
        source = self.options.reference
        if source is not None and source.image is not None:
            read_image(source.image)
        elif source is not None and source.frame is not None:
            check_frame_exists(info, source.frame, "the reference")
        return ()

    def prepare(self, info: VideoInfo, loaded: LoadedBackbone) -> Conditions:
        source = self.options.reference
        if source is None:
            return Conditions()
        if source.image is not None:
            pixels = read_image(source.image)
        else:
            pixels = read_frame(
                self.options.source,
                index=source.frame,
                time=source.time,
                rate=self.options.sequence_rate,
            ).pixels
        fitted = fit_image(pixels, *info.size, self.options.reference_fit)
        return Conditions(reference=prepare_reference(loaded.backbone, fitted, loaded.device))
