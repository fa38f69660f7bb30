"""What the losses compare, and what they say of it."""

import sys
from types import ModuleType

import pytest
import torch

from refvid.errors import OptionError
from refvid.training.config import LossConfig
from refvid.training.losses import TrainingLoss, gradient_loss, reconstruction_loss


def clip(seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, 2, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_the_same_clip_costs_nothing() -> None:
    for pixels in ("l1", "detail"):
        loss = TrainingLoss(LossConfig(pixels=pixels, perceptual="gradients"))
        assert float(loss(clip(), clip())) == pytest.approx(0, abs=2e-3)
        assert float(loss(clip(), clip(1))) > 0.5


def test_gradients_ask_for_detail_and_not_for_brightness() -> None:
    target = clip()[:, :, 0]
    brighter = target + 0.2
    blurred = torch.nn.functional.avg_pool2d(target, 3, 1, 1)
    assert float(gradient_loss(brighter, target)) == pytest.approx(0, abs=1e-6)
    assert float(gradient_loss(blurred, target)) > 0.1


def test_gradients_see_coarse_errors_too() -> None:
    """A slow wave has small differences at full size, and larger ones when it is shrunk."""
    wave = torch.sin(torch.arange(64) / 5).expand(1, 3, 64, 64)
    fine = reconstruction_loss(wave, torch.zeros_like(wave)) - wave.abs().mean()
    assert float(gradient_loss(wave, torch.zeros_like(wave))) > float(fine)


def test_auto_says_what_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    loss = TrainingLoss(LossConfig())
    assert loss.describe() == "L1 + 1 multi-scale gradients"
    with pytest.raises(OptionError, match=r"refvid\[metrics\]"):
        TrainingLoss(LossConfig(perceptual="lpips"))


def test_weights_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(**options: object) -> None:
        raise OSError("no route to host")

    module = ModuleType("lpips")
    module.LPIPS = offline  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lpips", module)
    assert TrainingLoss(LossConfig()).perceptual == "gradients"
    with pytest.raises(OptionError, match="no route to host"):
        TrainingLoss(LossConfig(perceptual="lpips"))


def test_lpips_is_used_frame_by_frame_and_never_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake(torch.nn.Module):
        def __init__(self, net: str, verbose: bool) -> None:
            super().__init__()
            assert net == "vgg"
            self.weight = torch.nn.Parameter(torch.tensor(3.0))

        def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            assert output.shape == (2, 3, 32, 32)
            return self.weight * (output - target).abs().mean((1, 2, 3), keepdim=True)

    module = ModuleType("lpips")
    module.LPIPS = Fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lpips", module)
    loss = TrainingLoss(LossConfig(perceptual_weight=2.0))
    assert loss.describe() == "L1 + 2 LPIPS"
    assert not [p for p in loss.parameters() if p.requires_grad]
    error = (clip() - clip(1)).abs().mean()
    assert float(loss(clip(), clip(1))) == pytest.approx(float(7 * error))
