"""For the evaluations, until they follow: see `refvid.rebuild`."""

from refvid.rebuild.memory import choose_budget

__all__ = ["choose_budget"]
