"""Packets come back as they were."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
from av.packet import Packet
from hypothesis import given
from hypothesis import strategies as st

from refvid.media.packet_file import PacketFile, read_packets

TIMES = st.integers(-(2**40), 2**40)


@given(
    st.lists(
        st.tuples(
            st.binary(min_size=1, max_size=300),
            TIMES,
            st.none() | TIMES,
            st.integers(0, 2**40),
            st.booleans(),
        ),
        max_size=20,
    )
)
def test_packets_come_back(written) -> None:
    with TemporaryDirectory() as folder, av.open(f"{folder}/x.mkv", "w") as container:
        stream = container.add_stream("libx264", rate=25, time_base=Fraction(1, 90000))
        file = PacketFile(Path(folder, "packets"))
        for content, pts, dts, duration, is_key in written:
            packet: Any = Packet(content)
            packet.pts, packet.dts, packet.duration = pts, dts, duration
            packet.is_keyframe = is_key
            file.add(packet)
        file.close()
        found = [
            (bytes(each), each.pts, each.dts, each.duration, each.is_keyframe)
            for each in read_packets(file.path, stream)
        ]
        assert found == written
