"""Official state dicts -> the network's keys: pure functions on dicts.

The published files come plain or wrapped, with prefixes of the training program, and with weights
of its losses; anything else that the network does not know, or misses, is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor

from refvid.checkpoints.checksums import is_finite
from refvid.models.registry import backbones

_WRAPPERS = ("state_dict", "module")
_ANYWHERE = ("_forward_module.", "_orig_mod.")
"""DeepSpeed puts the first before a key; torch.compile puts the second in the middle of it."""

_LOSSES = ("loss.", "loss_fn.", "lpips.", "perceptual_loss.")
_BLOCK = re.compile(r"transformer\.transformer\.blocks\.([0-9]{1,9})\.")
_SHOWN_KEYS = 12

Value = TypeVar("Value")


def unwrap(document: object) -> dict[str, Any]:
    """Take the state dict out of `state_dict`, else `module`, else the document itself.

    Raises:
        ValueError: The document is no mapping of names.
    """
    for wrapper in _WRAPPERS:
        if isinstance(document, Mapping) and isinstance(document.get(wrapper), Mapping):
            document = document[wrapper]
            break
    if not isinstance(document, Mapping):
        raise ValueError(f"it holds a {type(document).__name__} instead of named weights")
    if not all(isinstance(key, str) for key in document):
        raise ValueError("its weights have no names")
    return dict(document)


def clean_key(key: str) -> str:
    """One key without the training program's prefixes, and under its newest name."""
    for word in _ANYWHERE:
        key = key.replace(word, "")
    key = key.removeprefix("model.")
    for old, new in (names for spec in backbones() for names in spec.renamed_keys):
        if key.startswith(old):
            return new + key.removeprefix(old)
    return key


def is_loss_key(key: str) -> bool:
    """Whether a cleaned key belongs to a training loss, which no decoder needs."""
    return key.startswith(_LOSSES)


def clean_keys(state: Mapping[str, Value]) -> dict[str, Value]:
    """Rename every key and drop the losses.

    Raises:
        ValueError: Two keys become one.
    """
    result: dict[str, Value] = {}
    for key, value in state.items():
        clean = clean_key(key)
        if is_loss_key(clean):
            continue
        if clean in result:
            raise ValueError(f"it holds {clean} more than once")
        result[clean] = value
    return result


def count_blocks(keys: Iterable[str]) -> int:
    """Number of transformer blocks: the highest index plus one, 0 without any."""
    return max((int(match[1]) + 1 for key in keys if (match := _BLOCK.match(key))), default=0)


def check_blocks(keys: Iterable[str], expected: int) -> None:
    """Refuse a transformer of another depth.

    The published training configuration builds 30 blocks whatever it says, and the published
    inference code drops all but the first ten of such a file in silence.

    Raises:
        ValueError: The number of blocks is not the expected one.
    """
    found = count_blocks(keys)
    if found not in (expected, 0):  # none at all is better said as missing keys
        raise ValueError(
            f"its transformer has {found} blocks where this network has {expected}; "
            "cut or extended, it would not be the model that was trained"
        )


@dataclass(frozen=True, slots=True)
class KeyDifferences:
    """What stands between a state dict and a network."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    wrong_shape: tuple[str, ...]
    """Each with both shapes, in words."""

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.wrong_shape)

    def describe(self, shown: int = _SHOWN_KEYS) -> str:
        """One line that counts and lists them, up to a number of each kind."""
        kinds = {
            "missing": self.missing,
            "unexpected": self.unexpected,
            "of another shape": self.wrong_shape,
        }
        return "; ".join(
            f"{len(keys)} {kind} ({_listed(keys, shown)})" for kind, keys in kinds.items() if keys
        )


def compare_keys(
    expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]
) -> KeyDifferences:
    """Compare two state dicts by their shapes, key by key."""
    return KeyDifferences(
        missing=tuple(key for key in expected if key not in found),
        unexpected=tuple(key for key in found if key not in expected),
        wrong_shape=tuple(
            f"{key} {tuple(found[key])} instead of {tuple(shape)}"
            for key, shape in expected.items()
            if key in found and tuple(found[key]) != tuple(shape)
        ),
    )


def check_numbers(weights: Mapping[str, Tensor]) -> None:
    """Refuse NaN and infinity: every weight is read, and none copied whole.

    Raises:
        ValueError: Says which weights hold them.
    """
    bad = [
        key for key, value in weights.items() if value.is_floating_point() and not is_finite(value)
    ]
    if bad:
        raise ValueError(
            f"NaN or infinity in {_listed(tuple(bad), _SHOWN_KEYS)}; the training that made them "
            "failed, or the file is damaged"
        )


def _listed(keys: tuple[str, ...], shown: int) -> str:
    more = f", and {len(keys) - shown} more" if len(keys) > shown else ""
    return ", ".join(keys[:shown]) + more
