"""What is made of the results."""

import pytest

from refvid.evaluation.bars import BARS, Bar
from refvid.evaluation.cases import CASES
from refvid.evaluation.measures import MEASURE_NAMES, Scores, mean_score
from refvid.evaluation.report import EvaluationReport, Run


def run(case: str, gains: list[float], variant: str = "", clip: str = "a", kind: str = "x") -> Run:
    return Run(
        case=case,
        variant=variant,
        clip=clip,
        degradation=kind,
        psnr=tuple(30 + gain for gain in gains),
        input_psnr=(30.0,) * len(gains),
    )


def report(*runs: Run) -> EvaluationReport:
    """Of these runs; far frames are asked for where there are exact references."""
    cases = {run.case for run in runs} | ({"far"} if runs and runs[0].case == "exact" else set())
    return EvaluationReport(
        model="m",
        cases=tuple(cases),
        skipped={},
        runs=runs,
        inputs=(),
        harm=(),
        clean_warping_error={},
    )


def test_near_and_far_frames_are_apart() -> None:
    gains = [9.0] + [2.0] * 16 + [1.0] * 32
    made = report(run("exact", gains), run("exact", [9.0] + [4.0] * 16, clip="b"))
    assert made.gain("exact") == 3
    found = made.summary()
    assert (found["exact"], found["exact_worst"]) == (3, 2)
    assert (found["far"], found["far_worst"]) == (1, 1), "the short clip does not count"
    assert made.by_distance() == {
        "1-4": 3, "5-8": 3, "9-12": 3, "13-16": 3, "17-32": 1, "33-48": 1,
    }  # fmt: skip


def test_every_degradation_and_clip_weighs_the_same() -> None:
    made = report(
        run("none", [0, 1, 1]), run("none", [0, 3, 3], kind="y"), run("none", [0, -1], clip="b")
    )
    assert made.gain("none") == 1
    assert made.summary()["none_worst"] == -1


def test_photos_are_a_share_of_the_exact_frame() -> None:
    made = report(
        run("exact", [0, 2, 2]), run("photo", [0, 1, 1], "p"), run("photo", [0, 2, 2], "q")
    )
    assert made.summary()["photo_share"] == 75
    text = made.to_markdown()
    assert "| photo | share of the exact one's | 75 % | at least 80 % | **no** |" in text
    assert "| q | +2.00 | 100 % |" in text


def test_several_are_held_against_the_better_one_of_each_frame() -> None:
    made = report(
        run("exact", [9, 3, 2, 1, 0, 0]),
        run("several", [0, 0, 1, 2, 3, 9], "last"),
        run("several", [9, 3, 4, 4, 2.9, 9], "both"),
    )
    found = made.summary()
    assert found["several_worst"] == pytest.approx(-0.1)
    assert found["several_middle"] == pytest.approx(2)


def test_others_are_held_against_no_reference() -> None:
    made = report(run("none", [0, 1]), run("unrelated", [0, 0.5]), run("soft", [0, 1.2]))
    assert made.summary()["unrelated"] == pytest.approx(-0.5)
    assert made.summary()["soft"] == pytest.approx(0.2)


def test_nothing_measured_is_nothing_said() -> None:
    empty = report()
    assert empty.summary() == {}
    assert empty.to_markdown() == ""


def test_every_bar_is_of_a_case_and_has_a_name_of_its_own() -> None:
    assert len({bar.key for bar in BARS}) == len(BARS)
    assert {bar.case for bar in BARS} == set(CASES)
    assert {bar.key for bar in BARS if bar.share} <= set(MEASURE_NAMES)


def test_a_measure_is_held_against_the_input_or_an_earlier_report() -> None:
    bar = Bar(key="st_lpips", case="exact", what="", unit="", share=0.8, higher_is_better=False)
    assert bar.limit(0.5, None) == 0.5
    limit = bar.limit(0.5, 0.4)
    assert limit == pytest.approx(0.32)
    assert bar.is_met(0.3, 0.32)
    assert not bar.is_met(0.33, 0.32)
    assert bar.show_limit(limit) == "at most 0.3200"


def test_means_of_measures_leave_out_what_is_not_known() -> None:
    def scores(lpips: float | None) -> Scores:
        return Scores(psnr=30, ssim=0.9, flicker=0, warping_error=0, lpips=lpips)

    assert mean_score([scores(0.2), scores(None)], "lpips") == 0.2
    assert mean_score([scores(None)], "lpips") is None
