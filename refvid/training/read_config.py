"""Config file, flags and `--set` words -> `TrainConfig`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from refvid.documents import TOO_DEEP, check_values, parse_json, parse_toml, read_text, shown
from refvid.errors import OptionError
from refvid.models.registry import names
from refvid.training.config import TrainConfig
from refvid.training.defaults import defaults_of

Tree = dict[str, Any]
T = TypeVar("T")

SAVED_CONFIG = "config.yaml"
_MOST_PARTS = 8
"""Of a key of `--set`."""


def build_config(
    *,
    file: Path | None = None,
    saved: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    words: Sequence[str] = (),
) -> TrainConfig:
    """Put a run's config together; what comes later wins.

    Args:
        file: TOML or YAML.
        saved: The `config.yaml` of a run that goes on; it takes the place of the defaults.
        flags: A tree of what the command line's own options say.
        words: `KEY=VALUE`, as in `optimizer.rate=1e-4`; values as in TOML, where a word without
            quotes is a text and nothing at all is no value.

    Raises:
        OptionError: A file or a value is not usable; the message names the key.
    """
    asked: Tree = {}
    if file is not None:
        asked = _merge(asked, read_tree(file))
    asked = _merge(asked, flags or {})
    for word in words:
        asked = _set(asked, word)
    if saved is not None:
        base = read_tree(saved)
    else:
        task = asked.get("task")
        usual = names(task if task in ("style", "tokens") else "restore")[0]
        backbone = str(asked.get("backbone", usual))
        base = _merge({"backbone": backbone}, defaults_of(backbone))
    run = asked.get("run") or {}
    if isinstance(run, Mapping) and run.get("minutes") is not None and "steps" not in run:
        # A length in minutes replaces a default in steps, which would win.
        base = _merge(base, {"run": {"steps": None}})
    return parse(TrainConfig, _merge(base, asked))


def read_tree(path: Path) -> Tree:
    """Read a config file: TOML by its suffix, else YAML.

    Raises:
        OptionError: It cannot be read, or is no table.
    """
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        raise OptionError(f"Cannot read the config file {path}: {error}.") from error
    try:
        tree = parse_toml(text) if path.suffix.lower() == ".toml" else _parse_yaml(text)
    except ValueError as error:
        raise OptionError(f"The config file {path} is damaged: {error}.") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise OptionError(f"The config file {path} holds no keys and values.")
    return tree


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases: a few lines of them make any number of values."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("write values out: aliases (*name) are not read")
        return super().compose_node(parent, index)


def _parse_yaml(text: str) -> Any:
    """Raises `ValueError` with a reason."""
    try:
        tree = yaml.load(text, _PlainLoader)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    # What YAML calls a number or a date may be none, and what it calls a key may be a table.
    except (yaml.YAMLError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    check_values(tree)
    return tree


def save_config(config: TrainConfig, path: Path) -> None:
    """Write a config so that `read_tree` reads it again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tree = TypeAdapter(TrainConfig).dump_python(config, mode="json")
    path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")


def parse(kind: type[T], tree: Mapping[str, Any], where: str = "") -> T:
    """Make a dataclass of a tree, with all values checked.

    Raises:
        OptionError: A key is unknown, or a value impossible; the message says where.
    """
    try:
        check_values(tree)
    except ValueError as error:
        raise OptionError(f"{where}: {error}" if where else str(error)) from error
    _refuse_unknown(kind, tree, where)
    try:
        found = TypeAdapter(kind).validate_python(tree)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join([where, *map(str, first["loc"])] if where else map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise OptionError(f"{place}: {message}" if place else message) from error
    _refuse_no_numbers(found, where)
    return found


def _refuse_no_numbers(value: Any, place: str) -> None:
    """Raise `OptionError` for numbers that nothing computes with, which a text may have become."""
    if is_dataclass(value):
        for field in fields(value):
            inner = f"{place}.{field.name}" if place else field.name
            _refuse_no_numbers(getattr(value, field.name), inner)
    elif isinstance(value, tuple):
        for item in value:
            _refuse_no_numbers(item, place)
    else:
        try:
            check_values(value)
        except ValueError as error:
            raise OptionError(f"{place}: {error}") from error


def _refuse_unknown(kind: Any, tree: Any, where: str) -> None:
    if not (is_dataclass(kind) and isinstance(tree, Mapping)):
        return
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind)]
    for key, value in tree.items():
        place = f"{where}.{key}" if where else str(key)
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
            raise OptionError(f"unknown key {shown(place)}; {hint}")
        if isinstance(value, Mapping):
            _refuse_unknown(hints[key], value, place)
        elif isinstance(value, list) and (inner := get_args(hints[key])):
            for index, item in enumerate(value):
                _refuse_unknown(inner[0], item, f"{place}.{index}")


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """A copy with the second tree's leaves in place of the first's; lists are leaves."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = _merge(old, value)  # noqa: PLW2901 -- the tree's in place of the leaf's
        merged[key] = value
    return merged


def _set(tree: Mapping[str, Any], word: str) -> Tree:
    key, equals, text = word.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path) or len(path) > _MOST_PARTS:
        raise OptionError(
            f"--set: {shown(word)} is not of the form key=value, as in run.steps=1000"
        )
    leaf: Any = _value(text.strip())
    for part in reversed(path):
        leaf = {part: leaf}
    return _merge(tree, leaf)


def _value(text: str) -> Any:
    if not text:
        return None
    try:
        return parse_toml(f"value = {text}")["value"]
    except ValueError:
        pass
    try:
        return parse_json(text)  # lists of tables, as stages are, on one line
    except ValueError:
        return text
