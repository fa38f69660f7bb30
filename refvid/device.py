"""Which device computes, in which precision, and how much memory it has left."""

from __future__ import annotations

import logging
import os
import platform
from pathlib import Path

import torch

from refvid.documents import shown
from refvid.errors import DeviceError, OptionError

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}

_CPU_BF16_CAPABILITIES = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")


def choose_device(name: str = "auto") -> torch.device:
    """Turn `auto`, `cpu`, `cuda[:N]`, `xpu[:N]` or `mps` into a device that exists.

    `auto` takes the first of cuda, xpu, mps and cpu.

    Raises:
        OptionError: The name is none of these.
        DeviceError: The device is not on this machine, or this PyTorch cannot drive it.
    """
    if name == "auto":
        return torch.device(
            next(kind for kind in ("cuda", "xpu", "mps", "cpu") if count_devices(kind))
        )
    kind, colon, number = name.partition(":")
    if kind not in ("cpu", "cuda", "xpu", "mps") or (colon and not _is_number(number)):
        raise OptionError(
            f"Unknown device {shown(name)}: use auto, cpu, cuda, cuda:N, xpu, xpu:N or mps."
        )
    if kind in ("cpu", "mps") and number not in ("", "0"):
        raise DeviceError(f"There is no device {name}: {kind} has no numbers. Use --device {kind}.")
    available = count_devices(kind)
    if not available:
        raise DeviceError(
            f"There is no device {name} here: {_why_missing(kind)} "
            "Use --device cpu to compute on the processor."
        )
    if number and int(number) >= available:
        last = f"{kind}:{available - 1}"
        raise DeviceError(f"There is no device {name}: the last one on this machine is {last}.")
    return torch.device(kind, int(number)) if number and kind != "cpu" else torch.device(kind)


def count_devices(kind: str) -> int:
    """How many devices of a kind (cuda, xpu, mps, cpu) there are; 0 for what is none."""
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "xpu":
        return torch.xpu.device_count() if torch.xpu.is_available() else 0
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return int(kind == "cpu")


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """Turn `auto`, `bf16`, `fp16` or `fp32` into a precision.

    `auto` takes bf16 where the hardware computes in it (CUDA, and processors with AVX512-BF16,
    AMX or ARM BF16), fp16 on older CUDA cards and fp32 elsewhere.

    Raises:
        OptionError: The name is none of these.
    """
    if name != "auto":
        if name not in DTYPES:
            raise OptionError(f"Unknown precision {shown(name)}: use auto, bf16, fp16 or fp32.")
        return DTYPES[name]
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if native else torch.float16
    if device.type == "cpu" and cpu_has_bf16():
        return torch.bfloat16
    return torch.float32


def cpu_has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 numbers in hardware."""
    # PyTorch 2.6 does not tell: then float32, which is never wrong.
    found: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(found.get(name, False) for name in _CPU_BF16_CAPABILITIES)


def describe_device(device: torch.device) -> str:
    """Name the device for people, e.g. `cuda:0 (NVIDIA GeForce RTX 4090)`."""
    if device.type == "cpu":
        return f"cpu ({platform.machine() or 'unknown'}, {torch.get_num_threads()} threads)"
    card = _card(device)
    return f"{device} ({card})" if card else str(device)


def describe_kind(device: torch.device) -> str:
    """Name what devices have in common whose results differ by rounding at most: which of several
    cards alike it is does not count, nor how many threads a processor has.
    """
    return f"{device.type} {_card(device)}".rstrip()


def _card(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return torch.xpu.get_device_name(device) if device.type == "xpu" else ""


def free_bytes(device: torch.device) -> int | None:
    """Memory that a computation on the device may still take [bytes]; None if unknown."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What PyTorch holds without using it is free for us, though not for others.
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    if device.type == "xpu":
        free, _ = torch.xpu.mem_get_info(device)
        return free + torch.xpu.memory_reserved(device) - torch.xpu.memory_allocated(device)
    return _free_main_memory()


def release_cached_memory(device: torch.device) -> None:
    """Give memory that PyTorch keeps for reuse back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "xpu":
        torch.xpu.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) < 10


def _why_missing(kind: str) -> str:
    version = torch.__version__
    if kind == "cuda":
        if torch.version.cuda is None and torch.version.hip is None:
            return (
                f"the installed PyTorch {version} is a CPU-only build; "
                "https://pytorch.org/get-started gives the command for one with CUDA."
            )
        return f"PyTorch {version} has CUDA but finds no graphics card; check the driver."
    if kind == "mps":
        if platform.system() != "Darwin":
            return "mps exists on Macs with Apple silicon only."
        return f"PyTorch {version} finds no Metal device; it needs macOS 12.3 or later."
    return f"PyTorch {version} finds no Intel graphics card; it may be a build without XPU."


def _free_main_memory() -> int | None:
    """Main memory that can be had without swapping, within this process's control group."""
    limits = (_mem_available(), _control_group_free(), _address_space_free())
    return min((value for value in limits if value is not None), default=None)


def _address_space_free() -> int | None:
    """What `ulimit -v` leaves this process."""
    table = Path("/proc/self/statm")
    if resource is None or not table.is_file():
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    used = int(table.read_text().split()[0]) * resource.getpagesize()
    return None if limit == resource.RLIM_INFINITY else max(limit - used, 0)


def _mem_available() -> int | None:
    table = Path("/proc/meminfo")
    if table.is_file():
        for line in table.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    names: dict[str, int] = getattr(os, "sysconf_names", {})
    if {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= names.keys():
        # No measure of free memory here: assume that half of the machine is ours.
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return None


def _control_group_free() -> int | None:
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
    except (OSError, ValueError):
        return None  # no control groups, or no limit set at this level
    return max(int(limit) - used, 0) if limit.isdecimal() else None
