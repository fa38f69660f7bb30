"""The kinds of work that the page offers, and how a piece of it is made of what was chosen."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any, Final

from refvid import api
from refvid.errors import InputError
from refvid.media.inputs import PREVIEW_MARK, result_mark
from refvid.media.video_info import VideoInfo
from refvid.models.registry import MINI_STYLE
from refvid.page.files import name_result
from refvid.page.jobs import Job, Jobs
from refvid.page.options import Option
from refvid.progress import TransferCallback
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.choose_decoder import name_decoder
from refvid.rebuild.options import ModelOptions
from refvid.time_words import parse_position, parse_rate

PREVIEW_S: Final = 2

_OF_MODELS: Final = frozenset(signature(api.load_model).parameters) - {"on_transfer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A kind of work."""

    name: str
    run: Callable[..., Any]
    pictures: Mapping[str, str]
    """Keywords of `run` that take pictures, and what these are called."""

    options: tuple[Option, ...]
    reads_video: bool = True
    mark: str = ""
    """What results are called after, in place of refvid."""


class Models:
    """Loads models, and keeps the last one: the next job often wants the same."""

    def __init__(self) -> None:
        self._key: Hashable = None
        self._loaded: LoadedBackbone | None = None

    def load(self, wanted: Mapping[str, Any], on_transfer: TransferCallback) -> LoadedBackbone:
        """Load the model of these keywords of `load_model`."""
        key = tuple(sorted(wanted.items()))
        if self._loaded is None or key != self._key:
            self._loaded = None  # two might not fit into memory
            self._loaded = api.load_model(**wanted, on_transfer=on_transfer)
            self._key = key
        return self._loaded


def queue_work(
    jobs: Jobs,
    models: Models,
    task: Task,
    source: Path,
    root: Path,
    chosen: Mapping[str, Any],
    *,
    is_preview: bool,
    as_video: bool = False,
) -> Job:
    """Put a piece of work into the queue.

    Args:
        jobs: The queue.
        models: Where its model comes from.
        task: What is done.
        source: With that.
        root: Where the result goes.
        chosen: Keywords of the library.
        is_preview: Only the first seconds.
        as_video: Images become a video; else they stay images, in a folder of their own.

    Raises:
        InputError: The source is damaged, or of another kind.
        OptionError: Words make no sense.
    """
    info = look_at(task, source)
    keywords = dict(chosen)
    rate = parse_rate(keywords.get("rate"))
    begins = None
    if isinstance(info, VideoInfo):
        begins = parse_position(keywords.get("start", 0), "--start")
        if is_preview:
            keywords.pop("end", None)
            keywords.pop("frames", None)
            keywords["preview"] = _preview_length(begins if "start" in keywords else None, info)
    of_model = {name: keywords.pop(name) for name in _OF_MODELS & keywords.keys()}

    def work(job: Job) -> Any:
        if keywords.get("strength") != 0:  # the input as it is needs no model
            wanted = {**of_model, "model": _name_model(task, source, of_model.get("model"))}
            keywords["model"] = models.load(wanted, job.tell)
        with _folder_for(job.output, root):
            # Nothing is left to go on with: the page has no way to say so.
            return task.run(source, job.output, resume=False, on_progress=job.tell, **keywords)

    mark = result_mark(task.mark) + PREVIEW_MARK * is_preview
    return jobs.add(
        lambda is_taken: name_result(
            source,
            mark,
            root,
            info=info if isinstance(info, VideoInfo) else None,
            codec=keywords.get("codec"),
            is_taken=is_taken,
            as_video=as_video,
        ),
        title=f"{task.name} {source.name}",
        source=source,
        begins=begins,
        rate=rate,
        work=work,
    )


def look_at(task: Task, source: Path) -> Any:
    """What is in a file that a task is to work on, as `refvid.info` tells.

    Raises:
        InputError: It is damaged, or of another kind.
    """
    info = api.info(source)
    if task.reads_video and not isinstance(info, VideoInfo):
        raise InputError(
            f"{source.name} holds tensors, no pictures: Decode makes videos of latents."
        )
    if not task.reads_video and not hasattr(info, "backbone"):
        raise InputError(f"{source.name} holds no latents: Enhance and Stylize take videos.")
    return info


@contextmanager
def _folder_for(output: Path, root: Path) -> Iterator[None]:
    """Make the folder of a result that has one of its own, and remove it where nothing came."""
    if output.parent == root:
        yield
        return
    output.parent.mkdir()
    try:
        yield
    finally:
        with suppress(OSError):  # there is something in it
            output.parent.rmdir()


def _name_model(task: Task, source: Path, asked: str | None) -> str:
    if task.run is api.stylize:
        return MINI_STYLE
    if task.reads_video:
        return asked or "auto"
    return name_decoder(ModelOptions(model=asked or "auto"), [source])[0].model


def _preview_length(begins: Any, info: VideoInfo) -> str:
    if isinstance(begins, int) and info.frame_rate:
        return f"{max(1, round(PREVIEW_S * info.frame_rate))}f"
    return f"{PREVIEW_S}s"
