"""`refvid decode` and `refvid encode` as a user types them."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from refvid.media.image import write_image
from refvid.models.wan.autoencoder import WanAutoencoder, WanBackbone
from refvid.models.wan.config import WanConfig
from tests.commands import run


@pytest.fixture(autouse=True)
def tiny_wan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`--model wan2.1` is a tiny random network; the rest is as users have it."""
    from refvid.checkpoints.load import load_backbone as load
    from refvid.rebuild import choose_backbone as choose_model

    def load_backbone(name: Any, device: Any, dtype: Any, **options: Any) -> Any:
        if name != "wan2.1":
            return load(name, device, dtype, **options)
        torch.manual_seed(0)
        config = WanConfig(
            base_channels=4, transformer_blocks=1, heads=2, head_channels=12,
            feed_forward_channels=16,
        )  # fmt: skip
        return WanBackbone(WanAutoencoder(config), device, dtype)

    monkeypatch.setattr(choose_model, "load_backbone", load_backbone)
    monkeypatch.setattr(choose_model, "describe_missing", lambda *_: "")
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("REFVID_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("REFVID_DEVICE", "cpu")
    monkeypatch.setenv("REFVID_DTYPE", "fp32")


@pytest.fixture
def make_latents(tmp_path) -> Callable[..., Path]:
    def make(name: str = "latents.pt", seed: int = 0, **more: Any) -> Path:
        random = torch.Generator().manual_seed(seed)
        steps = torch.randn(1, 16, 3, 4, 6, generator=random)
        start = torch.randn(1, 16, 1, 4, 6, generator=random)
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        torch.save({"latents": start + 0.1 * steps.cumsum(2), **more}, path)
        return path

    return make


@pytest.fixture
def picture(tmp_path) -> Path:
    path = tmp_path / "first.png"
    write_image(path, np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8))
    return path


def frame_count(path: Path | str) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_latents_to_video(make_latents, picture, tmp_path):
    result = run("decode", make_latents(), "--ref", picture)
    assert result.exit_code == 0, result.stderr
    output = tmp_path / "latents_refvid.mp4"
    assert result.stdout.split() == [str(output)]
    assert frame_count(output) == 9
    for words in ("latents.pt holds its latents", "layout bcthw", "scale normalized", "margin +"):
        assert words in result.stderr
    assert "16 frames per second (what Wan's models generate" in result.stderr
    assert "no --ref" not in result.stderr
    assert run("decode", tmp_path / "latents.pt").exit_code == 4
    assert run("decode", tmp_path / "latents.pt", "-n").exit_code == 0


def test_options(make_latents, picture, tmp_path):
    latents = make_latents()
    result = run(
        "decode", latents, "-o", tmp_path / "a.mkv", "--fps", "23.976", "--drop-latents", "1",
        "--key", "latents", "--layout", "bcthw", "--latent-scale", "raw", "-c", "ffv1", "--json",
        "--chunk", "5", "--tile", "off",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    plan = json.loads(result.stdout)["results"][0]["report"]["plan"]
    assert plan["frames"] == 5
    assert plan["frame_rate"] == "24000/1001"
    assert plan["latents"]["scale"] == "raw"
    assert plan["latents"]["scale_reason"] == "as asked"
    assert "no --ref" in result.stderr
    for name, words in {"b": ["--ref", picture], "c": ["--baseline"]}.items():
        result = run("decode", latents, "-o", tmp_path / f"{name}.mp4", *words)
        assert result.exit_code == 0, result.stderr
    assert (tmp_path / "b.mp4").read_bytes() != (tmp_path / "c.mp4").read_bytes()
    assert "plain decoder" in result.stderr


def test_dry_run_writes_nothing(make_latents, tmp_path):
    before = set(tmp_path.iterdir()) | {make_latents()}
    result = run("decode", tmp_path / "latents.pt", "--dry-run")
    assert result.exit_code == 0
    for words in ("layout:", "scale:", "9", "48x32", "wan2.1"):
        assert words in result.stdout
    assert set(tmp_path.iterdir()) == before


def test_folders_with_a_reference_each(make_latents, tmp_path):
    for index, (name, more) in enumerate(
        {"one.pt": {}, "two.bin": {"image_name": "Red.png", "height": 32, "width": 48}}.items()
    ):
        make_latents(f"saved/{name}", index, **more)
    (tmp_path / "saved" / "notes.txt").write_text("nothing")
    (tmp_path / "images").mkdir()
    for name in ("one.png", "Red.png", "other.png"):
        write_image(tmp_path / "images" / name, np.full((32, 48, 3), 99, np.uint8))
    words = ["decode", tmp_path / "saved", "-o", f"{tmp_path / 'out'}/"]
    result = run(*words, "--refs", tmp_path / "images", "--json")
    assert result.exit_code == 0, result.stderr
    reports = json.loads(result.stdout)["results"]
    references = [Path(entry["report"]["plan"]["reference"]).name for entry in reports]
    assert references == ["one.png", "Red.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "one_refvid.mp4",
        "two_refvid.mp4",
    ]
    (tmp_path / "images" / "one.png").unlink()
    result = run(*words, "--refs", tmp_path / "images", "-y")
    assert result.exit_code == 3
    assert "images holds no picture for " in result.stderr
    assert "name it one.png" in result.stderr
    assert "2 inputs: 1 done, 1 failed" in result.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--ref", "frame:0"], 2),
        (["--ref", "missing.png"], 3),
        (["--refs", "missing"], 3),
        (["--fps", "fast"], 2),
        (["--layout", "hwc"], 2),
        (["--latent-scale", "big"], 2),
        (["--key", "nothing"], 3),
        (["--drop-latents", "3"], 3),
        (["--model", "mini"], 3),
        (["--model", "mini", "--baseline"], 3),
        (["-o", "a.xyz"], 4),
        (["-y", "-n"], 2),
    ],
)
def test_failures(make_latents, tmp_path, monkeypatch, words, code):
    monkeypatch.chdir(tmp_path)
    latents = make_latents()
    before = set(tmp_path.iterdir())
    assert run("decode", latents, *words).exit_code == code
    assert set(tmp_path.iterdir()) == before


def test_bad_files(tmp_path):
    torch.save(torch.zeros(1, 48, 3, 4, 6), tmp_path / "5b.pt")
    torch.save(torch.full((1, 16, 3, 4, 6), torch.nan), tmp_path / "nan.pt")
    (tmp_path / "text.pt").write_text("hello")
    for name in ("5b.pt", "nan.pt", "text.pt", "missing.pt"):
        result = run("decode", tmp_path / name)
        assert (name, result.exit_code) == (name, 3)
        assert name in result.stderr
        assert "bug" not in result.stderr
    assert run("info", tmp_path / "5b.pt").exit_code == 3
    result = run("decode", tmp_path / "text.pt", tmp_path / "5b.pt", "--json")
    document = json.loads(result.stdout)
    assert [entry["status"] for entry in document["results"]] == ["failed", "failed"]
    assert document["exit_code"] == result.exit_code == 3


def test_video_to_latents_and_back(make_video, tmp_path):
    video = make_video(7, "clip.mp4")
    result = run("encode", video, "--model", "wan2.1")
    assert result.exit_code == 0, result.stderr
    latents = tmp_path / "clip_refvid.safetensors"
    assert result.stdout.split() == [str(latents)]
    facts = json.loads(run("info", latents, "--json").stdout)
    assert (facts["backbone"], facts["frames"], facts["frame_rate"]) == ("wan2.1", 7, "25")
    assert "scale:" in run("info", latents).stdout
    result = run("decode", latents, "-o", tmp_path / "back.mp4")
    assert result.exit_code == 0, result.stderr
    assert frame_count(tmp_path / "back.mp4") == 7
    assert run("encode", video, "-o", tmp_path / "a.pt").exit_code == 2
    assert run("encode", video, "-o", latents).exit_code == 4
    assert run("encode", tmp_path / "nothing.mp4").exit_code == 3
    plan = run("encode", video, "-o", tmp_path / "b.safetensors", "--preview", "3f", "--dry-run")
    assert "frames:    3" in plan.stdout
    assert re.search(r"^time: +\d+:\d\d", plan.stdout, re.MULTILINE)
    assert not (tmp_path / "b.safetensors").exists()
    plan = run("decode", latents, "-o", tmp_path / "b.mp4", "--dry-run")
    assert re.search(r"^time: +\d+:\d\d", plan.stdout, re.MULTILINE)


def test_real_latents(shared, tmp_path):
    source = shared / "media/fixtures/test_latents_wan.pth"
    result = run("decode", source, "-o", tmp_path / "a.mp4", "--drop-latents", "15")
    assert result.exit_code == 0, result.stderr
    assert frame_count(tmp_path / "a.mp4") == 1
    facts = json.loads(run("info", source, "--json").stdout)
    assert facts["scale"] == "normalized"


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_bombs_need_no_memory(tmp_path):
    """In a process of its own that may use little more than torch itself."""
    import zipfile

    with (
        zipfile.ZipFile(
            tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1
        ) as archive,
        archive.open("latents.npy", "w", force_zip64=True) as file,
    ):
        shape = (1, 16, 30000, 90, 50)
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": shape}
        )
        for _ in range(33):
            file.write(bytes(2**25))
    torch.save(torch.zeros(1, 16, 1, 1, 1).expand(1, 16, 9999, 999, 999), tmp_path / "bomb.pt")
    header = b'{"latents":{"dtype":"F32","shape":[1,16,9999,999,999],"data_offsets":[0,9]}}'
    (tmp_path / "bomb.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    (tmp_path / "lie.safetensors").write_bytes((2**40).to_bytes(8, "little") + b'{"')
    code = (
        "import resource, sys\n"
        "import torch, safetensors\n"
        "from refvid.cli.app import app\n"
        "import refvid.latents.recognise, refvid.media.video_info\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**28,) * 2)\n"
        "for name in sys.argv[1:]:\n"
        "    try: app(['info', name])\n"
        "    except SystemExit as stop: assert stop.code == 3, (name, stop.code)\n"
    )
    bombs = ("bomb.npz", "bomb.pt", "bomb.safetensors", "lie.safetensors")
    process = subprocess.run(
        [sys.executable, "-c", code, *(str(tmp_path / name) for name in bombs)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.returncode == 0, process.stderr
    assert process.stderr.count("error: ") == len(bombs)
    assert "bug" not in process.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 2 * 2**20


def test_compare_with_the_plain_decoder(make_latents, picture, tmp_path):
    latents = make_latents()
    result = run("decode", latents, "--ref", picture, "--compare")
    assert result.exit_code == 0, result.stderr
    page = tmp_path / "latents_refvid_compare.html"
    assert result.stdout.split() == [str(tmp_path / "latents_refvid.mp4")]
    assert f"comparison: {page}" in result.stderr
    assert "plain decoder \u00b7 with reference" in page.read_text(encoding="utf-8")
    assert run("decode", latents, "--compare", "-y").exit_code == 2  # compared with what?


def test_an_existing_page_is_kept(make_latents, picture, tmp_path):
    page = tmp_path / "latents_refvid_compare.html"
    page.write_text("precious")
    result = run("decode", make_latents(), "--ref", picture, "--compare")
    assert result.exit_code == 4
    assert page.name in result.stderr
    assert page.read_text() == "precious"
    assert not (tmp_path / "latents_refvid.mp4").exists()
