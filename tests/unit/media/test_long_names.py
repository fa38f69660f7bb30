"""Names as long as file systems take them."""

from __future__ import annotations

import pytest

from refvid.media.image import write_image


@pytest.mark.parametrize("letter", ["x", "ü", "夏", "🎬"])
def test_a_name_of_255_bytes_can_be_written(samples, letter):
    size = len(letter.encode())
    source = samples.make("in.mkv", frames=2)
    for suffix in (".mp4", ".mkv"):
        stem = letter * ((255 - len(suffix)) // size)
        output = (
            samples.folder / f"{stem.ljust(len(stem) + (255 - len(suffix)) % size, 'y')}{suffix}"
        )
        assert len(output.name.encode()) == 255
        samples.copy(source, output)
        assert len(samples.read(output)) == 2
        samples.copy(output, output, overwrite=True)


def test_long_names_of_images(samples):
    source = samples.make("in.mkv", frames=2)
    pattern = samples.folder / f"{'x' * 246}_%02d.png"
    samples.copy(source, pattern)
    assert len(samples.read(pattern)) == 2
    single = samples.folder / f"{'夏' * 83}a.png"
    write_image(single, samples.picture(0, 8, 8))
    assert single.is_file()
