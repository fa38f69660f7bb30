"""Encoding and decoding need as much memory for a long video as for a short one."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = """
import resource, sys
from pathlib import Path
import torch
from torch.nn.functional import avg_pool3d, interpolate
from refvid.models.backbone import BackboneLimits, Decoded, Encoded
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.media.inputs import Job
from refvid.rebuild.decode import decode
from refvid.rebuild.encode import encode
from refvid.rebuild.latents_options import DecodeOptions, LatentReferences
from refvid.rebuild.options import SourceOptions

class Coarse:
    name = "coarse"
    limits = BackboneLimits(size_multiple=8, min_size=16, temporal_stride=1,
                            first_chunk_extra=0, default_chunk=8, max_chunk=64)
    def encode(self, clip, state=None):
        return Encoded(avg_pool3d(clip, (1, 8, 8)), None)
    def decode(self, latents, reference=None, state=None, *, tile=None):
        return Decoded(interpolate(latents, scale_factor=(1, 8, 8)), None)
    def working_bytes(self, height, width, frames, tile):
        return height * width * frames * 24

torch.set_num_threads(1)
source = Path(sys.argv[1])
loaded = LoadedBackbone(backbone=Coarse(), device=torch.device("cpu"), dtype=torch.float32,
                        reason="")
latents = source.with_suffix(".safetensors")
encode(Job(source=source, output=latents), SourceOptions(), loaded)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
job = Job(source=latents, output=source.with_suffix(".mkv"))
report = decode(job, LatentReferences(), DecodeOptions(), loaded)
print(report.frames, peak, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is read with resource")
def test_memory_stays_flat_over_a_long_video(tmp_path: Path, make_video) -> None:
    peaks = {}
    for frames in (200, 1200):
        # Little to encode: what counts is how many frames are alive.
        pixels = np.broadcast_to(np.uint8(99), (frames, 192, 320, 3))
        source = make_video(pixels, f"{frames}.mp4", options={"preset": "ultrafast"})
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(source)], capture_output=True, text=True, check=True
        )
        count, *both = map(int, done.stdout.split())
        assert count == frames
        peaks[frames] = [peak * (1 if sys.platform == "darwin" else 1024) for peak in both]
    # Up to three chunks are alive, sometimes fewer: the peaks differ by that. 1000 frames more
    # are 180 MiB as bytes, 700 MiB as floats, and 11 MiB as latents.
    for short, long in zip(peaks[200], peaks[1200], strict=True):
        assert (long - short) / 2**20 < 90, peaks
