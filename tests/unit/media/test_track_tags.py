"""Names and languages of tracks survive containers that call them something else."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from refvid.media.tags import fit_track_tags, read_track_tags

SUFFIXES = [".mkv", ".mp4", ".mov"]


def with_names(source: Path, target: Path) -> Path:
    """Copy a video, its sound named."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        copies = {one.index: new.add_stream_from_template(one) for one in old.streams}
        for index, copy in copies.items():
            copy.metadata.update(old.streams[index].metadata)
            copy.metadata["title"] = f"Kommentar {index}"
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                new.mux(packet)
    return target


def tags(path: Path) -> list[tuple[str | None, str | None]]:
    with av.open(str(path)) as container:
        found = [read_track_tags(stream.metadata) for stream in container.streams]
    return [(one.get("title"), one.get("language")) for one in found]


@pytest.mark.parametrize("first", SUFFIXES)
@pytest.mark.parametrize("second", SUFFIXES)
def test_they_go_over_and_on(samples, first, second):
    plain = samples.make("plain.mkv", audio=["aac:fre", "aac:swe"])
    source = with_names(plain, samples.folder / "named.mkv")
    names = [f"Kommentar {index}" for index in range(3)]
    for name in (f"first{first}", f"second{second}"):
        output = samples.folder / name
        samples.copy(source, output)
        assert [title for title, _ in tags(output)] == names
        spoken = [language for _, language in tags(output)][1:]
        assert spoken in (["fre", "swe"], ["fra", "swe"])
        source = output


def test_only_quicktime_has_codes_of_its_own():
    for name, code in (("mov", "ger"), ("mp4", "deu"), ("matroska", "deu")):
        assert fit_track_tags({"language": "deu"}, name) == {"language": code}
    assert fit_track_tags({"title": "a"}, "mov") == {"title": "a"}
    assert read_track_tags({"name": "a", "title": "b"}) == {"name": "a", "title": "b"}
