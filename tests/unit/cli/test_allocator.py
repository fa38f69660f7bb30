"""Memory that frames leave behind is used again."""

import os
import platform
import subprocess
import sys

import pytest

from refvid.cli.allocator import spare_address_space

CODE = """
import resource, sys
import numpy as np
from refvid.cli.allocator import reuse_freed_memory
if sys.argv[1] == "reuse":
    reuse_freed_memory()
def work():
    planes = [np.ones(2 << 20) for _ in range(4)]  # 16 MiB each
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def count_page_faults(how: str) -> int:
    run = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, check=True)
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc's allocator that is set")
def test_freed_memory_is_not_paged_in_anew():
    assert count_page_faults("reuse") < count_page_faults("leave") / 2


@pytest.mark.parametrize("is_limited", [False, True])
def test_openblas_spares_what_is_limited(monkeypatch: pytest.MonkeyPatch, is_limited: bool) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    soft = 2 << 30 if is_limited else resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, resource.RLIM_INFINITY))
    spare_address_space()
    assert os.environ.pop("OPENBLAS_NUM_THREADS", None) == ("1" if is_limited else None)
