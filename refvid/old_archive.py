"""Files of torch.save as it was before PyTorch 1.6: known by their first bytes, and refused."""

from __future__ import annotations

from typing import Final

_MAGIC: Final = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
OLD_ARCHIVE_ADVICE: Final = (
    "torch.save wrote it in the format of before PyTorch 1.6, which cannot be looked into before "
    "it is loaded; if you trust it, save it again in Python: "
    'torch.save(torch.load("OLD", weights_only=True, map_location="cpu"), "NEW.pt")'
)


def is_old_archive(start: bytes) -> bool:
    """Whether a file that begins so was written by torch.save in one of its oldest formats.

    Args:
        start: Its first 512 bytes, or all.
    """
    return start.startswith(_MAGIC) or start[257:262] == b"ustar"
