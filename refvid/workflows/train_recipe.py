"""Backbone, sizes and first weights -> what is trained."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from refvid.checkpoints.catalog import BUNDLED_NAMES, CATALOG
from refvid.checkpoints.convert import read_weights
from refvid.checkpoints.load import load_backbone
from refvid.checkpoints.state_dict import compare_keys
from refvid.errors import CheckpointMismatch, CheckpointUnavailable, OptionError
from refvid.models.mini.autoencoder import MiniBackbone
from refvid.models.mini.config import MiniConfig
from refvid.models.mini_style.autoencoder import MiniStyleBackbone
from refvid.models.mini_style.config import MiniStyleConfig
from refvid.models.reference_tokens import ReferenceTokens
from refvid.models.videovaeplus.autoencoder import VideoVaePlusAutoencoder, VideoVaePlusBackbone
from refvid.models.videovaeplus.config import VideoVaePlusConfig
from refvid.models.wan.autoencoder import WanAutoencoder, WanBackbone
from refvid.models.wan.config import WanConfig
from refvid.training.config import TrainConfig
from refvid.training.recipes.mini import MiniRecipe
from refvid.training.recipes.mini_style import MiniStyleRecipe
from refvid.training.recipes.recipe import Recipe
from refvid.training.recipes.videovaeplus import VideoVaePlusRecipe
from refvid.training.recipes.wan import WanRecipe
from refvid.workflows.train_config import parse

log = logging.getLogger(__name__)

_Kind = TypeVar("_Kind", MiniBackbone, MiniStyleBackbone, WanBackbone, VideoVaePlusBackbone)

_Sizes = TypeVar("_Sizes", MiniConfig, MiniStyleConfig)


def make_recipe(config: TrainConfig, *, fresh: bool = True) -> tuple[Recipe, dict[str, Any]]:
    """Build the network of a run.

    Args:
        config: Of the run.
        fresh: Load the weights to begin with; False where a checkpoint's follow.

    Returns:
        The recipe, and the sizes of its network.

    Raises:
        OptionError: Sizes are unknown or impossible.
        CheckpointError: The weights to begin with cannot be had, or are not the network's.
    """
    torch.manual_seed(config.seed)
    make = {
        "mini": _make_mini,
        "mini-style": _make_mini_style,
        "wan2.1": _make_wan,
        "videovae+": _make_videovae_plus,
    }
    return make[config.backbone](config, fresh=fresh)


def _make_mini(config: TrainConfig, *, fresh: bool) -> tuple[Recipe, dict[str, Any]]:
    if not fresh or config.init is None:
        sizes = parse(MiniConfig, config.network, "network")
        return MiniRecipe(sizes, unconditional=config.unconditional), asdict(sizes)
    given = _given(config, MiniBackbone)
    _check_asked(config, MiniConfig, given.config)
    recipe = MiniRecipe(given.config, unconditional=config.unconditional)
    recipe.decoder.load_state_dict(given.decoder.state_dict())
    return recipe, asdict(given.config)


def _make_mini_style(config: TrainConfig, *, fresh: bool) -> tuple[Recipe, dict[str, Any]]:
    if not fresh or config.init is None:
        sizes = parse(MiniStyleConfig, config.network, "network")
        return MiniStyleRecipe(sizes), asdict(sizes)
    given = _given(config, MiniStyleBackbone)
    _check_asked(config, MiniStyleConfig, given.config)
    recipe = MiniStyleRecipe(given.config)
    recipe.decoder.load_state_dict(given.decoder.state_dict())
    return recipe, asdict(given.config)


def _check_asked(config: TrainConfig, kind: type[_Sizes], given: _Sizes) -> None:
    """Sizes that were asked for are those of the weights to begin with."""
    if config.network:
        asked = parse(kind, {**asdict(given), **config.network}, "network")
        if asked != given:
            raise OptionError(f"network: --init {config.init} has other sizes; leave them out.")


def _make_wan(config: TrainConfig, *, fresh: bool) -> tuple[Recipe, dict[str, Any]]:
    sizes = parse(WanConfig, config.network, "network")
    plain = _plain_weights(config.init) if fresh else None
    if fresh and config.init is not None and plain is None:
        model = _given(config, WanBackbone, wan_config=sizes if config.network else None).model
        _own_weights(model)
    else:
        _check_random(config, fresh=fresh)
        model = WanAutoencoder(sizes)
        _start_reference_tokens(model.ae.decoder.ref_conv_in)
        if plain is not None:
            named = {f"ae.{key.removeprefix('ae.')}": value for key, value in plain.items()}
            _load_plain(model, named, ("transformer.", "ae.decoder.ref_conv_in."), config)
    return WanRecipe(model, unconditional=config.unconditional), asdict(model.config)


def _make_videovae_plus(config: TrainConfig, *, fresh: bool) -> tuple[Recipe, dict[str, Any]]:
    sizes = parse(VideoVaePlusConfig, config.network, "network")
    plain = _plain_weights(config.init) if fresh else None
    if fresh and config.init is not None and plain is None:
        asked = sizes if config.network else None
        model = _given(config, VideoVaePlusBackbone, videovae_plus_config=asked).model
        _own_weights(model)
    else:
        _check_random(config, fresh=fresh)
        model = VideoVaePlusAutoencoder(sizes)
        _start_reference_tokens(model.ref_conv_in)
        if plain is not None:
            new = ("transformer.", "ref_conv_in.", "decoder.pre_transformer_norms")
            _load_plain(model, plain, new, config)
    return VideoVaePlusRecipe(model, unconditional=config.unconditional), asdict(model.config)


def _plain_weights(init: str | None) -> dict[str, Tensor] | None:
    """Weights of a video autoencoder that never had a reference attention, or None."""
    if init is None or not Path(init).is_file():
        return None
    weights = read_weights(Path(init))
    return None if any(key.startswith("transformer.") for key in weights) else weights


def _load_plain(
    model: nn.Module, weights: dict[str, Tensor], new: tuple[str, ...], config: TrainConfig
) -> None:
    """Fill everything but the new modules, strictly."""
    differences = compare_keys(
        {k: tuple(v.shape) for k, v in model.state_dict().items() if not k.startswith(new)},
        {key: tuple(value.shape) for key, value in weights.items()},
    )
    if differences:
        raise CheckpointMismatch(
            f"--init {config.init} is no autoencoder for {config.backbone}: "
            f"{differences.describe()}."
        )
    model.load_state_dict(weights, strict=False)
    log.info("%s has no reference attention: that begins at random", config.init)


def _given(config: TrainConfig, kind: type[_Kind], **sizes: Any) -> _Kind:
    """Load the weights to begin with."""
    assert config.init is not None
    names = (*BUNDLED_NAMES, *CATALOG.models)
    if config.init not in names and not Path(config.init).exists():
        raise CheckpointUnavailable(
            f"--init: there is no file {config.init}, and no model of that name "
            f"({', '.join(names)})."
        )
    given = load_backbone(config.init, torch.device("cpu"), torch.float32, **sizes)
    if not isinstance(given, kind):
        raise CheckpointMismatch(
            f"--init {config.init} holds weights of {given.name}, not of {config.backbone}."
        )
    return given


def _check_random(config: TrainConfig, *, fresh: bool) -> None:
    """A frozen encoder that nobody trained is of use in experiments only."""
    if not fresh or config.init is not None:
        return
    if not config.network:
        raise OptionError(
            f"{config.backbone} is trained from pretrained weights: give them with --init, "
            f"a file or {config.backbone}."
        )
    log.warning("without --init the frozen encoder is random, too: for experiments only")


def _own_weights(model: nn.Module) -> None:
    """Take the weights out of the mapped file, which must not learn, in full precision."""
    for parameter in model.parameters():
        parameter.data = parameter.data.float().clone()


def _start_reference_tokens(tokens: ReferenceTokens) -> None:
    """As the paper does: Xavier-uniform, without bias."""
    nn.init.xavier_uniform_(tokens.proj.weight)
    if tokens.proj.bias is not None:
        nn.init.zeros_(tokens.proj.bias)
