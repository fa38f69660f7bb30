"""Latent fine-tuning: what is drawn, and what of it is supervised."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from refvid.errors import InputError
from refvid.progress import ignore_progress
from refvid.training.engine import Trainer, make_accelerator
from refvid.training.latent_data import prepare_latents
from refvid.training.loader import Alternating
from refvid.training.make_recipe import make_recipe
from refvid.training.train import train

Make = Callable[..., Any]
ACCEPTED = ("latents.scale=raw", "stages=[{frames = 5}]")


@pytest.fixture(autouse=True)
def fresh_accelerate(fresh_accelerate: None) -> None:
    """Every test of this file trains."""


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Three files with latents, one of them without a picture, one too short; and a broken one."""
    folder = tmp_path / "latents"
    folder.mkdir()
    for name, length in (("a", 3), ("b", 1), ("alone", 3)):
        generator = torch.Generator().manual_seed(length)
        latents = torch.randn(1, 16, length, 5, 8, generator=generator)
        save_file({"latents": latents}, folder / f"{name}.safetensors")
    (folder / "c.safetensors").write_bytes((9).to_bytes(8, "little") + b"{broken}}")
    for name, level in (("a", 200), ("b", 20), ("c", 20)):
        Image.fromarray(np.full((40, 60, 3), level, np.uint8)).save(folder / f"{name}.png")
    return folder


def prepare(config: Any) -> tuple[Any, list[Any], Any]:
    accelerator = make_accelerator(config.run, config.output, "fp32")
    recipe, _ = make_recipe(config)
    return recipe, prepare_latents(config, recipe, accelerator), accelerator


def test_files_become_clips_and_the_unfit_are_counted(
    wan_config: Make, saved: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = wan_config(*ACCEPTED, f"latents.folder={saved}")
    _, (drawer,), _ = prepare(config)
    assert len(drawer.clips) == 1
    assert "1 of 4 files with latents have no reference" in caplog.text
    assert "2 of 3 files with latents could not be used" in caplog.text
    forward, backward = None, None
    for index in range(20):
        batch = drawer.draw(index)
        assert batch.clip is None
        assert batch.latents.shape == (1, 16, 2, 4, 4)
        assert batch.reference.shape == (1, 3, 32, 32)
        assert torch.equal(batch.target[:, :, 0], batch.reference)
        if batch.supervised == 0:
            forward = batch
        else:
            assert batch.supervised == 4
            backward = batch
    assert forward is not None
    assert backward is not None
    assert float(forward.reference.min()) == pytest.approx(200 / 127.5 - 1)


def test_reversed_latents_are_those_of_the_plain_decoder(wan_config: Make, saved: Path) -> None:
    recipe, (drawer,), _ = prepare(wan_config(*ACCEPTED, f"latents.folder={saved}"))
    (clip,) = drawer.clips
    tensors = load_file(clip.path)
    expected = recipe.reverse_latents(tensors["forward"][None])[0]
    torch.testing.assert_close(tensors["reversed"], expected)
    assert tensors["forward"].shape == (16, 2, 5, 8)


def test_only_the_frame_of_the_reference_is_supervised(wan_config: Make, saved: Path) -> None:
    """The gradient by the decoded frames is zero everywhere else, forward and reversed."""
    config = wan_config(*ACCEPTED, f"latents.folder={saved}")
    recipe, (drawer,), accelerator = prepare(config)
    trainer = Trainer(recipe, config, [drawer], [], accelerator)
    seen = set()
    for index in range(12):
        batch = drawer.draw(index)
        output = trainer.network(batch)
        output.retain_grad()
        trainer.loss(output, batch).backward()
        touched = output.grad.abs().sum((0, 1, 3, 4)) > 0
        expected = torch.zeros(5, dtype=torch.bool)
        expected[batch.supervised] = True
        assert torch.equal(touched, expected)
        seen.add(batch.supervised)
    assert seen == {0, 4}


def test_forward_only_never_reverses(wan_config: Make, saved: Path) -> None:
    words = (*ACCEPTED, f"latents.folder={saved}", "latents.bidirectional=false")
    _, (drawer,), _ = prepare(wan_config(*words))
    assert {drawer.draw(index).supervised for index in range(20)} == {0}


def test_clips_and_latents_take_turns() -> None:
    class Numbered:
        def __init__(self, name: str) -> None:
            self.name = name

        def draw(self, index: int) -> Any:
            return self.name, index

    source: Any = Alternating(Numbered("clip"), Numbered("latents"), processes=2)
    kinds = [source.draw(index)[0] for index in range(8)]
    assert kinds == ["clip", "clip", "latents", "latents"] * 2


def test_a_run_with_latents_resumes(wan_config: Make, saved: Path, tmp_path: Path) -> None:
    words = ("latents.scale=raw", f"latents.folder={saved}", "run.log_steps=1")
    straight = train(wan_config(*words, output=tmp_path / "one"), ignore_progress)
    part = wan_config(*words, "run.max_minutes=0.00001", output=tmp_path / "two")
    assert not train(part, ignore_progress).finished
    again = train(wan_config(*words, output=tmp_path / "two"), ignore_progress, resume=True)
    assert again.loss == straight.loss
    assert again.valid_loss == straight.valid_loss


def test_a_folder_without_usable_latents(
    wan_config: Make, saved: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    config = wan_config(*ACCEPTED, f"latents.folder={saved}", "samples.clips=1")
    big = replace(config, samples=replace(config.samples, crop=64, reference_crop=64))
    with pytest.raises(InputError, match="no latents of at least 5 frames and 64 pixels"):
        prepare(big)
