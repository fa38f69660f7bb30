"""Whatever is in a file: latents are recognised, or `InputError` says what is wrong."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from refvid.errors import InputError
from refvid.latents.containers import sniff_container
from refvid.latents.recognise import read_backbone_name, recognise_latents

FEW = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _torch(content) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def _numpy(array, save_function=np.save) -> bytes:
    file = io.BytesIO()
    save_function(file, array)
    return file.getvalue()


LATENTS = torch.linspace(-1, 1, 16 * 3 * 2 * 4).reshape(1, 16, 3, 2, 4)
OWN = {
    "format": "refvid-latents", "backbone": "mini", "channels": "16", "frames": "3",
    "width": "30", "height": "16", "padded_width": "32", "padded_height": "16",
    "temporal_stride": "1", "first_chunk_extra": "0",
}  # fmt: skip
WHOLE = [
    _torch(LATENTS),
    _torch({"latents": LATENTS, "fps": 24, "image_name": "a.png"}),
    _numpy(LATENTS.numpy()),
    _numpy(LATENTS.numpy(), np.savez),
    _numpy(LATENTS.numpy(), np.savez_compressed),
    save({"latents": LATENTS}, OWN),
    save({"latent_tensor": LATENTS}, {"prompt": '{"7": {"class_type": "SaveLatent"}}'}),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "latents.bin"


def _survives(path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        sniff_container(path)
        read_backbone_name(path)
        found = recognise_latents(path)
        json.dumps(found.to_json(), allow_nan=False)
        found.check()
        for piece, *_ in found.chunks(1, 2):
            assert torch.isfinite(piece).all()
    except InputError as error:
        assert str(path) in str(error)  # noqa: PT017 - it may also survive


@FEW
@given(st.sampled_from(WHOLE), st.data())
def test_damaged_bytes(path, whole, data):
    content = bytearray(whole)
    places = st.integers(0, len(content) - 1)
    # Half of the hits go where the structure is described.
    ends = st.one_of(st.integers(0, min(300, len(content) - 1)), places)
    for place in data.draw(st.lists(ends, min_size=1, max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    _survives(path, bytes(content))


@FEW
@given(st.sampled_from(WHOLE), st.data())
def test_truncated_and_extended(path, whole, data):
    cut = data.draw(st.integers(0, len(whole)))
    _survives(path, whole[:cut] + data.draw(st.binary(max_size=20)))


STARTS = [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\x80\x02", b"\x10\0\0\0\0\0\0\0{"]


@FEW
@given(st.sampled_from(STARTS), st.binary(max_size=200))
@example(b"\x93NUMPY\x02\x00", b"\xff\xff\xff\xff")
def test_nonsense(path, start, rest):
    _survives(path, start + rest)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["dtype", "shape", "data_offsets", "class_type", "inputs", "samples"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@FEW
@given(st.dictionaries(st.sampled_from(["latents", "x", "__metadata__"]), JSON, max_size=3))
@example({"latents": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 0]}})
@example({"latents": {"dtype": "F32", "shape": [1, 16, 1, 1, 0], "data_offsets": [0, 0]}})
def test_safetensors_headers(path, header):
    text = json.dumps(header).encode()
    _survives(path, len(text).to_bytes(8, "little") + text + bytes(64))


@FEW
@given(
    st.dictionaries(
        st.sampled_from([*OWN, "fps", "prompt"]), st.text(max_size=8) | JSON.map(json.dumps)
    )
)
def test_metadata(path, changes):
    _survives(path, save({"latents": LATENTS}, {**OWN, **changes}))
    _survives(path, save({"latent_tensor": LATENTS}, changes))


@FEW
@given(st.binary(max_size=120))
def test_pickles(path, data):
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02" + data)
        archive.writestr("a/byteorder", b"little")
        archive.writestr("a/version", b"3\n")
        archive.writestr("a/data/0", bytes(64))
    _survives(path, whole.getvalue())


@FEW
@given(st.sampled_from(WHOLE[:2]), st.data())
def test_damaged_pickles(path, whole, data):
    """With the right checksum, so that the damage gets as far as torch."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(result, "w") as new:
        for name in old.namelist():
            content = bytearray(old.read(name))
            if name.endswith("data.pkl"):
                for place in data.draw(st.lists(st.integers(2, len(content) - 1), max_size=5)):
                    content[place] = data.draw(st.integers(0, 255))
            new.writestr(name, bytes(content))
    _survives(path, result.getvalue())


@FEW
@given(st.lists(st.integers(0, 20), max_size=6), st.sampled_from(["f4", "f2", "f8", "i4", "c8"]))
def test_shapes(path, shape, dtype):
    array = np.ones(shape[:2] + [min(side, 3) for side in shape[2:]], dtype)
    _survives(path, _numpy(array))
