"""`--model videovae+` as users start it: licence, download of two files, enhance, encode, decode.

The catalogue is the real one; the hub is a server on this machine with a tiny network's weights.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from refvid.media.reader import open_video
from refvid.models.videovaeplus.autoencoder import VideoVaePlusAutoencoder
from refvid.models.videovaeplus.config import VideoVaePlusConfig
from tests import program
from tests.e2e.hub_server import Hub, serve

REPOSITORY = "Arrokothwhi/RefDecoder"
BASE, REFDECODER = "VideoVAEPlus/sota-4-16z.ckpt", "VAE/VideoVAEPlus/videovaeplus_ref.pt"
SIZES: dict[str, Any] = {
    "base_channels": 2,
    "temporal_channels": 2,
    "norm_groups": 2,
    "transformer_blocks": 1,
    "heads": 1,
    "head_channels": 8,
    "feed_forward_channels": 8,
}
PROGRAM = f"""
import functools
from refvid.models.videovaeplus import config
config.VideoVaePlusConfig = functools.partial(config.VideoVaePlusConfig, **{SIZES!r})
from refvid.__main__ import main
main()
"""
"""The real program with a tiny network in place of the published one."""

pty = pytest.importorskip("pty", reason="asking needs a terminal of this kind")

Finished = subprocess.CompletedProcess[str]


@dataclass
class Machine:
    folder: Path
    hub: Hub

    @property
    def environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "REFVID_", "HUGGINGFACE"))
            and "proxy" not in name.lower()
        }
        return {
            **kept,
            "HF_ENDPOINT": self.hub.endpoint,
            "HF_HOME": str(self.folder / "hf"),
            "HF_HUB_DISABLE_XET": "1",
            "REFVID_CACHE": str(self.folder / "refvid"),
            "REFVID_DEVICE": "cpu",
            "REFVID_DTYPE": "fp32",
            "OMP_NUM_THREADS": "1",
        }

    def run(self, *words: str) -> Finished:
        hub = "huggingface_hub", "refvid"  # they read the environment
        return program.run_in_words(
            *words, code=PROGRAM, env=self.environment, cwd=self.folder, anew=hub
        )

    def run_on_a_terminal(self, *words: str, answer: bytes) -> tuple[int, str]:
        """Exit code and everything on the terminal, with a typed answer."""
        main, terminal = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words],
            env={**self.environment, "CI": "1"},  # no progress bar
            cwd=self.folder,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
        )
        os.close(terminal)
        os.write(main, answer)
        shown = b""
        try:
            while block := os.read(main, 4096):
                shown += block
        except OSError:
            pass  # how Linux says that the other side has closed
        os.close(main)
        return process.wait(timeout=300), shown.decode()


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("official")
    torch.manual_seed(0)
    weights = VideoVaePlusAutoencoder(VideoVaePlusConfig(**SIZES)).state_dict()
    own = ("transformer.", "ref_conv_in.", "decoder.pre_transformer_norms")
    below = {key: value for key, value in weights.items() if not key.startswith(own)}
    above = {key: value for key, value in weights.items() if key.startswith((*own, "decoder."))}
    torch.save({"state_dict": {**below, "loss.logvar": torch.zeros(1)}}, folder / "base")
    torch.save({"state_dict": above}, folder / "ref")
    return {BASE: (folder / "base").read_bytes(), REFDECODER: (folder / "ref").read_bytes()}


@pytest.fixture
def machine(tmp_path: Path, files) -> Iterator[Machine]:
    commit = "77ce6fb" + "0" * 33
    with serve(Hub(repository=REPOSITORY, files=files, commit=commit)) as hub:
        yield Machine(tmp_path, hub)


def test_the_way_of_a_model(machine: Machine, make_video) -> None:
    make_video(19, "clip.mp4")

    # Nobody to ask: an error that says how, and nothing is fetched.
    for words in (
        ["models", "download", "videovae+"],
        ["enhance", "clip.mp4", "--model", "videovae+"],
    ):
        refused = machine.run(*words)
        assert refused.returncode == 2, refused.stderr
        assert "CC BY-NC-ND 4.0" in refused.stderr
        assert "--accept-license" in refused.stderr
    assert not machine.hub.requests

    fetched = machine.run("models", "download", "videovae+", "--accept-license", "--json")
    assert fetched.returncode == 0, fetched.stderr
    assert json.loads(fetched.stdout)["model"]["state"] == "downloaded"
    assert len(machine.hub.asked("GET", "/cdn/")) == 2

    words = ["--ref", "frame:0", "--model", "videovae+"]
    plan = machine.run("enhance", "clip.mp4", *words, "--dry-run")
    assert plan.returncode == 0, plan.stderr
    assert "videovae+ (as asked)" in plan.stdout
    assert "2 of 16 frames" in plan.stdout

    for folder in ("direct", "way"):
        (machine.folder / folder).mkdir()
    enhanced = machine.run("enhance", "clip.mp4", *words, "-o", "direct/%04d.png")
    assert enhanced.returncode == 0, enhanced.stderr
    encoded = machine.run("encode", "clip.mp4", "-o", "a.safetensors", "--model", "videovae+")
    assert encoded.returncode == 0, encoded.stderr
    # The file says which model it needs.
    with open_video(machine.folder / "clip.mp4") as video:
        Image.fromarray(next(iter(video)).pixels).save(machine.folder / "frame.png")
    decoded = machine.run("decode", "a.safetensors", "--ref", "frame.png", "-o", "way/%04d.png")
    assert decoded.returncode == 0, decoded.stderr
    assert "from videovae+ (refvid noted it in the file)" in decoded.stderr
    direct, way = (
        [np.array(Image.open(path)) for path in sorted((machine.folder / folder).iterdir())]
        for folder in ("direct", "way")
    )
    assert len(direct) == len(way) == 19
    assert np.array_equal(direct, way)

    wrong = machine.run("decode", "a.safetensors", "--model", "mini", "-o", "b.mkv")
    assert wrong.returncode == 3
    assert "--model videovae+" in wrong.stderr
    info = machine.run("info", "a.safetensors", "--json")
    facts = json.loads(info.stdout)
    assert (facts["backbone"], facts["frames"], facts["overlap_latents"]) == ("videovae+", 19, 2)


def test_the_commands_about_models(machine: Machine) -> None:
    assert machine.run("models", "download", "videovae+", "--accept-license").returncode == 0
    listed = machine.run("models", "list")
    assert "videovae+base" in listed.stdout
    assert listed.stdout.count("CC BY-NC-ND 4.0") == 2
    verified = machine.run("models", "verify")
    assert verified.returncode == 0
    assert len(verified.stdout.splitlines()) == 2
    path = machine.run("models", "path", "videovae+").stdout.strip()
    assert path.endswith(REFDECODER)

    # The first download has recorded what the catalogue does not know.
    Path(path).resolve().write_bytes(b"something else")
    damaged = machine.run("models", "verify", "videovae+")
    assert damaged.returncode == 5
    assert "is not videovae+" in damaged.stderr
    assert machine.run("models", "remove", "videovae+").returncode == 0
    machine.hub.files = {**machine.hub.files, REFDECODER: b"another file than last time"}
    changed = machine.run("models", "download", "videovae+")
    assert changed.returncode == 5
    assert "SHA-256" in changed.stderr

    base_alone = machine.run("models", "list", "--json")
    states = {m["name"]: m["state"] for m in json.loads(base_alone.stdout)["models"]}
    assert states["videovae+base"] == "downloaded"
    assert states["videovae+"] == "not downloaded"


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 2), (b"y\n", 0)])
def test_a_person_is_asked_once(machine: Machine, answer: bytes, code: int) -> None:
    ended, shown = machine.run_on_a_terminal("models", "download", "videovae+", answer=answer)
    assert ended == code, shown
    assert "CC BY-NC-ND 4.0" in shown
    assert "Do you accept it?" in shown
    assert bool(machine.hub.requests) == (code == 0)
    if code == 0:
        again = machine.run("models", "remove", "videovae+base")
        assert again.returncode == 0
        assert machine.run("models", "download", "videovae+").returncode == 0, "remembered"
