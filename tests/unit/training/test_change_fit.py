"""The network's change comes to count where it brings something, and nowhere else."""

import random
from pathlib import Path

import pytest
import torch

from refvid.checkpoints.load import load_backbone
from refvid.models.mini.autoencoder import MiniBackbone
from refvid.models.mini.condition import CONDITION_CHANNELS
from refvid.training import change_fit
from refvid.training.change_fit import draw_changes, fit_change
from refvid.training.neighbour_fit import Draws, write_with
from tests.conftest import PROJECT

WEIGHTS = PROJECT / "refvid/assets/mini.safetensors"


def load(weights: Path) -> MiniBackbone:
    backbone = load_backbone("mini", torch.device("cpu"), torch.float32, weights=weights)
    assert isinstance(backbone, MiniBackbone)
    return backbone


def test_shares_follow_the_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the first number is high, the whole change is right; elsewhere, it is all error."""
    monkeypatch.setattr(change_fit, "_STEPS", 300)
    torch.manual_seed(0)
    condition = torch.randn(400, CONDITION_CHANNELS)
    helps = condition[:, 0] > 0
    change = torch.full((400,), 20.0)
    draws = Draws(condition, torch.where(helps, 25.0, 0.0), torch.where(helps, 20.0, 0.0), change)
    share = fit_change(draws)(condition)
    assert share[condition[:, 0] > 0.5].mean() > 0.8
    assert share[condition[:, 0] < -0.5].mean() < 0.2


def test_from_clips_to_weights(make_video, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(change_fit, "_STEPS", 20)
    monkeypatch.setattr(change_fit, "_SOFTENED", 0.5)
    clips = [make_video(7, f"{name}.mp4") for name in "ab"]
    backbone = load(WEIGHTS)
    draws = draw_changes(backbone, clips, 20, random.Random(1))
    again = draw_changes(backbone, clips, 20, random.Random(1))
    assert len(draws.error) == 20
    assert torch.equal(draws.condition, again.condition)
    clean = draws.error == 0
    assert clean.any()
    assert not clean.all()
    fitted = fit_change(draws)
    write_with(WEIGHTS, "change", fitted, tmp_path / "new.safetensors")
    loaded = load(tmp_path / "new.safetensors").decoder.change
    assert loaded is not None
    torch.testing.assert_close(loaded(draws.condition), fitted(draws.condition))


def test_no_clips_are_no_draws() -> None:
    with pytest.raises(ValueError, match="no clip"):
        draw_changes(load(WEIGHTS), [], 5, random.Random(0))
