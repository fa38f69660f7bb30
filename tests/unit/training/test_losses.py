"""What the losses compare, and what they say of it."""

import sys
from importlib.util import find_spec
from types import ModuleType

import pytest
import torch

from refvid.errors import OptionError
from refvid.training import losses
from refvid.training.loss_config import LossConfig
from refvid.training.losses import (
    TrainingLoss,
    choose_frames,
    gradient_loss,
    reconstruction_loss,
)


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


@pytest.fixture
def no_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("lpips", "stlpips_pytorch"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("no_packages")
def test_auto_says_what_it_took(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        loss = TrainingLoss(LossConfig())
    assert loss.describe() == "L1 + 1 multi-scale gradients"
    assert "the perceptual part of the loss is multi-scale gradients" in caplog.text
    for name, package in (("lpips", "lpips torchvision"), ("st-lpips", "stlpips-pytorch")):
        with pytest.raises(OptionError, match=f"pip install {package}"):
            TrainingLoss(LossConfig(perceptual=name))  # type: ignore[arg-type]


class SmallStLpips(torch.nn.Module):
    """Stands for ST-LPIPS; remembers what it was shown."""

    shown: tuple[torch.Tensor, torch.Tensor]
    precision: torch.dtype

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        self.shown = output, target
        autocast = torch.is_autocast_enabled("cpu")
        self.precision = torch.get_autocast_dtype("cpu") if autocast else torch.float32
        return 10 * (output - target).abs().mean((1, 2, 3))


@pytest.fixture
def st_lpips(monkeypatch: pytest.MonkeyPatch) -> SmallStLpips:
    network = SmallStLpips()
    monkeypatch.setitem(sys.modules, "lpips", None)

    def load(name: str) -> SmallStLpips:
        assert name in {"alex", "vgg"}
        return network

    monkeypatch.setattr(losses, "load_st_lpips_network", load)
    return network


def test_auto_takes_st_lpips_where_there_is_no_lpips(st_lpips: SmallStLpips) -> None:
    loss = TrainingLoss(LossConfig(perceptual_weight=2.0))
    assert loss.describe() == "L1 + 2 ST-LPIPS (AlexNet)"
    wide = TrainingLoss(LossConfig(perceptual="st-lpips", perceptual_network="vgg"))
    assert wide.describe() == "L1 + 1 ST-LPIPS (VGG16)"
    error = (clip() - clip(1)).abs().mean()
    assert float(loss(clip(), clip(1))) == pytest.approx(float(21 * error))
    assert st_lpips.precision == torch.float32
    TrainingLoss(LossConfig(), torch.bfloat16)(clip(), clip(1))
    assert st_lpips.precision == torch.bfloat16


def test_frames_too_small_for_st_lpips_are_continued(st_lpips: SmallStLpips) -> None:
    TrainingLoss(LossConfig())(clip()[..., :16], clip(1)[..., :16])
    output, target = st_lpips.shown
    assert output.shape == target.shape == (2, 3, 32, 21)
    assert torch.equal(output[..., 16:], output[..., 15:16].expand(-1, -1, -1, 5))


def test_a_share_of_the_frames(st_lpips: SmallStLpips) -> None:
    loss = TrainingLoss(LossConfig(perceptual_share=0.5))
    assert loss.describe() == "L1 + 1 ST-LPIPS (AlexNet) of 50% of the frames"
    output, target = torch.rand(2, 3, 3, 32, 32), torch.rand(2, 3, 3, 32, 32)
    frames = output.transpose(1, 2).flatten(0, 1)
    chosen = choose_frames(6, 0.5, 4)
    loss(output, target, 4)
    assert torch.equal(st_lpips.shown[0], frames[chosen])
    assert choose_frames(6, 0.5, 4) == chosen
    assert len({tuple(choose_frames(6, 0.5, seed)) for seed in range(40)}) > 10
    assert len(choose_frames(6, 0.01, 0)) == 1
    assert choose_frames(6, 1, 0) == list(range(6))
    counts = [0] * 6
    for seed in range(600):
        for place in choose_frames(6, 0.5, seed):
            counts[place] += 1
    assert min(counts) > 250


def test_impossible_shares_and_weights() -> None:
    for share in (0.0, 1.5):
        with pytest.raises(OptionError, match="perceptual_share"):
            LossConfig(perceptual_share=share)
    with pytest.raises(OptionError, match="perceptual_weight"):
        LossConfig(perceptual_weight=-1)


@pytest.mark.skipif(find_spec("stlpips_pytorch") is None, reason="it is not installed")
def test_st_lpips_teaches() -> None:
    """The real network: following its gradient brings a blurred picture nearer."""
    loss = TrainingLoss(LossConfig(perceptual="st-lpips", perceptual_weight=10))
    assert not [p for p in loss.parameters() if p.requires_grad]
    target = clip()
    output = torch.nn.functional.avg_pool3d(target, (1, 3, 3), 1, (0, 1, 1)).requires_grad_()
    before = loss(output, target)
    before.backward()
    assert output.grad is not None
    with torch.no_grad():
        step = output - output.grad / output.grad.norm() * 0.5
        assert float(loss(step, target)) < float(before.detach())


@pytest.mark.usefixtures("no_packages")
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
    assert loss.describe() == "L1 + 2 LPIPS (VGG16)"
    assert not [p for p in loss.parameters() if p.requires_grad]
    error = (clip() - clip(1)).abs().mean()
    assert float(loss(clip(), clip(1))) == pytest.approx(float(7 * error))
