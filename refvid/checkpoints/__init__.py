"""Checkpoint files to ready models."""
