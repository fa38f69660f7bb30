"""Ctrl-C and SIGTERM in the middle of a video: soon over, and nothing is left of a short one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import signal, sys, time
from pathlib import Path
import torch
from refvid.models.backbone import BackboneLimits
from refvid.media.inputs import Job
from refvid.rebuild.enhance import enhance
from refvid.rebuild.options import RebuildOptions
from refvid.rebuild.reference_options import References
from refvid.rebuild.choose_backbone import LoadedBackbone

class Nothing:
    name = "nothing"
    limits = BackboneLimits(size_multiple=8, min_size=16, temporal_stride=1,
                            first_chunk_extra=0, default_chunk=8, max_chunk=64)
    def working_bytes(self, height, width, frames, tile):
        return 0

def stop(number, frame):
    raise SystemExit(143)

signal.signal(signal.SIGTERM, stop)
loaded = LoadedBackbone(
    backbone=Nothing(), device=torch.device("cpu"), dtype=torch.float32, reason=""
)
source = Path(sys.argv[1])
job = Job(source=source, output=source.with_name("out.mp4"))
def on_progress(progress):
    print(progress.done, flush=True)
    time.sleep(0.01)
enhance(job, References(), RebuildOptions(strength=0), loaded, on_progress)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals are sent differently on Windows")
@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)]
)
def test_signals_leave_nothing(make_video, tmp_path: Path, number: int, exit_code: int) -> None:
    source = make_video(300)
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(source)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 120:  # the encoder holds the first frames back
                break
        assert len(list(tmp_path.iterdir())) == 3, "the source, an unfinished file, its stretches"
        process.send_signal(number)
        sent = time.monotonic()
        process.communicate(timeout=30)
    assert process.returncode == exit_code
    assert time.monotonic() - sent < 10
    assert list(tmp_path.iterdir()) == [source]
