from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from refvid.errors import OptionError
from refvid.media.frame_range import FrameRange
from refvid.rebuild.options import RebuildOptions
from refvid.rebuild.reference_options import References, ReferenceSource


def test_a_reference_is_a_picture_or_a_frame() -> None:
    with pytest.raises(OptionError, match="an image, or a frame"):
        ReferenceSource()
    with pytest.raises(OptionError, match="one of the two"):
        ReferenceSource(frame=0, time=Fraction(1), image=Path("a.png"))
    with pytest.raises(OptionError, match="negative"):
        ReferenceSource(frame=-1)
    assert ReferenceSource(frame=0).describe() == "frame 0 of the input"
    assert ReferenceSource(time=Fraction(3, 2)).describe() == "the input's frame at 1.5 s"
    assert ReferenceSource(image=Path("a.png")).describe() == "a.png"
    assert ReferenceSource(image=Path("b/a.png"), frame=4).describe() == "b/a.png at frame 4"


def test_two_references_for_one_place_are_refused() -> None:
    def image(name: str, **place: Any) -> ReferenceSource:
        return ReferenceSource(image=Path(name), **place)

    for sources in (
        (image("a.png", frame=4), image("b.png", frame=4)),
        (image("a.png", frame=4), ReferenceSource(frame=4)),
        (image("a.png", time=Fraction(1)), image("b.png", time=Fraction(1))),
        (image("a.png"), image("a.png")),
    ):
        with pytest.raises(OptionError, match=r"Two references for|given twice"):
            References(sources=sources)
    References(sources=(image("a.png"), image("b.png"), image("a.png", frame=3)))


def test_provenance_of_many_references_stays_short() -> None:
    def many(*names: str) -> str:
        sources = tuple(ReferenceSource(image=Path("private", name)) for name in names)
        return References(sources=sources).provenance()

    assert many("a.png") == "reference a.png"
    assert many("a.png", "b.png") == "references a.png + b.png"
    names = [f"{number}.png" for number in range(1000)]
    assert len(many(*names)) < 60
    assert many(*names) != many(*names[:-1], "other.png")


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
        "import sys, refvid.rebuild.options, refvid.rebuild.latents_options, "
        "refvid.rebuild.reference_options; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
