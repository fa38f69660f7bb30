"""For the evaluations, until they follow: see `refvid.rebuild`."""

from refvid.rebuild.references import prepare_reference

__all__ = ["prepare_reference"]
