"""Neighbours come to count where they bring something, and nowhere else."""

import random
from pathlib import Path

import pytest
import torch

from refvid.checkpoints.load import load_backbone
from refvid.models.mini.autoencoder import MiniBackbone
from refvid.models.mini.condition import CONDITION_CHANNELS
from refvid.models.mini.neighbours import REACH
from refvid.training import neighbour_fit
from refvid.training.neighbour_fit import Draws, draw, fit, write_with
from tests.conftest import PROJECT

WEIGHTS = PROJECT / "refvid/assets/mini.safetensors"


def test_shares_follow_the_condition() -> None:
    """Where the first number is high, the whole change is right; elsewhere, it is all error."""
    torch.manual_seed(0)
    condition = torch.randn(400, CONDITION_CHANNELS)
    helps = condition[:, 0] > 0
    change = torch.full((400,), 20.0)
    draws = Draws(condition, torch.where(helps, 25.0, 0.0), torch.where(helps, 20.0, 0.0), change)
    share = fit(draws)(condition)
    assert share[condition[:, 0] > 0.5].mean() > 0.8
    assert share[condition[:, 0] < -0.5].mean() < 0.1
    torch.testing.assert_close(draws.gain(torch.zeros(400)), torch.zeros(400))
    assert draws.gain(torch.ones(400))[helps].min() > 6
    assert draws.gain(torch.ones(400))[~helps].max() < -20


def test_from_clips_to_weights(make_video, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(neighbour_fit, "_STEPS", 20)
    clips = [make_video(2 * REACH + 3, f"{name}.mp4") for name in "ab"]
    draws = draw([*clips, make_video(1, "short.mp4")], 20, random.Random(1))
    again = draw([*clips, tmp_path / "short.mp4"], 20, random.Random(1))
    assert len(draws.error) == 20
    assert torch.equal(draws.condition, again.condition)
    clean = draws.error == 0
    assert clean.any()
    assert not clean.all()
    assert (draws.agreement[clean] == 0).all()
    fitted = fit(draws)
    write_with(WEIGHTS, "neighbours", fitted, tmp_path / "new.safetensors")
    loaded = load_backbone(
        "mini", torch.device("cpu"), torch.float32, weights=tmp_path / "new.safetensors"
    )
    assert isinstance(loaded, MiniBackbone)
    assert loaded.limits.lookahead == REACH
    assert loaded.decoder.neighbours is not None
    torch.testing.assert_close(loaded.decoder.neighbours.weight, fitted.weight)


def test_no_clips_are_no_draws(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no clip"):
        draw([], 5, random.Random(0))
