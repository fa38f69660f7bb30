"""Space: what windows carry from chunk to chunk, when the windows change."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from refvid.models.tiles import Span, Windows, crop
from refvid.models.wan.past import Past


def recut(pasts: Sequence[Past], old: Windows, new: Windows) -> list[Past]:
    """Turn what each window carries into what each of other windows carries.

    Args:
        pasts: One for each old window.
        old: The windows they belong to.
        new: The windows that are wanted.

    Returns:
        One for each new window. Where old windows overlap each gives the half that is farther
        from its edge.
    """
    whole = {layer: _assemble([past[layer] for past in pasts], old) for layer in pasts[0]}
    height = old.size[0]

    def cut(tensor: Tensor, window: tuple[Span, Span]) -> Tensor:
        scale = tensor.shape[2] // height
        rows, columns = (Span(span.start * scale, span.stop * scale) for span in window)
        return crop(tensor, (rows, columns)).contiguous()

    return [{layer: cut(tensor, window) for layer, tensor in whole.items()} for window in new.pairs]


def _assemble(parts: Sequence[Tensor], windows: Windows) -> Tensor:
    if len(parts) == 1:
        return parts[0]
    scale = parts[0].shape[2] // windows.rows[0].length
    height, width = windows.size
    batch, frames, _, _, channels = parts[0].shape
    whole = parts[0].new_empty(batch, frames, height * scale, width * scale, channels)
    for part, (rows, columns) in zip(parts, windows.pairs, strict=True):
        top = _middle_of_overlap(windows.rows, rows) * scale
        left = _middle_of_overlap(windows.columns, columns) * scale
        whole[:, :, top : rows.stop * scale, left : columns.stop * scale] = part[
            :, :, top - rows.start * scale :, left - columns.start * scale :
        ]
    return whole


def _middle_of_overlap(spans: tuple[Span, ...], span: Span) -> int:
    index = spans.index(span)
    return (spans[index - 1].stop + span.start) // 2 if index else span.start
