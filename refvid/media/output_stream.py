"""The video stream of a planned output: opened in its container, and tried beforehand in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from av.container import OutputContainer
from av.video.stream import VideoStream

from refvid.errors import OptionError
from refvid.media.encoder_log import encoder_log
from refvid.media.side_data import FIELD_ORDERS
from refvid.media.trial_header import header_error

if TYPE_CHECKING:
    from refvid.media.output_plan import OutputPlan

# Below, libx265 writes outside its buffers (seen at 48x32, 48x48 and 40x64) and takes the whole
# process down.
_SMALLEST_FOR_X265: Final = 64
_FRAME_DURATION_FLAG: Final = 1 << 8  # AV_CODEC_FLAG_FRAME_DURATION
_INTERLACED_FLAGS: Final = (1 << 18) | (1 << 29)  # AV_CODEC_FLAG_INTERLACED_DCT, INTERLACED_ME


def add_video_stream(container: OutputContainer, plan: OutputPlan) -> VideoStream:
    """Add the planned video stream to a container and open its encoder.

    Raises:
        OptionError: An option that the encoder does not know.
        av.FFmpegError, ValueError: The encoder or container refuses.
    """
    stream = container.add_stream(
        plan.encoder,
        rate=plan.frame_rate,
        options=plan.options,
        width=plan.width,
        height=plan.height,
        time_base=plan.time_base,
    )
    assert isinstance(stream, VideoStream)
    context = stream.codec_context
    context.pix_fmt = plan.pix_fmt
    context.sample_aspect_ratio = plan.sample_aspect_ratio
    context.color_range = plan.color.range
    context.colorspace = plan.color.matrix
    context.color_primaries = plan.color.primaries
    context.color_trc = plan.color.transfer
    # Without it the last frame's duration, and every one of a variable rate, is lost.
    context.flags |= _FRAME_DURATION_FLAG
    if not plan.allows_b_frames:
        context.max_b_frames = 0
    if plan.fields is not None:
        context.flags |= _INTERLACED_FLAGS
        context.field_order = FIELD_ORDERS[plan.fields]
    if context.codec.canonical_name == "hevc" and plan.container in ("mp4", "mov"):
        context.codec_tag = "hvc1"  # Apple's players know HEVC by this tag only
    context.open()
    unknown = set(context.options) & set(plan.options)
    if unknown:
        names = ", ".join(sorted(unknown))
        raise OptionError(f"The encoder {plan.encoder} has no option {names}.")
    return stream


def tried(plan: OutputPlan) -> tuple[OutputPlan, str | None]:
    """Try a plan; where the encoder does not interlace such frames, without that."""
    if plan.fields is not None:
        if _try(plan) is None:
            return plan, None
        plan = replace(plan, fields=None)
    return plan, _try(plan)


def _try(plan: OutputPlan) -> str | None:
    """Open the encoder and write a header in memory.

    Returns:
        Why that is impossible; None: it works.

    Raises:
        OptionError: An option that the encoder does not know.
    """
    if plan.encoder == "libx265" and min(plan.width, plan.height) < _SMALLEST_FOR_X265:
        return f"libx265 is not safe for {plan.width}x{plan.height}"
    with encoder_log() as log:
        error = header_error(
            plan.container, lambda scratch: add_video_stream(scratch, plan), plan.muxer_options
        )
    if error is None:
        return None
    return log.reason or getattr(error, "strerror", None) or str(error)
