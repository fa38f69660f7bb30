"""`refvid enhance`: rebuild a video's lost details with a reference image."""

from __future__ import annotations

from refvid.media.inputs import Job
from refvid.progress import ProgressCallback, ignore_progress
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.options import RebuildOptions
from refvid.rebuild.parts import MakeParts, PartMaker
from refvid.rebuild.plan import Plan, Report
from refvid.rebuild.reference_options import References
from refvid.rebuild.references import SceneReferences
from refvid.rebuild.trial import Trial
from refvid.rebuild.video import begin_parts, plan_rebuild, rebuild


def plan_enhance(
    job: Job,
    references: References,
    options: RebuildOptions,
    loaded: LoadedBackbone,
    trial: Trial | None = None,
) -> Plan:
    """Tell what `enhance` would do, and raise what it would raise before its first frame.

    With a trial it also tells how long that would take.
    """
    return plan_rebuild(job, SceneReferences(references.of(job.source)), options, loaded, trial)


def enhance(
    job: Job,
    references: References,
    options: RebuildOptions,
    loaded: LoadedBackbone,
    on_progress: ProgressCallback = ignore_progress,
    make_parts: MakeParts | None = None,
) -> Report:
    """Rebuild one video with its reference; see `rebuild` for what is raised."""
    conditioning = SceneReferences(references.of(job.source))
    return rebuild(job, conditioning, options, loaded, on_progress, make_parts)


def enhance_parts(
    job: Job, references: References, options: RebuildOptions, loaded: LoadedBackbone
) -> PartMaker:
    """Get ready to rebuild parts of one video, for the `make_parts` of `enhance`."""
    return begin_parts(job, SceneReferences(references.of(job.source)), options, loaded)
