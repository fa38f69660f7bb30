"""Memory grows with the chunk, not with the video."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import resource, sys
from pathlib import Path
import torch
from refvid.models.backbone import BackboneLimits, Decoded, Encoded
from refvid.media.inputs import Job
from refvid.rebuild.enhance import enhance
from refvid.rebuild.options import RebuildOptions
from refvid.rebuild.reference_options import References, ReferenceSource
from refvid.rebuild.choose_backbone import LoadedBackbone

class Copy:
    name = "copy"
    limits = BackboneLimits(size_multiple=8, min_size=16, temporal_stride=1,
                            first_chunk_extra=0, default_chunk=8, max_chunk=64)
    def encode(self, clip, state=None):
        return Encoded(clip, clip[:, :, -1:].clone())
    def prepare_reference(self, reference):
        return reference
    def decode(self, latents, reference=None, state=None, *, tile=None):
        return Decoded(latents, latents[:, :, -1:].clone())
    def working_bytes(self, height, width, frames, tile):
        return height * width * frames * 24

torch.set_num_threads(1)
source = Path(sys.argv[1])
loaded = LoadedBackbone(backbone=Copy(), device=torch.device("cpu"), dtype=torch.float32, reason="")
job = Job(source=source, output=source.with_suffix(".mkv"))
references = References(sources=(ReferenceSource(frame=0),))
report = enhance(job, references, RebuildOptions(), loaded)
print(report.frames, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
WIDTH, HEIGHT, RATE = 320, 192, 25


def write_video(path: Path, seconds: int) -> None:
    """Noise that moves, made of a few frames so that making it is quick."""
    import av
    import numpy as np

    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    picture = np.kron(noise, np.ones((8, 8, 1), np.uint8))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(seconds * RATE):
            shifted = np.roll(picture, index % 50, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shifted, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is read with resource")
def test_memory_stays_flat_over_a_long_video(tmp_path: Path) -> None:
    peaks = {}
    for seconds in (10, 60):
        source = tmp_path / f"{seconds}.mp4"
        write_video(source, seconds)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(source)], capture_output=True, text=True, check=True
        )
        frames, peak = map(int, done.stdout.split())
        assert frames == seconds * RATE
        peaks[seconds] = peak * (1 if sys.platform == "darwin" else 1024)
    # 50 seconds more are 220 MiB of frames as bytes and 880 MiB as floats.
    growth = (peaks[60] - peaks[10]) / 2**20
    assert growth < 40, f"{growth:.0f} MiB more for 50 seconds more"
