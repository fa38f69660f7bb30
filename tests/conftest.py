"""What several tests need: a tiny model, synthetic videos, the media beside the project."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

# A busy machine is slow, not wrong: timings never decide a test.
settings.register_profile("refvid", deadline=None)
settings.load_profile("refvid")

PROJECT = Path(__file__).resolve().parent.parent

# As the program does before torch is loaded: on a busy machine, threads that spin while they wait
# take the cores from each other, for minutes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Jobs in the background of a script ignore Ctrl-C, and so would the programs that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass
class FakeBackbone:
    """A causal filter in time, as small as can be: a frame depends on the two before it.

    Chunking mistakes (lost state, padding in the middle, a state across a cut) change its output.
    Every frame becomes darker where a reference is brighter, so that its use shows too.
    """

    limits: Any
    name: str = "fake"
    fail_above_frames: int | None = None
    """Raise out of memory for longer chunks."""

    fail_untiled_above: int | None = None
    """Raise out of memory for frames with a longer side, unless tiled that small."""

    bytes_per_pixel: int = 100
    calls: list[tuple[int, int | None]] = field(default_factory=list)
    """Frames and tile of every `decode`."""

    references: int = 0
    """Number of `prepare_reference` calls."""

    on_encode: Callable[[int], None] = lambda call: None

    def encode(self, clip: Any, state: Any = None) -> Any:
        from refvid.models.backbone import Encoded

        self.on_encode(len(self.calls))
        frames, height, width = clip.shape[2:]
        limits = self.limits
        extra = limits.first_chunk_extra if state is None else 0
        assert frames <= limits.max_chunk
        assert frames > 0
        assert (frames - extra) % limits.temporal_stride == 0
        for side in (height, width):
            assert side >= limits.min_size
            assert side % limits.size_multiple == 0
        if self.fail_above_frames is not None and frames > self.fail_above_frames:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        filtered, state = _filter_causally(clip, state)
        return Encoded(filtered, state)

    def prepare_reference(self, reference: Any) -> Any:
        assert reference.ndim == 4
        self.references += 1
        return reference.clone()

    def decode(
        self, latents: Any, reference: Any = None, state: Any = None, *, tile: int | None = None
    ) -> Any:
        from refvid.models.backbone import Decoded

        frames, height, width = latents.shape[2:]
        self.calls.append((frames, tile))
        if self.fail_untiled_above is not None:
            side = max(height, width) if tile is None else tile
            if side > self.fail_untiled_above:
                raise MemoryError
        filtered, state = _filter_causally(latents, state)
        if reference is not None:
            assert reference.shape[2:] == (height, width)
            filtered = filtered - 0.1 * (reference[:, :, None] + 1)
        return Decoded(filtered, state)

    def working_bytes(self, height: int, width: int, frames: int, tile: int | None) -> int:
        area = height * width if tile is None else min(tile, height) * min(tile, width)
        return frames * area * self.bytes_per_pixel

    def plain(self) -> None:
        return None

    def bound_memory(self) -> None:
        pass


def _filter_causally(clip: Any, state: Any) -> tuple[Any, Any]:
    import torch

    past = clip[:, :, :1].expand(-1, -1, 2, -1, -1) if state is None else state
    known = torch.cat([past, clip], dim=2)
    filtered = 0.6 * known[:, :, 2:] + 0.3 * known[:, :, 1:-1] + 0.1 * known[:, :, :-2]
    return filtered, known[:, :, -2:].clone()


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process, and those that a test starts, compute with one thread each.

    Sums of several threads are not always the same to the last bit.
    """
    import torch

    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def fake_backbone() -> Callable[..., FakeBackbone]:
    """Make a fake backbone; limits are Wan-like (4k + 1 frames, multiples of 8 pixels)."""
    from refvid.models.backbone import BackboneLimits

    def make(
        *,
        size_multiple: int = 8,
        min_size: int = 16,
        temporal_stride: int = 4,
        first_chunk_extra: int = 1,
        default_chunk: int = 8,
        max_chunk: int = 1000,
        **options: Any,
    ) -> FakeBackbone:
        limits = BackboneLimits(
            size_multiple=size_multiple,
            min_size=min_size,
            temporal_stride=temporal_stride,
            first_chunk_extra=first_chunk_extra,
            default_chunk=default_chunk,
            max_chunk=max_chunk,
        )
        return FakeBackbone(limits, **options)

    return make


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with media and recordings that lies beside the project on some machines."""
    path = Path(os.environ.get("REFVID_SHARED") or PROJECT.parent / "shared")
    if not (path / "media").is_dir():
        pytest.skip("no shared media here: set REFVID_SHARED to their folder")
    return path


def moving_pattern(
    frames: int, height: int = 48, width: int = 64, seed: int = 0, dtype: Any = np.uint8
) -> np.ndarray:
    """A smooth picture that drifts sideways: (T, H, W, 3)."""
    random = np.random.default_rng(seed)
    waves = random.uniform(0.5, 3.0, (3, 4))
    y, x = np.mgrid[0:height, 0:width]
    largest = np.iinfo(dtype).max
    result = np.empty((frames, height, width, 3), dtype)
    for index in range(frames):
        for channel, (a, b, phase, speed) in enumerate(waves):
            angle = 6.3 * (a * (x - index * speed) / width + b * y / height) + phase
            result[index, :, :, channel] = (0.5 + 0.4 * np.sin(angle)) * largest
    return result


def write_video(
    path: Path,
    pixels: np.ndarray | int = 12,
    *,
    rate: Fraction | int = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv444p",
    options: dict[str, str] | None = None,
    transfer: int | None = None,
) -> Path:
    """Write a short lossless-ish video and give its path."""
    import av

    if isinstance(pixels, int):
        pixels = moving_pattern(pixels)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(rate))
        stream.width, stream.height = pixels.shape[2], pixels.shape[1]
        stream.pix_fmt = pix_fmt
        stream.options = options if options is not None else {"crf": "4"}
        if transfer is not None:
            stream.codec_context.color_trc = transfer
        layout = "rgb24" if pixels.dtype == np.uint8 else "rgb48le"
        for picture in pixels:
            frame = av.VideoFrame.from_ndarray(picture, format=layout)
            if transfer is not None:
                frame.color_trc = transfer
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    """`write_video` into the test's folder."""

    def make(pixels: np.ndarray | int = 12, name: str = "video.mp4", **options: Any) -> Path:
        return write_video(tmp_path / name, pixels, **options)

    return make


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder, as seen by a user whom permissions stop: in containers tests often run as root."""
    import shutil
    import tempfile

    if os.name != "posix":
        pytest.skip("permissions are another matter on Windows")
    folder = Path(tempfile.mkdtemp(prefix="refvid-test-"))
    folder.chmod(0o777)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if is_root:
            os.seteuid(0)
        for path in folder.rglob("*"):
            path.chmod(0o700)
        shutil.rmtree(folder)


@pytest.fixture
def fresh_accelerate() -> Iterator[None]:
    """Accelerate keeps one state per process: no test may see another's, nor that of a library."""
    from accelerate.state import AcceleratorState, GradientState

    def reset() -> None:
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()

    reset()
    yield
    reset()


@pytest.fixture(autouse=True)
def no_leaked_threads() -> Iterator[None]:
    """Every test leaves as many threads of ours as it found."""
    import threading

    def ours() -> set[threading.Thread]:
        return {
            thread
            for thread in threading.enumerate()
            if thread.name in ("reader", "writer") and thread.is_alive()
        }

    before = ours()
    yield
    assert ours() <= before


@pytest.fixture(scope="session")
def style_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small untrained style model: for tests about files and words, not about quality."""
    import json
    from dataclasses import asdict

    import torch
    from safetensors.torch import save_file

    from refvid.models.mini_style.config import MiniStyleConfig
    from refvid.models.mini_style.decoder import MiniStyleDecoder

    torch.manual_seed(0)
    config = MiniStyleConfig(bands=3, hidden=4)
    path = tmp_path_factory.mktemp("style_weights") / "untrained.safetensors"
    metadata = {"backbone": "mini-style", "config": json.dumps(asdict(config))}
    save_file(MiniStyleDecoder(config).state_dict(), path, metadata=metadata)
    return path
