"""What is done when memory runs out: the same frames with less of it, or an error that says so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch

from refvid.device import free_bytes, release_cached_memory
from refvid.errors import OutOfMemory, is_out_of_memory
from refvid.models.backbone import Backbone
from refvid.rebuild.memory import Budget, Shrunk, describe_budget, estimate_bytes, shrink

logger = logging.getLogger(__name__)


class ShrinkingBudget:
    """How much is computed at once: it becomes less where memory runs out.

    Args:
        backbone: The model.
        device: Where it computes.
        budget: What to begin with.
    """

    def __init__(self, backbone: Backbone, device: torch.device, budget: Budget) -> None:
        self.now = budget
        """What fitted into memory last; the next chunk starts with it."""

        self.on_shrink: Callable[[Shrunk], None] = lambda _shrunk: None
        """Hears of every budget that is tried because more did not fit."""

        self._backbone, self._device = backbone, device
        self._expected: list[Shrunk] = []

    def expect(self, shrunk: Iterable[Shrunk]) -> None:
        """Begin with smaller budgets where memory ran out in an interrupted run."""
        self._expected = sorted(shrunk)

    def shrink_as_before(self, chunk: int, frame: int, size: tuple[int, int]) -> None:
        """Take what is expected up to a frame of a chunk, as of `Shrunk`.

        Args:
            chunk: Position of the chunk.
            frame: The frame that comes next.
            size: Height and width of the frames [pixels].
        """
        while self._expected and (self._expected[0].chunk, self._expected[0].frame) <= (
            chunk,
            frame,
        ):
            budget = self._expected.pop(0).budget
            if budget in shrink(self.now, self._backbone.limits, *size):
                self.now = budget

    def shrink(self, chunk: int, frame: int, size: tuple[int, int], failure: str) -> None:
        """Take less from a frame of a chunk on, where memory ran out.

        Call it outside the error's handler: its traceback holds the tensors that did not fit.

        Args:
            chunk, frame, size: As for `shrink_as_before`.
            failure: What the error said.

        Raises:
            OutOfMemory: There is no smaller budget.
        """
        # What may wait in main memory does so from now on, whatever the card says to be free.
        self._backbone.bound_memory()
        release_cached_memory(self._device)
        smaller = next(shrink(self.now, self._backbone.limits, *size), None)
        if smaller is None:
            raise OutOfMemory(self._does_not_fit(size, failure))
        logger.warning(
            "Out of memory with %s; trying again with %s.",
            describe_budget(self.now),
            describe_budget(smaller),
        )
        self.now = smaller
        self.on_shrink(Shrunk(chunk, frame, smaller))

    def _does_not_fit(self, size: tuple[int, int], failure: str) -> str:
        height, width = size
        needed = estimate_bytes(self._backbone, height, width, self.now)
        free = free_bytes(self._device)
        found = "" if free is None else f"; {free / 2**30:.1f} GiB are free"
        return (
            f"{width}x{height} does not fit into the memory of {self._device}: even "
            f"{describe_budget(self.now)} needs about {needed / 2**30:.1f} GiB{found}. "
            f"Close other programs, choose another --device or a smaller video. ({failure})"
        )


def first_words(error: BaseException) -> str:
    """What was asked for; PyTorch goes on with all that it knows of a card."""
    return str(error).partition("\n")[0].partition(" GPU ")[0]


@contextmanager
def out_of_memory_errors() -> Iterator[None]:
    """Name the failure of what is too small to be planned."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            "Memory ran out beside the model's own work. Close other programs, or choose a "
            f"smaller --chunk or another --device. ({first_words(error)})"
        ) from error
