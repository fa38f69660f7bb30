"""What each backbone's recipe sets where neither a config file nor the command line does."""

from __future__ import annotations

from typing import Any

from refvid.documents import shown
from refvid.errors import OptionError
from refvid.models.registry import backbones, find_backbone, import_from

PAPER: dict[str, Any] = {
    "data": {"variants": 0, "max_frames": 33, "short_side": 480},
    "samples": {
        "clips": 2,
        "frames": 17,
        "crop": 256,
        "reference_crop": 256,
        "consecutive": True,
        "unrelated": 0.05,
        "missing": 0.1,
        "degraded_reference": 0.0,
        "undegraded": 0.0,
        "relit_reference": 0.0,
        "token_dropout": 0.7,
    },
    "stages": [{"share": 1.0, "frames": 5}, {"share": 1.0, "frames": 17}],
    "optimizer": {"rate": 2e-4},
    "run": {"steps": 100_000, "checkpoint_minutes": 20.0},
}

_SMALL_NETWORK = {
    "rate": 1e-3,
    "betas": [0.9, 0.99],
    "weight_decay": 1e-4,
    "warmup_steps": 200,
    "clip_norm": 0.5,
}

STYLE: dict[str, Any] = {
    "task": "style",
    "data": {"variants": 0, "max_frames": 25, "short_side": 384},
    "samples": {
        "clips": 4,
        "frames": 3,
        "crop": 192,
        "reference_crop": 192,
        "consecutive": True,
    },
    "optimizer": _SMALL_NETWORK,
    # Only pairs are compared in this way.
    "loss": {"pixels": "detail", "perceptual": "auto"},
    "run": {"minutes": 60.0},
}

TOKENS: dict[str, Any] = {
    "task": "tokens",
    "data": {"variants": 0, "max_frames": 49, "short_side": 256},
    "samples": {
        "clips": 4,
        "frames": 4,
        "crop": 128,
        "reference_crop": 128,
        "consecutive": True,
        "max_distance": 28,
        "unrelated": 0.03,
    },
    # At 1e-3 what sees a reference unlearned after 2000 steps what it had won (0.4 of the loss).
    "optimizer": {**_SMALL_NETWORK, "rate": 4e-4, "clip_norm": 1.0},
    "loss": {"pixels": "log", "perceptual": "none"},
    "run": {"minutes": 60.0},
}

PAPER_16_FRAMES: dict[str, Any] = {
    **PAPER,
    "samples": {**PAPER["samples"], "frames": 16, "crop": 216, "reference_crop": 216},
    "stages": [{"share": 1.0, "frames": 4}, {"share": 1.0, "frames": 16}],
}

MINI: dict[str, Any] = {
    # Ten of each kind: without them it harms what is plain, drawn or text.
    "data": {"variants": 4, "max_frames": 49, "made": 170},
    "samples": {
        "clips": 6,
        "frames": 2,
        "crop": 192,
        "max_distance": 48,
        "unrelated": 0.10,
        "missing": 0.3,
        "degraded_reference": 0.08,
        "undegraded": 0.1,
        "relit_reference": 0.0,
        "photographed": 0.5,
        "made": 0.35,
    },
    "optimizer": {**_SMALL_NETWORK, "clip_norm": 1.0},
    "loss": {"pixels": "log", "perceptual": "none"},
    "run": {"minutes": 60.0},
}


def defaults_of(backbone: str) -> dict[str, Any]:
    """What a backbone's recipe sets where neither file nor command line does.

    Bundled backbones have the recipes of their weights here, the others the paper's (RefDecoder,
    arXiv:2605.15196, appendix B.2).

    Raises:
        OptionError: There is no such backbone, or it cannot be trained.
    """
    spec = find_backbone(backbone)
    if spec is None or spec.recipe is None:
        known = ", ".join(spec.name for spec in backbones() if spec.recipe is not None)
        raise OptionError(f"backbone: {shown(backbone)} is none of {known}.")
    found: dict[str, Any] = import_from(spec.recipe_defaults) if spec.recipe_defaults else {}
    return found
