from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refvid.cli.read_jobs import Row, read_jobs
from refvid.errors import InputError


def read(tmp_path, name, text, encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return read_jobs(path)


def test_a_table_has_a_job_a_line(tmp_path):
    rows = read(
        tmp_path, "jobs.csv", 'Input,--ref_fit,ref,ref\na.mp4,cover,1.png,2.png\n\n"b, c.mp4",,,\n'
    )
    assert rows == [
        Row(2, {"input": "a.mp4", "ref-fit": "cover", "ref": ["1.png", "2.png"]}),
        Row(4, {"input": "b, c.mp4"}),
    ]


def test_lines_count_where_cells_have_line_ends(tmp_path):
    rows = read(tmp_path, "jobs.csv", 'input,x\r\n"a\nb",1\r\nc,2\r\n')
    assert [(row.line, row.cells["input"]) for row in rows] == [(2, "a\nb"), (4, "c")]


@pytest.mark.parametrize("text", ["input;crf\na,b.mp4;18\n", "\ufeffinput\tcrf\na,b.mp4\t18\n"])
def test_spreadsheets_have_other_delimiters_and_a_mark_at_the_start(tmp_path, text):
    assert read(tmp_path, "jobs.csv", text) == [Row(2, {"input": "a,b.mp4", "crf": "18"})]


def test_bad_lines_do_not_hide_the_others(tmp_path):
    rows = read(tmp_path, "jobs.csv", "input,\na,\nb,c\nd,e,f\n")
    assert [bool(row.problem) for row in rows] == [False, True, True]
    rows = read(tmp_path, "jobs.jsonl", '{"input": "a"}\nnonsense\n[1]\n\n{"x": {"y": 1}}\n')
    assert [(row.line, bool(row.problem)) for row in rows] == [
        (1, False),
        (2, True),
        (3, True),
        (5, True),
    ]


def test_json_and_toml_have_values_with_types(tmp_path):
    value = {"input": "a", "crf": 18.5, "compare": True, "ref": ["x", "y"], "nothing": None}
    cells = {key: cell for key, cell in value.items() if key != "nothing"}
    assert read(tmp_path, "jobs.jsonl", json.dumps(value)) == [Row(1, cells)]
    toml = '# mine\n[[job]]\ninput = "a"\n\n[[ job ]]\ninput = "b"\ncrf = 3\n'
    assert read(tmp_path, "jobs.toml", toml) == [
        Row(2, {"input": "a"}),
        Row(5, {"input": "b", "crf": 3}),
    ]


def test_a_report_is_a_list_of_what_is_to_be_done_again(tmp_path):
    results = [
        {"line": 2, "row": {"input": "a"}, "status": "done"},
        {"line": 3, "row": {"input": "b", "crf": "18"}, "status": "failed"},
        {"line": 4, "row": {"input": "c"}, "status": "not begun"},
        {"line": 5, "row": {"input": "d"}, "status": "skipped"},
    ]
    assert read(tmp_path, "report.json", json.dumps({"results": results})) == [
        Row(3, {"input": "b", "crf": "18"}),
        Row(4, {"input": "c"}),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("jobs.txt", "a"),
        ("jobs.csv", ""),
        ("jobs.csv", 'input\n"a'),
        ("jobs.csv", "input\n" + "x" * 200_000),
        ("jobs.toml", "input = 'a'"),
        ("jobs.toml", "[[job]"),
        ("jobs.toml", "job = 3"),
        ("report.json", "[]"),
        ("report.json", '{"results": [{"input": "a", "status": "failed"}]}'),
        ("report.json", "[" * 100_000),
    ],
)
def test_what_is_no_list_is_refused(tmp_path, name, text):
    with pytest.raises(InputError):
        read(tmp_path, name, text)


def test_other_encodings_are_refused(tmp_path):
    with pytest.raises(InputError, match="Save it as UTF-8"):
        read(tmp_path, "jobs.csv", "input\nmüll.mp4\n", "latin-1")


def test_wide_characters_with_a_mark(tmp_path):
    wanted = [Row(2, {"input": "müll.mp4", "crf": "18"})]
    assert read(tmp_path, "jobs.csv", "input\tcrf\r\nmüll.mp4\t18\r\n", "utf-16") == wanted
    report = {"results": [{"line": 2, "row": wanted[0].cells, "status": "failed"}]}
    text = json.dumps(report, ensure_ascii=False)
    assert read(tmp_path, "report.json", text, "utf-16") == wanted


def test_blanks_around_cells_do_not_count(tmp_path):
    rows = read(tmp_path, "jobs.csv", 'input, output\na.mp4, " b c.mp4 "\n')
    assert rows == [Row(2, {"input": "a.mp4", "output": "b c.mp4"})]


@pytest.mark.parametrize("first", ["sep=;\r\n", "\ufeffSEP=;\n"])
def test_a_first_line_may_name_the_delimiter(tmp_path, first):
    rows = read(tmp_path, "jobs.csv", first + 'input;crf\n"a;\nb,,,,,";18\nc;19\n')
    assert rows == [
        Row(3, {"input": "a;\nb,,,,,", "crf": "18"}),
        Row(5, {"input": "c", "crf": "19"}),
    ]


@given(name=st.sampled_from(["a.csv", "a.jsonl", "a.toml", "a.json"]), content=st.binary())
def test_anything_gives_rows_or_an_input_error(tmp_path_factory, name, content):
    path = tmp_path_factory.mktemp("lists") / name
    path.write_bytes(content)
    try:
        rows = read_jobs(path)
    except InputError:
        return
    assert all(isinstance(row, Row) for row in rows)
