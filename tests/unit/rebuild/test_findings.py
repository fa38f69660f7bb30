"""What was found in references is summed up honestly, with a way out."""

from refvid.models.backbone import ReferenceUse
from refvid.rebuild.findings import sum_up


def use(found: float, *, sharper: float = 2.0, reference: int = 0, frames: int = 8) -> ReferenceUse:
    return ReferenceUse(
        reference=reference, frames=frames, found=found, sharper=sharper, is_registered=True
    )


def test_nothing_told_is_nothing_summed() -> None:
    assert sum_up([]) is None


def test_chunks_of_a_shot_weigh_by_their_frames() -> None:
    findings = sum_up([(0, use(1.0, frames=6)), (0, use(0.5, frames=2))])
    assert findings is not None
    assert findings.total.found == 0.875
    assert findings.total.helped == "much"
    assert findings.warning(fit="auto") is None
    assert "88% of the picture" in findings.describe()


def test_the_best_reference_of_a_shot_counts() -> None:
    findings = sum_up([(0, use(0.1)), (0, use(0.9, reference=1)), (40, use(0.7))])
    assert findings is not None
    assert findings.total.found == 0.8
    assert [(one.shot, one.reference) for one in findings.shots] == [(0, 0), (0, 1), (40, 0)]
    assert findings.to_json()["shots"][1]["found"] == 0.9


def test_a_wrong_picture_is_told() -> None:
    findings = sum_up([(0, use(0.02))])
    assert findings is not None
    assert findings.total.helped == "nothing"
    assert "right picture" in (findings.warning(fit="auto") or "")
    assert "--ref-fit auto" in (findings.warning(fit="cover") or "")


def test_a_soft_picture_is_told() -> None:
    findings = sum_up([(0, use(0.9, sharper=1.02))])
    assert findings is not None
    assert findings.total.helped == "nothing"
    assert "no sharper" in (findings.warning(fit="auto") or "")


def test_shots_without_a_picture_are_named() -> None:
    lost = [(start, use(0.0)) for start in range(50, 120, 10)]
    findings = sum_up([(0, use(0.9, frames=100)), *lost])
    assert findings is not None
    warning = findings.warning(fit="auto") or ""
    assert "frame 50, 60, 70, 80, 90 and 2 more" in warning
