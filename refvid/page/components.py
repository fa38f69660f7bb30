"""An option -> what shows it on the page."""

from __future__ import annotations

import gradio as gr

from refvid.page.options import UNSAID, Option


def show_option(option: Option) -> gr.components.Component:
    """Make its component."""
    common = {"label": option.label, "info": option.help}
    if option.kind == "truth":
        return gr.Checkbox(value=bool(option.default), **common)
    if option.kind == "choice":
        choices = [*option.choices] if option.default else [UNSAID, *option.choices]
        return gr.Dropdown(choices, value=option.default or UNSAID, filterable=False, **common)
    if option.kind == "file":
        gr.Markdown(option.help)
        return gr.File(label=option.label, height=140)
    low, high, default = option.low, option.high, option.default
    if option.kind in ("whole", "number") and None not in (low, high, default):
        step = 1 if option.kind == "whole" else 0.05
        return gr.Slider(low, high, value=default, step=step, **common)
    # Numbers, too: Gradio's own field for them makes 0 of an empty one.
    words = "" if default is None else str(default)
    return gr.Textbox(value=words, placeholder=option.example, **common)
