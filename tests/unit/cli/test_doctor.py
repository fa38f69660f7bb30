import json
import sys

import pytest

from refvid import doctor


def test_json(run):
    result = run("doctor", "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert {"python", "packages", "ffmpeg", "encoders", "devices", "warnings"} <= set(document)
    assert document["packages"]["torch"]
    assert "libavcodec" in document["ffmpeg"]
    assert "libx264" in document["encoders"]["h264"]
    assert document["devices"][-1]["name"] == "cpu"
    assert document["config_file"].endswith("no_config.toml")


def test_text(run):
    result = run("doctor")
    assert result.exit_code == 0
    for word in ("torch", "libavcodec", "libx264", "cpu", "model cache", "config"):
        assert word in result.stdout


def test_long_jobs(run, monkeypatch):
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "8")
    found = json.loads(run("doctor", "--json").stdout)["long_jobs"]
    assert found["--shard auto"] == "part 3 of 8"
    monkeypatch.setenv("RANK", "8")
    text = run("doctor").stdout
    for words in ("--device c", "no scheduler", "Ray"):
        assert words in text


def test_slow_torch_is_named():
    (warning,) = doctor.torch_warnings("2.9.1+cu128", build="CUDA 12.8", nvidia_driver=True)
    assert "2.10" in warning
    assert doctor.torch_warnings("2.10.0", build="CUDA 12.8", nvidia_driver=True) == []
    assert doctor.torch_warnings("2.90.0", build="CPU only", nvidia_driver=False) == []


def test_cpu_build_beside_a_driver_is_named():
    (warning,) = doctor.torch_warnings("2.13.0+cpu", build="CPU only", nvidia_driver=True)
    assert "NVIDIA" in warning


@pytest.mark.parametrize("module", ["torch", "av"])
def test_a_library_that_does_not_load_is_a_finding(run, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    result = run("doctor", "--json")
    assert result.exit_code == 0
    assert any("cannot be loaded" in text for text in json.loads(result.stdout)["warnings"])


def test_missing_weights_are_a_finding(run, monkeypatch, tmp_path):
    from refvid.checkpoints import catalog

    (tmp_path / "mini").touch()
    monkeypatch.setattr(catalog, "bundled_asset", lambda name: tmp_path / name)
    document = json.loads(run("doctor", "--json").stdout)
    assert document["weights"] == {"mini": str(tmp_path / "mini")}
    (warning,) = [text for text in document["warnings"] if "bundled" in text]
    assert "mini-style" in warning


def test_encoders_without_their_hardware_are_not_offered(run, monkeypatch):
    from refvid.media import encoders

    monkeypatch.setattr(
        encoders, "why_not", lambda name: "no such card" if name == "libx265" else None
    )
    document = json.loads(run("doctor", "--json").stdout)
    assert "libx265" not in document["encoders"]["hevc"]
    assert document["encoders_not_working"] == {"libx265": "no such card"}
    assert "libx265 (no such card)" in run("doctor").stdout


def test_extras_that_are_missing_say_how_to_add_them(run, monkeypatch):
    import importlib.metadata

    asked = ["torch>=2", "numpy>=1; extra == 'maths'", "av>=1; extra == 'more'"]
    asked += ["no-such-package>=3; extra == 'more'", "nor-this; extra == 'more'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda _name: asked)
    document = json.loads(run("doctor", "--json").stdout)
    assert document["extras"] == {"maths": [], "more": ["no-such-package", "nor-this"]}
    shown = run("doctor").stdout
    assert f"{'maths':<25}here" in shown
    assert f"{'more':<25}missing; run: pip install no-such-package nor-this" in shown


def test_extras_are_not_told_where_refvid_is_not_installed(run, monkeypatch):
    import importlib.metadata

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", missing)
    assert json.loads(run("doctor", "--json").stdout)["extras"] == {}
    assert "\nextras\n" not in run("doctor").stdout
