"""Raw or normalised, by the workflow that ComfyUI saves with latents.

ComfyUI's own nodes give raw latents, those of WanVideoWrapper normalised ones. Between the node
that made latents and the one that saves them may be any others: joins, cuts, switches.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from refvid.latents.wishes import Scale

_MOST_WORKFLOW_TEXT: Final = 16 * 2**20
_MOST_LINKS: Final = 100_000

_RESCALE: Final = "WanVideoLatentReScale"
# Makers of latents; others of the wrapper make models, texts and embeddings.
_WRAPPER: Final = re.compile(r"WanVideo(?!Text|Image|Clip|\w*Embed)\w*")
_CORE: Final = re.compile(
    r"KSampler(Advanced)?|SamplerCustom(Advanced)?|VAEEncode(Tiled|ForInpaint)?|Empty\w*Latent\w*"
)
_LIKE_CORE: Final = re.compile(r"\w*(Sampler|VAEEncode)\w*")
_LATENT_INPUT: Final = re.compile(r"\w*(latent|sample)\w*|", re.IGNORECASE)


class WorkflowScale(NamedTuple):
    """What a workflow says."""

    scale: Scale | None
    """None: nothing, or two things at once."""

    reason: str
    is_certain: bool
    """Whether all that made the latents is known."""


class _Maker(NamedTuple):
    kind: str
    scale: Scale | None
    is_known: bool


def scale_in_workflow(text: Any) -> WorkflowScale:
    """Follow a saved workflow from SaveLatent back to every node that made the latents.

    Args:
        text: The metadata entry `prompt`: nodes by name, in JSON.
    """
    nodes = _nodes(text)
    makers = {
        maker
        for node in nodes.values()
        if node.get("class_type") == "SaveLatent"
        for maker in _makers(nodes, node)
    }
    scales: set[Scale] = {maker.scale for maker in makers if maker.scale is not None}
    if not scales:
        return WorkflowScale(None, "", is_certain=False)
    if len(scales) > 1:
        return WorkflowScale(None, "the workflow has both kinds of latents", is_certain=False)
    kinds = ", ".join(sorted({maker.kind for maker in makers}))
    is_certain = all(maker.is_known for maker in makers)
    return WorkflowScale(scales.pop(), f"the workflow saves what {kinds} gave", is_certain)


def _makers(nodes: Mapping[str, Mapping[str, Any]], end: Mapping[str, Any]) -> Iterator[_Maker]:
    """Go up from a node along its links, through nodes that pass latents on."""
    waiting = list(_links(end.get("inputs")))
    seen = set(waiting)
    while waiting and len(seen) < _MOST_LINKS:
        name, is_latent = waiting.pop()
        node = nodes.get(name, {})
        kind, inputs = str(node.get("class_type", "")), node.get("inputs")
        if (maker := _known_maker(kind, inputs)) is not None:
            yield maker
            continue
        links = list(_links(inputs))
        if is_latent and not links:
            yield _Maker(kind or "an unknown node", "raw", is_known=False)
        for name, is_named in links:
            link = (name, is_latent and is_named)
            if link not in seen:
                seen.add(link)
                waiting.append(link)


def _known_maker(kind: str, inputs: Any) -> _Maker | None:
    if kind == _RESCALE and isinstance(inputs, Mapping):
        is_raw = inputs.get("direction") == "wrapper_to_comfy"
        return _Maker(kind, "raw" if is_raw else "normalized", is_known=True)
    if _WRAPPER.fullmatch(kind):
        return _Maker(kind, "normalized", is_known=True)
    if _CORE.fullmatch(kind):
        return _Maker(kind, "raw", is_known=True)
    return _Maker(kind, "raw", is_known=False) if _LIKE_CORE.fullmatch(kind) else None


def _links(inputs: Any) -> Iterator[tuple[str, bool]]:
    """The nodes that inputs come from, and whether these are latents: those named so, or else all.

    Links are [node, output].
    """
    if not isinstance(inputs, Mapping):
        return
    links = {
        str(key): str(value[0])
        for key, value in inputs.items()
        if isinstance(value, list) and len(value) == 2
    }
    named = {key: link for key, link in links.items() if _LATENT_INPUT.fullmatch(key)}
    for link in (named or links).values():
        yield link, bool(named) or len(links) == 1


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
