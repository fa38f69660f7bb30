"""Videos whose headers claim pictures that no memory would hold."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from refvid.errors import InputError
from refvid.media import container as module
from refvid.media.reader import open_video
from refvid.media.video_info import read_video_info


@pytest.fixture
def motion_jpeg(tmp_path):
    """Give a video whose pictures, from one on, claim a size in their own headers."""

    def make(width, height, first=0):
        path = tmp_path / "claims.avi"
        with av.open(str(path), "w") as output:
            stream = output.add_stream("mjpeg", rate=25, width=64, height=48, pix_fmt="yuvj420p")
            for index in range(4):
                picture = av.VideoFrame.from_ndarray(
                    np.full((48, 64, 3), 60 * index, np.uint8), format="rgb24"
                ).reformat(format="yuvj420p")
                picture.pts, picture.time_base = index, Fraction(1, 25)
                output.mux(stream.encode(picture))
            output.mux(stream.encode(None))
        data = bytearray(path.read_bytes())
        start, found = 0, 0
        while (start := data.find(b"\xff\xc0\x00\x11", start + 1)) > 0:
            if found >= first:
                data[start + 5 : start + 9] = struct.pack(">HH", height, width)
            found += 1
        assert found == 4
        path.write_bytes(data)
        return path

    return make


def test_a_size_beyond_the_limit_is_refused_by_name(motion_jpeg):
    path = motion_jpeg(16000, 16000)
    for look in (read_video_info, open_video):
        with pytest.raises(InputError, match=r"claims\.avi.*(16000x16000.*67 megap|no frame)"):
            look(path)


def test_a_size_that_grows_on_the_way_ends_the_video(motion_jpeg):
    path = motion_jpeg(16000, 16000, first=2)
    with open_video(path) as video, pytest.raises(InputError, match="damaged after frame"):
        list(video)


def test_the_limit_itself_is_no_obstacle(make_video, monkeypatch):
    monkeypatch.setattr(module, "MOST_PIXELS", 64 * 48)
    monkeypatch.setattr(module, "_DECODER_OPTIONS", {"max_pixels": str(64 * 48)})
    path = make_video(3)
    assert read_video_info(path).size == (64, 48)
    monkeypatch.setattr(module, "MOST_PIXELS", 64 * 48 - 1)
    with pytest.raises(InputError, match=r"too large: its pictures are 64x48"):
        read_video_info(path)
