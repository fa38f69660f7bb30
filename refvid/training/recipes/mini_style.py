"""How the style backbone is trained: what is painted is fixed, what is made of it is learned."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from torch import Tensor

from refvid.errors import OptionError
from refvid.models.mini.codec import PatchCodec
from refvid.models.mini_style.config import MiniStyleConfig
from refvid.models.mini_style.decoder import MiniStyleDecoder
from refvid.models.mini_style.painting import paint_clip
from refvid.training.batch import Batch
from refvid.training.config import STYLE_BACKBONE, SampleOptions
from refvid.training.recipes.recipe import ParameterGroup, Recipe, without_prefix
from refvid.training.style_samples import Paint


class MiniStyleRecipe(Recipe):
    """Batches come painted, see `painter`; the network decodes frame by frame."""

    backbone = STYLE_BACKBONE

    def __init__(self, config: MiniStyleConfig) -> None:
        super().__init__()
        self.config = config
        self.decoder = MiniStyleDecoder(config)

    def forward(self, batch: Batch) -> Tensor:
        made = batch.painted
        assert made is not None, "the drawers of styles paint"
        clips, _, length = made.painted.shape[:3]
        # (B, 3, T, H, W) -> (B * T, 3, H, W)
        recoloured, painted = (
            part.transpose(1, 2).flatten(0, 1) for part in (made.recoloured, made.painted)
        )
        output: Tensor = self.decoder(recoloured, painted, made.statistics.flatten(0, 1))
        return output.view(clips, length, *output.shape[1:]).transpose(1, 2)

    def painter(self) -> Paint:
        """What the backbone does to a clip before its network."""
        return CodedPainter()

    def parameter_groups(self) -> list[ParameterGroup]:
        return [ParameterGroup("decoder", list(self.decoder.parameters()), pretrained=False)]

    def check_samples(self, samples: SampleOptions) -> None:
        if not samples.consecutive:
            raise OptionError(
                f"{self.backbone} needs samples.consecutive: a painting moves with the video."
            )

    def latent_frames(self, frames: int) -> int:
        return frames

    def reverse_latents(self, latents: Tensor) -> Tensor:
        """Every latent frame is one frame: nothing needs decoding."""
        return latents.flip(2)

    def weights_file(self, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
        metadata = {"config": json.dumps(asdict(self.config)), "backbone": self.backbone}
        return without_prefix(state, "decoder."), metadata


class CodedPainter:
    """Paints what the codec leaves of frames (T, 3, H, W), see `Paint`."""

    def __init__(self) -> None:
        self.codec = PatchCodec(chroma=4)

    def __call__(self, frames: Tensor, style: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        coded = self.codec.decode(self.codec.encode(frames)).clamp(-1, 1).contiguous()
        return paint_clip(coded, style)
