import pytest

from refvid.wording import counted


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 frames"), (1, "1 frame"), (2, "2 frames"), (10, "10 frames")]
)
def test_counted(number, words):
    assert counted(number, "frame") == words
