"""What stands where a file of tokens would go, for `--skip-existing`. Imports no torch."""

from __future__ import annotations

from refvid.errors import InputError
from refvid.media.inputs import Job
from refvid.media.outputs import output_exists
from refvid.media.video_info import read_video_info
from refvid.rebuild.existing import Existing
from refvid.rebuild.tokens_options import TokenizeOptions
from refvid.tokens.read import is_token_file, open_tokens


def find_tokens(job: Job, options: TokenizeOptions, model: str | None) -> Existing | None:
    """Look at what stands there; None where there is nothing.

    Args:
        job: The job.
        options: Which part of the source is asked for.
        model: By which tokenizer it would be made; None where any will do.
    """
    output = job.output
    if not output_exists(output):
        return None
    try:
        info = job.info or read_video_info(job.source, rate=options.sequence_rate)
    except InputError:
        return Existing(remark="exists; its input cannot be read, to compare")
    is_ours = is_token_file(output)
    try:
        facts = open_tokens(output).facts
    except InputError as error:
        return Existing(problem=f"{output} cannot be read ({error})", is_ours=is_ours)
    problem = None
    wanted = options.range.count_frames(info.frame_count, info.frame_rate)
    if wanted is not None and info.frame_count_is_exact and facts.frames < wanted:
        problem = f"{output} has {facts.frames} of {wanted} frames"
    elif model not in (None, facts.tokenizer):
        problem = f"{output} holds tokens of {facts.tokenizer[:80]}"
    return Existing(problem=problem, is_ours=True)
