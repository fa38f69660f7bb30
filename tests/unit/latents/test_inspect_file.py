"""`refvid info` explains files of latents, and still videos."""

import pytest
import torch

from refvid.errors import InputError
from refvid.inspect_file import inspect_file


def test_latents_and_videos(tmp_path, make_video):
    torch.save(torch.ones(1, 16, 3, 4, 6), tmp_path / "a.mp4")
    facts = inspect_file(tmp_path / "a.mp4")
    assert (facts["kind"], facts["frames"], facts["width"]) == ("latents", 9, 48)
    assert facts["scale"] is None
    assert inspect_file(make_video(5))["frame_count"] == 5
    torch.save({"weight": torch.ones(3)}, tmp_path / "b.pt")
    with pytest.raises(InputError, match=r"weight \[3\]"):
        inspect_file(tmp_path / "b.pt")
