"""`refvid info` explains files of latents, and still videos."""

import pytest
import torch

from refvid.api import info
from refvid.errors import InputError


def test_latents_and_videos(tmp_path, make_video):
    torch.save(torch.ones(1, 16, 3, 4, 6), tmp_path / "a.mp4")
    facts = info(tmp_path / "a.mp4").to_json()
    assert (facts["kind"], facts["frames"], facts["width"]) == ("latents", 9, 48)
    assert facts["scale"] is None
    assert info(make_video(5)).frame_count == 5
    torch.save({"weight": torch.ones(3)}, tmp_path / "b.pt")
    with pytest.raises(InputError, match=r"weight \[3\]"):
        info(tmp_path / "b.pt")
