"""What docs/python.md shows runs as written."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.conftest import moving_pattern

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
BLOCKS = re.findall(
    r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)


def test_every_example_runs(make_video, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    clip = moving_pattern(10, 64, 96)
    make_video(clip, "clean.mp4")
    make_video(clip // 32 * 32, "in.mp4")
    for folder in ("videos", "shot"):
        Path(folder).mkdir()
    for name in ("one", "two"):
        make_video(clip[:3], f"videos/{name}.mp4")
    for number, picture in enumerate(clip[:4]):
        Image.fromarray(picture).save(f"shot/{number}.png")
    Image.fromarray(clip[0]).resize((120, 80)).save("frame.png")
    Image.fromarray(np.ascontiguousarray(clip[5, ::-1])).save("art.png")
    names: dict[str, Any] = {}
    for block in re.findall(
        r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    ):
        exec(compile(block, str(PAGE), "exec"), names)
    for made in ("out.mp4", "results/two.mp4", "painted.mp4", "decoded.mp4", "page.html"):
        assert Path(made).is_file(), made
    printed = capsys.readouterr().out
    assert "10 frames in" in printed
    assert "8 of 8 frames" in printed
    assert "in.mp4" in printed.splitlines()[-2]
