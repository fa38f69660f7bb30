"""What people write out of habit or by mistake, told before a command begins."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from refvid.errors import OptionError

_HOME = re.compile(r"(--[a-z-]+=)?(~(?:[^/\\]*[/\\].*)?)", re.DOTALL)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://.*", re.DOTALL | re.IGNORECASE)

_LARGER = "a larger result is asked for with --scale 2 or --size 1080p"
_KEEPS_SIZE = "the result has the size that the latents have: scale it afterwards"
_NO_OPTION = "inputs are given without an option, as in refvid {command} clip.mp4"
_PICTURE = "the clean picture is given with --ref IMAGE"
_PAINTING = "the painting is given with --style IMAGE"
_PAINTED = "a video of your own painting is given frame by frame, with --keyframe IMAGE@FRAME"
_CLEAN = "the clean video is given with --reference FILE"
_DEVICE = "write --device cpu or --device cuda"
_DTYPE = "write --dtype fp16, bf16 or fp32"

_HABITS: Mapping[str, Mapping[str | None, str]] = MappingProxyType(
    {
        "-i": {None: _NO_OPTION},
        "--input": {None: _NO_OPTION},
        "--reference": {"--ref": _PICTURE, "--style": _PAINTING},
        "--refs": {"--ref": _PICTURE, "--style": _PAINTING},
        "--ref": {"--style": _PAINTING, "--reference": _CLEAN},
        "--ref-video": {"--style": _PAINTED},
        "--image": {"--ref": _PICTURE, "--style": _PAINTING},
        "-s": {"--start": "a part is given with --start TIME and --end TIME"},
        "-t": {"--preview": "the first 5 seconds are given with --preview 5s"},
        "--duration": {"--preview": "the first 5 seconds are given with --preview 5s"},
        "--size": {"--latent-scale": _KEEPS_SIZE},
        "--scale": {"--latent-scale": _KEEPS_SIZE},
        "--resize": {"--scale": _LARGER},
        "--resolution": {"--scale": _LARGER},
        "--upscale": {"--scale": _LARGER},
        "--width": {"--scale": _LARGER},
        "--height": {"--scale": _LARGER},
        "--fps": {"--rate": "a video keeps its times; --rate FPS is for image sequences"},
        "--quality": {"--crf": "quality is given with --crf N: smaller is better"},
        "--bitrate": {"--crf": "quality is given with --crf N, a rate with -e b=RATE"},
        "--gpu": {"--device": _DEVICE},
        "--cuda": {"--device": _DEVICE},
        "--cpu": {"--device": _DEVICE},
        "--fp16": {"--dtype": _DTYPE},
        "--half": {"--dtype": _DTYPE},
        "--force": {"--overwrite": "-y, --overwrite replaces existing results"},
        "--yes": {"--overwrite": "-y, --overwrite replaces existing results"},
    }
)
"""Options of other programs and commands: what to say where a command has another one for it."""


_PIPES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "": frozenset({"enhance", "stylize", "decode", "encode"}),
        "--output": frozenset({"enhance", "stylize", "decode"}),
    }
)
"""Commands that take `-` as an input, and as the output."""


def expand_home(word: str) -> str:
    """Put the home folder in place of `~`, as shells do outside of quotes, and not after `=`."""
    match = _HOME.fullmatch(word)
    if match is None or os.path.lexists(word):
        return word
    return (match[1] or "") + os.path.expanduser(match[2])  # noqa: PTH111 -- text stays as it is


def habit(unknown: str, command: str, known: Sequence[str]) -> str | None:
    """What to write in place of an option that a command does not know; None: no idea.

    Args:
        unknown: The option as written.
        command: Name of the command.
        known: All options of the command.
    """
    for instead, sentence in _HABITS.get(unknown, {}).items():
        if instead is None or instead in known:
            return sentence.format(command=command)
    return None


def refuse_single_dash(words: Sequence[str], known: Sequence[str]) -> None:
    """Refuse `-crf 18`, which means `-c rf`, in place of `--crf 18`.

    Raises:
        OptionError: A word is a long option but for a dash.
    """
    for word in words:
        if word == "--":
            return
        option = f"-{word.partition('=')[0]}"
        if word[:1] == "-" and word[:2] != "--" and len(option) > 3 and option in known:
            raise OptionError(f"{word}: long options have two dashes: write {option}")


# Any: Typer keeps the types of parameters to itself.
def refuse_slips(
    command: str, values: Mapping[str, Any], order: Sequence[Any], parameters: Sequence[Any]
) -> None:
    """Refuse what would be taken for something else than it was meant.

    Args:
        command: Its name.
        values: What was written for each parameter, by name.
        order: Parameters as often as they were written.
        parameters: Of the command.

    Raises:
        OptionError: An option that counts once is given twice, or a word is empty, which would be
            the folder where the program runs, or an address stands where a file should, or a `-`
            that is no pipe.
    """
    for parameter, times in Counter(order).items():
        if times > 1 and not getattr(parameter, "multiple", False) and _takes_value(parameter):
            raise OptionError(f"{_name(parameter)} is given {_times(times)}: give it once")
    for parameter in parameters:
        for word in _words(values.get(parameter.name)):
            if not word:
                what = _name(parameter) if parameter.param_type_name == "option" else "an argument"
                raise OptionError(
                    f"{what} is empty, as where a variable of a script is not set: give a value, "
                    "or leave it out"
                )
            refuse_no_file(word, parameter, command)


def refuse_no_file(word: str, parameter: Any, command: str = "") -> None:
    """Refuse an address or `-` where a file should stand.

    Args:
        word: As written.
        parameter: Of the command.
        command: Its name, where it may read and write pipes.

    Raises:
        OptionError: The word is one of these.
    """
    name = f"{_name(parameter)} " if parameter.param_type_name == "option" else ""
    if word == "-" and command in _PIPES.get(name.strip(), ()):
        return
    if word == "-":
        what = "written to standard output" if name.strip() == "--output" else "read from a pipe"
        raise OptionError(f"{name}-: nothing is {what}; give a file (one named - is ./-)")
    if _ADDRESS.fullmatch(word) is None or os.path.lexists(word):
        return
    if word.lower().startswith("file://"):
        from urllib.parse import unquote, urlsplit

        raise OptionError(f"{name}{word}: give the path alone: {unquote(urlsplit(word).path)}")
    raise OptionError(
        f"{name}{word}: refvid reads files, not addresses; download it first, then give the file"
    )


def _takes_value(parameter: Any) -> bool:
    is_option = parameter.param_type_name == "option"
    return is_option and not parameter.is_flag and not parameter.count


def _name(parameter: Any) -> str:
    return str(max(parameter.opts, key=len))


def _times(times: int) -> str:
    return "twice" if times == 2 else f"{times} times"


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        yield from (word for word in value if isinstance(word, str))
