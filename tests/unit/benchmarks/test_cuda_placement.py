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


@pytest.mark.parametrize("name", CASES)
def test_tensors_meet_on_one_device_and_their_sizes_need_no_numbers(name: str) -> None:
    copies_of(name)


@pytest.mark.parametrize("name", ["mini-style", "mini-style-tiles"])
def test_painting_a_frame_waits_once_for_the_card(name: str) -> None:
    case = CASES[name]
    assert case.frames is not None
    assert copies_of(name).from_card == case.frames
