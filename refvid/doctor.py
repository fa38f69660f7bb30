"""`refvid doctor`: what this machine offers, and what stands in the way.

A broken library is a finding here, not a crash: everything is imported where it is looked at.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import refvid

PACKAGES = (
    "torch",
    "av",
    "diffusers",
    "opencv-python-headless",
    "huggingface_hub",
    "safetensors",
    "numpy",
    "pillow",
    "typer",
)
ENCODERS = {
    "h264": ("libx264", "h264_nvenc", "h264_qsv", "h264_amf", "h264_videotoolbox"),
    "hevc": ("libx265", "hevc_nvenc", "hevc_qsv", "hevc_amf", "hevc_videotoolbox"),
    "vp9": ("libvpx-vp9", "vp9_qsv"),
    "av1": ("libsvtav1", "libaom-av1", "av1_nvenc", "av1_qsv", "av1_amf"),
    "prores": ("prores_ks", "prores_videotoolbox"),
    "ffv1": ("ffv1",),
    "png": ("png",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFinding:
    """One place to compute."""

    name: str
    """What `--device` calls it."""

    description: str
    memory_total_bytes: int | None = None
    memory_free_bytes: int | None = None
    bf16: bool | None = None
    """Whether it multiplies bfloat16 in hardware; None is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorReport:
    """All findings. `to_json()` gives plain JSON types."""

    refvid: str
    python: str
    system: str
    packages: dict[str, str | None]
    """Version per package; None is not installed."""

    extras: dict[str, list[str]]
    """Packages that are missing, for each of refvid's extras; none: it is all there."""

    torch_build: str | None
    """`CPU only`, `CUDA 13.0`, ...; None without torch."""

    ffmpeg: dict[str, str]
    """Version per FFmpeg library inside PyAV."""

    encoders: dict[str, list[str]]
    """Encoders that work on this machine, per codec."""

    encoders_not_working: dict[str, str]
    """Encoders that are built in, but do not work here, each with the reason."""

    devices: list[DeviceFinding]
    long_jobs: dict[str, str]
    """How `refvid batch` can work on more than one device at once, in words."""

    weights: dict[str, str]
    """Path of the weights per bundled model."""

    hugging_face_cache: str | None
    config_file: str
    config_file_exists: bool
    warnings: list[str] = field(default_factory=list)
    """What stands in the way, each with what to do about it."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def diagnose() -> DoctorReport:
    """Look at everything; this imports torch and takes seconds."""
    from refvid.settings import config_path

    warnings: list[str] = []
    packages = {name: _version(name) for name in PACKAGES}
    warnings += [
        f"{name} is not installed; run: pip install {name}"
        for name, version in packages.items()
        if version is None
    ]
    ffmpeg, encoders, not_working = _look_at_ffmpeg(warnings)
    build, devices = _look_at_torch(warnings)
    config = config_path()
    return DoctorReport(
        refvid=refvid.__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        packages=packages,
        extras=_look_at_extras(),
        torch_build=build,
        ffmpeg=ffmpeg,
        encoders=encoders,
        encoders_not_working=not_working,
        devices=devices,
        long_jobs=_look_at_long_jobs(devices),
        weights=_find_weights(warnings),
        hugging_face_cache=_hugging_face_cache(),
        config_file=str(config),
        config_file_exists=config.is_file(),
        warnings=warnings,
    )


def torch_warnings(version: str, *, build: str, nvidia_driver: bool) -> list[str]:
    """Known trouble with a version and build of torch."""
    warnings = []
    if version.startswith("2.9."):
        warnings.append(
            "torch 2.9 computes 3D convolutions slowly and in much more memory "
            "(https://github.com/pytorch/pytorch/issues/166643); install torch 2.10 or later"
        )
    if nvidia_driver and build == "CPU only":
        warnings.append(
            "this machine has an NVIDIA driver, but torch is a CPU-only build; install one with "
            "CUDA (see docs/install.md)"
        )
    return warnings


def has_nvidia_driver() -> bool:
    """Whether an NVIDIA driver is installed, whatever torch thinks."""
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia/version").exists()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _look_at_extras() -> dict[str, list[str]]:
    """What is missing of each extra; nothing is known where refvid is not installed."""
    try:
        asked = importlib.metadata.requires("refvid") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    extras: dict[str, list[str]] = {}
    for text in asked:
        package, extra = re.match(r"[\w.-]+", text), re.search(r"extra == ['\"]([\w-]+)", text)
        if package is not None and extra is not None:
            missing = extras.setdefault(extra[1], [])
            if _version(package[0]) is None:
                missing.append(package[0])
    return extras


def _look_at_ffmpeg(
    warnings: list[str],
) -> tuple[dict[str, str], dict[str, list[str]], dict[str, str]]:
    """Versions of libraries, encoders that work per codec, and why others do not."""
    try:
        import av
        import av.codec

        from refvid.media.encoders import why_not
    except ImportError as error:
        warnings.append(f"PyAV cannot be loaded: {error}; run: pip install --force-reinstall av")
        return {}, {}, {}
    versions = {
        library: ".".join(str(part) for part in version)
        for library, version in sorted(av.library_versions.items())
    }
    built_in = [name for names in ENCODERS.values() for name in names if _has_encoder(name)]
    reasons = {name: reason for name in built_in if (reason := why_not(name)) is not None}
    encoders = {
        codec: [name for name in names if name in built_in and name not in reasons]
        for codec, names in ENCODERS.items()
    }
    warnings += [
        f"no encoder for {codec} works here" for codec, found in encoders.items() if not found
    ]
    return versions, encoders, reasons


def _has_encoder(name: str) -> bool:
    from av.codec import Codec
    from av.codec.codec import UnknownCodecError

    try:
        return bool(Codec(name, "w").is_encoder)
    except UnknownCodecError:
        return False


def _look_at_torch(warnings: list[str]) -> tuple[str | None, list[DeviceFinding]]:
    try:
        import torch
    except (ImportError, OSError) as error:
        # OSError: a shared library of the wheel is missing or does not fit the system.
        warnings.append(f"torch cannot be loaded: {error}; install it again")
        return None, []
    if torch.version.cuda:
        build = f"CUDA {torch.version.cuda}"
    elif torch.version.hip:
        build = f"ROCm {torch.version.hip}"
    elif torch.backends.mps.is_built():
        build = "Metal"
    else:
        build = "XPU" if torch.xpu._is_compiled() else "CPU only"  # noqa: SLF001 -- no public way
    warnings += torch_warnings(torch.__version__, build=build, nvidia_driver=has_nvidia_driver())
    return build, _find_devices()


def _find_devices() -> list[DeviceFinding]:
    import torch

    from refvid.device import cpu_has_bf16, describe_device, free_bytes

    findings = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            device = torch.device("cuda", index)
            findings.append(
                DeviceFinding(
                    name=str(device),
                    description=describe_device(device),
                    memory_total_bytes=torch.cuda.get_device_properties(device).total_memory,
                    memory_free_bytes=free_bytes(device),
                    bf16=torch.cuda.get_device_capability(device) >= (8, 0),
                )
            )
    if torch.xpu.is_available():
        for index in range(torch.xpu.device_count()):
            device = torch.device("xpu", index)
            findings.append(
                DeviceFinding(
                    name=str(device),
                    description=describe_device(device),
                    memory_total_bytes=int(torch.xpu.get_device_properties(device).total_memory),
                    memory_free_bytes=free_bytes(device),
                )
            )
    if torch.backends.mps.is_available():
        device = torch.device("mps")
        findings.append(
            DeviceFinding(
                name="mps",
                description=describe_device(device),
                memory_total_bytes=_main_memory(),
                memory_free_bytes=free_bytes(device),
            )
        )
    device = torch.device("cpu")
    findings.append(
        DeviceFinding(
            name="cpu",
            description=describe_device(device),
            memory_total_bytes=_main_memory(),
            memory_free_bytes=free_bytes(device),
            bf16=cpu_has_bf16(),
        )
    )
    return findings


def _look_at_long_jobs(devices: list[DeviceFinding]) -> dict[str, str]:
    from refvid.distribution.shards import parse_shard
    from refvid.errors import OptionError

    cards = [device.name for device in devices if ":" in device.name]
    cores = os.cpu_count() or 1
    if cards:
        together = f"--device {cards[0].partition(':')[0]}:all ({len(cards)})"
    else:
        together = f"--device cpu:2 (of {cores} cores)" if cores > 1 else "no"
    try:
        shard = parse_shard("auto", os.environ)
        part = f"part {shard.index + 1} of {shard.count}"
    except OptionError:
        part = "no scheduler has started this"
    ray = _version("ray")
    return {
        "all devices": together,
        "--shard auto": part,
        "--ray": f"Ray {ray}" if ray else "Ray is not installed: pip install ray",
    }


def _main_memory() -> int | None:
    if sys.platform == "win32" or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _find_weights(warnings: list[str]) -> dict[str, str]:
    from refvid.checkpoints.catalog import bundled_asset
    from refvid.models.registry import bundled_names

    assets = {name: bundled_asset(name) for name in bundled_names()}
    missing = [name for name, asset in assets.items() if not asset.is_file()]
    if missing:
        warnings.append(
            f"the bundled weights of {' and '.join(missing)} are missing; install refvid again"
        )
    return {name: str(asset) for name, asset in assets.items() if name not in missing}


def _hugging_face_cache() -> str | None:
    try:
        from huggingface_hub.constants import HF_HUB_CACHE
    except ImportError:
        return None
    return str(HF_HUB_CACHE)
