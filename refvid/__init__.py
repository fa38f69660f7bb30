"""Reference-conditioned video decoding: bring a video's lost details back from one clean image."""

from typing import TYPE_CHECKING

from refvid import errors as errors

if TYPE_CHECKING:
    from refvid.api import compare as compare
    from refvid.api import decode as decode
    from refvid.api import decode_latents as decode_latents
    from refvid.api import detokenize as detokenize
    from refvid.api import encode as encode
    from refvid.api import enhance as enhance
    from refvid.api import enhance_frames as enhance_frames
    from refvid.api import info as info
    from refvid.api import load_model as load_model
    from refvid.api import load_tokens as load_tokens
    from refvid.api import measure as measure
    from refvid.api import stylize as stylize
    from refvid.api import stylize_frames as stylize_frames
    from refvid.api import tokenize as tokenize
    from refvid.integrations.diffusers import RefDecoderVAE as RefDecoderVAE

__version__ = "0.1.0"

_FUNCTIONS = (
    "compare",
    "decode",
    "detokenize",
    "decode_latents",
    "encode",
    "enhance",
    "enhance_frames",
    "info",
    "load_model",
    "load_tokens",
    "measure",
    "stylize",
    "tokenize",
    "stylize_frames",
)


def __getattr__(name: str) -> object:
    # NumPy, torch and diffusers take seconds to load: not before somebody asks for them.
    if name in _FUNCTIONS:
        from refvid import api  # noqa: PLC0415

        return getattr(api, name)
    if name == "RefDecoderVAE":
        from refvid.integrations.diffusers import RefDecoderVAE  # noqa: PLC0415

        return RefDecoderVAE
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_FUNCTIONS, "RefDecoderVAE"})
