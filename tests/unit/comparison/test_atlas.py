"""All candidates in one picture."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refvid.comparison.atlas import plan_atlas, scale_picture


@given(
    count=st.integers(2, 9),
    width=st.integers(16, 8000),
    height=st.integers(16, 8000),
    limit=st.integers(64, 2160),
)
def test_tiles_fit_and_do_not_touch(count, width, height, limit):
    atlas = plan_atlas(count, width, height, limit=limit)
    assert max(atlas.width, atlas.height) <= 4096
    assert atlas.width % 16 == atlas.height % 16 == 0
    assert atlas.tile_height <= max(limit, 16)
    assert atlas.tile_width <= max(width, 16)
    corners = [atlas.corner(tile) for tile in range(count)]
    assert all(left % 16 == top % 16 == 0 for left, top in corners)
    for tile, (left, top) in enumerate(corners):
        assert left + atlas.tile_width <= atlas.width
        assert top + atlas.tile_height <= atlas.height
        for other_left, other_top in corners[:tile]:
            apart_x = abs(left - other_left) >= atlas.tile_width
            apart_y = abs(top - other_top) >= atlas.tile_height
            assert apart_x or apart_y


def test_shape_is_kept_and_nothing_enlarged():
    assert plan_atlas(2, 832, 480, limit=720).tile_width == 832
    small = plan_atlas(2, 1920, 1080, limit=720)
    assert (small.tile_width, small.tile_height) == (1280, 720)
    many = plan_atlas(9, 1920, 1080, limit=1080)
    assert many.tile_width / many.tile_height == pytest.approx(16 / 9, rel=0.01)


def test_pictures_lie_at_their_corners_with_their_edges_repeated():
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 255, (30, 50, 3), np.uint8) for _ in range(3)]
    atlas = plan_atlas(3, 50, 30, limit=720)
    composed = atlas.compose(pictures)
    assert composed.shape == (atlas.height, atlas.width, 3)
    for tile, picture in enumerate(pictures):
        left, top = atlas.corner(tile)
        assert (composed[top : top + 30, left : left + 50] == picture).all()
        assert (composed[top + 31, left : left + 50] == picture[-1]).all()


def test_scaling_leaves_equal_sizes_alone():
    picture = np.zeros((4, 6, 3), np.uint8)
    assert scale_picture(picture, 6, 4) is picture
    assert scale_picture(picture, 3, 2).shape == (2, 3, 3)
    deep = np.full((4, 6, 3), 65535, np.uint16)
    assert (scale_picture(deep, 6, 4) == 255).all()
