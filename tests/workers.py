"""What worker processes import for tests."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from refvid.cli.remote import WorkerSetup
from refvid.distribution.engine import Perform
from refvid.errors import DeviceError


@dataclass(frozen=True)
class Doubling:
    """Doubles numbers, and does what it finds written in its folder."""

    folder: Path

    def __call__(self, place: str) -> Callable[[int, Callable[[Any], None]], Any]:
        if place == "useless":
            raise DeviceError("there is no such place")
        if place == "dying":
            os._exit(3)

        def perform(number: int, tell: Callable[[Any], None]) -> Any:
            tell(f"{number} on {place}")
            for sign in self.folder.glob(f"die-{number}-*"):
                sign.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            if (self.folder / f"fail-{number}").exists():
                raise ValueError("written so")
            if (self.folder / f"wait-{number}").exists():
                (self.folder / f"pid-{number}").write_text(str(os.getpid()))
                time.sleep(600)
            return 2 * number, os.environ.get("SHARE"), os.getpid()

        return perform


@dataclass(frozen=True)
class Dying:
    """Real workers; the first that finds the file `die` there is killed around a function."""

    setup: WorkerSetup
    function: str
    """As in `package.module:Class.function`."""

    is_before: bool

    def __call__(self, place: str) -> Perform:
        module, _, path = self.function.partition(":")
        owner: Any = import_module(module)
        *owners, name = path.split(".")
        for each in owners:
            owner = getattr(owner, each)
        function = getattr(owner, name)

        def killed(*args: Any, **more: Any) -> Any:
            if self.is_before:
                self._die()
            result = function(*args, **more)
            self._die()
            return result

        setattr(owner, name, killed)
        return self.setup(place)

    def _die(self) -> None:
        try:
            (self.setup.folder / "die").unlink()
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)
