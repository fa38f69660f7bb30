"""With --json there is one JSON object on stdout, also where the words are not understood."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from refvid.cli.app import app

MISUNDERSTOOD = [
    ("enhance --json", "INPUT"),
    ("enhance clip.mp4 --json --bogus", "--bogus"),
    ("enhance clip.mp4 --crf abc --json", "--crf"),
    ("enhance clip.mp4 -crf 18 --json", "--crf"),
    ("enhance clip.mp4 --preset slow --json", "--preset"),
    ("enhance https://example.org/clip.mp4 --json", "addresses"),
    ("metrics clip.mp4 --json", "--reference"),
    ("info one.mp4 other.mp4 --json", "other.mp4"),
    ("models nothing --json", "nothing"),
    ("nothing --json", "nothing"),
]


@pytest.mark.parametrize(("words", "named"), MISUNDERSTOOD)
def test_an_error_of_the_command_line(words: str, named: str) -> None:
    run = CliRunner().invoke(app, words.split())
    document = json.loads(run.stdout)
    assert run.exit_code == document["exit_code"] == document["error"]["exit_code"] == 2
    assert document["error"]["type"] == "OptionError"
    assert named in document["error"]["message"]
    assert named in run.stderr


@pytest.mark.parametrize("words", ["enhance --bogus", "enhance clip.mp4 --bogus -- --json"])
def test_who_does_not_ask_gets_no_json(words: str) -> None:
    run = CliRunner().invoke(app, words.split())
    assert (run.exit_code, run.stdout) == (2, "")
