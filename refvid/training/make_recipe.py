"""Backbone, sizes and first weights -> what is trained."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from refvid.checkpoints.catalog import CATALOG
from refvid.checkpoints.convert import read_weights
from refvid.checkpoints.load import load_backbone
from refvid.checkpoints.state_dict import compare_keys
from refvid.errors import CheckpointMismatch, CheckpointUnavailable, OptionError
from refvid.models.reference_tokens import ReferenceTokens
from refvid.models.registry import Parts, bundled_names, find_backbone, import_from
from refvid.training.config import TrainConfig
from refvid.training.read_config import parse
from refvid.training.recipes.framewise import FramewiseRecipe
from refvid.training.recipes.pretrained import PretrainedRecipe
from refvid.training.recipes.recipe import Recipe
from refvid.training.recipes.tokens import TokensRecipe, begin_with

logger = logging.getLogger(__name__)


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
    spec = find_backbone(config.backbone)
    assert spec is not None, "the config checks it"
    assert spec.recipe is not None, "the config checks it"
    kind: type[Recipe] = import_from(spec.recipe)
    parts = spec.parts()
    sizes = parse(parts.sizes, config.network, "network")
    if issubclass(kind, PretrainedRecipe):
        model = _pretrained_model(config, kind, parts, sizes, fresh=fresh)
        return kind(model, unconditional=config.unconditional), asdict(model.config)
    if issubclass(kind, TokensRecipe):
        tokens = kind(sizes)
        if fresh and config.init is not None:
            begin_with(tokens.network, Path(config.init))
        return tokens, asdict(sizes)
    assert issubclass(kind, FramewiseRecipe), "there are three families of recipes"
    given = _given(config) if fresh and config.init is not None else None
    if given is not None:
        sizes = _check_asked(config, given.config)
    recipe = kind(sizes, unconditional=config.unconditional)
    if given is not None:
        recipe.decoder.load_state_dict(given.decoder.state_dict())
    return recipe, asdict(sizes)


def _check_asked(config: TrainConfig, given: Any) -> Any:
    """Sizes of the weights to begin with, which are those that were asked for."""
    if config.network:
        asked = parse(type(given), {**asdict(given), **config.network}, "network")
        if asked != given:
            raise OptionError(f"network: --init {config.init} has other sizes; leave them out.")
    return given


def _pretrained_model(
    config: TrainConfig, kind: type[PretrainedRecipe[Any]], parts: Parts, sizes: Any, *, fresh: bool
) -> Any:
    plain = _plain_weights(config.init) if fresh else None
    if fresh and config.init is not None and plain is None:
        model = _given(config, sizes if config.network else None).model
        _own_weights(model)
        return model
    _check_random(config, fresh=fresh)
    model = parts.network(sizes)
    tokens = cast("ReferenceTokens", model.get_submodule(kind.reference_tokens))
    _start_reference_tokens(tokens)
    if plain is not None:
        prefix = kind.plain_prefix
        named = {prefix + key.removeprefix(prefix): value for key, value in plain.items()}
        _load_plain(model, named, (*kind.new_keys, f"{kind.reference_tokens}."), config)
    return model


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
    logger.info("%s has no reference attention: that begins at random", config.init)


def _given(config: TrainConfig, sizes: Any = None) -> Any:
    """Load the weights to begin with: a backbone, and what its folder knows of it besides."""
    assert config.init is not None
    names = (*bundled_names(), *CATALOG.models)
    if config.init not in names and not Path(config.init).exists():
        raise CheckpointUnavailable(
            f"--init: there is no file {config.init}, and no model of that name "
            f"({', '.join(names)})."
        )
    given = load_backbone(config.init, torch.device("cpu"), torch.float32, sizes=sizes)
    if given.name != config.backbone:
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
    logger.warning("without --init the frozen encoder is random, too: for experiments only")


def _own_weights(model: nn.Module) -> None:
    """Take the weights out of the mapped file, which must not learn, in full precision."""
    for parameter in model.parameters():
        parameter.data = parameter.data.float().clone()


def _start_reference_tokens(tokens: ReferenceTokens) -> None:
    """As the paper does: Xavier-uniform, without bias."""
    nn.init.xavier_uniform_(tokens.proj.weight)
    if tokens.proj.bias is not None:
        nn.init.zeros_(tokens.proj.bias)
