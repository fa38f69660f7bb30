"""What is run for which case."""

import numpy as np
import pytest

from refvid.errors import OptionError
from refvid.evaluation.cases import CASES, Job, check_cases, plan_jobs, references_of
from refvid.evaluation.photo import PHOTO_VARIANTS


def test_names_are_checked() -> None:
    assert check_cases(["soft", " Exact", "soft"]) == ("exact", "soft")
    assert check_cases(CASES) == tuple(CASES)
    with pytest.raises(OptionError, match=r"Unknown case .nome.\. Known: exact, far"):
        check_cases(["none", "nome"])
    with pytest.raises(OptionError, match="Unknown case ''"):
        check_cases([""])
    with pytest.raises(OptionError, match="at least one"):
        check_cases([])


def test_what_a_case_is_compared_with_is_run_too() -> None:
    assert plan_jobs(["exact"]) == (Job("exact"),)
    assert plan_jobs(["far"]) == plan_jobs(["exact", "far"]) == (Job("exact", whole=True),)
    assert plan_jobs(["soft"]) == (Job("none"), Job("soft"))
    assert plan_jobs(["photo"])[0] == Job("exact")
    assert len(plan_jobs(["photo"])) == 1 + len(PHOTO_VARIANTS)
    assert plan_jobs(["harmless"]) == ()
    everything = plan_jobs(tuple(CASES))
    assert len(set(everything)) == len(everything) == 1 + 6 + 2 + 3


def test_references() -> None:
    clean = np.arange(3 * 48, dtype=np.uint8).reshape(3, 4, 4, 3)
    degraded, other = clean + 50, clean[0] + 100

    def given(case: str, variant: str = "") -> list[int]:
        pictures = references_of(Job(case, variant), clean, degraded, other)
        return [int(picture[0, 0, 0]) for picture in pictures]

    assert given("exact") == [0]
    assert given("several", "last") == [96]
    assert given("several", "both") == [0, 96]
    assert given("none") == []
    assert given("unrelated") == [100]
    assert given("soft") == [50]
    assert references_of(Job("photo", "square, relit"), clean, degraded, other)[0].shape == (
        4,
        4,
        3,
    )
