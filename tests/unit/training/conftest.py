"""A handful of clips, and small networks to train on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from refvid.training.degradations import write_h264

SMALL_MINI = {
    "width": 8,
    "wide": 8,
    "depths": (1, 1, 1),
    "condition_width": 8,
    "kernels": 2,
}

SMALL_WAN = {
    "base_channels": 4,
    "transformer_blocks": 2,
    "heads": 2,
    "head_channels": 20,
    "feed_forward_channels": 24,
}


SMALL_VIDEOVAE_PLUS = {
    "base_channels": 4,
    "residual_blocks": 1,
    "temporal_channels": 4,
    "norm_groups": 2,
    "transformer_blocks": 2,
    "heads": 2,
    "head_channels": 20,
    "feed_forward_channels": 24,
}


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four short pans over pictures full of detail, one photograph, and two broken files."""
    folder = tmp_path_factory.mktemp("media")
    (folder / "videos" / "more").mkdir(parents=True)
    (folder / "images").mkdir()
    for seed, name in enumerate(("one_a", "two_a", "three_a", "more/four_a")):
        picture = textured_picture(192, 256, seed)
        pan = [picture[8:136, 8 + 2 * t : 200 + 2 * t] for t in range(6)]
        write_h264(pan, folder / "videos" / f"{name}.mp4", crf=10)
    (folder / "videos" / "broken_a.mp4").write_bytes(b"no video at all")
    Image.fromarray(textured_picture(320, 448, 9)).save(folder / "images" / "photo_x.png")
    (folder / "images" / "broken_x.png").write_bytes(b"no picture at all")
    return folder


def textured_picture(height: int, width: int, seed: int) -> np.ndarray:
    """Coloured tiles under fine noise, (height, width, 3): the detail that compression takes."""
    random = np.random.default_rng(seed)
    tiles = random.integers(40, 216, (height // 8, width // 8, 3)).repeat(8, 0).repeat(8, 1)
    noise = random.integers(-30, 31, (height // 2, width // 2, 1)).repeat(2, 0).repeat(2, 1)
    return (tiles + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture
def mini_config(media: Path, tmp_path: Path) -> Callable[..., Any]:
    """Make the config of a small run of the mini backbone."""
    from refvid.training.read_config import build_config

    def make(*words: str, output: Path | None = None) -> Any:
        tree = {
            "output": output or tmp_path / "run",
            "network": SMALL_MINI,
            "data": {
                "videos": media / "videos",
                "cache": media / "cache",
                "variants": 2,
                "made": 0,
                "valid_share": 0.25,
                "workers": 0,
            },
            "samples": {"clips": 2, "frames": 2, "crop": 48, "reference_crop": 64},
            "optimizer": {"rate": 4e-3, "warmup_steps": 5},
            "run": {
                "steps": 8,
                "log_steps": 1,
                "valid_steps": 4,
                "valid_batches": 2,
                "picture_steps": 0,
                "precision": "fp32",
                "device": "cpu",
            },
        }
        return build_config(flags=tree, words=words)

    return make


@pytest.fixture
def wan_config(media: Path, tmp_path: Path) -> Callable[..., Any]:
    """Make the config of a small run of the Wan backbone."""
    stages = [{"frames": 1}, {"frames": 5}]
    return lambda *words, output=None: _large_config(
        media, output or tmp_path / "run", "wan2.1", SMALL_WAN, stages, words
    )


@pytest.fixture
def videovae_plus_config(media: Path, tmp_path: Path) -> Callable[..., Any]:
    """Make the config of a small run of the VideoVAE+ backbone."""
    return lambda *words, output=None: _large_config(
        media,
        output or tmp_path / "run",
        "videovae+",
        SMALL_VIDEOVAE_PLUS,
        [{"frames": 4}],
        words,
    )


def _large_config(
    media: Path,
    output: Path,
    backbone: str,
    network: dict[str, Any],
    stages: list[dict[str, Any]],
    words: Sequence[str],
) -> Any:
    from refvid.training.read_config import build_config

    tree = {
        "backbone": backbone,
        "output": output,
        "network": network,
        "data": {"videos": media / "videos", "cache": media / "cache", "workers": 0},
        "samples": {"clips": 1, "frames": stages[-1]["frames"], "crop": 32, "reference_crop": 32},
        "stages": stages,
        "optimizer": {"warmup_steps": 2},
        "run": {
            "steps": 4,
            "log_steps": 1,
            "valid_batches": 1,
            "picture_steps": 0,
            "precision": "fp32",
            "device": "cpu",
        },
    }
    return build_config(flags=tree, words=words)
