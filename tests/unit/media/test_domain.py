"""HDR as a model sees it: against the standards' own numbers, and there and back without loss."""

from __future__ import annotations

import numpy as np
import pytest

from refvid.media.color import HLG, PQ, ColorInfo
from refvid.media.domain import WHITE_LEVEL, Domain, wrap_sdr
from refvid.media.light import (
    DIFFUSE_WHITE,
    convert_primaries,
    hlg_of_light,
    light_of_hlg,
    light_of_pq,
    pq_of_light,
    shown_by_hlg,
)

BT2020, P3 = 9, 12
BOTH = pytest.mark.parametrize("transfer", [PQ, HLG])


def domain_of(transfer: int, primaries: int = BT2020) -> Domain:
    domain = Domain.of(ColorInfo(matrix=9, primaries=primaries, transfer=transfer))
    assert domain is not None
    return domain


def grays(dtype: type) -> np.ndarray:
    codes: np.ndarray = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    return np.repeat(codes[:, None, None], 3, axis=2)


@pytest.mark.parametrize(
    ("light", "code"), [(0, 0), (1, 0.149945), (100, 0.508078), (203, 0.580689), (1000, 0.751827)]
)
def test_pq_is_that_of_the_standard(light: float, code: float) -> None:
    """Values of SMPTE ST 2084 and BT.2408, in cd/m2."""
    relative = np.array([light / DIFFUSE_WHITE])
    assert pq_of_light(relative)[0] == pytest.approx(code, abs=1e-5)
    assert light_of_pq(np.array([code]))[0] == pytest.approx(relative[0], abs=1e-4)


def test_hlg_is_that_of_the_standard() -> None:
    """Diffuse white is at 75 % of HLG, 1000 cd/m2 at its top (BT.2408, BT.2100)."""
    gray = np.array([[0.0] * 3, [1.0] * 3, [1000 / DIFFUSE_WHITE] * 3])
    assert hlg_of_light(gray)[:, 0] == pytest.approx([0, 0.75, 1], abs=1e-3)
    assert light_of_hlg(np.array([0, 0.75, 1])) == pytest.approx(gray[:, 0], abs=5e-3)


def test_primaries_are_those_of_the_standard() -> None:
    """BT.2087's matrix from BT.709 to BT.2020."""
    wanted = [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
    assert pytest.approx(np.array(wanted), abs=1e-4) == convert_primaries(np.eye(3), 1, BT2020).T


@BOTH
@pytest.mark.parametrize("depth", [8, 10, 12])
def test_every_code_comes_back(transfer: int, depth: int) -> None:
    codes = np.rint(np.arange(2**depth) / (2**depth - 1) * 65535).astype(np.uint16)
    frame = np.repeat(codes[:, None, None], 3, axis=2)
    domain = domain_of(transfer)
    seen = domain.take(frame)
    assert (np.diff(seen[:, 0, 0].astype(int)) > 0).all()
    back = domain.give(seen).astype(int)
    assert np.abs(back - frame).max() < 65535 / (2**depth - 1) / 2


@BOTH
@pytest.mark.parametrize("primaries", [1, P3, BT2020])
def test_every_color_comes_back(transfer: int, primaries: int) -> None:
    """Whatever the video can show, up to its brightest: within what nobody can see."""
    random = np.random.default_rng(3)
    light = random.uniform(0, 1, (40, 40, 3)) ** 4 * random.choice([0.01, 1, 4.9], (40, 40, 1))
    light[0, :8] = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, 8).T
    codes = pq_of_light(light) if transfer == PQ else hlg_of_light(light)
    frame = np.rint(codes * 65535).astype(np.uint16)
    domain = domain_of(transfer, primaries)
    seen = domain.take(frame)
    back = domain.give(seen)
    assert _differ(frame, back, transfer).max() < 1
    both: np.ndarray = np.stack([seen, seen])
    assert np.array_equal(back, domain.give(both)[1])


def _differ(one: np.ndarray, other: np.ndarray, transfer: int) -> np.ndarray:
    """Differences of BT.2124; 1 is just noticeable."""
    both = []
    for codes in (one, other):
        values = codes / 65535
        light = light_of_pq(values) if transfer == PQ else shown_by_hlg(values)
        cones = light @ (np.array([[1688, 2146, 262], [683, 2951, 462], [99, 309, 3688]]).T / 4096)
        matrix = np.array([[2048, 2048, 0], [6610, -13613, 7003], [17933, -17390, -543]])
        both.append(pq_of_light(cones) @ (matrix.T / 4096))
    return np.asarray(720 * np.linalg.norm((both[0] - both[1]) * (1, 0.5, 1), axis=-1))


@BOTH
def test_sdr_in_hdr_is_seen_as_sdr(transfer: int) -> None:
    seen = domain_of(transfer).take(wrap_sdr(grays(np.uint8), transfer, BT2020))
    assert seen / 65535 == pytest.approx(grays(np.uint8) / 255 * WHITE_LEVEL, abs=2e-3)


@BOTH
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_sdr_pictures_are_brought_to_where_the_video_has_them(transfer: int, dtype: type) -> None:
    """In the colours of the video, too: a red of BT.709 is no pure red of BT.2020."""
    random = np.random.default_rng(0)
    picture: np.ndarray = random.integers(0, np.iinfo(dtype).max + 1, (70, 9, 3)).astype(dtype)
    domain = domain_of(transfer)
    brought = domain.bring(picture)
    assert brought.dtype == dtype
    seen = domain.take(wrap_sdr(picture, transfer, BT2020))
    assert brought / np.iinfo(dtype).max == pytest.approx(seen / 65535, abs=1.5 / 255)
    # Colours that are not very strong are in HDR what they are in SDR.
    straight = picture.min(2) > 0.3 * picture.max(2)
    shown = picture[straight] / np.iinfo(dtype).max * WHITE_LEVEL
    assert brought[straight] / np.iinfo(dtype).max == pytest.approx(shown, abs=1.5 / 255)


def test_wide_gamut_changes_references_only() -> None:
    domain = domain_of(1, P3)
    frame = grays(np.uint8)
    assert domain.take(frame) is frame
    assert domain.give(frame) is frame
    assert not domain.is_hdr
    assert np.array_equal(domain.bring(frame), frame)  # gray is gray
    red = domain.bring(np.array([[[255, 0, 0]]], np.uint8))[0, 0]
    assert 230 < red[0] < 245
    assert 30 < red[1] < 80


@pytest.mark.parametrize("primaries", [1, 2, 5, 6])
def test_what_the_model_has_learned_is_left_as_it_is(primaries: int) -> None:
    assert Domain.of(ColorInfo(matrix=1, primaries=primaries, transfer=1)) is None


@pytest.mark.parametrize(("transfer", "brightest"), [(PQ, 1000), (PQ, 4000), (HLG, 1000)])
def test_highlights_keep_enough_steps(transfer: int, brightest: int) -> None:
    """What is seen with 8 bits shows no bands: a step of 8 bits there is 2.5 of the video's."""
    light = np.full((1, 1, 3), brightest / DIFFUSE_WHITE)
    top = (pq_of_light(light) if transfer == PQ else hlg_of_light(light)) * 65535
    domain = domain_of(transfer)
    highest = int(domain.take(top.astype(np.uint16))[0, 0, 0])
    seen = np.arange(0, highest, 257).astype(np.uint16)[:, None, None].repeat(3, 2)
    steps = np.diff(domain.give(seen)[:, 0, 1].astype(int))
    assert steps.max() < 2.5 * 257
