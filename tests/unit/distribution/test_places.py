from __future__ import annotations

import pytest

from refvid import device
from refvid.distribution.places import parse_places, share_of_cores
from refvid.errors import DeviceError, OptionError


@pytest.mark.parametrize(
    ("words", "places"),
    [
        ("auto", ("auto",)),
        ("cuda:1", ("cuda:1",)),
        ("cuda:0,cuda:2", ("cuda:0", "cuda:2")),
        ("cpu:3", ("cpu", "cpu", "cpu")),
        ("cuda:0, cpu:1", ("cuda:0", "cpu")),
        ("cuda:all", ("cuda:0", "cuda:1")),
        ("nonsense", ("nonsense",)),  # for `choose_device` to refuse
    ],
)
def test_words_become_one_device_for_each_process(words, places, monkeypatch):
    monkeypatch.setattr(device, "count_devices", lambda kind: 2 * (kind == "cuda"))
    assert parse_places(words) == places


@pytest.mark.parametrize("words", ["cuda:0,", ",", "cpu:1000", "cpu:99999999"])
def test_impossible_words(words):
    with pytest.raises(OptionError):
        parse_places(words)


@pytest.mark.parametrize("words", ["xpu:all", "toaster:all"])
def test_all_of_none(words, monkeypatch):
    monkeypatch.setattr(device, "count_devices", lambda kind: 0)
    with pytest.raises(DeviceError, match="no device"):
        parse_places(words)


def test_processes_share_the_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    alone, among = share_of_cores(["cpu"]), share_of_cores(["cpu"] * 1000)
    assert alone == {}
    assert among == {"OMP_NUM_THREADS": "1"}
    monkeypatch.setenv("OMP_NUM_THREADS", "7")  # the user knows better
    assert share_of_cores(["cpu"] * 2) == {}
