"""What is on the page: a tab for each kind of work and one for the queue, built with Gradio."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import gradio as gr

from refvid.page import show
from refvid.page.components import show_option
from refvid.page.files import choose_source, name_pictures
from refvid.page.jobs import Job, Jobs
from refvid.page.options import Option, in_panels, read_options
from refvid.page.tasks import PREVIEW_S, Models, Task, look_at, queue_work

CSS: Final = """
.gradio-container { width: 100%; max-width: 1280px !important; margin: 0 auto !important; }
.refvid-status { min-height: 1.6em; }
.refvid-button { padding-inline: 6px !important; white-space: nowrap; }
.gradio-container .prose { overflow-wrap: anywhere; }
.gradio-container .app { padding: 16px clamp(12px, 3vw, 32px) !important; }
"""

_TICK_S: Final = 0.5
_QUEUE_TICK_S: Final = 2
_QUIET: Final[dict[str, Any]] = {
    "show_progress": "hidden",
    "queue": False,
    "api_visibility": "private",
}
"""Of events that are answered at once: no spinner, and no connection that is kept open."""


@dataclass(frozen=True, slots=True)
class Page:
    """What its parts share."""

    root: Path
    """Where results go; files in it can be chosen by their paths."""

    jobs: Jobs
    models: Models
    describe: Callable[[Exception, Path], str]
    """Says in a sentence what went wrong with a file."""

    serve: Callable[[Path], None]
    """Lets browsers have a result."""


def build_page(page: Page, tasks: Sequence[Task]) -> gr.Blocks:
    """Lay out the page."""
    with gr.Blocks(title="refvid", analytics_enabled=False, fill_width=True) as blocks:
        gr.Markdown(f"# refvid\nResults go to **{show.plain(page.root)}**.")
        for task in tasks:
            with gr.Tab(task.name):
                _TaskPanel(page, task).lay_out()
        with gr.Tab("Queue"):
            _lay_out_queue(page)
    return blocks


class _TaskPanel:
    """One kind of work: files and options at the left, what comes of them at the right."""

    def __init__(self, page: Page, task: Task) -> None:
        self._page = page
        self._task = task

    def lay_out(self) -> None:
        """Make the components, and say what happens when."""
        with gr.Row():
            with gr.Column(min_width=300):
                self._lay_out_files()
                self._lay_out_options()
            with gr.Column(min_width=300):
                self._lay_out_result()

    def _lay_out_files(self) -> None:
        is_video = self._task.reads_video
        self._upload = gr.File(
            label="Video" if is_video else "Latents",
            file_types=["video", "image"] if is_video else None,
            height=140,
        )
        self._typed = gr.Textbox(
            label="Or its path in the folder of results",
            placeholder="clip.mp4, shots/, shots/shot_%04d.png"
            if is_video
            else "latents.safetensors",
        )
        found = gr.Markdown()
        self._as_video = gr.Checkbox(
            label="Make a video of these images",
            info="Else the result is images, too, in a folder of their own.",
            visible=False,
        )
        for source in (self._upload, self._typed):
            source.change(
                self._look, [self._upload, self._typed], [found, self._as_video], **_QUIET
            )
        self._pictures: list[gr.components.Component] = []
        for keyword, name in self._task.pictures.items():
            own = ", frame:0" if keyword == "ref" and is_video else ""
            self._pictures.append(
                gr.File(label=name, file_count="multiple", file_types=["image"], height=140)
            )
            with gr.Row():
                if keyword != "style":
                    must = "" if keyword == "ref" else ", one each"
                    places = gr.Textbox(
                        label=f"Where they belong{must}", placeholder="0, 40, 1:30", min_width=140
                    )
                else:
                    places = gr.Textbox(visible=False)
                others = gr.Textbox(
                    label="More, in words", placeholder=f"photo.jpg{own}", min_width=140
                )
            self._pictures += [places, others]

    def _lay_out_options(self) -> None:
        self._options: list[tuple[Option, gr.components.Component]] = []
        for panel, options in in_panels(self._task.options).items():
            with gr.Accordion(panel, open=False):
                self._options += [(option, show_option(option)) for option in options]

    def _lay_out_result(self) -> None:
        is_video = self._task.reads_video
        number = gr.State()
        timer = gr.Timer(_TICK_S, active=False)
        with gr.Row():
            preview = gr.Button(
                f"Preview {PREVIEW_S} s",
                visible=is_video,
                min_width=90,
                size="md",
                elem_classes="refvid-button",
            )
            start = gr.Button(
                "Start", variant="primary", min_width=90, size="md", elem_classes="refvid-button"
            )
            cancel = gr.Button("Cancel", min_width=90, size="md", elem_classes="refvid-button")
        status = gr.Markdown("Nothing is running.", elem_classes="refvid-status")
        slider = gr.ImageSlider(
            label="Input and result", format="png", interactive=False, visible=False
        )
        frame = gr.Slider(0, 1, step=1, label="Frame", visible=False)
        found = gr.Markdown()
        video = gr.Video(label="Result", interactive=False, visible=False)
        components = [component for _, component in self._options]
        inputs = [self._upload, self._typed, self._as_video, *self._pictures, *components]
        for button, is_preview in ((preview, True), (start, False)):
            button.click(
                lambda *values, is_preview=is_preview: self._start(is_preview, values),
                inputs,
                [number, status, timer],
                **_QUIET,
            )
        timer.tick(self._watch, [number], [status, timer, slider, frame, found, video], **_QUIET)
        frame.input(
            self._show_frame,
            [number, frame],
            [slider, status],
            trigger_mode="always_last",  # not every frame that the handle passes
            **_QUIET,
        )
        cancel.click(self._cancel, [number], status, **_QUIET)

    def _look(self, upload: str | None, typed: str) -> tuple[str, Any]:
        has_images = False
        try:
            words = ""
            if upload or typed.strip():
                path = choose_source(upload, typed, self._page.root)
                info = look_at(self._task, path)
                words = show.describe_source(info)
                has_images = show.is_sequence(info)
        except Exception as error:  # noqa: BLE001 -- told on the page
            words = self._complain(error, upload)
        return words, gr.Checkbox(visible=has_images)

    def _start(self, is_preview: bool, values: Sequence[Any]) -> tuple[Any, ...]:
        upload, typed, as_video, *rest = values
        root, count = self._page.root, len(self._pictures)
        try:
            source = choose_source(upload, typed, root)
            chosen = read_options([option for option, _ in self._options], rest[count:])
            for place, keyword in enumerate(self._task.pictures):
                uploads, places, others = rest[3 * place : 3 * place + 3]
                has_frames = keyword == "ref" and self._task.reads_video
                named = name_pictures(uploads, places, others, root, has_frames=has_frames)
                if named:
                    chosen[keyword] = named
            job = queue_work(
                self._page.jobs,
                self._page.models,
                self._task,
                source,
                root,
                chosen,
                is_preview=is_preview,
                as_video=as_video,
            )
        except Exception as error:  # noqa: BLE001 -- told on the page
            return gr.skip(), self._complain(error, upload), gr.skip()
        return job.number, show.describe_job(job, self._page.jobs), gr.Timer(active=True)

    def _complain(self, error: Exception, upload: str | None) -> str:
        return f"**{show.plain(self._page.describe(error, Path(upload or '')))}**"

    def _watch(self, number: int | None) -> tuple[Any, ...]:
        """Say how far a job is; once it is over, show what came of it."""
        job = self._page.jobs.find(number)
        if job is None:
            return gr.skip(), gr.Timer(active=False), *[gr.skip()] * 4
        status = show.describe_job(job, self._page.jobs)
        if not job.is_over:
            return status, gr.skip(), *[gr.skip()] * 4
        off = gr.Timer(active=False)
        if job.state != "done":
            return status, off, *[gr.skip()] * 4
        try:
            return status, off, *self._show_result(job)
        except Exception as error:  # noqa: BLE001 -- told on the page
            return f"{status}\n\n{self._complain(error, None)}", off, *[gr.skip()] * 4

    def _show_result(self, job: Job) -> tuple[Any, ...]:
        last = job.report.frames - 1
        if job.begins is None:
            slider, frame = gr.skip(), gr.skip()
        else:
            pair = show.read_pair(job, last // 2)
            slider = gr.ImageSlider(pair, visible=True)
            frame = gr.Slider(0, max(last, 1), value=last // 2, step=1, visible=last > 0)
        found = show.describe_report(job.report)
        if show.plays_in_browsers(job.output):
            self._page.serve(job.output)
            return slider, frame, found, gr.Video(str(job.output), visible=True)
        return slider, frame, found, gr.Video(visible=False)

    def _show_frame(self, number: int | None, index: float) -> tuple[Any, Any]:
        job = self._page.jobs.find(number)
        if job is None or job.state != "done" or job.begins is None:
            return gr.skip(), gr.skip()
        try:
            return show.read_pair(job, min(int(index), job.report.frames - 1)), gr.skip()
        except Exception as error:  # noqa: BLE001 -- told on the page
            return gr.skip(), self._complain(error, None)

    def _cancel(self, number: int | None) -> Any:
        jobs = self._page.jobs
        if not jobs.stop(number):
            return gr.skip() if jobs.find(number) else "Nothing is running."
        job = jobs.find(number)
        return "Stopping …" if job is None else show.describe_job(job, jobs)


def _lay_out_queue(page: Page) -> None:
    """All work of all tabs of the browser: one at a time goes on, the others wait."""
    waiting = gr.Radio([], label="At work, and waiting", visible=False)
    cancel = gr.Button("Cancel the chosen one", visible=False)
    words = gr.Markdown("Nothing is running.")

    def look(chosen: int | None) -> tuple[Any, ...]:
        unfinished, over = page.jobs.list()
        choices = [(show.name_job(job), job.number) for job in unfinished]
        # Only where it is over: a click in the meantime must not be undone.
        is_known = chosen is None or any(number == chosen for _, number in choices)
        forget = {} if is_known else {"value": None}
        lines = [] if choices else ["Nothing is running."]
        lines += [f"- {show.plain(job.title)}: {show.describe_job(job, page.jobs)}" for job in over]
        has_any = bool(choices)
        return (
            gr.Radio(choices=choices, visible=has_any, **forget),
            gr.Button(visible=has_any),
            "\n".join(lines),
        )

    def stop(chosen: int | None) -> tuple[Any, ...]:
        page.jobs.stop(chosen)
        return look(chosen)

    gr.Timer(_QUEUE_TICK_S).tick(look, [waiting], [waiting, cancel, words], **_QUIET)
    cancel.click(stop, [waiting], [waiting, cancel, words], **_QUIET)
