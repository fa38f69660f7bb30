"""Measures of pictures and clips, and `refvid metrics`."""
