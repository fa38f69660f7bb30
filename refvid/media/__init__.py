"""Files <-> frames, with PyAV and Pillow. Never imports torch."""
