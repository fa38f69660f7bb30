"""Fit how much of its own change counts in mini, as for the bundled weights.

    python -m benchmarks.fit_change CLIPS WEIGHTS -o OUT [--draws 4000] [--seed 0]

WEIGHTS are mini's, without or with such a fit; OUT are the same with a new one. A draw takes about
two tenths of a second.
"""

from __future__ import annotations

import torch

from benchmarks.fit_options import read_options
from refvid.checkpoints.load import load_backbone
from refvid.models.mini.autoencoder import MiniBackbone
from refvid.training.change_fit import draw_changes, fit_change
from refvid.training.neighbour_fit import write_with


def main() -> None:
    """Read the command line, fit, and tell what the fit brings where it was made."""
    options = read_options(__doc__, draws=4000)
    backbone = load_backbone("mini", torch.device("cpu"), torch.bfloat16, weights=options.weights)
    assert isinstance(backbone, MiniBackbone), "that is what was asked for"
    draws = draw_changes(backbone, options.clips, options.draws, options.rng)
    fitted = fit_change(draws)
    for name, share in (("all", torch.ones(len(draws.error))), ("share", fitted(draws.condition))):
        gain = draws.gain(share)
        print(f"{name}: {gain.mean():+.3f} dB, {gain.min():+.2f} at worst")
    write_with(options.weights, "change", fitted, options.output)


if __name__ == "__main__":
    main()
