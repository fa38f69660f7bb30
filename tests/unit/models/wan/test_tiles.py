"""Windows cover the frame, overlap enough, and their weights add up."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refvid.models.tiles import MIN_OVERLAP, Blend, Span, crop, plan_windows
from refvid.models.wan.tiles import recut

sides = st.integers(2, 140)


@settings(max_examples=25, deadline=None)
@given(height=sides, width=sides, side=st.integers(1, 90))
def test_windows_cover_the_frame_and_overlap(height: int, width: int, side: int) -> None:
    windows = plan_windows(height, width, side)
    assert windows.size == (height, width)
    for spans, extent in ((windows.rows, height), (windows.columns, width)):
        assert spans[0].start == 0
        assert len({span.length for span in spans}) == 1
        for before, after in pairwise(spans):
            assert before.start < after.start
            assert before.stop - after.start >= MIN_OVERLAP * after.length
        assert all(span.start % 2 == 0 for span in spans[:-1])
        assert all(0 <= span.start < span.stop <= extent for span in spans)
    rows, columns = windows.pairs[0]
    assert rows.length * columns.length <= max(side, 4) ** 2
    assert max(rows.length, columns.length) <= max(side * 4 / 3, 4)


@settings(max_examples=25, deadline=None)
@given(height=sides, width=sides, side=st.integers(8, 90))
def test_weights_add_up_to_one(height: int, width: int, side: int) -> None:
    windows = plan_windows(height, width, side)
    clip = torch.zeros(1, 1, height, width, 3)
    blend = Blend(windows, 1)
    for index, (rows, columns) in enumerate(windows.pairs):
        blend.add(clip, index, torch.ones(1, 1, rows.length, columns.length, 3))
    torch.testing.assert_close(clip, torch.ones_like(clip))


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(480, 832, 1), (832, 480, 1), (360, 640, 1), (720, 1280, 3), (1080, 1920, 8)],
)
def test_frames_of_the_trained_area_are_one_window(height, width, expected) -> None:
    assert len(plan_windows(height // 8, width // 8, 79).pairs) == expected


def test_a_frame_is_one_window_when_nothing_is_asked() -> None:
    assert plan_windows(90, 160, None).pairs == [(Span(0, 90), Span(0, 160))]


@settings(max_examples=25, deadline=None)
@given(height=sides, width=sides, old=st.integers(8, 60), new=st.integers(8, 60))
def test_what_windows_carry_can_be_cut_anew(height: int, width: int, old: int, new: int) -> None:
    layer = torch.nn.Identity()
    whole = torch.arange(2.0 * height * 2 * width).view(1, 1, 2 * height, 2 * width, 1)

    def cut(windows):
        return [
            {layer: crop(whole, (Span(2 * r.start, 2 * r.stop), Span(2 * c.start, 2 * c.stop)))}
            for r, c in windows.pairs
        ]

    before, after = plan_windows(height, width, old), plan_windows(height, width, new)
    for got, expected in zip(recut(cut(before), before, after), cut(after), strict=True):
        assert torch.equal(got[layer], expected[layer])
