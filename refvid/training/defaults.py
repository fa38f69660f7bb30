"""What each backbone's recipe sets where neither a config file nor the command line does."""

from __future__ import annotations

from typing import Any

from refvid.errors import OptionError

_PAPER: dict[str, Any] = {
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

_STYLE: dict[str, Any] = {
    "task": "style",
    "data": {"variants": 0, "max_frames": 25, "short_side": 384},
    "samples": {
        "clips": 4,
        "frames": 3,
        "crop": 192,
        "reference_crop": 192,
        "consecutive": True,
    },
    "optimizer": {
        "rate": 1e-3,
        "betas": [0.9, 0.99],
        "weight_decay": 1e-4,
        "warmup_steps": 200,
        "clip_norm": 0.5,
    },
    # Only pairs are compared in this way.
    "loss": {"pixels": "detail", "perceptual": "auto"},
    "run": {"minutes": 60.0},
}

_DEFAULTS: dict[str, dict[str, Any]] = {
    "mini": {
        # Ten of each kind: without them it harms what is plain, drawn or text.
        "data": {"variants": 4, "max_frames": 49, "made": 170},
        "samples": {
            "clips": 6,
            "frames": 2,
            "crop": 192,
            "max_distance": 48,
            "unrelated": 0.12,
            "missing": 0.25,
            "degraded_reference": 0.05,
            "undegraded": 0.06,
            "relit_reference": 0.0,
            "photographed": 0.4,
            "made": 0.25,
        },
        "optimizer": {
            "rate": 1e-3,
            "betas": [0.9, 0.99],
            "weight_decay": 1e-4,
            "warmup_steps": 200,
            "clip_norm": 1.0,
        },
        "loss": {"pixels": "log", "perceptual": "none"},
        "run": {"minutes": 60.0},
    },
    "wan2.1": _PAPER,
    "videovae+": {
        **_PAPER,
        "samples": {**_PAPER["samples"], "frames": 16, "crop": 216, "reference_crop": 216},
        "stages": [{"share": 1.0, "frames": 4}, {"share": 1.0, "frames": 16}],
    },
    "mini-style": _STYLE,
}


def defaults_of(backbone: str) -> dict[str, Any]:
    """What a backbone's recipe sets where neither file nor command line does.

    `mini` and `mini-style`: the recipes of the bundled weights. The others: the paper's
    (RefDecoder, arXiv:2605.15196, appendix B.2).

    Raises:
        OptionError: There is no such backbone.
    """
    if backbone not in _DEFAULTS:
        raise OptionError(f"backbone: {backbone!r} is none of {', '.join(_DEFAULTS)}.")
    return _DEFAULTS[backbone]
