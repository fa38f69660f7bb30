"""Votes of blind comparisons: read what the page exported, and tally preference rates."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from refvid.documents import shown
from refvid.errors import InputError

VOTES_VERSION: Final = 1
CONFIDENCE: Final = 0.95
_Z: Final = 1.959963984540054
"""Quantile of the normal distribution for two-sided 95 %."""

_LARGEST_FILE: Final = 64 << 20
"""A vote takes about 200 bytes; more than this is something else [bytes]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One answer to: which of these two looks better?"""

    report: str
    """Which page it was given on."""

    session: str
    """Which rater, as far as a page can tell: one browser's votes on one page."""

    trial: int
    clip: str
    left: str
    """Label of the candidate on that side."""

    right: str
    choice: str
    """left, right or tie."""

    @property
    def preferred(self) -> str | None:
        """The winner's label; None for a tie."""
        return {"left": self.left, "right": self.right}.get(self.choice)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """How often one candidate was preferred to another."""

    first: str
    second: str
    wins: int
    """Votes for `first`."""

    losses: int
    """Votes for `second`."""

    ties: int

    @property
    def decided(self) -> int:
        """Votes for either of both."""
        return self.wins + self.losses

    @property
    def rate(self) -> float | None:
        """Share of the decided votes that went to `first`; None without any."""
        return self.wins / self.decided if self.decided else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % confidence interval of the rate (Wilson)."""
        return wilson_interval(self.wins, self.decided) if self.decided else None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "first": self.first,
            "second": self.second,
            "wins": self.wins,
            "losses": self.losses,
            "ties": self.ties,
            "rate": self.rate,
            "interval": None if self.interval is None else list(self.interval),
        }


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's score interval for a share, without continuity correction, at 95 %.

    Unlike the textbook's normal approximation it stays within [0, 1] and keeps its promise for few
    votes and for shares near 0 or 1 (Wilson 1927; Brown, Cai and DasGupta 2001).

    Args:
        successes: From 0 to `trials`.
        trials: At least 1.

    Returns:
        Lower and upper end, in [0, 1].
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is no share")
    share = successes / trials
    weight = 1 + _Z**2 / trials
    center = (share + _Z**2 / (2 * trials)) / weight
    half = _Z / weight * math.sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2))
    # Exactly 0 and 1 at the ends, where rounding could step over.
    low = 0.0 if successes == 0 else max(0.0, center - half)
    high = 1.0 if successes == trials else min(1.0, center + half)
    return low, high


def read_votes(path: Path) -> list[Vote]:
    """Read a file of votes that a blind page exported.

    Raises:
        InputError: It is missing, or not such a file.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise InputError(f"{path} is too large for a file of votes.")
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a file of votes: it is not valid JSON.") from error
    try:
        return _parse(document)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is not a file of votes ({_problem(error)}). Export it from a page that "
            "refvid compare --blind wrote."
        ) from error


def tally(votes: Iterable[Vote]) -> list[Preference]:
    """Count the preferences for every pair of candidates, in order of their first appearance.

    A vote that appears twice (the same file given twice, or exported again later) counts once:
    the last one of a session for a trial is what the rater meant.
    """
    final = {(vote.report, vote.session, vote.trial): vote for vote in votes}
    counts: dict[tuple[str, str], list[int]] = {}
    for vote in final.values():
        first, second = sorted((vote.left, vote.right))
        row = counts.setdefault((first, second), [0, 0, 0])
        row[(first, second, None).index(vote.preferred)] += 1
    return [
        Preference(first=first, second=second, wins=wins, losses=losses, ties=ties)
        for (first, second), (wins, losses, ties) in counts.items()
    ]


def _parse(document: Any) -> list[Vote]:
    if document["refvid_votes"] != VOTES_VERSION:
        raise ValueError(f"version {shown(document['refvid_votes'])}, known is {VOTES_VERSION}")
    report, session = _text(document["report"]), _text(document["session"])
    return [
        Vote(
            report=report,
            session=session,
            trial=_whole(vote["trial"]),
            clip=_text(vote["clip"]),
            left=_text(vote["left"]),
            right=_text(vote["right"]),
            choice=_choice(vote),
        )
        for vote in document["votes"]
    ]


def _choice(vote: Any) -> str:
    if vote["left"] == vote["right"]:
        raise ValueError("a candidate against itself")
    choice = vote["choice"]
    if choice not in ("left", "right", "tie"):
        raise ValueError(f"the choice {shown(choice)}")
    return str(choice)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{shown(value)} where text is expected")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{shown(value)} where a number is expected")
    return value


def _problem(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
