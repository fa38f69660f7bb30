"""Which program wrote a file, told by its keys and metadata, and what follows from that."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from refvid.latents.tensor_file import TensorFile

FORMAT: Final = "refvid-latents"
"""Value of the metadata entry `format` in refvid's own files."""

_VBENCH_KEYS: Final = {"latents", "height", "width", "image_name"}
_MUSUBI_CACHE: Final = re.compile(r"latents_[0-9]+x[0-9]+x[0-9]+_\w+")
_MUSUBI_METADATA: Final = {"video_length", "infer_steps", "guidance_scale"}
_MOST_WORKFLOW_TEXT: Final = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Producer:
    """A program that writes latents."""

    name: str
    scale: str | None = None
    """raw or normalized, where it always writes the same."""

    scale_reason: str = ""
    is_channels_first: bool = True


def identify_producer(file: TensorFile, key: str) -> Producer | None:
    """Tell who wrote a file; None where it could be anyone."""
    metadata = file.metadata
    if metadata.get("format") == FORMAT:
        scale = str(metadata.get("scale", "raw"))
        return Producer(name="refvid", scale=scale, scale_reason="refvid noted it in the file")
    names = {*file.entries, *metadata}
    if names >= _VBENCH_KEYS and key == "latents":
        return Producer(
            name="RefDecoder's VBench scripts",
            scale="normalized",
            scale_reason="RefDecoder's VBench scripts save normalised latents",
        )
    if key == "latent_tensor":
        found, reason = _scale_in_comfy(metadata)
        return Producer(name="ComfyUI", scale=found, scale_reason=reason)
    is_cache = _MUSUBI_CACHE.fullmatch(key) is not None
    if is_cache or (key == "latent" and names & _MUSUBI_METADATA):
        return Producer(
            name="musubi-tuner",
            scale="normalized",
            scale_reason="musubi-tuner saves normalised latents",
        )
    return None


def _scale_in_comfy(metadata: Mapping[str, Any]) -> tuple[str | None, str]:
    """Follow the saved workflow from SaveLatent back to the node that made the latents."""
    nodes = _nodes(metadata.get("prompt"))
    found = {
        _scale_of_node(nodes, _link(node.get("inputs"), "samples"))
        for node in nodes.values()
        if node.get("class_type") == "SaveLatent"
    }
    if len(found) != 1:
        return None, "" if not found else "the workflow saves both kinds of latents"
    return found.pop()


def _scale_of_node(nodes: Mapping[str, Mapping[str, Any]], name: str | None) -> tuple[str, str]:
    visited: set[str] = set()
    last = "ComfyUI's own nodes"
    while name is not None and name in nodes and name not in visited:
        visited.add(name)
        node = nodes[name]
        kind, inputs = str(node.get("class_type", "")), node.get("inputs")
        if kind == "WanVideoLatentReScale" and isinstance(inputs, Mapping):
            is_raw = inputs.get("direction") == "wrapper_to_comfy"
            return ("raw" if is_raw else "normalized"), f"the workflow saves what {kind} gave"
        if kind.startswith("WanVideo"):
            return "normalized", f"the workflow saves what {kind} gave"
        last = kind or last
        if "Sampler" in kind:
            break
        name = next(
            (
                link
                for key in ("samples", "latent", "latents", "latent_image", "")
                if (link := _link(inputs, key)) is not None
            ),
            None,
        )
    return "raw", f"the workflow saves what {last} gave"


def _nodes(text: Any) -> dict[str, Mapping[str, Any]]:
    if not isinstance(text, str) or len(text) > _MOST_WORKFLOW_TEXT:
        return {}
    try:
        nodes = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(nodes, dict):
        return {}
    return {name: node for name, node in nodes.items() if isinstance(node, Mapping)}


def _link(inputs: Any, key: str) -> str | None:
    """The node that an input comes from: links are [node, output]."""
    value = inputs.get(key) if isinstance(inputs, Mapping) else None
    return str(value[0]) if isinstance(value, list) and len(value) == 2 else None
