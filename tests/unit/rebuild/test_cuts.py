from pathlib import Path

import av
import numpy as np
import pytest

from refvid.rebuild.cuts import mark_cuts


def cuts_of(frames) -> list[int]:
    marked = list(mark_cuts(frames, lambda frame: frame))
    assert [id(frame) for frame, _ in marked] == [id(frame) for frame in frames]
    assert not frames or marked[0][1]
    return [index for index, (_, is_cut) in enumerate(marked) if is_cut and index]


def textured(seed: int, frames: int, height: int = 90, width: int = 120) -> list[np.ndarray]:
    """A picture of its own colours and layout, drifting."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (6, 8, 3)).astype(np.float64)
    coarse = 0.5 * coarse + 0.5 * random.integers(0, 256, 3)
    wide = np.kron(coarse, np.ones((height // 6, width // 8, 1)))
    return [
        np.ascontiguousarray(np.roll(wide, index, axis=1)).astype(np.uint8)
        for index in range(frames)
    ]


def test_no_frames_and_one_frame() -> None:
    assert cuts_of([]) == []
    assert cuts_of(textured(0, 1)) == []


def test_joined_shots() -> None:
    video = textured(1, 10) + textured(2, 9) + textured(3, 12)
    assert cuts_of(video) == [10, 19]


def test_16_bit_frames() -> None:
    video = [frame.astype(np.uint16) * 257 for frame in textured(1, 10) + textured(2, 9)]
    assert cuts_of(video) == [10]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_flashes_are_no_cuts(length: int) -> None:
    video = textured(1, 20)
    for index in range(8, 8 + length):
        video[index] = np.full_like(video[index], 255)
    assert cuts_of(video) == []


def test_fades_and_changes_of_light_are_no_cuts() -> None:
    video = textured(4, 24)
    fading = [(frame * max(0.0, 1 - i / 16)).astype(np.uint8) for i, frame in enumerate(video)]
    assert cuts_of(fading) == []
    lamp = video[:12] + [(frame * 0.4).astype(np.uint8) for frame in video[12:]]
    assert cuts_of(lamp) == []


def test_flat_frames() -> None:
    grey = [np.full((20, 30, 3), 90 + i % 2, np.uint8) for i in range(12)]
    assert cuts_of(grey) == []


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (7, 5)])
def test_tiny_frames(size: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    frames = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(8)]
    cuts_of(frames)


def decode(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [
            frame.to_ndarray(format="rgb24", width=192, height=144)
            for frame in container.decode(video=0)
        ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vp9_10bit_23976_roadtrip.webm", [42, 69]),
        ("h264_two_video_two_audio_movtext_nasa.mp4", [202]),
        ("vp9_vorbis_60fps_bbb.webm", []),
        ("hevc_rot90_pixel.mp4", []),
    ],
)
def test_real_videos(shared: Path, name: str, expected: list[int]) -> None:
    assert cuts_of(decode(shared / "media" / "fixtures" / name)) == expected


@pytest.mark.parametrize(
    "name", ["davis_motocross-jump_00", "bbb_intro_06", "intel_car_03", "davis_drift-chicane_00"]
)
def test_fast_motion_is_no_cut(shared: Path, name: str) -> None:
    assert cuts_of(decode(shared / "media" / "train" / f"{name}.mp4")) == []
