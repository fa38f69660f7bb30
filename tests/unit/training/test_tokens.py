"""Tokenizers learn: samples, the least-squares beginning, and a step of each recipe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from refvid.errors import CheckpointMismatch, OptionError
from refvid.models.registry import find_backbone, import_from, names
from refvid.training.clips import TrainingClip
from refvid.training.linear_fit import LinearFit
from refvid.training.objective import make_objective
from refvid.training.read_config import build_config
from refvid.training.recipes.tokens import TokensRecipe, begin_with
from refvid.training.sample_options import SampleOptions
from refvid.training.token_samples import TokenSampleDrawer
from tests.conftest import moving_pattern

SAMPLES = SampleOptions(
    clips=2, frames=4, crop=64, reference_crop=64, consecutive=True, unrelated=0.0, missing=0.0
)


def clips(length: int = 9) -> list[TrainingClip]:
    return [TrainingClip("a", moving_pattern(length, 80, 96), ())]


def make(name: str) -> TokensRecipe:
    spec = find_backbone(name)
    assert spec is not None
    assert spec.recipe is not None
    torch.manual_seed(0)
    recipe: TokensRecipe = import_from(spec.recipe)(spec.parts().sizes())
    return recipe


def test_samples_are_drawn_by_number() -> None:
    drawer = TokenSampleDrawer(clips(), SAMPLES, seed=3)
    one, same, other = drawer.draw(5), drawer.draw(5), drawer.draw(6)
    assert one.clip is not None
    assert one.reference is not None
    assert one.clip.shape == (2, 3, 4, 64, 64)
    assert one.reference.shape == (2, 3, 64, 64)
    assert torch.equal(one.clip, same.clip)  # type: ignore[arg-type]
    assert not torch.equal(one.clip, other.clip)  # type: ignore[arg-type]


def test_references_are_outside_of_their_block() -> None:
    numbered = np.zeros((9, 64, 64, 3), np.uint8)
    numbered += np.arange(9, dtype=np.uint8)[:, None, None, None] * 20
    drawer = TokenSampleDrawer([TrainingClip("a", numbered, ())], SAMPLES)
    for index in range(40):
        batch = drawer.draw(index)
        assert batch.clip is not None
        assert batch.reference is not None
        for block, reference in zip(batch.clip, batch.reference, strict=True):
            assert not (block == reference[:, None]).any()


def test_the_shortest_clip_will_do() -> None:
    assert TokenSampleDrawer(clips(4), SAMPLES).draw(0).clip is not None


def test_least_squares_finds_a_convolution() -> None:
    torch.manual_seed(0)
    truth, fitted = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(3, 5, 3, padding=1)
    fit = LinearFit(fitted)
    for _ in range(4):
        inputs = torch.randn(2, 3, 8, 8)
        fit.add(inputs, truth(inputs).detach())
    fit.solve()
    assert torch.allclose(fitted.weight, truth.weight, atol=0.01)


@pytest.mark.parametrize("name", names("tokens"))
def test_every_recipe_learns(name: str, tmp_path: Path) -> None:
    recipe = make(name)
    config = build_config(
        flags={"task": "tokens", "backbone": name, "output": tmp_path, "run": {"steps": 9}}
    )
    objective = make_objective(config)
    source = recipe.draw_from(clips(), SAMPLES, 0)
    recipe.check_samples(SAMPLES)
    batch = source.draw(0)
    recipe.begin(source)
    optimizer = torch.optim.Adam(recipe.parameters(), 1e-3)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = objective(recipe(batch), batch)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    weights, metadata = recipe.weights_file(recipe.state_dict())
    assert metadata["backbone"] == name
    assert {value.dtype for value in weights.values()} == {torch.float16}
    assert sum(value.numel() for value in weights.values()) * 2 < 5_000_000


def test_another_grid_begins_with_what_fits(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    recipe, other = make("mini-reftok"), make("mini-reftok-16")
    weights, _ = recipe.weights_file(recipe.state_dict())
    save_file(weights, tmp_path / "w.safetensors")
    begin_with(other.network, tmp_path / "w.safetensors")
    own = other.network.state_dict()
    assert torch.equal(own["decoder.moved.weight"], weights["decoder.moved.weight"].float())
    save_file({"x": torch.ones(1)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointMismatch, match="no weights"):
        begin_with(other.network, tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    "flags",
    [
        {"backbone": "mini"},
        {"backbone": "mini-reftok", "unconditional": True},
        {"backbone": "mini-reftok", "latents": {"folder": "x"}},
    ],
)
def test_what_makes_no_tokens_is_refused(flags: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="tokens"):
        build_config(flags={"task": "tokens", "output": tmp_path, **flags})


def test_samples_of_another_length_are_refused() -> None:
    with pytest.raises(OptionError, match=r"samples\.frames=4"):
        make("mini-reftok").check_samples(SampleOptions(frames=5, consecutive=True))
