"""What is seen in a frame before it is painted, whatever is painted: motion and letters."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from refvid.models.mini_style.letters import Mask, find_letters
from refvid.models.mini_style.optical_flow import Flow, Gray, find_flow


@dataclass(frozen=True, slots=True)
class Sight:
    """Of one frame; nothing here depends on the painting, so it can be found ahead of it."""

    gray: Gray
    flow: Flow | None
    """To the frame before; None at the start of a shot."""

    letters: Mask | None
    """(h, w) of `gray` where letters are; None without any."""


def look(gray: Gray, before: Gray | None, device: torch.device) -> Sight:
    """Look at a frame, and at the one before it in the shot."""
    flow = None if before is None else find_flow(gray, before, device)
    return Sight(gray, flow, find_letters(gray.pixels))
