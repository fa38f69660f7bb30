"""For the evaluations, until they follow: see `refvid.rebuild`."""

from refvid.rebuild.options import ModelOptions

__all__ = ["ModelOptions"]
