"""`--memory` and `--chunking`: words become numbers, and numbers bound the plan."""

import pytest

from refvid.errors import OptionError
from refvid.words import parse_size


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("8G", 8 * 2**30),
        ("8g", 8 * 2**30),
        ("8GiB", 8 * 2**30),
        ("1.5G", 3 * 2**29),
        ("900M", 900 * 2**20),
        ("900MB", 900 * 2**20),
        ("64K", 2**16),
        ("1234567", 1234567),
    ],
)
def test_sizes(text: str, count: int) -> None:
    assert parse_size(text, "--memory") == count


@pytest.mark.parametrize("text", ["", "G", "8Q", "-1G", "0", "eight", "1e9", "8 G B", "8", "1024"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(OptionError, match="--memory"):
        parse_size(text, "--memory")
