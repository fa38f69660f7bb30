"""Latents are written as a plain safetensors file, or not at all."""

import pytest
import torch
from safetensors import safe_open

from refvid.errors import OutputError
from refvid.latents.write import LatentWriter


def test_pieces_become_one_tensor(tmp_path):
    latents = torch.randn(1, 5, 7, 2, 3)
    path = tmp_path / "latents.safetensors"
    with LatentWriter(path) as writer:
        for piece in latents.split(3, 2):
            writer.write(piece)
        writer.metadata["width"] = "24"
    with safe_open(path, framework="pt") as file:
        assert list(file.keys()) == ["latents"]
        assert torch.equal(file.get_tensor("latents"), latents)
        assert file.metadata() == {
            "format": "refvid-latents", "format_version": "1", "width": "24"
        }  # fmt: skip
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_nothing(tmp_path):
    path = tmp_path / "latents.safetensors"
    with pytest.raises(KeyError), LatentWriter(path) as writer:  # noqa: PT012
        writer.write(torch.zeros(1, 5, 7, 2, 3))
        raise KeyError
    with pytest.raises(OutputError, match="no latents"), LatentWriter(path):
        pass
    assert not list(tmp_path.iterdir())


def test_existing_files_are_kept(tmp_path):
    path = tmp_path / "latents.safetensors"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists"), LatentWriter(path):
        pass
    assert path.read_text() == "mine"
    with LatentWriter(path, overwrite=True) as writer:
        writer.write(torch.zeros(1, 2, 1, 1, 1))
    assert path.read_bytes() != b"mine"


def test_pieces_must_fit(tmp_path):
    path = tmp_path / "latents.safetensors"
    with pytest.raises(ValueError, match="follow"), LatentWriter(path) as writer:  # noqa: PT012
        writer.write(torch.zeros(1, 2, 1, 1, 1))
        writer.write(torch.zeros(1, 3, 1, 1, 1))


def write_twice(output, side):
    with LatentWriter(output) as writer:
        for _ in range(2):
            writer.write(torch.ones(1, 16, 3, side, side))


@pytest.mark.parametrize("side", [4, 8])  # less than what is written at once, and more
@pytest.mark.parametrize("share", [0.0, 0.1, 0.7, 1.002])
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, side, share):
    resource = pytest.importorskip("resource")
    output = tmp_path / "a.safetensors"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        most_bytes = int(share * 2 * 4 * 16 * 3 * side * side)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
        with pytest.raises(OutputError, match=r"a\.safetensors"):
            write_twice(output, side)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
