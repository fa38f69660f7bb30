"""Every backbone that refvid knows, as data: the only place where their names stand.

A new one takes a folder in refvid/models, a recipe if it can be trained, and one `BackboneSpec`:
among those below, or given to `register` by another program. Nothing is imported before it is
needed, least of all torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import nn


Kind = Literal["restore", "style", "tokens"]
"""What a backbone is made for: bringing details back, the manner of another picture, or tokens."""

Chunking = Literal["carry", "independent"]
"""Whether something goes from chunk to chunk of a shot, or each stands alone as in the published
inference scripts."""

MINI: Final = "mini"
MINI_STYLE: Final = "mini-style"
MINI_REFTOK: Final = "mini-reftok"
MINI_REFTOK_16: Final = "mini-reftok-16"
MINI_REFTOK_TWIN: Final = "mini-reftok-twin"
MINI_VTOK: Final = "mini-vtok"
WAN: Final = "wan2.1"
VIDEOVAE_PLUS: Final = "videovae+"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """One file of a hub repository."""

    name: str
    """What `--model` and `refvid models` call it."""

    repository: str
    path: str
    """Within the repository, with forward slashes."""

    revision: str
    """Commit that it is pinned to, or its first digits: a download makes sure that it is that."""

    backbone: str
    """Network that it fits."""

    licence: str
    size: int | None = None
    """Bytes; None is unknown."""

    sha256: str | None = None
    """None is unknown: the first download records it, and later ones must agree."""

    needs_acceptance: bool = False
    """Whether the licence must be accepted before a download."""

    terms: str = ""
    """What the licence means, in a sentence, where it must be accepted."""

    base: str | None = None
    """Name of the entry that holds the weights under this one's: they are loaded first, and these
    on top."""

    description: str = ""

    def __post_init__(self) -> None:
        # These become parts of paths and patterns.
        assert re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", self.name), self.name
        assert re.fullmatch(r"[0-9a-f]{7,40}", self.revision), self.revision
        assert ".." not in self.path.split("/"), self.path

    @property
    def page(self) -> str:
        """Where a person finds the file, for downloading it by hand."""
        return f"https://huggingface.co/{self.repository}/blob/{self.revision}/{self.path}"


class Parts(NamedTuple):
    """What a backbone is made of."""

    sizes: type[Any]
    """A frozen dataclass; its defaults are the sizes of the published network."""

    network: Callable[[Any], nn.Module]
    """Makes the network of such sizes, with random weights."""

    backbone: Callable[[Any, Any, torch.device, torch.dtype, Chunking], Any]
    """Makes a `Backbone`, or a `Tokenizer`, of a network with its weights and of its sizes, on a
    device."""

    float32_keys: tuple[str, ...] = ()
    """Beginnings of the keys of weights that are float32 in any precision."""

    attention_keys: tuple[str, ...] = ()
    """Beginnings of those that only the reference attention uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSpec:
    """What there is to know of a backbone before anything of it is loaded."""

    name: str
    """What `--model` and `--backbone` call it, and what its files say."""

    kind: Kind
    parts: Callable[[], Parts]
    """Imports them."""

    description: str = ""
    """In a line, for lists of models."""

    bundled: tuple[str, str] | None = None
    """Package and file with weights that are installed along; None where there are none."""

    files: tuple[CatalogEntry, ...] = ()
    """Published weights that can be downloaded."""

    is_converted: bool = False
    """Whether its files are published ones, in any layout, which are converted once; if not, they
    are refvid's own and say which sizes their network has."""

    own_keys: tuple[str, ...] = ()
    """Beginnings of keys by which a published file is known; of two backbones that know a file the
    one registered last has it."""

    renamed_keys: tuple[tuple[str, str], ...] = ()
    """Older beginnings of keys, and those that took their place."""

    joins_by: str | None = None
    """How chunks of a shot are joined where they may also stand alone; None where they may not."""

    recipe: str | None = None
    """Where its `refvid.training.recipes.recipe.Recipe` is, as `module:name`."""

    recipe_defaults: str | None = None
    """Where a mapping is with what its recipe sets, as `module:name`; without torch."""


def register(spec: BackboneSpec) -> None:
    """Make a backbone known to every command, in this process.

    Raises:
        ValueError: The name is taken.
    """
    if spec.name in _REGISTRY:
        raise ValueError(f"there is a backbone {spec.name!r} already")
    _REGISTRY[spec.name] = spec


def find_backbone(name: str) -> BackboneSpec | None:
    """The backbone of a name, if there is one."""
    return _REGISTRY.get(name)


def backbones(kind: Kind | None = None) -> tuple[BackboneSpec, ...]:
    """All of a kind, or all, in the order of their registration: the first is the usual one."""
    return tuple(spec for spec in _REGISTRY.values() if kind in (None, spec.kind))


def names(kind: Kind | None = None) -> tuple[str, ...]:
    """Those of `backbones`."""
    return tuple(spec.name for spec in backbones(kind))


def bundled_names() -> tuple[str, ...]:
    """Names of the backbones whose weights are installed along."""
    return tuple(spec.name for spec in backbones() if spec.bundled is not None)


def import_from(place: str) -> Any:
    """What `module:name` stands for."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def _mini() -> Parts:
    from refvid.models.mini.autoencoder import MiniBackbone
    from refvid.models.mini.config import MiniConfig
    from refvid.models.mini.decoder import MiniDecoder

    return Parts(MiniConfig, MiniDecoder, lambda *made: MiniBackbone(*made[:4]))


def _mini_style() -> Parts:
    from refvid.models.mini_style.autoencoder import MiniStyleBackbone
    from refvid.models.mini_style.config import MiniStyleConfig
    from refvid.models.mini_style.decoder import MiniStyleDecoder

    return Parts(MiniStyleConfig, MiniStyleDecoder, lambda *made: MiniStyleBackbone(*made[:4]))


def _reftok(sizes: str) -> Parts:
    """Networks of one kind, which differ in their sizes."""
    from refvid.models.mini_tokens.network import MiniReftok
    from refvid.models.mini_tokens.reftok import Reftok

    made_of = import_from(f"refvid.models.mini_tokens.config:{sizes}")
    return Parts(made_of, MiniReftok, lambda *made: Reftok(*made[:4]))


def _mini_vtok() -> Parts:
    from refvid.models.mini_tokens.config import MiniVtokConfig
    from refvid.models.mini_tokens.vtok import MiniVtok, Vtok

    return Parts(MiniVtokConfig, MiniVtok, lambda *made: Vtok(*made[:4]))


def _wan() -> Parts:
    from refvid.models.wan.autoencoder import WanAutoencoder, WanBackbone
    from refvid.models.wan.config import WanConfig

    return Parts(
        WanConfig,
        WanAutoencoder,
        lambda network, _, device, dtype, chunking: WanBackbone(
            network, device, dtype, chunking=chunking
        ),
        float32_keys=("ae.encoder.", "ae.quant_conv."),
        attention_keys=("transformer.",),
    )


def _videovae_plus() -> Parts:
    from refvid.models.videovaeplus.autoencoder import VideoVaePlusAutoencoder, VideoVaePlusBackbone
    from refvid.models.videovaeplus.config import VideoVaePlusConfig

    return Parts(
        VideoVaePlusConfig,
        VideoVaePlusAutoencoder,
        lambda network, _, device, dtype, chunking: VideoVaePlusBackbone(
            network, device, dtype, overlapping=chunking == "carry"
        ),
        float32_keys=("encoder.", "encoder_temporal."),
        attention_keys=("transformer.",),
    )


def _tokenizer(
    name: str, parts: Callable[[], Parts], description: str, recipe: str
) -> BackboneSpec:
    return BackboneSpec(
        name=name,
        kind="tokens",
        parts=parts,
        description=f"for refvid tokenize: {description}",
        bundled=("refvid.assets", f"{name.replace('-', '_')}.safetensors"),
        recipe=f"refvid.training.recipes.mini_tokens:{recipe}",
        recipe_defaults="refvid.training.defaults:TOKENS",
    )


_TERMS = "non-commercial use only, with attribution, and no sharing of changed versions"
_BASE = "videovae+base"

_BUILT_IN = (
    BackboneSpec(
        name=MINI,
        kind="restore",
        parts=_mini,
        description="small and quick, made for any computer",
        bundled=("refvid.assets", "mini.safetensors"),
        recipe="refvid.training.recipes.mini:MiniRecipe",
        recipe_defaults="refvid.training.defaults:MINI",
    ),
    BackboneSpec(
        name=WAN,
        kind="restore",
        parts=_wan,
        files=(
            CatalogEntry(
                name=WAN,
                repository="Arrokothwhi/RefDecoder",
                path="I2V_Wan2.1/model.pt",
                revision="77ce6fb",
                backbone=WAN,
                licence="Apache-2.0",
                size=1_098_670_837,
                sha256="e77b2634f96e5096605b26da99b59cd71ece85d481d3ae86dc23fa14206f9841",
                description="RefDecoder on the Wan 2.1 autoencoder, the model of the paper",
            ),
        ),
        is_converted=True,
        own_keys=("ae.", "transformer."),
        renamed_keys=(("vae.", "ae."),),
        joins_by="carry state",
        recipe="refvid.training.recipes.wan:WanRecipe",
        recipe_defaults="refvid.training.defaults:PAPER",
    ),
    BackboneSpec(
        name=VIDEOVAE_PLUS,
        kind="restore",
        parts=_videovae_plus,
        files=(
            CatalogEntry(
                name=VIDEOVAE_PLUS,
                repository="Arrokothwhi/RefDecoder",
                path="VAE/VideoVAEPlus/videovaeplus_ref.pt",
                revision="77ce6fb",
                backbone=VIDEOVAE_PLUS,
                licence="CC BY-NC-ND 4.0",
                needs_acceptance=True,
                terms=_TERMS,
                base=_BASE,
                description="RefDecoder on VideoVAE+, the paper's second model",
            ),
            CatalogEntry(
                name=_BASE,
                repository="Arrokothwhi/RefDecoder",
                path="VideoVAEPlus/sota-4-16z.ckpt",
                revision="77ce6fb",
                backbone=VIDEOVAE_PLUS,
                licence="CC BY-NC-ND 4.0",
                needs_acceptance=True,
                terms=_TERMS,
                description=f"VideoVAE+ itself, the weights under {VIDEOVAE_PLUS}",
            ),
        ),
        is_converted=True,
        # Without a prefix; each of its files has some of these.
        own_keys=("encoder_temporal.", "decoder_temporal.", "decoder.pre_transformer_norms."),
        joins_by="overlap",
        recipe="refvid.training.recipes.videovaeplus:VideoVaePlusRecipe",
        recipe_defaults="refvid.training.defaults:PAPER_16_FRAMES",
    ),
    BackboneSpec(
        name=MINI_STYLE,
        kind="style",
        parts=_mini_style,
        description="for refvid stylize",
        bundled=("refvid.assets", "mini_style.safetensors"),
        recipe="refvid.training.recipes.mini_style:MiniStyleRecipe",
        recipe_defaults="refvid.training.defaults:STYLE",
    ),
    _tokenizer(
        MINI_REFTOK,
        partial(_reftok, "MiniReftokConfig"),
        "blocks of 4x8x8, given a reference",
        "MiniReftokRecipe",
    ),
    _tokenizer(
        MINI_REFTOK_16,
        partial(_reftok, "MiniReftok16Config"),
        "blocks of 4x16x16, given a reference",
        "MiniReftok16Recipe",
    ),
    _tokenizer(
        MINI_VTOK,
        _mini_vtok,
        "a key frame, and a token per later frame",
        "MiniVtokRecipe",
    ),
    _tokenizer(
        MINI_REFTOK_TWIN,
        partial(_reftok, "MiniReftokTwinConfig"),
        "blocks of 4x8x8 without a reference, to compare with",
        "MiniReftokTwinRecipe",
    ),
)

_REGISTRY: dict[str, BackboneSpec] = {spec.name: spec for spec in _BUILT_IN}
