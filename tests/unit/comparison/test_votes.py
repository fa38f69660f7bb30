"""Votes of blind comparisons."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refvid.comparison.votes import Vote, read_votes, tally, wilson_interval
from refvid.errors import InputError


def make_vote(choice, *, trial=0, session="s", left="ours", right="theirs", report="r"):
    return Vote(
        report=report,
        session=session,
        trial=trial,
        clip="clip",
        left=left,
        right=right,
        choice=choice,
    )


def document(**changes):
    vote = {"trial": 0, "clip": "c", "left": "a", "right": "b", "choice": "left"}
    return {
        "refvid_votes": 1,
        "report": "r",
        "session": "s",
        "votes": [{**vote, **changes}],
    }


# From scipy.stats.binomtest(successes, trials).proportion_ci(0.95, method="wilson").
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (8, 10, 0.4901624715366418, 0.9433178485456248),
        (0, 10, 0.0, 0.27753279986288926),
        (10, 10, 0.7224672001371109, 1.0),
        (50, 100, 0.4038315303659956, 0.5961684696340044),
        (37, 120, 0.23272736988916295, 0.3958299772380067),
        (1, 1, 0.20654931437723745, 1.0),
    ],
)
def test_wilson_interval_equals_published_values(successes, trials, low, high):
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=1e-12)


@given(st.integers(1, 10_000), st.data())
def test_wilson_interval_holds_the_share(trials, data):
    successes = data.draw(st.integers(0, trials))
    low, high = wilson_interval(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1
    mirrored_low, mirrored_high = wilson_interval(trials - successes, trials)
    assert math.isclose(low, 1 - mirrored_high, abs_tol=1e-12)
    assert math.isclose(high, 1 - mirrored_low, abs_tol=1e-12)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (-1, 5), (6, 5)])
def test_no_share(successes, trials):
    with pytest.raises(ValueError, match="no share"):
        wilson_interval(successes, trials)


def test_sides_do_not_matter():
    votes = [
        make_vote("left", trial=0),
        make_vote("right", trial=1, left="theirs", right="ours"),
        make_vote("right", trial=2),
        make_vote("tie", trial=3),
    ]
    (row,) = tally(votes)
    assert (row.first, row.second) == ("ours", "theirs")
    assert (row.wins, row.losses, row.ties) == (2, 1, 1)
    assert row.rate == pytest.approx(2 / 3)
    assert row.interval == wilson_interval(2, 3)


def test_only_ties_have_no_rate():
    (row,) = tally([make_vote("tie")])
    assert row.rate is None
    assert row.interval is None
    assert row.to_json()["rate"] is None


def test_each_pair_has_a_row():
    votes = [
        make_vote("left", trial=0, left="a", right="b"),
        make_vote("left", trial=1, left="c", right="a"),
    ]
    assert [(row.first, row.second) for row in tally(votes)] == [("a", "b"), ("a", "c")]


def test_a_vote_given_twice_counts_once_and_the_last_one_holds():
    votes = [make_vote("left"), make_vote("right"), make_vote("left", session="another rater")]
    (row,) = tally(votes)
    assert (row.wins, row.losses) == (1, 1)


def test_reads_what_pages_export(tmp_path):
    file = tmp_path / "votes.json"
    file.write_text(json.dumps(document()))
    (vote,) = read_votes(file)
    assert vote.preferred == "a"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not JSON",
        b"[]",
        b"{}",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps({**document(), "refvid_votes": 2}).encode(),
        json.dumps({**document(), "votes": {}, "report": 3}).encode(),
        json.dumps({**document(), "votes": [3]}).encode(),
        json.dumps(document(choice="both")).encode(),
        json.dumps(document(choice=["left"])).encode(),
        json.dumps(document(trial="0")).encode(),
        json.dumps(document(left=None)).encode(),
        json.dumps(document(right="a")).encode(),
    ],
)
def test_broken_files_are_input_errors(tmp_path, content):
    file = tmp_path / "votes.json"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"votes\.json"):
        read_votes(file)


def test_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"none\.json"):
        read_votes(tmp_path / "none.json")
