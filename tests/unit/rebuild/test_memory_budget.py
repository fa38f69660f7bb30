"""`--memory` is a budget: the plan shrinks to it, or says that nothing fits."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from refvid.checkpoints.load import load_backbone
from refvid.errors import OptionError, OutOfMemory
from refvid.rebuild.choose_backbone import choose_backbone
from refvid.rebuild.memory import plan_memory
from refvid.rebuild.options import ModelOptions

SOURCE = Path("clip.mp4")


def test_less_memory_gives_a_smaller_plan() -> None:
    loaded = choose_backbone(ModelOptions(model="mini", device="cpu", dtype="fp32"))
    plenty, needed, notes = plan_memory(loaded, SOURCE, 1080, 1920)
    assert notes == []
    half = replace(loaded, options=ModelOptions(memory=needed // 2))
    less, smaller, notes = plan_memory(half, SOURCE, 1080, 1920)
    assert smaller <= needed // 2
    assert less != plenty
    assert "are allowed" in notes[0]
    with pytest.raises(OutOfMemory, match="--memory"):
        plan_memory(replace(loaded, options=ModelOptions(memory=2**20)), SOURCE, 1080, 1920)


def test_mini_has_no_independent_chunks() -> None:
    with pytest.raises(OptionError, match=r"wan2\.1"):
        load_backbone("mini", torch.device("cpu"), torch.float32, chunking="independent")
