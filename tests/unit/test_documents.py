"""Small documents that are damaged or meant to harm: one reason, and no other failure."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refvid.documents import check_values, parse_json, parse_toml, read_text, shown

DEEP = 100_000


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * DEEP,
        "x = " + "{a=" * DEEP,
        "a" + ".a" * DEEP + " = 1",
        "[" + "a." * DEEP + "a]",
        f"x = {'9' * 5000}",
        f"x = 0x{'f' * 5000}",
        "x = nan",
        "x = [1, -inf]",
        "x = 2001-99-99",
        "x = 2001-01-01T99:00:00",
        "x = 1e999",
        'x = "\\ud800"',
        "x",
    ],
    ids=lambda text: text[:12],
)
def test_toml_that_is_none(text):
    with pytest.raises(ValueError, match=r".") as caught:
        parse_toml(text)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "[" * DEEP,
        '{"a":' * DEEP,
        "[" * 40 + "]" * 40,
        "9" * 5000,
        str(2**64),
        "NaN",
        '{"a": [Infinity]}',
        "[" + "1," * 100_001 + "1]",
        " " * (2**18 + 1),
        b"\xff",
        "",
    ],
    ids=lambda text: str(text[:12]),
)
def test_json_that_is_none(text):
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


def test_documents_that_are_well():
    assert parse_json('{"a": [1, 2.5, "x", null, true]}') == {"a": [1, 2.5, "x", None, True]}
    assert parse_toml("a = [1, 2.5]\nb.c = 'x'") == {"a": [1, 2.5], "b": {"c": "x"}}
    assert parse_json(str(2**63)) == 2**63


def test_a_document_that_holds_itself():
    circle: list = []
    circle.append(circle)
    with pytest.raises(ValueError, match="nested"):
        check_values(circle)
    many: list = [1]
    for _ in range(30):
        many = [many, many]  # a billion leaves in thirty lists
    with pytest.raises(ValueError, match="values"):
        check_values(many)


@given(st.text(max_size=40) | st.binary(max_size=40))
def test_any_text(text):
    for parse in (parse_json, parse_toml):
        try:
            parse(text if isinstance(text, str) else text.decode("latin-1"))
        except ValueError:
            continue


def test_files_without_an_end(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("ä = 1", encoding="utf-8")
    assert read_text(path) == "ä = 1"
    path.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="utf-8"):
        read_text(path)
    path.write_bytes(b" " * (2**18 + 1))
    with pytest.raises(ValueError, match="more than"):
        read_text(path)
    if os.path.exists("/dev/zero"):  # noqa: PTH110
        from pathlib import Path

        with pytest.raises(ValueError, match="more than"):
            read_text(Path("/dev/zero"))


def test_values_are_shown_on_a_line():
    assert shown("a") == "'a'"
    assert len(shown("a" * 10_000)) < 70
