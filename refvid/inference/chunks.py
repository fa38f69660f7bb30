"""For the evaluations, until they follow: see `refvid.rebuild`."""

from refvid.rebuild.chunks import split_into_chunks

__all__ = ["split_into_chunks"]
