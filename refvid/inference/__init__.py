"""Tensors to tensors: devices, chunks, references. Never opens a file."""
