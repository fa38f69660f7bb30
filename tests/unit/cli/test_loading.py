"""While a model is loaded nobody looks for garbage; afterwards Python does so as usual."""

import gc

import pytest

from refvid.cli.task import _loading


@pytest.fixture(autouse=True)
def as_before():
    usual = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*usual)


def test_garbage_is_looked_for_again_afterwards():
    usual = gc.get_threshold()
    with _loading():
        assert gc.get_threshold() > usual
    assert gc.get_threshold() == usual
    frozen = gc.get_freeze_count()
    assert frozen, "what is loaded stays"
    with _loading():
        made = [[number] for number in range(1000)]
    assert len(made) == 1000
    assert gc.get_freeze_count() <= frozen, "what is made for one task does not"
