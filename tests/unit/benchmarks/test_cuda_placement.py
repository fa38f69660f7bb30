"""Every backbone would run on a graphics card: on tensors that have a device, and no numbers."""

from functools import cache

import pytest
import torch

from benchmarks.cuda_placement import CASES, Copies, run_case

pytestmark = [
    pytest.mark.cuda_build,
    pytest.mark.skipif(
        torch.version.cuda is None,
        reason=f"PyTorch {torch.__version__} was built without CUDA; a card is not needed",
    ),
]


@cache
def copies_of(name: str) -> Copies:
    return run_case(CASES[name])


def copies_per_frame(name: str) -> float:
    frames = CASES[name].frames
    assert frames is not None
    return copies_of(name).from_card / frames


@pytest.mark.parametrize("name", CASES)
def test_tensors_meet_on_one_device_and_their_sizes_need_no_numbers(name: str) -> None:
    copies_of(name)


@pytest.mark.parametrize("name", ["mini", "mini-placed", "mini-tiles"])
def test_rebuilding_a_frame_waits_five_times_for_the_card(name: str) -> None:
    """OpenCV looks at its lightness, and for its neighbours at lightness and colours of what it
    became; and two kinds of numbers decide: how natural it is, and how much a change counts.
    """
    assert copies_per_frame(name) == 5


@pytest.mark.parametrize("name", ["mini-style", "mini-style-tiles"])
def test_painting_a_frame_waits_five_times_for_the_card(name: str) -> None:
    """OpenCV finds motion and letters in its lightness, bars and titles in its colours, and moves
    two pictures of the frame before along; and the map of colours has eigenvectors.
    """
    assert copies_per_frame(name) == 5


def test_painting_after_keyframes_waits_once_more() -> None:
    """What was painted in them moves along, too."""
    assert copies_per_frame("mini-style-several") == 6
