"""`refvid compare`: wrong words, and the tally of votes."""

import json
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def clips(make_video):
    return {name: make_video(np.zeros((3, 48, 64, 3), np.uint8), f"{name}.mp4") for name in "ab"}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("a", "none.mp4"), 3, "none.mp4"),
        (("a",), 2, "at least two"),
        (("a", "b", "--labels", "one"), 2, "1 label for 2"),
        (("a", "b", "--metrics", "beauty"), 2, "beauty"),
        (("a", "b", "--preview-height", "5000"), 2, "2160"),
        (("a", "b", "-o", "missing/report.html"), 4, "does not exist"),
        (("a", "b", "-o", "a.mp4"), 2, "the page is an .html file"),
        (("a", "b", "--frames", "0"), 2, "--frames"),
        (("--votes", "none.json"), 3, "none.json"),
        (("--votes", "a"), 3, "not a file of votes"),
    ],
)
def test_what_goes_wrong(run, clips, tmp_path, monkeypatch, words, code, message):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    result = run("compare", *[clips.get(word, word) for word in words])
    assert result.exit_code == code
    assert result.stdout == ""
    assert message in result.stderr
    assert "bug" not in result.stderr
    assert set(tmp_path.iterdir()) == before


def votes_file(path: Path, session: str, choices: list[str]) -> Path:
    votes = [
        {"trial": number, "clip": "c", "left": "ours", "right": "theirs", "choice": choice}
        for number, choice in enumerate(choices)
    ]
    document = {"refvid_votes": 1, "report": "r", "session": session, "votes": votes}
    path.write_text(json.dumps(document))
    return path


def test_tally_of_several_files(run, tmp_path):
    first = votes_file(tmp_path / "1.json", "one", ["left"] * 5 + ["tie"])
    second = votes_file(tmp_path / "2.json", "two", ["left"] * 3 + ["right"] * 2)
    result = run("compare", "--votes", first, second, first)
    assert result.exit_code == 0, result.stderr
    assert "6 votes came more than once" in result.stderr
    row = result.stdout.splitlines()[-1]
    assert row == "| ours | theirs | 8 | 2 | 1 | 80.0 % | 49.0 % to 94.3 % |"
    document = json.loads(run("compare", "--votes", first, second, "--json").stdout)
    assert document["votes"] == 11
    assert document["interval"] == "wilson"
    assert document["preferences"][0]["interval"] == pytest.approx([0.490162, 0.943318], abs=1e-6)


def test_no_votes_at_all(run, tmp_path):
    result = run("compare", "--votes", votes_file(tmp_path / "none.json", "s", []))
    assert result.exit_code == 3
    assert "no votes" in result.stderr
