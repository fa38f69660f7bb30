"""Damaged and hostile files: a clear error, no code run, memory bounded."""

import io
import pickle
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from refvid.errors import InputError
from refvid.latents.containers import sniff_container
from refvid.latents.recognise import recognise_latents

MOST_BYTES = 64 * 2**20


@pytest.fixture
def refused(tmp_path):
    """Recognise a file, expect `InputError`, and give its words; memory is watched."""

    def check(content):
        path = tmp_path / "hostile.bin"
        path.write_bytes(content)
        tracemalloc.start()
        try:
            with pytest.raises(InputError) as raised:
                recognise_latents(path).check()
            assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
        finally:
            tracemalloc.stop()
        assert str(path) in str(raised.value)
        return str(raised.value)

    return check


class RunsCode:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def saved(content, **options):
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def repacked(content, change):
    """A torch.save file whose members are changed: name, data -> data and compression."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(result, "w") as new:
        for name in old.namelist():
            data, compression = change(name, old.read(name))
            new.writestr(name, data, compression)
    return result.getvalue()


def with_pickle(data):
    def change(name, old):
        return (data if name.endswith("data.pkl") else old), zipfile.ZIP_STORED

    return repacked(saved(torch.zeros(1, 16, 2, 4, 4)), change)


def test_pickles_run_no_code(refused, tmp_path):
    trap = tmp_path / "trap"
    for protocol in range(2, 6):
        attack = pickle.dumps(RunsCode(trap), protocol)
        assert "any code" in refused(attack)
        refused(with_pickle(attack))
    assert "any code" in refused(saved({"latents": torch.zeros(2), "x": RunsCode(trap)}))
    array = np.array([RunsCode(trap)], dtype=object)
    for save in (lambda file: np.save(file, array), lambda file: np.savez(file, latents=array)):
        file = io.BytesIO()
        save(file)
        assert "any code" in refused(file.getvalue())
    assert not trap.exists()


def test_pickle_that_asks_for_memory(refused):
    # bytearray(10**12), which torch's own restricted unpickler would do
    attack = b"\x80\x02c__builtin__\nbytearray\n\x8a\x06\x00\x10\xa5\xd4\xe8\x00\x85R."
    assert "bytearray" in refused(with_pickle(attack))


@pytest.mark.parametrize("size", [2**20, 2**40, 2**63])
def test_safetensors_header_that_lies(refused, size):
    text = refused(size.to_bytes(8, "little") + b'{"a": 1}')
    assert "claims" in text


def test_safetensors_with_false_offsets(refused):
    header = b'{"latents":{"dtype":"F32","shape":[1,16,99,999,999],"data_offsets":[0,6324480000]}}'
    refused(len(header).to_bytes(8, "little") + header + bytes(64))


def test_tensor_that_repeats_its_numbers(refused):
    assert "does not hold" in refused(saved(torch.zeros(1, 16, 1, 1, 1).expand(1, 16, 99, 99, 99)))


@pytest.mark.parametrize("shape", [(1, 16, 10**6, 99, 99), (10**9, 16, 1, 1, 1)])
def test_shape_beyond_the_storage(refused, shape):
    pattern = pickle.dumps(7777, 2)[2:-1]
    content = saved(torch.zeros(7777, 1))
    sizes = b"".join(pickle.dumps(side, 2)[2:-1] for side in shape)
    data = zipfile.ZipFile(io.BytesIO(content)).read("archive/data.pkl")
    head, middle, tail = data.partition(pattern + b"K\x01\x86")
    if not middle:
        pytest.skip("this version of torch writes shapes in another way")
    mark = b"(" + sizes + b"t"
    refused(with_pickle(head + mark + tail))


def test_packed_archives(refused):
    big = bytes(256 * 2**20)
    bomb = repacked(
        saved(torch.zeros(1, 16, 2, 4, 4)),
        lambda name, old: (big if name.endswith("data/0") else old, zipfile.ZIP_DEFLATED),
    )
    assert "packed" in refused(bomb)


def npz(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def npy(shape, present=0):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return header.getvalue() + bytes(present)


def test_a_pickle_that_makes_storage_of_nothing(refused):
    # Five gigabytes of UntypedStorage, out of a hundred bytes.
    attack = b"\x80\x02ctorch.storage\nUntypedStorage\n\x8a\x05\x00\xf2\x05*\x01\x85R."
    assert "UntypedStorage" in refused(with_pickle(attack))


def test_a_pickle_that_nests_without_end(refused):
    # As a key, such a tuple would end the whole process.
    refused(with_pickle(b"\x80\x02})" + b"\x85" * 300_000 + b"K\x01s."))


def test_a_zip_directory_beyond_measure(refused, monkeypatch):
    members = {f"{index}.npy": npy((1,), 4) for index in range(200)}
    monkeypatch.setattr("refvid.zip_directory._MOST_BYTES", 4000)
    refused(npz(members))
    refused(saved([torch.zeros(1)] * 200))


def test_a_safetensors_header_beyond_measure(refused, monkeypatch):
    monkeypatch.setattr("refvid.safetensors_file._MOST_HEADER_BYTES", 1000)
    header = b'{"a": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}' + b" " * 2000 + b"}"
    assert "header has" in refused(len(header).to_bytes(8, "little") + header)


@pytest.mark.parametrize("packed", [False, True])
def test_arrays_of_another_kind_of_machine(tmp_path, wan_latents, packed, monkeypatch):
    latents = wan_latents()
    path = tmp_path / "a.bin"
    with path.open("wb") as file:
        save = np.savez_compressed if packed else np.save
        save(file, latents.numpy().astype(">f4"))
    found = recognise_latents(path)
    assert torch.equal(found.tensor, latents[0])
    monkeypatch.setattr("refvid.latents.numpy_file._MOST_UNPACKED", 1000)
    with pytest.raises(InputError, match=r"turned in memory|unpacks to"):
        recognise_latents(path)


def test_npz_that_unpacks_to_too_much(refused, monkeypatch):
    monkeypatch.setattr("refvid.latents.numpy_file._MOST_UNPACKED", 2**20)
    shape = (1, 16, 100, 32, 32)
    assert "unpacks to" in refused(npz({"latents.npy": npy(shape, 4 * 16 * 100 * 32 * 32)}))


def test_arrays_shorter_than_their_shape(refused):
    for shape in [(1, 16, 10**6, 999, 999), (1, 16, 2, 4, 4), (-1, 16, 2, 4, 4)]:
        assert "needs" in refused(npy(shape, 10))
        assert "needs" in refused(npz({"latents.npy": npy(shape, 10)}))


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (",
        b"[" * 5000,
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 'x')}",
        b"__import__('os').getcwd()",
        b"1",
        b"",
    ],
)
def test_npy_with_a_damaged_header(refused, header):
    refused(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)


def test_truncated_files(refused, wan_latents, tmp_path):
    save_file({"latents": wan_latents()}, tmp_path / "a.safetensors")
    whole = [
        (tmp_path / "a.safetensors").read_bytes(),
        saved(wan_latents()),
        npz({"latents.npy": npy((1, 16, 5, 6, 10), 4 * 16 * 5 * 60)}),
        npy((1, 16, 5, 6, 10), 4 * 16 * 5 * 60),
    ]
    for content in whole:
        for length in (3, 9, 20, 90, len(content) // 2, len(content) - 1):
            refused(content[:length])


def test_files_of_something_else(refused):
    for content in (b"", b"hello, this is text", b"\x89PNG\r\n\x1a\n" + bytes(99)):
        assert "no tensors" in refused(content)
    assert sniff_container(Path(__file__)) is None
    refused(saved({"weight": torch.zeros(3, 3)}))
    refused(saved({}))
    refused(saved(3))


def test_old_format_of_torch(refused, wan_latents):
    old = saved(wan_latents(), _use_new_zipfile_serialization=False)
    assert "old" in refused(old)


def test_missing_and_folder(tmp_path):
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(InputError):
            recognise_latents(path)


def test_lists_within_lists(refused):
    content: list = [1.0]
    for _ in range(40):
        content = [content, content]
    refused(saved({"a": content}))


def own_metadata(**changes):
    values = {
        "format": "refvid-latents", "backbone": "mini", "channels": "3", "frames": "2",
        "width": "30", "height": "16", "padded_width": "32", "padded_height": "16",
        "temporal_stride": "1", "first_chunk_extra": "0",
    }  # fmt: skip
    return {**values, **changes}


def test_own_metadata_is_not_trusted(tmp_path):
    path = tmp_path / "a.safetensors"
    tensor = {"latents": torch.zeros(1, 3, 2, 2, 4)}
    save_file(tensor, path, own_metadata())
    assert recognise_latents(path).width == 30
    for change in (
        {"frames": "3"}, {"frames": "0"}, {"frames": "x"}, {"width": "33"}, {"channels": "4"},
        {"padded_width": "31"}, {"padded_height": "99999999999999"}, {"temporal_stride": "0"},
        {"first_chunk_extra": "7"}, {"backbone": ""}, {"height": "-1"}, {"height": "²"},
        {"chunk_latents": "x"}, {"overlap_latents": "1"},
        {"chunk_latents": "1", "overlap_latents": "1"},
        {"chunk_latents": "2", "overlap_latents": "2"},
        {"chunk_latents": "1", "first_chunk_extra": "1"},
    ):  # fmt: skip
        save_file(tensor, path, own_metadata(**change))
        with pytest.raises(InputError, match="metadata"):
            recognise_latents(path)


def test_a_zip_directory_that_points_elsewhere(refused):
    content = bytearray(saved(torch.zeros(1, 16, 2, 4, 4)))
    # The first entry of the directory, whose file is said to lie far away.
    place = content.index(b"PK\x01\x02") + 42
    for offset in (0x7FFFFFFF, 0xFFFFFFF0, 0x80000000):
        content[place : place + 4] = offset.to_bytes(4, "little")
        refused(bytes(content))
