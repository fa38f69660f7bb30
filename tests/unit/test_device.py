import errno
from pathlib import Path

import pytest
import torch

from refvid import device as devices
from refvid.device import (
    choose_device,
    choose_dtype,
    cpu_has_bf16,
    describe_device,
    describe_kind,
    free_bytes,
)
from refvid.errors import DeviceError, OptionError, is_out_of_memory

CPU = torch.device("cpu")


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch):
    """Pretend that the machine has just these devices."""

    def pretend(**counts: int) -> None:
        monkeypatch.setattr(
            devices, "count_devices", lambda kind: {"cpu": 1, **counts}.get(kind, 0)
        )

    return pretend


def test_auto_prefers_cuda_then_xpu_then_mps(only) -> None:
    only(cuda=1, xpu=1, mps=1)
    assert choose_device().type == "cuda"
    only(xpu=1, mps=1)
    assert choose_device().type == "xpu"
    only(mps=1)
    assert choose_device().type == "mps"
    only()
    assert choose_device() == CPU


def test_named_devices(only) -> None:
    only(cuda=2)
    assert choose_device("cuda") == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    assert choose_device("cpu") == CPU
    with pytest.raises(DeviceError, match=r"cuda:2.*last one.*cuda:1"):
        choose_device("cuda:2")


@pytest.mark.parametrize(
    "name", ["gpu", "cuda:", "cuda:x", "cuda:-1", "", "CPU:", "cuda:1:2", f"cuda:{'9' * 5000}"]
)
def test_unknown_names_are_option_errors(name: str) -> None:
    with pytest.raises(OptionError, match="auto, cpu, cuda"):
        choose_device(name)


def test_missing_cuda_says_what_torch_is(only, monkeypatch: pytest.MonkeyPatch) -> None:
    only()
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    with pytest.raises(DeviceError, match="CPU-only build"):
        choose_device("cuda")
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    with pytest.raises(DeviceError, match="driver"):
        choose_device("cuda:0")


def test_missing_xpu_and_mps(only) -> None:
    only()
    with pytest.raises(DeviceError, match="XPU"):
        choose_device("xpu")
    with pytest.raises(DeviceError, match="--device cpu"):
        choose_device("mps")
    with pytest.raises(DeviceError, match="no numbers"):
        choose_device("cpu:3")


def test_cards_alike_are_one_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    models = {"cuda:0": "A", "cuda:1": "A", "cuda:2": "B"}
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: models[str(device)])
    first, second, other = map(torch.device, models)
    assert describe_device(second) == "cuda:1 (A)"
    assert describe_kind(first) == describe_kind(second) == "cuda A"
    assert describe_kind(other) == "cuda B"
    assert describe_kind(CPU) == "cpu"


def test_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_dtype("fp16", CPU) == torch.float16
    monkeypatch.setattr(devices, "cpu_has_bf16", lambda: True)
    assert choose_dtype("auto", CPU) == torch.bfloat16
    monkeypatch.setattr(devices, "cpu_has_bf16", lambda: False)
    assert choose_dtype("auto", CPU) == torch.float32
    assert choose_dtype("auto", torch.device("mps")) == torch.float32
    for capability, expected in (((8, 9), torch.bfloat16), ((7, 5), torch.float16)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, c=capability: c)
        assert choose_dtype("auto", torch.device("cuda")) == expected
    with pytest.raises(OptionError, match="bf16"):
        choose_dtype("int8", CPU)


@pytest.mark.parametrize("name", ["avx512_bf16", "amx_bf16", "sve_bf16"])
def test_bf16_processors(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    found: dict[str, bool] = {"avx2": True, name: True}
    # PyTorch 2.6 has no such function.
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    assert cpu_has_bf16()
    found[name] = False
    assert not cpu_has_bf16()


def test_free_memory_is_plausible() -> None:
    free = free_bytes(CPU)
    assert free is None or 2**20 < free < 2**50


def test_out_of_memory_is_recognised() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"))
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(raised.value)
    for words in (
        "could not create a primitive",
        "can't start new thread",
        "unable to mmap 17 bytes from file </a.pt>: Cannot allocate memory (12)",
        "std::bad_alloc",
    ):
        assert is_out_of_memory(RuntimeError(words))
    assert is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert is_out_of_memory(ImportError("libtorch.so: failed to map segment from shared object"))
    assert not is_out_of_memory(RuntimeError("size mismatch"))
    assert not is_out_of_memory(RuntimeError("could not create a primitive descriptor for a conv"))
    assert not is_out_of_memory(ValueError("DefaultCPUAllocator"))


def test_a_limit_from_outside_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    if not Path("/proc/self/statm").is_file():
        pytest.skip("this system does not tell what a process has reserved")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + (64 << 20)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, resource.RLIM_INFINITY))
    free = free_bytes(CPU)
    assert free is not None
    assert 0 <= free <= 64 << 20
