"""What was found in references is summed up honestly, with a way out."""

from refvid.models.backbone import ReferenceUse
from refvid.rebuild.findings import Findings, ReferenceTally


def use(
    found: float,
    *,
    sharper: float = 2.0,
    worth: float = 1.0,
    reference: int = 0,
    frames: int = 8,
) -> ReferenceUse:
    return ReferenceUse(
        reference=reference,
        frames=frames,
        found=found,
        sharper=sharper,
        worth=worth,
        is_registered=True,
    )


def sum_up(uses: list[tuple[int, ReferenceUse]]) -> Findings | None:
    tally = ReferenceTally()
    for shot, one in uses:
        tally.add(shot, shot, [one])
    return tally.findings()


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
    findings = sum_up([(0, use(0.9, sharper=1.02, worth=0.05))])
    assert findings is not None
    assert findings.total.helped == "nothing"
    assert "no sharper" in (findings.warning(fit="auto") or "")


def test_a_picture_that_is_hardly_sharper_but_counts_is_no_reason_to_warn() -> None:
    findings = sum_up([(0, use(0.9, sharper=1.05, worth=0.6)), (40, use(0.9, sharper=0.98))])
    assert findings is not None
    assert findings.total.helped == "little"
    assert findings.warning(fit="auto") is None


def test_a_sharp_picture_of_other_detail_is_told() -> None:
    findings = sum_up([(0, use(0.6, sharper=1.4, worth=0.02))])
    assert findings is not None
    assert findings.total.helped == "nothing"
    assert "not the video's" in (findings.warning(fit="auto") or "")


def test_shots_without_a_picture_are_named() -> None:
    lost = [(start, use(0.0)) for start in range(50, 120, 10)]
    findings = sum_up([(0, use(0.9, frames=100)), *lost])
    assert findings is not None
    warning = findings.warning(fit="auto") or ""
    assert "frame 50, 60, 70, 80, 90 and 2 more" in warning


def test_what_each_reference_served_is_told() -> None:
    tally = ReferenceTally()
    for first in (0, 8, 16):
        tally.add(0, first, [use(0.8)])
    tally.add(0, 24, [use(0.3), use(0.9, reference=1)])
    tally.add(40, 40, [use(0.02, reference=0)])
    tally.add(48, 48, [use(0.6)])
    near, far, unused = tally.served(["a.png", "b.png at 12 s", "c.png"])
    assert near.runs == ((0, 31), (48, 55))
    assert near.frames == 40
    assert "a.png: frames 0-31, 48-55; 66% was found in it" in near.describe()
    assert far.to_json()["ranges"] == [[24, 31]]
    assert far.to_json()["helped"] == "much"
    assert unused.frames == 0
    assert unused.to_json()["found"] is None
    assert "served none" in unused.describe()


def test_a_tally_does_not_grow_with_the_chunks() -> None:
    tally = ReferenceTally()
    for first in range(0, 200_000, 16):
        tally.add(0, first, [use(0.8)])  # every other chunk: runs cannot be joined
    (served,) = tally.served(["a.png"])
    assert len(served.runs) <= 1000
    assert served.runs[-1][1] == 200_000 - 16 + 7
