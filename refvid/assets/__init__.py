"""Bundled weights and the sample picture."""
