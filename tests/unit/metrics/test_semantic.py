"""CLIP consistency with a tiny network of random weights."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from refvid.errors import CheckpointUnavailable, OptionError
from refvid.metrics.semantic import consistency, load_clip

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        image_size=32, patch_size=8, projection_dim=16,
    )  # fmt: skip
    path: Path = tmp_path_factory.mktemp("clip")
    CLIPVisionModelWithProjection(config).save_pretrained(path)
    return path


def test_consistency(folder, make_pair) -> None:
    clip = load_clip(CPU, str(folder))
    noisy, clean = make_pair(48, 80)
    other, _ = make_pair(48, 80, seed=1)
    embeddings = {name: clip.embed(p) for name, p in (("noisy", noisy), ("clean", clean))}
    assert embeddings["clean"].shape == (16,)
    assert float(embeddings["clean"].norm()) == pytest.approx(1)
    near = consistency(embeddings["noisy"], embeddings["clean"])
    assert consistency(embeddings["clean"], clip.embed(clean)) == pytest.approx(1)
    assert consistency(clip.embed(other), embeddings["clean"]) < near < 1


def test_the_middle_square_counts(folder, make_pair) -> None:
    clip = load_clip(CPU, str(folder))
    _, clean = make_pair(48, 96)
    sides = clean.copy()
    sides[:, :16] = 0
    assert consistency(clip.embed(sides), clip.embed(clean)) == pytest.approx(1)
    assert consistency(clip.embed(np.zeros_like(clean)), clip.embed(clean)) < 0.999


def test_weights_that_cannot_be_had(tmp_path, monkeypatch) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointUnavailable, match="cannot be had"):
        load_clip(CPU, str(tmp_path / "empty"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointUnavailable, match="Connect once"):
        load_clip(CPU, "somebody/no-such-model")


def test_the_package_is_missing(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(OptionError, match=r"pip install transformers$"):
        load_clip(CPU)
