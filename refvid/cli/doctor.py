"""`refvid doctor`: what this machine offers, and what stands in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refvid.cli.console import Console
from refvid.cli.groups import grouped
from refvid.cli.readable import format_bytes

if TYPE_CHECKING:
    from refvid.doctor import DeviceFinding, DoctorReport


@grouped
def doctor(
    console: Console,
) -> None:
    """Show versions, devices, memory, encoders, weights, and known trouble."""
    from refvid.doctor import diagnose

    report = diagnose()
    if console.json:
        console.result_json(report.to_json())
        return
    console.result(*_report_lines(report))
    for warning in report.warnings:
        console.warning(warning)


def _report_lines(report: DoctorReport) -> list[str]:
    lines = [f"refvid {report.refvid}, Python {report.python}, {report.system}", "", "packages"]
    for name, version in report.packages.items():
        build = f" ({report.torch_build})" if name == "torch" and report.torch_build else ""
        lines.append(f"  {name:<25}{version or 'not installed'}{build}")
    lines += ["", "extras"] * bool(report.extras)
    for name, missing in report.extras.items():
        advice = f"missing; run: pip install {' '.join(missing)}" if missing else "here"
        lines.append(f"  {name:<25}{advice}")
    lines += ["", "FFmpeg libraries (in PyAV)"]
    lines += [f"  {name:<25}{version}" for name, version in report.ffmpeg.items()]
    lines += ["", "devices"]
    lines += [f"  {_device_text(device)}" for device in report.devices]
    lines += ["", "long jobs (refvid batch)"]
    lines += [f"  {name:<25}{words}" for name, words in report.long_jobs.items()]
    lines += ["", "encoders"]
    lines += [f"  {codec:<25}{', '.join(names) or '-'}" for codec, names in report.encoders.items()]
    lines += _not_working(report.encoders_not_working)
    lines += ["", "files"]
    lines += [f"  {f'weights {name}':<25}{path}" for name, path in report.weights.items()]
    lines.append(f"  {'model cache':<25}{report.hugging_face_cache or '-'}")
    exists = "" if report.config_file_exists else " (does not exist)"
    lines.append(f"  {'config':<25}{report.config_file}{exists}")
    return lines


def _not_working(reasons: dict[str, str]) -> list[str]:
    """One line per reason."""
    named: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        named.setdefault(reason, []).append(name)
    return [
        f"  {'not working here':<25}{', '.join(names)} ({reason})"
        for reason, names in named.items()
    ]


def _device_text(device: DeviceFinding) -> str:
    facts = [device.description]
    if device.memory_free_bytes is not None and device.memory_total_bytes is not None:
        free, total = (
            format_bytes(device.memory_free_bytes),
            format_bytes(device.memory_total_bytes),
        )
        facts.append(f"{free} free of {total}")
    if device.bf16 is not None:
        facts.append("bf16" if device.bf16 else "no bf16")
    return f"{device.name:<25}{', '.join(facts)}"
