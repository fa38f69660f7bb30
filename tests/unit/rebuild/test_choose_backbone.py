import logging

import pytest
import torch

from refvid import device as devices
from refvid.errors import CheckpointUnavailable, DeviceError, OptionError
from refvid.rebuild import choose_backbone as choose_model
from refvid.rebuild.choose_backbone import choose_backbone
from refvid.rebuild.options import ModelOptions


@pytest.fixture(autouse=True)
def fake_loading(monkeypatch: pytest.MonkeyPatch, fake_backbone) -> None:
    monkeypatch.setattr(
        choose_model,
        "load_backbone",
        lambda name, device, dtype, **_: fake_backbone(name=f"{name} on {device} in {dtype}"),
    )


def test_auto_on_a_machine_without_a_graphics_card(monkeypatch, caplog) -> None:
    monkeypatch.setattr(devices, "count_devices", lambda kind: int(kind == "cpu"))
    monkeypatch.setattr(devices, "cpu_has_bf16", lambda: True)
    with caplog.at_level(logging.INFO):
        loaded = choose_backbone(ModelOptions())
    assert loaded.name == "mini on cpu in torch.bfloat16"
    assert loaded.dtype_name == "bf16"
    assert loaded.reason == "the bundled model (no graphics card)"
    [record] = caplog.records
    assert "no graphics card" in record.message


def test_a_model_by_path(caplog) -> None:
    with caplog.at_level(logging.INFO):
        loaded = choose_backbone(ModelOptions(model="a/b", device="cpu", dtype="fp32"))
    assert loaded.name == "a/b on cpu in torch.float32"
    assert (loaded.device, loaded.dtype) == (torch.device("cpu"), torch.float32)
    assert loaded.reason == "as asked"
    assert "no graphics card" not in caplog.text


def test_wrong_words() -> None:
    with pytest.raises(OptionError):
        choose_backbone(ModelOptions(device="gpu"))
    with pytest.raises(DeviceError):
        choose_backbone(ModelOptions(device="cpu:1"))


def test_models_that_are_none(monkeypatch) -> None:
    monkeypatch.undo()
    with pytest.raises(CheckpointUnavailable):
        choose_backbone(ModelOptions(model="no/such/model", device="cpu"))
