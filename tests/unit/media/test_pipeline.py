"""All stages stop when one fails, and few items are alive at once."""

import gc
import os
import signal
import threading
import time
import weakref

import pytest

from refvid.media.pipeline import run_pipeline


def test_items_arrive_in_order() -> None:
    written: list[int] = []
    run_pipeline(
        lambda check: range(50), lambda item: item * 2, lambda item, check: written.append(item)
    )
    assert written == list(range(0, 100, 2))


def test_no_items() -> None:
    run_pipeline(lambda check: [], lambda item: item, lambda item, check: None)


class Item:
    pass


@pytest.mark.parametrize("slow", ["read", "compute", "write", "none"])
def test_few_items_are_alive(slow: str) -> None:
    alive: weakref.WeakSet[Item] = weakref.WeakSet()
    most = 0

    def wait(stage: str) -> None:
        nonlocal most
        if stage == slow:
            time.sleep(0.005)
        most = max(most, len(alive))

    def read(check):
        for _ in range(20):
            item = Item()
            alive.add(item)
            wait("read")
            yield item
            del item

    def compute(item):
        wait("compute")
        return item

    def write(item, check):
        wait("write")

    run_pipeline(read, compute, write, in_flight=3)
    assert most <= 3
    gc.collect()
    assert not alive


class Boom(Exception):
    pass


@pytest.mark.parametrize("stage", ["read", "compute", "write"])
@pytest.mark.parametrize("error", [Boom("x"), KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("at", [0, 1, 7])
def test_a_failure_stops_everything(stage: str, error: BaseException, at: int) -> None:
    def fail(name: str, item: int) -> None:
        if name == stage and item == at:
            raise error

    closed = []

    def read(check):
        try:
            item = 0
            while True:
                fail("read", item)
                yield item
                item += 1
        finally:
            closed.append(True)

    def compute(item):
        fail("compute", item)
        return item

    started = time.monotonic()
    with pytest.raises(type(error)) as raised:
        run_pipeline(read, compute, lambda item, check: fail("write", item))
    assert raised.value is error
    assert time.monotonic() - started < 2
    assert closed
    assert threading.active_count() == 1 or not [
        thread for thread in threading.enumerate() if thread.name in ("reader", "writer")
    ]


def test_long_steps_can_stop_early() -> None:
    def write(item, check):
        for _ in range(1000):
            check()
            time.sleep(0.01)

    def compute(item):
        if item == 1:
            raise Boom
        return item

    started = time.monotonic()
    with pytest.raises(Boom):
        run_pipeline(lambda check: range(9), compute, write)
    assert time.monotonic() - started < 2


def test_stages_overlap() -> None:
    def slowly(item, check=None):
        time.sleep(0.02)
        return item

    started = time.monotonic()
    run_pipeline(lambda check: map(slowly, range(20)), slowly, slowly)
    assert time.monotonic() - started < 20 * 0.02 * 3 * 0.8


@pytest.mark.skipif(os.name != "posix", reason="signals are sent differently on Windows")
def test_a_second_signal_leaves_no_stage_running() -> None:
    """A closed terminal sends several in a row; writers are freed once this returns."""
    ended = []

    def write(item, check):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.5)
        finally:
            ended.append(item)

    def stop(_number, _frame):
        raise SystemExit(143)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(SystemExit):
            run_pipeline(lambda check: range(1), lambda item: item, write)
        assert ended == [0]
    finally:
        signal.signal(signal.SIGTERM, before)
