"""Options -> a loaded model on a device, with the reason for every choice made for the user."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch

from refvid.checkpoints.load import BUNDLED, load_backbone
from refvid.inference.device import DTYPE_NAMES, choose_device, choose_dtype, describe_device
from refvid.models.backbone import Backbone
from refvid.workflows.enhance_options import ModelOptions

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedBackbone:
    """A model ready to run."""

    backbone: Backbone
    device: torch.device
    dtype: torch.dtype
    reason: str
    """Why this model was chosen, for people."""

    @property
    def name(self) -> str:
        """What `--model` calls it."""
        return self.backbone.name

    @property
    def dtype_name(self) -> str:
        """bf16, fp16 or fp32."""
        return DTYPE_NAMES[self.dtype]


def choose_backbone(options: ModelOptions) -> LoadedBackbone:
    """Pick device, precision and model, and load the weights.

    Raises:
        OptionError: A name is not known.
        DeviceError: The device is not on this machine.
        CheckpointError: The weights are missing or do not fit.
    """
    device = choose_device(options.device)
    dtype = choose_dtype(options.dtype, device)
    if options.model == "auto":
        name, reason = BUNDLED, "the bundled model"
    else:
        name, reason = options.model, "as asked"
    backbone = load_backbone(name, device, dtype)
    loaded = LoadedBackbone(backbone=backbone, device=device, dtype=dtype, reason=reason)
    logger.info(
        "Computing on %s in %s.%s",
        describe_device(device),
        loaded.dtype_name,
        " There is no graphics card; that is slower, but the bundled model is made for it."
        if options.device == "auto" and device.type == "cpu"
        else "",
    )
    return loaded
