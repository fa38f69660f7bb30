"""Files of another kind than a command takes or writes, told before any model is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from refvid.errors import InputError

if TYPE_CHECKING:
    from refvid.media.encoding import Encoding


def check_result(output: str | None, encoding: Encoding) -> None:
    """Refuse what no input makes possible.

    Args:
        output: As given: a file, a folder or a template.
        encoding: How results are written.

    Raises:
        OutputError: Unknown container or encoder.
        OptionError: The encoder takes no such crf.
    """
    from refvid.media.encoders import check_codec
    from refvid.media.naming import names_folder
    from refvid.media.output_plan import check_suffix

    suffix = Path(output or "").suffix
    if output and suffix and "}" not in suffix and not names_folder(output):
        check_suffix(Path(output))
    check_codec(encoding)


def check_video(path: Path) -> None:
    """Raise `InputError` where there is nothing to read, or no pictures."""
    from refvid.latents.containers import holds_tensors
    from refvid.media.inputs import check_source

    check_source(path)
    if holds_tensors(path):
        raise InputError(
            f"{path} holds tensors, not pictures: refvid decode makes videos of latents"
        )


def check_tokens(path: Path) -> None:
    """Raise `InputError` where there is no file, or one of pictures."""
    from refvid.latents.containers import holds_tensors
    from refvid.media.inputs import check_file

    check_file(path)
    if not holds_tensors(path):
        raise InputError(
            f"{path} holds no tokens: refvid tokenize makes them of videos, refvid detokenize "
            "turns them back"
        )


def check_latents(path: Path) -> None:
    """Raise `InputError` where there is no file, or one of pictures."""
    from refvid.latents.containers import sniff_container
    from refvid.media.container import is_moving
    from refvid.media.file_kind import is_picture
    from refvid.media.inputs import check_file

    check_file(path)
    if sniff_container(path) is not None:
        return
    if is_picture(path):
        raise InputError(
            f"{path} is a picture, not latents: a picture to decode with is given with --ref"
        )
    if is_moving(path):
        raise InputError(
            f"{path} is a video, not latents: refvid enhance rebuilds videos, refvid encode makes "
            "latents of them"
        )
