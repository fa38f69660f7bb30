"""Fit how much neighbouring frames count in mini, as for the bundled weights.

    python -m benchmarks.fit_neighbours CLIPS WEIGHTS -o OUT [--draws 7000] [--seed 0]

WEIGHTS are mini's, without or with such a fit; OUT are the same with a new one. A draw takes about
a tenth of a second.
"""

from __future__ import annotations

from benchmarks.fit_options import read_options
from refvid.training.neighbour_fit import draw, fit, write_with


def main() -> None:
    """Read the command line, fit, and tell what the fit brings where it was made."""
    options = read_options(__doc__, draws=7000)
    draws = draw(options.clips, options.draws, options.rng)
    fitted = fit(draws)
    gain = draws.gain(fitted(draws.condition))
    print(f"{len(gain)} draws: {gain.mean():+.3f} dB, {gain.min():+.2f} at worst")
    write_with(options.weights, "neighbours", fitted, options.output)


if __name__ == "__main__":
    main()
