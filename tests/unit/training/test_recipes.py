"""What learns, how fast, and what stays as it is."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from refvid.errors import CheckpointMismatch, CheckpointUnavailable, OptionError
from refvid.models.mini.autoencoder import MiniBackbone
from refvid.models.mini.condition import CONDITION_CHANNELS
from refvid.models.videovaeplus.autoencoder import VideoVaePlusBackbone
from refvid.models.wan.autoencoder import WanBackbone
from refvid.training.batch import Batch
from refvid.training.engine import write_weights
from refvid.training.make_recipe import make_recipe
from refvid.training.recipes.mini import FrameCondition, MiniRecipe
from refvid.training.recipes.recipe import Recipe
from refvid.training.recipes.videovaeplus import VideoVaePlusRecipe
from refvid.training.recipes.wan import WanRecipe

Make = Callable[..., Any]


def make_batch(frames: int, side: int = 32, **changes: Any) -> Batch:
    generator = torch.Generator().manual_seed(0)
    clip = torch.rand(2, 3, frames, side, side, generator=generator) * 2 - 1
    batch = Batch(
        clip=clip,
        target=clip,
        reference=clip[:, :, -1].clone(),
        origin=torch.zeros(2, 2, dtype=torch.int64),
        seed=5,
    )
    return replace(batch, **changes)


@pytest.fixture
def mini(mini_config: Make) -> MiniRecipe:
    recipe, _ = make_recipe(mini_config())
    assert isinstance(recipe, MiniRecipe)
    # Away from the start, where the residual is zero.
    with torch.no_grad():
        for parameter in recipe.decoder.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    return recipe


@pytest.fixture
def wan(wan_config: Make) -> WanRecipe:
    recipe, _ = make_recipe(wan_config())
    assert isinstance(recipe, WanRecipe)
    return recipe


@pytest.fixture
def videovae_plus(videovae_plus_config: Make) -> VideoVaePlusRecipe:
    recipe, _ = make_recipe(videovae_plus_config())
    assert isinstance(recipe, VideoVaePlusRecipe)
    return recipe


def learn(recipe: Recipe, batch: Batch) -> None:
    """One step with a loss that every output pixel is part of."""
    groups = [{"params": group.parameters} for group in recipe.parameter_groups()]
    optimizer = torch.optim.AdamW(groups, lr=1e-2)
    (recipe(batch) - batch.target).square().mean().backward()
    optimizer.step()


def test_training_decodes_as_inference_does_mini(mini: MiniRecipe) -> None:
    batch = make_batch(1)
    with torch.no_grad():
        trained = mini(batch)
    backbone = MiniBackbone(
        copy.deepcopy(mini.decoder), mini.config, torch.device("cpu"), torch.float32
    )
    assert batch.clip is not None
    assert batch.reference is not None
    reference = backbone.prepare_reference(batch.reference)
    decoded = backbone.decode(backbone.encode(batch.clip).latents, reference).clip
    torch.testing.assert_close(trained.clamp(-1, 1), decoded, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("with_reference", [True, False])
def test_training_decodes_as_inference_does_wan(wan: WanRecipe, with_reference: bool) -> None:
    batch = make_batch(5)
    if not with_reference:
        batch = replace(batch, reference=None)
    trained = wan(batch)
    assert trained.requires_grad
    backbone = WanBackbone(copy.deepcopy(wan.model), torch.device("cpu"), torch.float32)
    assert batch.clip is not None
    reference = None
    if batch.reference is not None:
        reference = backbone.prepare_reference(batch.reference)
    decoded = backbone.decode(backbone.encode(batch.clip).latents, reference).clip
    torch.testing.assert_close(trained.detach(), decoded, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("with_reference", [True, False])
def test_training_decodes_as_inference_does_videovae_plus(
    videovae_plus: VideoVaePlusRecipe, with_reference: bool
) -> None:
    batch = make_batch(8)
    if not with_reference:
        batch = replace(batch, reference=None)
    trained = videovae_plus(batch)
    assert trained.requires_grad
    backbone = VideoVaePlusBackbone(
        copy.deepcopy(videovae_plus.model), torch.device("cpu"), torch.float32
    )
    assert batch.clip is not None
    reference = None
    if batch.reference is not None:
        reference = backbone.prepare_reference(batch.reference)
    decoded = backbone.decode(backbone.encode(batch.clip).latents, reference).clip
    torch.testing.assert_close(trained.detach(), decoded, atol=1e-4, rtol=1e-3)


def test_everything_that_learns_gets_a_gradient(
    mini: MiniRecipe, wan: WanRecipe, videovae_plus: VideoVaePlusRecipe
) -> None:
    for recipe, frames in ((mini, 1), (wan, 5), (videovae_plus, 4)):
        recipe(make_batch(frames)).square().mean().backward()
        for group in recipe.parameter_groups():
            known = {id(parameter) for parameter in group.parameters}
            still = [
                name
                for name, parameter in recipe.named_parameters()
                if id(parameter) in known
                and (parameter.grad is None or not parameter.grad.any())
                and "conv3_tmp" not in name  # checkpoints have it where nothing uses it
            ]
            # A bias of the keys moves all similarities of a query alike: the softmax removes it.
            assert len(still) <= len(group.parameters) // 10, (group.name, still)


@pytest.mark.parametrize(("name", "frames"), [("wan", 5), ("videovae_plus", 4)])
def test_gradients_are_right(name: str, frames: int, request: pytest.FixtureRequest) -> None:
    """They come from code of their own; the loss that inference gives must change as they say."""
    recipe: Recipe = request.getfixturevalue(name)
    batch = make_batch(frames)
    learning = [p for group in recipe.parameter_groups() for p in group.parameters]

    def loss() -> torch.Tensor:
        return (recipe(batch) - batch.target).double().square().mean()

    found = torch.autograd.grad(loss(), learning, allow_unused=True, materialize_grads=True)
    length = torch.stack([g.double().square().sum() for g in found]).sum()
    step = 1e-3 / float(length.sqrt())
    losses = []
    with torch.no_grad():
        for sign in (1, -2):
            for parameter, gradient in zip(learning, found, strict=True):
                parameter.add_(gradient, alpha=sign * step)
            losses.append(float(loss()))
    assert losses[0] - losses[1] == pytest.approx(2 * step * float(length), rel=0.02)


FROZEN = {
    "wan": ("model.ae.encoder.", "model.ae.quant_conv.", "model.ae.post_quant_conv."),
    "videovae_plus": ("model.encoder.", "model.encoder_temporal."),
}
LEARNING = {
    "wan": ("transformer.", "ae.decoder.ref_conv_in.", "ae.decoder.up_blocks.3."),
    "videovae_plus": ("transformer.", "ref_conv_in.", "decoder.up.0.", "decoder_temporal."),
}


@pytest.mark.parametrize(("name", "frames"), [("wan", 5), ("videovae_plus", 4)])
def test_encoders_stay_bit_for_bit(name: str, frames: int, request: pytest.FixtureRequest) -> None:
    recipe: Recipe = request.getfixturevalue(name)
    before = copy.deepcopy(recipe.state_dict())
    learn(recipe, make_batch(frames))
    changed = {key for key, value in recipe.state_dict().items() if not value.equal(before[key])}
    assert not [key for key in changed if key.startswith(FROZEN[name])]
    for part in LEARNING[name]:
        assert [key for key in changed if key.startswith(f"model.{part}")], part


def test_new_modules_and_pretrained_ones_are_told_apart(wan: WanRecipe, mini: MiniRecipe) -> None:
    names = {id(parameter): name for name, parameter in wan.named_parameters()}
    new, old = wan.parameter_groups()
    assert (new.pretrained, old.pretrained) == (False, True)
    assert all(
        names[id(p)].startswith(("model.transformer.", "model.ae.decoder.ref_conv_in."))
        for p in new.parameters
    )
    assert all(names[id(p)].startswith("model.ae.decoder.") for p in old.parameters)
    learning = sum(parameter.requires_grad for parameter in wan.parameters())
    assert learning == len(new.parameters) + len(old.parameters)
    (everything,) = mini.parameter_groups()
    assert not everything.pretrained


def test_dropped_tokens_are_those_of_the_mask(mini: MiniRecipe) -> None:
    fusion = mini.decoder.fusion
    for parameter in (*fusion.out.parameters(), *fusion.filter.parameters()):
        torch.nn.init.zeros_(parameter)  # what the codec decodes comes out as it is
    batch = make_batch(2, reference=None, token_dropout=0.5)
    with torch.no_grad():
        kept = mini(replace(batch, token_dropout=0.0))
        dropped = mini(batch)  # (B, 3, T, H, W)
    tokens = dropped.unfold(3, 8, 8).unfold(4, 8, 8).abs().amax((1, 5, 6))  # (B, T, h, w)
    gone = tokens == 0
    assert 0 < int(gone[0, 0].sum()) < gone[0, 0].numel()
    assert (gone == gone[0, 0]).all(), "one mask for all frames and clips"
    stays = ~gone[0, 0].repeat_interleave(8, 0).repeat_interleave(8, 1)
    torch.testing.assert_close(dropped[..., stays], kept[..., stays])


def test_the_mini_learns_what_it_later_does(mini: MiniRecipe) -> None:
    torch.manual_seed(0)
    for parameter in mini.decoder.fusion.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    batch = make_batch(2)
    assert batch.clip is not None
    assert batch.reference is not None
    backbone = MiniBackbone(
        copy.deepcopy(mini.decoder), mini.config, torch.device("cpu"), torch.float32
    )
    with torch.no_grad():
        learned = mini(batch).clamp(-1, 1)
    latents = backbone.encode(batch.clip).latents
    done = backbone.decode(latents, backbone.prepare_reference(batch.reference)).clip
    torch.testing.assert_close(learned[:, :, 0], done[:, :, 0], atol=1e-4, rtol=0)
    # Later frames begin where the one before was found, and may find a better place.
    assert (learned - done).abs().mean() < 0.02


def test_the_mini_is_told_of_whole_frames(mini: MiniRecipe) -> None:
    for parameter in mini.decoder.fusion.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    facts = FrameCondition()(np.zeros((2, 20, 36, 3), np.uint8))
    assert facts.shape == (2, CONDITION_CHANNELS)
    batch = make_batch(2)
    with torch.no_grad():
        alone = mini(batch)
        told = mini(replace(batch, condition=facts.expand(len(alone), -1, -1)))
    assert not torch.equal(alone, told)


def test_dropout_changes_what_the_wan_decoder_sees(wan: WanRecipe) -> None:
    with torch.no_grad():
        whole = wan(make_batch(5))
        dropped = wan(make_batch(5, token_dropout=0.7))
        again = wan(make_batch(5, token_dropout=0.7))
    assert not torch.equal(whole, dropped)
    assert torch.equal(dropped, again)


def test_without_references_there_is_something_to_compare_with(
    wan_config: Make, mini_config: Make
) -> None:
    for config, frames in ((wan_config(), 5), (mini_config(), 2)):
        recipe, _ = make_recipe(replace(config, unconditional=True))
        batch = make_batch(frames)
        with torch.no_grad():
            assert torch.equal(recipe(batch), recipe(replace(batch, reference=None)))
    plain, _ = make_recipe(replace(wan_config(), unconditional=True))
    assert isinstance(plain, WanRecipe)
    backbone = WanBackbone(copy.deepcopy(plain.model), torch.device("cpu"), torch.float32)
    batch = make_batch(5)
    assert batch.clip is not None
    decoded = backbone.plain().decode(backbone.encode(batch.clip).latents).clip
    torch.testing.assert_close(plain(batch).detach(), decoded, atol=1e-4, rtol=1e-3)


def test_impossible_samples_are_refused(wan_config: Make) -> None:
    recipe, _ = make_recipe(wan_config())
    samples = wan_config().samples
    recipe.check_samples(replace(samples, frames=9))
    with pytest.raises(OptionError, match=r"4k \+ 1"):
        recipe.check_samples(replace(samples, frames=8))
    with pytest.raises(OptionError, match="reference_crop equal"):
        recipe.check_samples(replace(samples, frames=9, reference_crop=64))
    with pytest.raises(OptionError, match="consecutive"):
        recipe.check_samples(replace(samples, frames=9, consecutive=False))


def test_videovae_plus_takes_whole_groups_of_frames(videovae_plus_config: Make) -> None:
    config = videovae_plus_config()
    recipe, _ = make_recipe(config)
    recipe.check_samples(config.samples)
    for frames in (5, 20):
        with pytest.raises(OptionError, match="4, 8, 12 or 16"):
            recipe.check_samples(replace(config.samples, frames=frames))
    latents = torch.randn(1, 16, 2, 4, 4)
    assert isinstance(recipe, VideoVaePlusRecipe)
    assert recipe.reverse_latents(latents).shape == latents.shape
    assert recipe.latent_frames(16) == 4


def test_reversing_latents_is_decoding_backwards(wan: WanRecipe) -> None:
    latents = torch.randn(1, 16, 2, 4, 4)
    plain = WanBackbone(copy.deepcopy(wan.model), torch.device("cpu"), torch.float32)
    plain = plain.plain()
    expected = plain.encode(plain.decode(latents).clip.flip(2)).latents
    torch.testing.assert_close(wan.reverse_latents(latents), expected, atol=1e-4, rtol=1e-3)


def test_a_run_may_begin_with_given_weights(mini_config: Make) -> None:
    from refvid.checkpoints.load import load_backbone

    bundled = load_backbone("mini", torch.device("cpu"), torch.float32)
    assert isinstance(bundled, MiniBackbone)
    recipe, sizes = make_recipe(replace(mini_config(), init="mini", network={}))
    assert isinstance(recipe, MiniRecipe)
    assert sizes["width"] == bundled.config.width
    for one, other in zip(recipe.decoder.parameters(), bundled.decoder.parameters(), strict=True):
        assert torch.equal(one, other)
    assert all(one.requires_grad for one in recipe.decoder.fusion.parameters())


def test_a_run_may_begin_with_the_plain_autoencoder(wan_config: Make, tmp_path: Path) -> None:
    """The Wan 2.1 VAE as diffusers has it: encoder and decoder are its, the attention is new."""
    from diffusers import AutoencoderKLWan

    torch.manual_seed(7)
    vae = AutoencoderKLWan(base_dim=4)
    save_file(vae.state_dict(), tmp_path / "vae.safetensors")
    recipe, _ = make_recipe(wan_config(f"init={tmp_path / 'vae.safetensors'}"))
    assert isinstance(recipe, WanRecipe)
    clip = torch.rand(1, 3, 5, 32, 32) * 2 - 1
    with torch.no_grad():
        expected = vae.encode(clip).latent_dist.mode()
        decoded = vae.decode(expected).sample
        torch.testing.assert_close(recipe._encode(clip), expected, atol=1e-4, rtol=1e-3)
        plain, _ = recipe.model.decode(expected, attention=False)
        torch.testing.assert_close(plain, decoded, atol=1e-4, rtol=1e-3)
    assert recipe.model.ae.decoder.ref_conv_in.proj.weight.any()

    other = AutoencoderKLWan(base_dim=8)
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(CheckpointMismatch, match="of another shape"):
        make_recipe(wan_config(f"init={tmp_path / 'other.safetensors'}"))


def test_a_run_goes_on_with_weights_of_another(wan_config: Make, tmp_path: Path) -> None:
    recipe, _ = make_recipe(wan_config("seed=3"))
    path = tmp_path / "wan.safetensors"
    write_weights(recipe, recipe.state_dict(), path, overwrite=False)
    config = wan_config(f"init={path}")
    for given in (config, replace(config, network={})):
        again, sizes = make_recipe(given)
        assert sizes["base_channels"] == 4
        for one, other in zip(recipe.parameters(), again.parameters(), strict=True):
            assert torch.equal(one, other)
    with pytest.raises(CheckpointMismatch, match=r"of wan2\.1, not of mini"):
        make_recipe(replace(config, backbone="mini", network={}))


def test_unfit_weights_to_begin_with(mini_config: Make, wan_config: Make) -> None:
    with pytest.raises(OptionError, match="other sizes"):
        make_recipe(mini_config("init=mini"))
    with pytest.raises(CheckpointUnavailable):
        make_recipe(mini_config("init=missing.safetensors"))
    with pytest.raises(CheckpointUnavailable, match="there is no file"):
        make_recipe(wan_config("init=missing.safetensors"))
    with pytest.raises(OptionError, match="--init"):
        make_recipe(replace(wan_config(), network={}))
    with pytest.raises(OptionError, match=r"unknown key 'network\.breadth'"):
        make_recipe(mini_config("network.breadth=3"))
