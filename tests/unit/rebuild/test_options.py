from fractions import Fraction
from pathlib import Path

import pytest

from refvid.errors import OptionError
from refvid.media.frame_range import FrameRange
from refvid.rebuild.options import RebuildOptions, ReferenceSource


def test_a_reference_has_one_source() -> None:
    with pytest.raises(OptionError, match="exactly one"):
        ReferenceSource()
    with pytest.raises(OptionError, match="exactly one"):
        ReferenceSource(frame=0, image=Path("a.png"))
    with pytest.raises(OptionError, match="negative"):
        ReferenceSource(frame=-1)
    assert ReferenceSource(frame=0).describe() == "frame 0 of the input"
    assert ReferenceSource(time=Fraction(3, 2)).describe() == "the input's frame at 1.5 s"
    assert ReferenceSource(image=Path("a.png")).describe() == "a.png"


@pytest.mark.parametrize("strength", [-0.1, 1.01, float("nan")])
def test_strength_is_a_share(strength: float) -> None:
    with pytest.raises(OptionError, match="strength"):
        RebuildOptions(strength=strength)


@pytest.mark.parametrize(
    "words",
    [
        {"frames": 0},
        {"start": -1},
        {"end": 0},
        {"end": Fraction(0)},
        {"start": 5, "end": 5},
        {"start": Fraction(2), "end": Fraction(1)},
    ],
)
def test_empty_ranges_are_refused(words) -> None:
    with pytest.raises(OptionError):
        FrameRange(**words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({}, 100),
        ({"start": 10}, 90),
        ({"start": 10, "end": 30}, 20),
        ({"start": 10, "frames": 5}, 5),
        ({"start": 98, "frames": 5}, 2),
        ({"end": 1000}, 100),
        ({"start": Fraction(1)}, 75),
        ({"start": Fraction(101, 100)}, 74),
        ({"start": Fraction(1), "end": Fraction(2)}, 25),
        ({"start": 10, "end": Fraction(2)}, 40),
        ({"start": 200}, 0),
    ],
)
def test_frames_in_a_range(words, expected: int) -> None:
    assert FrameRange(**words).count_frames(100, Fraction(25)) == expected


def test_unknown_lengths() -> None:
    assert FrameRange().count_frames(None, Fraction(25)) is None
    assert FrameRange(end=30).count_frames(None, None) == 30
    assert FrameRange(start=Fraction(1)).count_frames(100, None) is None


def test_options_load_without_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys, refvid.rebuild.options, refvid.rebuild.latents_options; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
