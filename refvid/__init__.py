"""Reference-conditioned video decoding: bring a video's lost details back from one clean image."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from refvid.integrations.diffusers import RefDecoderVAE as RefDecoderVAE

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # Torch and diffusers take seconds to load, and few who import refvid need them.
    if name == "RefDecoderVAE":
        from refvid.integrations.diffusers import RefDecoderVAE  # noqa: PLC0415

        return RefDecoderVAE
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
