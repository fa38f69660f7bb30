"""Where work is done: `--device cuda:0,cuda:1`, `cuda:all`, `cpu:2`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from refvid.cores import usable_cores
from refvid.errors import DeviceError, OptionError

_MOST_PROCESSES = 256


def parse_places(device: str) -> tuple[str, ...]:
    """Turn the words for devices into one device for each process.

    `cuda:all` and `xpu:all` are all of this machine's. `cpu:2` is two processes that share its
    cores. All else is for `refvid.device.choose_device` to know.

    Raises:
        OptionError: A word is empty, or asks for too many processes.
        DeviceError: There is none of the kind of which all are wanted.
    """
    places: list[str] = []
    for word in device.split(","):
        name = word.strip()
        kind, _, number = name.partition(":")
        if not name:
            raise OptionError(f"--device {device}: a device is missing between the commas")
        if kind == "cpu" and re.fullmatch(r"[1-9]\d{0,8}", number):
            places += ["cpu"] * min(int(number), _MOST_PROCESSES + 1)
        elif number == "all":
            places += _all_of(kind)
        else:
            places.append(name)
    if len(places) > _MOST_PROCESSES:
        raise OptionError(f"--device {device}: no more than {_MOST_PROCESSES} processes")
    return tuple(places)


def share_of_cores(places: Sequence[str]) -> dict[str, str]:
    """Environment of workers: those that compute on the processor share its cores."""
    if len(places) < 2 or "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"OMP_NUM_THREADS": str(max(usable_cores() // len(places), 1))}


def _all_of(kind: str) -> list[str]:
    from refvid.device import count_devices  # noqa: PLC0415 -- torch takes seconds

    count = count_devices(kind)
    if not count:
        raise DeviceError(f"There is no device {kind} here; refvid doctor lists what there is.")
    return [f"{kind}:{number}" for number in range(count)]
