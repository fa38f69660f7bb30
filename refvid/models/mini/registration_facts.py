"""A registration in plain JSON types, exact in every bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from refvid.models.bars import Content
from refvid.models.mini.registration import Registration
from refvid.models.mini.smooth_map import SmoothMap


def pack_registration(found: Registration) -> dict[str, Any]:
    """Write a registration down."""
    bend = found.map.bend
    return {
        "frame_size": list(found.map.frame_size),
        "reference_size": list(found.map.reference_size),
        "plane": found.map.plane.tolist(),
        "bend": None if bend is None else bend.tolist(),
        "frame_content": asdict(found.frame_content),
        "reference_content": asdict(found.reference_content),
        "colors": found.colors.tolist(),
        "planes": found.planes,
        "scale": found.scale,
        "correlation": found.correlation,
    }


def unpack_registration(facts: Mapping[str, Any]) -> Registration:
    """Read what `pack_registration` wrote."""
    bend = facts["bend"]
    height, width = facts["frame_size"]
    tall, wide = facts["reference_size"]
    return Registration(
        map=SmoothMap(
            frame_size=(height, width),
            reference_size=(tall, wide),
            plane=np.array(facts["plane"], np.float64),
            bend=None if bend is None else np.array(bend, np.float32),
        ),
        frame_content=Content(**facts["frame_content"]),
        reference_content=Content(**facts["reference_content"]),
        colors=np.array(facts["colors"], np.float32),
        planes=facts["planes"],
        scale=facts["scale"],
        correlation=facts["correlation"],
    )
