"""One machine's defaults: the user's config file and `REFVID_*` variables -> `Settings`.

Precedence, settled here and in `refvid.cli`: flag > environment > config file > default.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args

from refvid.documents import parse_toml, read_text, shown
from refvid.errors import OptionError

DType = Literal["auto", "bf16", "fp16", "fp32"]
LogLevel = Literal["quiet", "normal", "verbose", "debug"]

CONFIG_VARIABLE = "REFVID_CONFIG"
_CHOICES: dict[str, tuple[str, ...]] = {"dtype": get_args(DType), "log_level": get_args(LogLevel)}
_NUMBERS = frozenset({"crf"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What commands use where no flag is given."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:N, mps or xpu[:N]."""

    dtype: DType = "auto"
    model: str = "auto"
    """auto, the name of one, or a path with weights."""

    codec: str | None = None
    """None follows the input."""

    crf: float | None = None
    output: str | None = None
    """Folder or template for results, e.g. `{dir}/{stem}_new{ext}`; None is beside the input."""

    log_level: LogLevel = "normal"


KEYS = tuple(field.name for field in fields(Settings))


def config_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the config file lies, whether or not it exists; REFVID_CONFIG moves it."""
    if chosen := environ.get(CONFIG_VARIABLE):
        return Path(chosen)
    import platformdirs

    return platformdirs.user_config_path("refvid", appauthor=False) / "config.toml"


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the config file and the environment.

    Raises:
        OptionError: A value is not usable; the message names the file or variable, and the key.
    """
    values = _read_config(config_path(environ), asked_for=bool(environ.get(CONFIG_VARIABLE)))
    for key in KEYS:
        variable = f"REFVID_{key.upper()}"
        if text := environ.get(variable, "").strip():
            values[key] = _check(key, text, where=variable)
    return Settings(**values)


def _read_config(path: Path, *, asked_for: bool) -> dict[str, Any]:
    try:
        text = read_text(path)
    except FileNotFoundError:
        if asked_for:
            raise OptionError(f"{CONFIG_VARIABLE}: there is no file {path}") from None
        return {}
    except (OSError, ValueError) as error:
        raise OptionError(f"cannot read the config file {path}: {error}") from error
    try:
        table = parse_toml(text)
    except ValueError as error:
        raise OptionError(f"the config file {path} is not valid TOML: {error}") from error
    values = {}
    for key, value in table.items():
        if key not in KEYS:
            near = get_close_matches(key, KEYS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(KEYS)}"
            raise OptionError(f"{path}: unknown key {shown(key)}; {hint}")
        values[key] = _check(key, value, where=f"{path}: {key}")
    return values


def _check(key: str, value: object, *, where: str) -> object:
    if key in _NUMBERS:
        # A bool is an int in Python, but `crf = true` is a mistake.
        if not isinstance(value, bool) and isinstance(value, int | float | str):
            with suppress(ValueError):
                if math.isfinite(number := float(value)) and number >= 0:
                    return number
        raise OptionError(f"{where} must be a number from 0 on, not {shown(value)}")
    if not isinstance(value, str) or not value:
        raise OptionError(f"{where} must be a text in quotes, not {shown(value)}")
    choices = _CHOICES.get(key)
    if choices and value not in choices:
        raise OptionError(f"{where} must be one of {', '.join(choices)}, not {shown(value)}")
    return value
