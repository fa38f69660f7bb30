"""A source is looked at once, its encoder tried once, a reference decoded once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from refvid.cli.flags import BatchRules
from refvid.cli.jobs import find_jobs
from refvid.media import image, output_stream
from refvid.media.image import write_image
from refvid.rebuild import reference_pictures
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.enhance import enhance
from refvid.rebuild.options import RebuildOptions, SourceOptions
from refvid.rebuild.plan import read_source
from refvid.rebuild.reference_options import References, ReferenceSource


@pytest.fixture
def opens(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often libav was asked to open each file for reading."""
    count: Counter[str] = Counter()
    real: Any = av.open

    def counting(file: Any, mode: str = "r", **options: Any) -> Any:
        if mode == "r":
            count[str(file).removeprefix("file:")] += 1
        return real(file, mode, **options)

    monkeypatch.setattr(av, "open", counting)
    return count


@pytest.fixture
def video_with_sound(make_video, tmp_path: Path) -> Path:
    silent, path = make_video(12, "silent.mp4"), tmp_path / "clip.mp4"
    with av.open(str(silent)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=None)
        sound: Any = target.add_stream("aac", rate=48000, layout="mono")
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 24000), np.float32), "fltp", "mono")
        tone.sample_rate = 48000
        target.mux([*sound.encode(tone), *sound.encode(None)])
    return path


@pytest.mark.parametrize("named", [False, True])
def test_one_mp4_is_opened_three_times(
    video_with_sound, fake_backbone, tmp_path: Path, opens, monkeypatch, named: bool
) -> None:
    picture = tmp_path / "reference.png"
    write_image(picture, np.zeros((48, 64, 3), np.uint8))
    pictures: list[Path] = []
    tried: list[str] = []

    def read(path: Path, **how: Any) -> Any:
        pictures.append(path)
        return image.read_still(path, **how)

    def attempt(plan: Any) -> None:
        tried.append(plan.codec)

    monkeypatch.setattr(reference_pictures, "read_still", read)
    monkeypatch.setattr(output_stream, "_try", attempt)
    loaded = LoadedBackbone(
        backbone=fake_backbone(), device=torch.device("cpu"), dtype=torch.float32, reason="a test"
    )
    output = str(tmp_path / "out.mp4") if named else None
    (job,) = find_jobs([str(video_with_sound)], BatchRules(output=output))
    wanted = References(sources=(ReferenceSource(image=picture),))
    report = enhance(job, wanted, RebuildOptions(), loaded)
    assert report.frames == 12
    with av.open(str(job.output)) as result:
        assert len(result.streams) == 2
    # To look at it, to decode the pictures, and to copy the sound.
    assert opens[str(video_with_sound)] == 3
    assert pictures == [picture]
    assert tried == ["h264"]


def test_an_input_that_changed_since_is_looked_at_again(make_video, tmp_path: Path) -> None:
    """In a batch, hours may lie between the naming of an output and its turn."""
    clip = make_video(12)
    (job,) = find_jobs([str(clip)], BatchRules())
    assert read_source(job, SourceOptions()) is job.info
    make_video(30).replace(clip)
    info = read_source(job, SourceOptions())
    assert info is not job.info
    assert info.frame_count == 30
