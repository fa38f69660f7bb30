"""The fixed part of the style backbone: palette, tokens, motion, painting, keyframes."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from refvid.models.mini_style.keyframes import KeyframeIndex, uncrowded
from refvid.models.mini_style.motion import Motion, find_motion, move
from refvid.models.mini_style.painting import PaintState, paint, paint_clip
from refvid.models.mini_style.palette import Moments, measure_moments, mix_moments, recolour
from refvid.models.mini_style.patch_choice import PatchChoice
from refvid.models.mini_style.style_index import STATISTICS, TURNS, index_styles
from refvid.models.mini_style.style_search import search_each_style
from refvid.models.mini_style.tokens import (
    PATCH,
    STRIDE,
    cut_patches,
    describe,
    join_patches,
    pad_for_tokens,
)


def texture(height: int, width: int, seed: int, smooth: int = 3) -> Tensor:
    """A picture (3, H, W) in about [-0.8, 0.8] with detail of several pixels."""
    noise = torch.randn(
        1, 3, height + smooth, width + smooth, generator=torch.Generator().manual_seed(seed)
    )
    soft = functional.avg_pool2d(noise, smooth, stride=1)[..., :height, :width]
    return (soft[0] * 0.6).clamp(-0.8, 0.8).contiguous()


def panned(picture: Tensor, length: int, step: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """(T, 3, *size): a window that moves over a picture."""
    height, width = size
    return torch.stack(
        [
            picture[:, t * step[0] : t * step[0] + height, t * step[1] : t * step[1] + width]
            for t in range(length)
        ]
    )


class TestPalette:
    def test_a_frame_gets_the_palette_of_the_style(self) -> None:
        frame, style = texture(64, 64, 0) * 0.4, texture(48, 80, 1) * 0.5 + 0.1
        style[0] += 0.1
        wanted = measure_moments(style)
        made = measure_moments(recolour(frame, measure_moments(frame), wanted))
        torch.testing.assert_close(made.mean, wanted.mean, atol=2e-3, rtol=0)
        torch.testing.assert_close(made.covariance, wanted.covariance, atol=2e-3, rtol=0)

    def test_its_own_palette_changes_nothing(self) -> None:
        frame = texture(40, 40, 2)
        moments = measure_moments(frame)
        torch.testing.assert_close(recolour(frame, moments, moments), frame, atol=1e-4, rtol=0)

    def test_one_colour_stays_finite(self) -> None:
        flat = torch.full((3, 32, 32), 0.3)
        made = recolour(flat, measure_moments(flat), measure_moments(texture(32, 32, 3)))
        assert torch.isfinite(made).all()
        assert made.abs().max() <= 1

    def test_moments_of_two_pictures_are_those_of_both_together(self) -> None:
        one, two = texture(32, 32, 4), texture(32, 32, 5) + 0.2
        mixed = mix_moments([(measure_moments(one), 1.0), (measure_moments(two), 1.0)])
        both = measure_moments(torch.cat((one, two), 1))
        torch.testing.assert_close(mixed.mean, both.mean)
        torch.testing.assert_close(mixed.covariance, both.covariance)


class TestTokens:
    def test_patches_taken_where_they_lie_give_the_picture_back(self) -> None:
        picture = texture(40, 56, 6)
        padded = pad_for_tokens(picture)
        rows, columns = 40 // STRIDE + 1, 56 // STRIDE + 1
        grid = torch.stack(
            torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij"), -1
        ).view(-1, 2)
        corners = functional.pad(grid * STRIDE, (1, 0))
        patches = cut_patches(padded.permute(1, 2, 0).contiguous()[None], corners)
        assert patches.shape == (rows * columns, PATCH, PATCH, 3)
        torch.testing.assert_close(join_patches(patches, (rows, columns)), picture)

    def test_descriptors_tell_turned_patches_apart(self) -> None:
        stripes = torch.sin(torch.arange(64.0) / 2).expand(3, 64, 64).contiguous()
        across, down = describe(stripes), describe(torch.rot90(stripes, 1, (1, 2)).contiguous())
        assert across.shape[:2] == (13, 13)
        inside = (slice(3, 9), slice(3, 9))
        other = (across[inside] - down[inside]).square().sum(-1)
        same = (across[inside] - across[4:10, 3:9]).square().sum(-1)
        assert other.min() > same.max()


class TestMotion:
    def test_finds_a_pan_to_the_pixel(self) -> None:
        picture = texture(112, 112, 7)
        before, now = panned(picture, 2, (3, 5), (96, 96))
        motion = find_motion(now, before)
        rows, columns = 12, 12
        home = torch.stack(
            torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij"), -1
        ).mul(8)
        moved = (motion.position - home)[:-1, :-1].reshape(-1, 2)
        assert (moved == torch.tensor((3, 5))).all(1).float().mean() > 0.95
        assert motion.trust[:-1, :-1].mean() > 0.95
        carried = move(before, motion)
        torch.testing.assert_close(carried[:, 8:80, 8:80], now[:, 8:80, 8:80], atol=0.02, rtol=0)

    def test_a_flat_wall_stays_where_it_is(self) -> None:
        noise = torch.Generator().manual_seed(8)
        wall = [0.2 + 0.01 * torch.randn(3, 64, 64, generator=noise) for _ in range(2)]
        motion = find_motion(wall[1], wall[0])
        row = torch.arange(8) * 8
        home = torch.stack(torch.meshgrid(row, row, indexing="ij"), -1)
        assert (motion.position == home).all(-1).float().mean() > 0.9

    def test_what_was_not_there_is_not_trusted(self) -> None:
        motion = find_motion(texture(64, 64, 9), texture(64, 64, 10) * -0.8)
        assert motion.trust.mean() < 0.4


class TestPainting:
    def test_a_painting_is_made_of_the_style(self) -> None:
        """Two flat halves of a style: pixels have its colours, or are on the way to them."""
        style = torch.full((3, 64, 64), -0.5)
        style[0, :, 32:] = 0.5
        recoloured, painted, statistics = paint_clip(texture(64, 64, 11)[None], style)
        assert recoloured.shape == painted.shape == (1, 3, 64, 64)
        assert statistics.shape == (1, STATISTICS)
        colours = torch.tensor(((-0.5, -0.5, -0.5), (0.5, -0.5, -0.5)))
        far, near = (
            (picture[0].flatten(1).T[:, None] - colours).norm(dim=-1).amin(1).mean()
            for picture in (recoloured, painted)
        )
        assert near < 0.85 * far

    def test_contours_of_the_frame_are_drawn(self) -> None:
        """Light and dark discs on a plain ground, painted with stripes: they are there."""
        rows, columns = torch.meshgrid(torch.arange(192), torch.arange(192), indexing="ij")
        inside = (rows % 64 - 32).square() + (columns % 64 - 32).square() < 14**2
        light = torch.where(inside, torch.where(columns > 96, 0.6, -0.6), 0.0)
        stripes = (torch.arange(192) / 3).sin().expand(3, 192, -1) * 0.7
        _, painted, _ = paint_clip(light.expand(1, 3, -1, -1), stripes.contiguous())
        drawn = functional.avg_pool2d(painted.mean(1, keepdim=True), 7, 1)[0, 0]
        wanted = functional.avg_pool2d(light[None, None], 7, 1)[0, 0]
        assert torch.corrcoef(torch.stack((drawn.flatten(), wanted.flatten())))[0, 1] > 0.6

    def test_things_of_the_style_go_where_the_frame_has_things(self) -> None:
        """Half of the style is striped, and half of the frame has faint detail."""
        style = torch.zeros(3, 192, 192)
        style[:, :, 96:] = (torch.arange(96) / 3).sin() * 0.7
        frame = texture(192, 192, 32, smooth=31) * 0.1
        frame[:, :, 96:] += texture(192, 96, 33, smooth=7) * 0.1
        _, painted, _ = paint_clip(frame[None], style)
        contrast = painted[0, 0].unfold(0, 16, 16).unfold(1, 16, 16).std((2, 3))
        assert contrast[:, 7:].mean() > 3 * contrast[:, :5].mean()

    def test_a_picture_painted_with_itself_stays_itself(self) -> None:
        picture = texture(96, 96, 12, smooth=7) * 2
        _, painted, _ = paint_clip(picture[None], picture)
        inner = (slice(None), slice(16, -16), slice(16, -16))
        error = (painted[0] - picture)[inner].square().mean() / picture[inner].square().mean()
        assert error < 0.02

    def test_what_stands_still_is_painted_alike(self) -> None:
        frame = texture(64, 96, 13, smooth=9) * 2
        still = frame.expand(4, -1, -1, -1)
        _, painted, _ = paint_clip(still, texture(64, 64, 14))
        changes = painted.diff(dim=0).abs().mean((1, 2, 3))
        assert changes.max() < 0.1 * painted[0].std()

    def test_what_moves_takes_its_paint_along(self) -> None:
        frames = panned(texture(120, 120, 15, smooth=9) * 2, 4, (2, 4), (96, 96))
        index = index_styles([(texture(64, 64, 16), 1.0)])
        kept: list[Tensor] = []
        state: PaintState | None = None
        for frame in frames:
            made, state = paint(frame, index, state)
            kept.append(made.painted)
        inner = slice(8, 80)
        along = (kept[3][:, inner, inner] - kept[2][:, 10:82, 12:84]).abs().mean()
        in_place = (kept[3][:, inner, inner] - kept[2][:, inner, inner]).abs().mean()
        assert along < 0.5 * in_place

    def test_a_shot_does_not_depend_on_how_it_is_cut_into_calls(self) -> None:
        frames = panned(texture(80, 80, 17), 3, (1, 2), (64, 64))
        index = index_styles([(texture(48, 48, 18), 1.0)])
        runs = []
        for _ in range(2):
            state: PaintState | None = None
            made = None
            for frame in frames:
                made, state = paint(frame, index, state)
            assert made is not None
            runs.append(made.painted)
        assert torch.equal(*runs)

    @pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
    def test_styles_share_the_frame_by_their_weights(self, share: float) -> None:
        first, second = texture(64, 64, 19), texture(64, 64, 20)
        index = index_styles([(first, share), (second, 1 - share)])
        _, state = paint(texture(128, 128, 21), index)
        painted = (state.corners[-1][..., 0] < TURNS).float().mean()
        assert abs(float(painted) - share) < 0.15

    def test_detail_does_not_fade_in_a_long_shot(self) -> None:
        noise = torch.Generator().manual_seed(22)
        picture = texture(96, 140, 23, smooth=9) * 2
        frames = panned(picture, 20, (0, 2), (96, 96))
        frames = frames + 0.02 * torch.randn(frames.shape, generator=noise)
        _, painted, _ = paint_clip(frames, texture(64, 64, 24))
        fine = painted - functional.avg_pool2d(painted, 5, stride=1, padding=2)
        strength = fine[..., 8:-8, 8:-8].square().mean((1, 2, 3)).sqrt()
        assert strength[-1] > 0.85 * strength[0]

    def test_refuses_no_style_and_weights_that_are_not_positive(self) -> None:
        with pytest.raises(ValueError, match="at least one style"):
            index_styles([])
        with pytest.raises(ValueError, match="positive"):
            index_styles([(texture(32, 32, 25), 0.0)])


class TestChoice:
    def test_a_card_searches_for_all_tokens_and_finds_the_same(self) -> None:
        styles = [(texture(64, 48, 34), 1.0), (texture(96, 80, 35) * 0.5, 2.0)]
        queries = describe(pad_for_tokens(texture(64, 96, 36)))[::2, ::2]
        choice = PatchChoice(queries, index_styles(styles).levels[-1])
        choice.begin()
        others = choice.corners + 1
        searching = torch.rand(queries.shape[:2], generator=torch.Generator().manual_seed(0)) < 0.3
        some, found = choice.search_some(searching, others), choice.search_all(searching, others)
        assert torch.equal(found[~searching], others[~searching])
        # Sums of other lengths are rounded in other ways: a tie may be broken in another one.
        assert (some == found).all(-1).float().mean() > 0.98
        assert (found[searching] != others[searching]).any(-1).float().mean() > 0.9

    def test_every_style_is_searched_in_its_own_patches(self) -> None:
        styles = [texture(64, 48, 37), texture(96, 80, 38), texture(32, 32, 39)]
        index = index_styles([(style, 1.0) for style in styles]).levels[-1]
        assert sum(index.key_counts) == len(index.keys)
        queries = describe(styles[1])[1:3, 2:4].flatten(0, 1)
        costs, places = search_each_style(queries, index)
        assert costs.shape == (4, 3)
        assert (places[..., 0] // TURNS == torch.arange(3)).all()


class TestKeyframes:
    def test_a_painted_frame_comes_out_as_painted(self) -> None:
        frames = panned(texture(80, 96, 27, smooth=5), 3, (0, 4), (64, 64))
        mine = texture(64, 64, 28) * 0.5 + 0.2
        key = KeyframeIndex(mine, frames[1])
        index = index_styles([(mine, 1.0)])
        state: PaintState | None = None
        for number, frame in enumerate(frames):
            made, state = paint(frame, index, state, [key])
            assert made.followed is not None
            if number == 1:
                torch.testing.assert_close(made.followed.painted, mine, atol=1e-3, rtol=0)
                assert made.followed.share.min() > 0.999
            inner = made.followed.share[8:-8, 16:40]
            assert inner.mean() > 0.9

    def test_what_was_painted_moves_with_its_place(self) -> None:
        frames = panned(texture(80, 96, 29, smooth=5), 2, (0, 4), (64, 64))
        mine = frames[0].flip(0) * 0.7
        made, _ = paint(
            frames[1], index_styles([(mine, 1.0)]), None, [KeyframeIndex(mine, frames[0])]
        )
        wanted = frames[1].flip(0) * 0.7
        inner = (slice(None), slice(8, 56), slice(8, 48))
        assert made.followed is not None
        found = made.followed.painted[inner]
        torch.testing.assert_close(found, wanted[inner], atol=0.05, rtol=0)

    def test_a_strange_keyframe_paints_nothing(self) -> None:
        frame, other = texture(64, 64, 30), texture(64, 64, 31) * -0.8
        key = KeyframeIndex(torch.ones(3, 64, 64), other)
        made, _ = paint(frame, index_styles([(texture(48, 48, 32), 1.0)]), None, [key])
        assert made.followed is not None
        assert made.followed.share.mean() < 0.2


def test_blocks_that_crowd_at_one_spot_of_a_keyframe_are_not_from_there() -> None:
    """A zoom to twice the size is no crowd; a wall that is all found at one spot is."""
    rows, columns = torch.meshgrid(torch.arange(24), torch.arange(24), indexing="ij")
    grid, trust = torch.stack((rows, columns), -1) * 8, torch.ones(24, 24)
    assert uncrowded(Motion(grid, trust)).min() == 1
    assert uncrowded(Motion(grid // 2, trust)).min() == 1
    crowded = grid.clone()
    crowded[:8] = torch.tensor((40, 40))
    share = uncrowded(Motion(crowded, trust))
    assert share[:7].max() < 0.05
    assert share[9:].min() == 1


def test_a_keyframe_gives_way_to_the_style_where_it_is_lost() -> None:
    """Its thing stays for two frames, and becomes something else in the third."""
    frames = panned(texture(80, 96, 40, smooth=5), 2, (0, 4), (64, 64))
    other = texture(64, 64, 41) * -0.8
    index = index_styles([(texture(48, 48, 42), 1.0)])
    key = KeyframeIndex(torch.ones(3, 64, 64), frames[0])
    state: PaintState | None = None
    shares = []
    for frame in (*frames, other, other):
        made, state = paint(frame, index, state, [key])
        assert made.followed is not None
        shares.append(float(made.followed.share.mean()))
    assert shares[0] > 0.99
    assert shares[1] > 0.85
    assert shares[3] < 0.25


def test_moments_and_motion_are_data() -> None:
    assert Moments(torch.zeros(3), torch.eye(3)).mixed(
        Moments(torch.ones(3), torch.eye(3)), 0.5
    ).mean.tolist() == [0.5, 0.5, 0.5]
    still = Motion(
        torch.stack(torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij"), -1) * 8,
        torch.ones(4, 4),
    )
    picture = texture(32, 32, 33)
    torch.testing.assert_close(move(picture, still), picture)
