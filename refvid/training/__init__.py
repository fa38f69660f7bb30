"""Data, degradations, losses and loop: how the bundled weights are made."""
