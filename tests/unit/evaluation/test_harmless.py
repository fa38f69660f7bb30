"""Clips that need no help."""

import numpy as np

from refvid.evaluation import harmless
from refvid.evaluation.harmless import (
    CLEAN,
    HarmResult,
    count_runs,
    made_clips,
    measure_harm,
    worst_change,
    worst_itself,
)
from refvid.training.made import MADE_KINDS
from tests.unit.training.conftest import textured_picture


def measure(rebuild) -> tuple[list[HarmResult], int]:
    clean = np.stack([textured_picture(64, 64, 1)] * 3)
    steps: list[int] = []
    other = np.full((32, 32, 3), 9, np.uint8)
    results = list(measure_harm("a", clean, other, rebuild, lambda: steps.append(1)))
    return results, len(steps)


def test_a_model_that_does_nothing_does_no_harm(monkeypatch) -> None:
    results, steps = measure(lambda frames, references: frames)
    assert [r.change for r in results] == [0.0] * len(results)
    assert worst_itself(results).psnr == 99
    monkeypatch.setattr(harmless, "MADE_PER_KIND", 0)
    assert steps == len(results) == count_runs(1) == 3 * 4 + 3


def test_harm_is_found_with_the_reference_that_does_it() -> None:
    def rebuild(frames: np.ndarray, references) -> np.ndarray:
        if references and references[0].max() == 9:
            return frames // 2
        return frames

    results, _ = measure(rebuild)
    assert worst_change(results).reference == "unrelated"
    assert worst_change(results).change < -10
    assert worst_itself(results).reference == "unrelated"
    assert {r.reference for r in results if r.change == 0} == {"right", "soft", "none"}


def test_references_are_what_they_are_called() -> None:
    seen: list[tuple[bool, bool]] = []

    def rebuild(frames: np.ndarray, references) -> np.ndarray:
        if references and references[0].shape == frames.shape[1:]:
            clean = np.array_equal(references[0], textured_picture(64, 64, 1))
            seen.append((clean, np.array_equal(references[0], frames[0])))
        return frames

    measure(rebuild)
    assert seen == [(True, True)] + [(True, False), (False, True)] * 3


def test_faint_changes_far_above_what_can_be_seen_do_not_count() -> None:
    def rebuild(frames: np.ndarray, references) -> np.ndarray:
        changed = frames.copy()
        changed[:, 0, 0] += 1
        return changed

    results, _ = measure(rebuild)
    clean = [r for r in results if r.degradation == CLEAN]
    assert all(60 < r.psnr < 99 and r.change == 0 for r in clean)


def test_made_clips_are_of_all_kinds(monkeypatch) -> None:
    monkeypatch.setattr(harmless, "MADE_SIZE", (96, 64))
    clips = list(made_clips([textured_picture(96, 160, s) for s in (1, 2)]))
    assert [name for name, _ in clips] == [f"made:{kind}" for kind in MADE_KINDS] * 2
    assert {clip.shape for _, clip in clips} == {(5, 64, 96, 3)}
    again = list(made_clips([textured_picture(96, 160, s) for s in (1, 2)]))
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(clips, again, strict=True))


def test_one_of_the_plain_ones_is_white(monkeypatch) -> None:
    monkeypatch.setattr(harmless, "MADE_SIZE", (96, 64))
    monkeypatch.setattr(harmless, "MADE_KINDS", ("plain",))
    _, first = next(made_clips([textured_picture(96, 160, 1)]))
    assert first.min() == 255
