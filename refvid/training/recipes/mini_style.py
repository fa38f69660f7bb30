"""How the style backbone is trained: what is painted is fixed, what is made of it is learned."""

from __future__ import annotations

import torch
from torch import Tensor

from refvid.errors import OptionError
from refvid.models.mini_style.config import MiniStyleConfig
from refvid.models.mini_style.decoder import MiniStyleDecoder
from refvid.models.mini_style.painting import paint_clip
from refvid.models.patch_codec import PatchCodec
from refvid.models.registry import MINI_STYLE
from refvid.training.batch import Batch
from refvid.training.config import TrainConfig
from refvid.training.data import Processes, TrainingData
from refvid.training.recipes.framewise import FramewiseRecipe
from refvid.training.sample_options import SampleOptions
from refvid.training.style_data import prepare_style_data
from refvid.training.style_samples import Paint


class MiniStyleRecipe(FramewiseRecipe):
    """Batches come painted, see `painter`; the network decodes frame by frame."""

    backbone = MINI_STYLE

    def __init__(self, config: MiniStyleConfig, *, unconditional: bool = False) -> None:
        super().__init__(config, unconditional=unconditional)
        self.decoder: MiniStyleDecoder = MiniStyleDecoder(config)

    def forward(self, batch: Batch) -> Tensor:
        made = batch.painted
        assert made is not None, "the drawers of styles paint"
        clips, _, length = made.painted.shape[:3]
        # (B, 3, T, H, W) -> (B * T, 3, H, W)
        recoloured, painted = (
            part.transpose(1, 2).flatten(0, 1) for part in (made.recoloured, made.painted)
        )
        # Its few numbers decide on pixels: they are not worth less than single precision.
        with torch.autocast(painted.device.type, enabled=False):
            output: Tensor = self.decoder(
                recoloured.float(), painted.float(), made.statistics.flatten(0, 1).float()
            )
        return output.view(clips, length, *output.shape[1:]).transpose(1, 2)

    def painter(self) -> Paint:
        """What the backbone does to a clip before its network."""
        return CodedPainter()

    def prepare_data(self, config: TrainConfig, processes: Processes) -> TrainingData:
        return prepare_style_data(config, processes, self.painter())

    def check_samples(self, samples: SampleOptions) -> None:
        if not samples.consecutive:
            raise OptionError(
                f"{self.backbone} needs samples.consecutive: a painting moves with the video."
            )


class CodedPainter:
    """Paints what the codec leaves of frames (T, 3, H, W), see `Paint`."""

    def __init__(self) -> None:
        self.codec = PatchCodec(chroma=4)

    def __call__(self, frames: Tensor, style: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        coded = self.codec.decode(self.codec.encode(frames)).clamp(-1, 1).contiguous()
        return paint_clip(coded, style)
