"""Pictures as users hold them in memory: arrays, PIL images, tensors, lists of these."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from refvid.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

    Held = NDArray[Any] | Tensor | Image | Iterable[Any]

_ARRAY_PROTOCOLS: Final = ("__array__", "__array_interface__")


def is_array(value: Any) -> bool:
    """Whether NumPy takes something for one array: its own, a PIL image, a tensor."""
    return any(hasattr(value, protocol) for protocol in _ARRAY_PROTOCOLS)


def as_array(value: Any, shape: str) -> NDArray[Any]:
    """Return an array of what a user holds.

    Args:
        value: An array, a PIL image, a PyTorch tensor on the processor, or several of them, also
            one after the other, which become one array with an axis more.
        shape: What it should be, for the message.

    Returns:
        An array in this machine's order of bytes; `value` itself where it is one.

    Raises:
        OptionError: It is no such thing, or one of several differs in shape.
    """
    import numpy as np

    try:
        if is_array(value):
            array: NDArray[Any] = np.asarray(value)
        elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
            array = np.stack([as_array(one, shape) for one in value])
        else:
            raise OptionError(f"{shape}, not {value!r}")
    # What tensors on graphics cards and those with gradients say, and what `stack` does.
    except (TypeError, RuntimeError, ValueError) as error:
        if isinstance(error, OptionError):
            raise
        raise OptionError(f"{shape}: {error}") from error
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
