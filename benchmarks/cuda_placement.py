"""What a graphics card would be asked to do, shown without one.

    python -m benchmarks.cuda_placement [NAMES]

Every backbone at full size encodes, decodes and rebuilds two chunks of a shot on a card that does
not exist. Its tensors have sizes, types and devices, but no numbers (PyTorch's `FakeTensorMode`).
So whatever stops here would stop on a card: tensors on two devices, and sizes that depend on
numbers, for which the processor would have to wait for the card. Also printed is how often a chunk
copies from the card, each time a wait too, and to it.

It needs a PyTorch that was built with CUDA (`pip install torch` in an environment of its own), no
card, and little memory. What runs on the processor in any case (OpenCV finds the references of
mini) gets a made picture wherever it asks for the numbers of a tensor.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, cast
from unittest.mock import patch

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from refvid.models.backbone import Backbone, Reference, ReferenceFinder, StyleBackbone
from refvid.models.mini.alignment import gray
from refvid.models.mini_style.decoder import MiniStyleDecoder
from refvid.models.registry import (
    MINI,
    MINI_STYLE,
    VIDEOVAE_PLUS,
    WAN,
    Chunking,
    find_backbone,
)
from refvid.rebuild.chunks import Chunk, ChunkLengths, split_into_chunks
from refvid.rebuild.memory import choose_budget
from refvid.rebuild.pixels import clip_to_frames, frames_to_clip, padded_size
from refvid.rebuild.reference_choice import prepare_reference
from refvid.rebuild.session import Session
from refvid.rebuild.style import prepare_styles

CARD = torch.device("cuda:0")
SIZES = {"480p": (480, 832), "720p": (720, 1280)}
_OFF_THE_GRID = (474, 830)
"""A size that must be padded [pixels]."""

_LITTLE = 8 << 30

_FITTED = {MINI: {"weighs_neighbours": True, "weighs_change": True}}
"""What the weights that are used have, and a network without them does not."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Case:
    """One way through a backbone: two chunks of a shot."""

    backbone: str
    size: tuple[int, int]
    """Height and width [pixels]."""

    condition: str = "reference"
    """A name of `CONDITIONS`."""

    tile: int | Literal["auto", "off"] = "auto"
    frames: int | None = None
    """A chunk's; None is the model's own choice."""

    chunking: Chunking = "carry"
    free: int = 80 << 30
    """Memory that is free on the card [bytes]: with little, states wait in main memory."""

    dtype: torch.dtype = torch.bfloat16


def _nothing(backbone: Backbone, size: tuple[int, int]) -> None:
    """No reference at all."""


def _reference(backbone: Backbone, size: tuple[int, int]) -> Any:
    return prepare_reference(backbone, made_picture(*size), CARD)


def _photos(backbone: Backbone, size: tuple[int, int]) -> Any:
    """A photo from nearer, and one of the frames' own places."""
    height, width = size
    picture = made_picture(height, width)
    nearer = cv2.resize(picture[40:-40, 60:-60], (width, height), interpolation=cv2.INTER_CUBIC)
    photos = [
        Reference(read=lambda: np.asarray(nearer, np.uint8)),
        Reference(read=lambda: picture, is_placed=True),
    ]
    return cast("ReferenceFinder", backbone).prepare_references(dict(enumerate(photos)))


def _styles(backbone: Backbone, size: tuple[int, int]) -> Any:
    """Two styles of different sizes, and a keyframe."""
    styles = [(made_picture(320, 448), 1.0), (made_picture(640, 512), 2.0)]
    keyframe = (made_picture(*size)[::-1].copy(), made_picture(*size))
    return prepare_styles(cast("StyleBackbone", backbone), styles, [keyframe], CARD)


CONDITIONS: dict[str, Callable[[Backbone, tuple[int, int]], Any]] = {
    "nothing": _nothing,
    "reference": _reference,
    "photos": _photos,
    "styles": _styles,
}

CASES = {
    "wan": Case(WAN, SIZES["480p"]),
    "wan-without": Case(WAN, SIZES["480p"], condition="nothing"),
    "wan-parked": Case(WAN, SIZES["480p"], free=_LITTLE),
    "wan-independent": Case(WAN, SIZES["480p"], chunking="independent"),
    "wan-fp16": Case(WAN, _OFF_THE_GRID, frames=8, dtype=torch.float16),
    "wan-tiles": Case(WAN, SIZES["720p"]),
    "wan-tiles-parked": Case(WAN, SIZES["720p"], free=_LITTLE),
    "videovaeplus": Case(VIDEOVAE_PLUS, SIZES["480p"]),
    "videovaeplus-without": Case(VIDEOVAE_PLUS, SIZES["480p"], condition="nothing"),
    "videovaeplus-independent": Case(VIDEOVAE_PLUS, _OFF_THE_GRID, chunking="independent"),
    "videovaeplus-tiles": Case(VIDEOVAE_PLUS, SIZES["720p"]),
    "mini": Case(MINI, SIZES["480p"], condition="photos", frames=3),
    "mini-placed": Case(MINI, _OFF_THE_GRID, frames=2),
    "mini-without": Case(MINI, SIZES["480p"], condition="nothing"),
    "mini-tiles": Case(MINI, SIZES["720p"], condition="photos", tile=384, frames=2),
    "mini-style": Case(MINI_STYLE, SIZES["480p"], frames=4),
    "mini-style-several": Case(MINI_STYLE, _OFF_THE_GRID, condition="styles", frames=3),
    "mini-style-without": Case(MINI_STYLE, SIZES["480p"], condition="nothing"),
    "mini-style-tiles": Case(MINI_STYLE, SIZES["720p"], tile=384, frames=3),
}


@dataclass(frozen=True, slots=True)
class Copies:
    """How often a chunk that goes on with a shot waits for the card."""

    from_card: int
    to_card: int


def run_case(case: Case) -> Copies:
    """Rebuild two chunks of a shot, then encode and decode the same ones.

    Raises:
        RuntimeError: Tensors meet on two devices, or a size depends on numbers; of PyTorch's fake
            tensors.
        AssertionError: A result has another size, type or device than it should.
    """
    with fake_card(case.free):
        backbone = _load(case)
        budget = choose_budget(backbone.limits, *case.size, case.frames, case.tile)
        reference = CONDITIONS[case.condition](backbone, case.size)
        chunks = _two_chunks(case.size, budget.lengths, backbone.limits.lookahead)
        rebuilding = Session(backbone, CARD, budget, reference)
        copies = [_rebuild(rebuilding, chunk) for chunk in chunks][-1]
        if backbone.limits.finds_references and reference is not None:
            found = rebuilding.uses.findings()
            assert found is not None, "it tells"
            assert found.total.found > 0.5, "else nothing was aligned"
        if not backbone.limits.independent_chunks:  # those are rebuilt and nothing else
            encoding = Session(backbone, CARD, budget)
            decoding = Session(backbone, CARD, budget, reference)
            for chunk in chunks:
                _encode_and_decode(encoding, decoding, chunk)
    return copies


def _two_chunks(
    size: tuple[int, int], lengths: ChunkLengths, lookahead: int
) -> list[Chunk[Pixels]]:
    count = lengths.first + lengths.following - lengths.overlap
    frames = [(made_picture(*size), False)] * count
    chunks = list(split_into_chunks(frames, lengths, lookahead=lookahead))
    assert len(chunks) == 2, "the second one goes on with the first one's shot"
    return chunks


def _rebuild(session: Session, chunk: Chunk[Pixels]) -> Copies:
    clip = frames_to_clip(chunk.frames, CARD)
    with CopyCounter() as counter:
        rebuilt = session.rebuild(clip, chunk)
    _check(rebuilt, (1, 3, len(chunk.final), *clip.shape[3:]))
    assert clip_to_frames(rebuilt, np.uint8).dtype == np.uint8
    return Copies(counter.counts[CARD.type, "cpu"], counter.counts["cpu", CARD.type])


def _encode_and_decode(encoding: Session, decoding: Session, chunk: Chunk[Pixels]) -> None:
    looks_ahead = decoding.backbone.limits.lookahead > 0
    # What chunks share is done twice, but a model that looks ahead keeps it, and gives it later.
    frames = chunk.frames[chunk.shared :] if looks_ahead else chunk.frames
    latents = encoding.encode(frames_to_clip(frames, CARD))
    # They come from a file: out of main memory.
    given = torch.empty_like(latents, device="cpu").to(CARD)
    height, width = frames[0].shape[:2]
    size = padded_size(height, width, decoding.backbone.limits)
    decoded = decoding.decode(given, size, is_last=not chunk.held_back)
    _check(decoded, (1, 3, len(chunk.final if looks_ahead else frames), *size))


@contextmanager
def fake_card(free: int) -> Iterator[None]:
    """Every tensor that is made inside is fake, and there seems to be a card.

    Args:
        free: Memory of the card [bytes].
    """
    stand_ins: list[tuple[Any, str, Any]] = [
        (FakeTensor, "data", property(_get_data, _set_data)),
        (torch.utils, "swap_tensors", _set_data),  # what Module.to does with fake parameters
        (FakeTensor, "numpy", made_numbers),
        (FakeTensor, "tolist", lambda tensor: made_numbers(tensor.cpu()).tolist()),
        # The numbers of small constants would be computed, on the card.
        (FakeTensorMode, "may_turn_const", lambda _mode, _tensor: False),
        (torch.cuda, "mem_get_info", lambda _: (free, free)),
        # They look at every number, the second one once, of the weights.
        (Session, "_check_numbers", lambda _session, _result: None),
        (MiniStyleDecoder, "leave_out_untrained", lambda _decoder: None),
    ]
    with ExitStack() as stack:
        for owner, name, value in stand_ins:
            stack.enter_context(patch.object(owner, name, value))
        # Arrays become tensors in main memory, as they do anywhere.
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        yield


def _get_data(tensor: Tensor) -> Tensor:
    data: Tensor = Tensor.data.__get__(tensor)  # type: ignore[attr-defined]  # a descriptor
    return data


def _set_data(tensor: FakeTensor, value: FakeTensor) -> None:
    """Set `data`, as of any tensor: PyTorch forgets the device of a fake one."""
    Tensor.data.__set__(tensor, value)  # type: ignore[attr-defined]  # a descriptor
    tensor.fake_device = value.fake_device


def made_numbers(tensor: Tensor) -> NDArray[Any]:
    """What the processor sees of a fake tensor.

    Of a picture (..., H, W, 3), (3, H, W), (H, W, 2) or (H, W) what `made_picture` shows; of
    measures (N,) halves, with which nothing is left out.
    """
    assert tensor.device.type == "cpu", "numpy sees nothing but main memory"
    kind = str(tensor.dtype).split(".")[1]
    if len(tensor.shape) == 1:
        return np.full(tuple(tensor.shape), 0.5, kind)
    if len(tensor.shape) == 3 and tensor.shape[0] == 3:
        return np.ascontiguousarray(made_numbers(tensor.permute(1, 2, 0)).transpose(2, 0, 1))
    has_channels = tensor.shape[-1] in (2, 3)
    height, width = tensor.shape[-3:-1] if has_channels else tensor.shape
    picture = made_picture(height, width)
    seen = picture[..., : tensor.shape[-1]] if has_channels else gray(picture)
    return np.broadcast_to(seen, tuple(tensor.shape)).astype(kind)


def made_picture(height: int, width: int) -> Pixels:
    """(height, width, 3) with edges to be found again; smaller ones are parts of larger ones."""
    picture = _largest_picture()[:height, :width]
    assert picture.shape[:2] == (height, width), "no case is larger"
    return picture


@cache
def _largest_picture() -> Pixels:
    height, width = SIZES["720p"]
    rng = np.random.default_rng(0)
    picture = np.full((height, width, 3), 128, np.uint8)
    for _ in range(4000):
        x, y, side = int(rng.integers(width)), int(rng.integers(height)), int(rng.integers(3, 40))
        color = [int(level) for level in rng.integers(0, 256, 3)]
        cv2.rectangle(picture, (x, y), (x + side, y + side // 2), color, -1)
    return picture


class CopyCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # PyTorch's
    """Counts copies between kinds of devices: (from, to)."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[tuple[str, str]] = Counter()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        aten = torch.ops.aten
        copied = {aten.to: 0, aten._to_copy: 0, aten.copy_: 1}  # noqa: SLF001  # its only name
        if (position := copied.get(function.overloadpacket)) is not None:
            ends = args[position].device.type, result.device.type
            self.counts[ends] += ends[0] != ends[1]
        return result


def _load(case: Case) -> Backbone:
    spec = find_backbone(case.backbone)
    assert spec is not None, case.backbone
    parts = spec.parts()
    sizes = parts.sizes(**_FITTED.get(case.backbone, {}))
    network = parts.network(sizes)
    backbone: Backbone = parts.backbone(network, sizes, CARD, case.dtype, case.chunking)
    return backbone


def _check(result: Tensor, shape: tuple[int, ...]) -> None:
    found = tuple(result.shape), result.dtype, result.device
    assert found == (shape, torch.float32, CARD), found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help=f"out of {', '.join(CASES)}; all if none")
    names = parser.parse_args().names or list(CASES)
    print(f"PyTorch {torch.__version__}; the second chunk of a shot copies")
    for name in names:
        started = time.process_time()
        copies = run_case(CASES[name])
        print(
            f"{name}: {copies.from_card} times from the card and {copies.to_card} times to it "
            f"({time.process_time() - started:.0f} CPU-seconds)",
            flush=True,
        )


if __name__ == "__main__":
    main()
