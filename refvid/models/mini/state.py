"""The state of a shot, written down: what was found out is kept, what follows from it is not.

A reference on a shot is as large as its picture. But all of it follows from the picture and from
where it was found, which is a few numbers. The last frames follow from the video.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from refvid.models.backbone import PackedState, Reference
from refvid.models.mini.alignment import FramePlaced, Placed
from refvid.models.mini.neighbours import Rebuilt
from refvid.models.mini.placement import RegisteredReference, ShotReference, lay_over
from refvid.models.mini.registration_facts import pack_registration, unpack_registration
from refvid.models.mini.shot import References


@dataclass(frozen=True, slots=True)
class MiniState:
    """What the next chunk of a shot needs."""

    references: Mapping[int, ShotReference]
    """By number."""

    condition: Tensor
    """(B, C) of the last frame."""

    frames: int = 0
    """Of the shot, up to here."""

    frames_before: tuple[Rebuilt, ...] = ()
    """The last ones: those whose results are not final, and those that have a say in these. They
    are not written down; see `BackboneLimits.recomputed`."""


def pack(state: MiniState) -> PackedState:
    """Write a state down."""
    tensors = {"condition": state.condition.cpu()}
    references = []
    for number, reference in state.references.items():
        if reference.coarse is not None:
            tensors[f"{number}.coarse"] = torch.from_numpy(np.ascontiguousarray(reference.coarse))
        references.append([number, _numbers_of(reference), _describe(reference.placed)])
    return PackedState(tensors, {"references": references, "state": _numbers_of(state)})


def unpack(
    packed: PackedState, given: References, size: tuple[int, int], device: torch.device
) -> MiniState:
    """Make a state again; see `StatePacker.unpack_state`."""
    references = {}
    for number, numbers, how in packed.facts["references"]:
        if number not in given:
            continue  # it does not serve the next chunk
        coarse = packed.tensors.get(f"{number}.coarse")
        references[number] = ShotReference(
            placed=_place(given[number], how, size),
            coarse=None if coarse is None else coarse.numpy(),
            **numbers,
        )
    return MiniState(
        references=references,
        condition=packed.tensors["condition"].to(device),
        **packed.facts["state"],
    )


def _numbers_of(record: Any) -> dict[str, Any]:
    """The fields of a dataclass that are plain numbers."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return {name: value for name, value in values.items() if isinstance(value, bool | int | float)}


def _describe(placed: Placed | None) -> dict[str, Any] | None:
    """How a reference was placed."""
    if placed is None:
        return None
    if isinstance(placed, RegisteredReference):
        return {"registration": pack_registration(placed.registration)}
    assert isinstance(placed, FramePlaced), "there is no other"
    return {"inside": placed.inside}


def _place(given: Reference, how: Mapping[str, Any] | None, size: tuple[int, int]) -> Placed | None:
    if how is None:
        return None
    picture = given.read()
    if "registration" in how:
        return RegisteredReference(picture, unpack_registration(how["registration"]))
    if how["inside"] is None:
        return FramePlaced(picture)
    return lay_over(picture, (size[1], size[0]), inside=how["inside"])
