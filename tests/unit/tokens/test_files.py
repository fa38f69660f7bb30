"""Files of tokens come back as they were written, and say what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refvid.errors import InputError, OutputError
from refvid.tokens.export import export_tokens
from refvid.tokens.layout import Shot, TokenFacts
from refvid.tokens.picture import hash_picture, pack_picture, unpack_picture
from refvid.tokens.read import (
    is_token_file,
    open_tokens,
    read_grids,
    read_reference,
    read_times,
    read_vectors,
)
from refvid.tokens.write import TokenWriter

FACTS = TokenFacts(
    tokenizer="mini-reftok",
    sha256="ab" * 32,
    block=4,
    side=8,
    levels=(64, 8, 5, 5, 5),
    frames=10,
    width=30,
    height=20,
    padded_width=32,
    padded_height=32,
    time_base=Fraction(1, 90000),
    frame_rate=Fraction(30000, 1001),
    is_variable_rate=True,
    sample_aspect_ratio=Fraction(8, 9),
    bit_depth=8,
    color=(1, 1, 1, 1),
    source="clip.mp4",
    refvid="1",
)
PICTURE = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
TIMES = [(3 * n * n, 2) for n in range(10)]


def write(path: Path, facts: TokenFacts = FACTS) -> Path:
    """Two shots: six frames led by their first one, and four that are all in a block."""
    rng = np.random.default_rng(0)
    with TokenWriter(path) as output:
        output.add_reference(hash_picture(PICTURE), "frame 0", pack_picture(PICTURE, None))
        output.begin_shot(has_reference=True, is_led=True)
        for pts, duration in TIMES[:6]:
            output.add_frame(pts, duration)
        output.add_tokens(rng.integers(0, 64000, (2, 4, 4)), np.empty((0, 0), np.int64))
        output.begin_shot(has_reference=True)
        for pts, duration in TIMES[6:]:
            output.add_frame(pts, duration)
        output.add_tokens(rng.integers(0, 64000, (1, 4, 4)), np.empty((0, 0), np.int64))
        output.facts = replace(facts, frames=output.frames)
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = open_tokens(write(tmp_path / "a.tokens"))
    assert is_token_file(file.path)
    assert list(tmp_path.iterdir()) == [file.path], "nothing else is left"
    rng = np.random.default_rng(0)
    first, last = rng.integers(0, 64000, (2, 4, 4)), rng.integers(0, 64000, (1, 4, 4))
    assert np.array_equal(read_grids(file, 0, 3), np.concatenate((first, last)))
    assert np.array_equal(read_grids(file, 2, 1), last)
    assert read_vectors(file, 0, 0).size == 0
    assert read_times(file, 4, 3).tolist() == [list(time) for time in TIMES[4:7]]
    assert file.shots == (Shot(0, 0, True), Shot(6, 0, False))
    assert [file.frames_of(number) for number in (0, 1)] == [6, 4]
    assert np.array_equal(unpack_picture(read_reference(file, 0), 30, 20), PICTURE)
    same = replace(FACTS, reference_hashes=(hash_picture(PICTURE),), reference_names=("frame 0",))
    assert file.facts == same
    bits = 3 * 16 * np.log2(64000) / (10 * 30 * 20)
    assert file.to_json()["bits_per_pixel"] == pytest.approx(bits, abs=1e-6)
    assert file.to_json()["bits_per_pixel_with_references"] > bits


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), TokenWriter(tmp_path / "a.tokens") as output:  # noqa: PT012
        output.add_frame(0, None)
        raise KeyError
    with pytest.raises(OutputError, match="no frames"), TokenWriter(tmp_path / "a.tokens"):
        pass
    assert not list(tmp_path.iterdir())


def change_header(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Write the same file with another header."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("format", "refvid-latents", "no file of tokens"),
        ("format_version", "9", "newer refvid"),
        ("frames", "11", "shape"),
        ("frames", "9" * 5000, "'frames'"),
        ("frames", "-1", "'frames'"),
        ("width", "0", "sizes"),
        ("padded_width", "1000000", "sizes"),
        ("side", "0", "sizes"),
        ("side", "16", "shape"),
        ("block", "3", "grids"),
        ("levels", "64,8,5,5,500", "16 bits"),
        ("levels", "64,1", "levels"),
        ("levels", ",".join(["2"] * 5000), "levels"),
        ("levels", "", "levels"),
        ("vector_levels", "64,64", "vectors"),
        ("time_base", "1/0", "'time_base'"),
        ("time_base", "0.04", "'time_base'"),
        ("color", "1,1", "'color'"),
        ("bit_depth", "77", "bit depth"),
        ("reference_hashes", "", "shape"),
        ("reference_names", "[" * 100000, "'reference_names'"),
        ("reference_names", "[1]", "'reference_names'"),
        ("sha256", "", "'sha256'"),
    ],
)
def test_facts_that_cannot_be_are_refused(
    tmp_path: Path, name: str, value: str, words: str
) -> None:
    path = write(tmp_path / "a.tokens")
    change_header(path, lambda header: header["__metadata__"].__setitem__(name, value))
    with pytest.raises(InputError, match=words):
        open_tokens(path)


def rewrite(path: Path, **tensors: Any) -> None:
    """Write the same file with other tensors of the same shape."""
    data = bytearray(path.read_bytes())
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    for name, values in tensors.items():
        begin, end = (8 + length + place for place in header[name]["data_offsets"])
        content = np.asarray(values).tobytes()
        assert len(content) == end - begin
        data[begin:end] = content
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("shots", "words"),
    [
        ([[1, 0, 1], [6, 0, 0]], "follow"),
        ([[0, 0, 1], [0, 0, 0]], "follow"),
        ([[0, 0, 1], [10, 0, 0]], "after the last"),
        ([[0, 0, 1], [6, 1, 0]], "not there"),
        ([[0, -1, 1], [6, 0, 0]], "not there"),
        ([[0, 0, 7], [6, 0, 0]], "not there"),
        ([[0, 0, 0], [5, 0, 0]], "grids"),
    ],
)
def test_shots_that_cannot_be_are_refused(
    tmp_path: Path, shots: list[list[int]], words: str
) -> None:
    path = write(tmp_path / "a.tokens")
    rewrite(path, shots=np.array(shots, np.int64))
    with pytest.raises(InputError, match=words):
        open_tokens(path)


def test_numbers_that_are_no_codes_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tokens")
    rewrite(path, indices=np.full((3, 4, 4), 64000, np.uint16))
    with pytest.raises(InputError, match="64000 codes"):
        read_grids(open_tokens(path), 0, 3)


@pytest.mark.parametrize(
    "times",
    [[[0, 1]] * 10, [[n, -1] for n in range(10)], [[n * 2**59, 1] for n in range(10)]],
)
def test_times_that_do_not_rise_are_refused(tmp_path: Path, times: list[list[int]]) -> None:
    path = write(tmp_path / "a.tokens")
    rewrite(path, times=np.array(times, np.int64))
    file = open_tokens(path)
    with pytest.raises(InputError, match="rise"):
        [read_times(file, number, 1) for number in range(10)]


@given(cut=st.integers(0, 4000), flipped=st.integers(0, 4000), bit=st.integers(0, 7))
def test_damage_is_an_input_error_or_other_numbers(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flipped: int, bit: int
) -> None:
    path = write(tmp_path_factory.mktemp("damage") / "a.tokens")
    data = bytearray(path.read_bytes())
    data[flipped % len(data)] ^= 1 << bit
    path.write_bytes(data[: len(data) - cut % 40])
    try:
        file = open_tokens(path)
        read_grids(file, 0, file.grids)
        read_times(file, 0, file.facts.frames)
        read_reference(file, 0)
    except InputError:
        pass


def test_a_foreign_file_is_no_file_of_tokens(tmp_path: Path) -> None:
    path = tmp_path / "a.tokens"
    path.write_bytes(b"not at all")
    assert not is_token_file(path)
    with pytest.raises(InputError, match="no whole file of tokens"):
        open_tokens(path)
    with pytest.raises(InputError, match="no file"):
        open_tokens(tmp_path / "missing.tokens")


def test_only_pictures_of_the_right_size_are_unpacked() -> None:
    data = pack_picture(PICTURE, None)
    with pytest.raises(ValueError, match="30x20, not 20x30"):
        unpack_picture(data, 20, 30)
    with pytest.raises(ValueError, match="no whole picture"):
        unpack_picture(data[:-40], 30, 20)
    with pytest.raises(ValueError, match="no whole picture"):
        unpack_picture(b"GIF89a", 30, 20)
    near = unpack_picture(pack_picture(np.full((20, 30, 3), 90, np.uint8), 90), 30, 20)
    assert np.abs(near.astype(int) - 90).max() < 4


def test_an_export_is_flat_and_described(tmp_path: Path) -> None:
    file = open_tokens(write(tmp_path / "a.tokens"))
    paths = export_tokens(file)
    document = json.loads((tmp_path / "a.json").read_text())
    told = document["files"]["indices"]
    flat = np.fromfile(tmp_path / told["file"], "<u2").reshape(told["shape"])
    assert np.array_equal(flat, read_grids(file, 0, 3))
    times = np.fromfile(tmp_path / document["files"]["times"]["file"], "<i8").reshape(-1, 2)
    assert times.tolist() == [list(time) for time in TIMES]
    assert document["sha256"] == FACTS.sha256
    assert document["shot_table"] == [[0, 0, 1], [6, 0, 0]]
    assert sorted(paths) == sorted(p for p in tmp_path.iterdir() if p.suffix != ".tokens")
    with pytest.raises(OutputError, match="exists"):
        export_tokens(file)
