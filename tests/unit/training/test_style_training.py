"""The task style: its config, what learns, what is compared, and what cannot be learned from."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from refvid.errors import CheckpointMismatch, CheckpointUnavailable, InputError, OptionError
from refvid.models.mini_style.autoencoder import MiniStyleBackbone
from refvid.progress import ignore_progress
from refvid.training.batch import Batch
from refvid.training.engine import write_weights
from refvid.training.make_recipe import make_recipe
from refvid.training.objective import make_objective
from refvid.training.read_config import build_config
from refvid.training.recipes.mini_style import MiniStyleRecipe
from refvid.training.sample_options import SampleOptions
from refvid.training.style_samples import StyleSample, make_style_batch
from refvid.training.train import train

Make = Callable[..., Any]

SMALL = {"bands": 3, "hidden": 4}


@pytest.fixture(scope="session")
def styles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of one colour each."""
    folder = tmp_path_factory.mktemp("styles")
    for number in range(3):
        pixels = np.full((40, 56, 3), 80 * number, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def style_config(media: Path, styles: Path, tmp_path: Path) -> Make:
    """Make the config of a small unpaired run."""

    def make(*words: str) -> Any:
        tree = {
            "task": "style",
            "output": tmp_path / "run",
            "network": SMALL,
            "data": {
                "videos": media / "videos", "styles": styles, "cache": media / "cache",
                "workers": 0,
            },
            "samples": {"clips": 1, "frames": 2, "crop": 32, "reference_crop": 32},
            "run": {"steps": 1, "picture_steps": 0, "precision": "fp32", "device": "cpu"},
        }  # fmt: skip
        return build_config(flags=tree, words=words)

    return make


@pytest.fixture
def recipe(style_config: Make) -> MiniStyleRecipe:
    """Away from where training begins."""
    made, _ = make_recipe(style_config())
    assert isinstance(made, MiniStyleRecipe)
    with torch.no_grad():
        for parameter in made.decoder.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    return made


def make_batch(recipe: MiniStyleRecipe, frames: int = 2, clips: int = 2) -> Batch:
    random = np.random.default_rng(3)
    samples = [
        StyleSample(
            content=random.integers(0, 256, (frames, 32, 40, 3)).astype(np.uint8),
            style=random.integers(0, 256, (40, 48, 3)).astype(np.uint8),
            stylised=None,
        )
        for _ in range(clips)
    ]
    return make_style_batch(samples, recipe.painter(), seed=0)


def test_the_task_decides_the_backbone(style_config: Make) -> None:
    config = style_config()
    assert (config.task, config.backbone) == ("style", "mini-style")
    assert config.samples.consecutive
    assert config.data.variants == 0
    other = build_config(flags={"output": "run", "backbone": "mini-style"})
    assert other.task == "style"
    assert build_config(flags={"output": "run"}).task == "restore"


def test_its_weights_can_be_set(style_config: Make) -> None:
    words = ("style_loss.temporal=7", "style_samples.style_area=[1.0, 1.5]")
    config = style_config(*words)
    assert config.style_loss.temporal == 7
    assert config.style_samples.style_area == (1.0, 1.5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["backbone=mini"], "style is for the backbones mini-style alone"),
        (["task=restore", "data.variants=1", "backbone=mini"], "add --task style"),
        (["data.variants=2"], "nothing is degraded"),
        (["data.triplets=t"], "not both"),
        (["latents.folder=l"], "latents are not for"),
        (["unconditional=true"], "unconditional is not for"),
        (["style_loss.style=-1"], "style is not negative"),
        (["style_samples.content_scale=[2.0, 1.0]"], "two rising numbers"),
        (["style_loss.styl=1"], "did you mean 'style'"),
        (["task=paint"], "task"),
    ],
    ids=str,
)
def test_mistakes_are_named(style_config: Make, words: list[str], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        style_config(*words)


def test_everything_learns(recipe: MiniStyleRecipe) -> None:
    recipe(make_batch(recipe)).square().mean().backward()
    still = [name for name, p in recipe.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []
    (group,) = recipe.parameter_groups()
    assert len(group.parameters) == len(list(recipe.parameters()))
    assert not group.pretrained


def test_clips_and_frames_keep_their_places(recipe: MiniStyleRecipe) -> None:
    batch = make_batch(recipe, frames=3)
    assert batch.painted is not None
    with torch.no_grad():
        whole = recipe(batch)
        made = batch.painted
        one = recipe.decoder(
            made.recoloured[1, :, 2][None], made.painted[1, :, 2][None], made.statistics[1, 2][None]
        )
    assert whole.shape == (2, 3, 3, 32, 40)
    torch.testing.assert_close(whole[1, :, 2], one[0], atol=1e-5, rtol=1e-4)


def test_training_decodes_as_inference_does(recipe: MiniStyleRecipe) -> None:
    batch = make_batch(recipe, frames=3, clips=1)
    with torch.no_grad():
        trained = recipe(batch)
    decoder = copy.deepcopy(recipe.decoder)
    backbone = MiniStyleBackbone(decoder, recipe.config, torch.device("cpu"), torch.float32)
    assert batch.clip is not None
    assert batch.reference is not None
    reference = backbone.prepare_reference(batch.reference)
    decoded = backbone.decode(backbone.encode(batch.clip).latents, reference).clip
    torch.testing.assert_close(trained.clamp(-1, 1), decoded, atol=1e-4, rtol=1e-4)


def test_half_precision_changes_no_pixel(recipe: MiniStyleRecipe) -> None:
    batch = make_batch(recipe)
    with torch.no_grad():
        exact = recipe(batch)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(recipe(batch), exact)


def test_only_frames_that_follow_each_other_will_do(recipe: MiniStyleRecipe) -> None:
    recipe.check_samples(SampleOptions(consecutive=True))
    with pytest.raises(OptionError, match=r"samples\.consecutive"):
        recipe.check_samples(SampleOptions())


def test_weights_begin_another_run(
    recipe: MiniStyleRecipe, style_config: Make, tmp_path: Path
) -> None:
    path = tmp_path / "style.safetensors"
    write_weights(recipe, recipe.state_dict(), path, overwrite=False)
    again, sizes = make_recipe(style_config(f"init={path}"))
    assert sizes["bands"] == 3
    state = recipe.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in again.state_dict().items())
    with pytest.raises(OptionError, match="has other sizes"):
        make_recipe(style_config(f"init={path}", "network.bands=4"))
    with pytest.raises(CheckpointUnavailable, match="mini-style"):
        make_recipe(style_config("init=nothing"))
    with pytest.raises(CheckpointMismatch, match="not of mini-style"):
        make_recipe(style_config("init=mini", "network={}"))


def test_pairs_are_compared_with_their_target(recipe: MiniStyleRecipe, tmp_path: Path) -> None:
    flags = {"task": "style", "output": tmp_path, "data": {"triplets": tmp_path}}
    words = ["loss.perceptual=none"]
    batch = make_batch(recipe)
    pairs = make_objective(build_config(flags=flags, words=words))
    assert float(pairs(batch.target, batch)) == pytest.approx(0, abs=1e-6)
    both = make_objective(build_config(flags=flags, words=[*words, "style_loss.beside_pairs=0.5"]))
    alone = make_objective(
        build_config(flags={**flags, "data": {"styles": tmp_path, "videos": tmp_path}})
    )
    torch.manual_seed(0)
    expected = 0.5 * float(alone(batch.target, batch))
    torch.manual_seed(0)
    assert float(both(batch.target, batch)) == pytest.approx(expected, rel=1e-4)
    assert expected > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data.styles="], "no style to learn from"),
        (["data.videos="], "nothing to learn from"),
        (["data.styles=/nowhere"], "is no folder"),
        (["data.styles=EMPTY"], "no picture that can be read"),
        (["data.styles=", "data.videos=", "data.triplets=EMPTY"], "no triplet that can be used"),
        (["data.valid_styles=['9.png']"], r"no style 9\.png"),
        (["data.valid_styles=['0.png', '1.png', '2.png']"], "none is left"),
        (["samples.crop=160", "samples.reference_crop=160"], "at least 160 pixels a side"),
        (["samples.frames=7"], "and 7 frames"),
    ],
    ids=str,
)
def test_what_cannot_be_learned_from(
    style_config: Make, tmp_path: Path, fresh_accelerate: None, words: list[str], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    given = [word.replace("EMPTY", str(tmp_path / "empty")) for word in words]
    with pytest.raises(InputError, match=message):
        train(style_config(*given), ignore_progress)


def test_held_out_styles_are_not_learned_from(
    style_config: Make, fresh_accelerate: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from refvid.training import style_data as train_style
    from refvid.training.style_samples import StyleSampleDrawer

    made = []

    def drawer(clips: Any, styles: Any, *arguments: Any) -> Any:
        made.append([style.name for style in styles])
        return StyleSampleDrawer(clips, styles, *arguments)

    monkeypatch.setattr(train_style, "StyleSampleDrawer", drawer)
    config = style_config("data.valid_styles=['1.png']")
    report = train(config, ignore_progress)
    assert made == [["0.png", "2.png"], ["1.png"]]
    assert report.valid_loss is not None
    lines = (config.output / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines if "valid_loss" in line] == [0, 1]
