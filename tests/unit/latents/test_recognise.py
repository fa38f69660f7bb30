"""Every format and layout that programs write is told from its contents."""

import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from refvid.errors import InputError, OptionError
from refvid.latents.recognise import recognise_latents
from refvid.latents.wan import to_raw
from refvid.latents.wishes import LatentWishes


def margin_of(decision):
    """How clear it is, for decisions that have a margin."""
    assert decision.margin is not None
    return decision.margin


def comfy_prompt(kind, **inputs):
    return json.dumps(
        {
            "3": {"class_type": kind, "inputs": inputs},
            "4": {"class_type": "Reroute", "inputs": {"": ["3", 0]}},
            "7": {"class_type": "SaveLatent", "inputs": {"samples": ["4", 0]}},
        }
    )


@pytest.fixture
def write(tmp_path, wan_latents):
    """Write latents as one of the known programs does; no name tells what it is."""

    def make(program):
        path = tmp_path / "file.bin"
        normal, raw = wan_latents(), wan_latents(raw=True)
        if program == "torch":
            torch.save(normal, path)
        elif program == "torch list":
            torch.save([normal[0]], path)
        elif program == "torch dict":
            torch.save({"samples": normal, "fps": 24}, path)
        elif program == "nested":
            torch.save({"latent": {"samples": normal}, "note": "x"}, path)
        elif program == "bf16":
            torch.save(normal.to(torch.bfloat16), path)
        elif program == "npy":
            with path.open("wb") as file:
                np.save(file, normal.numpy())
        elif program == "npy fortran":
            with path.open("wb") as file:
                np.save(file, np.asfortranarray(normal.double().numpy()))
        elif program in ("npz", "npz packed"):
            with path.open("wb") as file:
                (np.savez if program == "npz" else np.savez_compressed)(file, frames=normal.numpy())
        elif program == "btchw":
            torch.save(normal.transpose(1, 2).contiguous(), path)
        elif program == "tchw":
            torch.save(normal[0].transpose(0, 1), path)
        elif program == "safetensors":
            save_file({"anything": normal}, path)
        elif program == "vbench":
            content = {"latents": normal, "height": 48, "width": 80, "image_name": "a dog.jpg"}
            torch.save(content | {"prompt": "a dog", "seed": 1}, path)
        elif program == "musubi":
            save_file({"latent": normal[0]}, path, {"infer_steps": "20", "prompt": "a dog"})
        elif program == "musubi cache":
            save_file({"latents_5x6x10_float32": normal[0]}, path)
        else:
            is_wrapper = program == "comfy wrapper"
            prompt = comfy_prompt("WanVideoSampler" if is_wrapper else "KSampler")
            content = {"latent_format_version_0": torch.zeros(0)}
            content["latent_tensor"] = normal if is_wrapper else raw
            save_file(content, path, {"prompt": prompt})
        return path

    return make


@pytest.mark.parametrize(
    ("program", "container", "scale", "producer"),
    [
        ("torch", "torch", "normalized", None),
        ("torch list", "torch", "normalized", None),
        ("torch dict", "torch", "normalized", None),
        ("nested", "torch", "normalized", None),
        ("bf16", "torch", "normalized", None),
        ("npy", "npy", "normalized", None),
        ("npy fortran", "npy", "normalized", None),
        ("npz", "npz", "normalized", None),
        ("npz packed", "npz", "normalized", None),
        ("btchw", "torch", "normalized", None),
        ("tchw", "torch", "normalized", None),
        ("safetensors", "safetensors", "normalized", None),
        ("vbench", "torch", "normalized", "RefDecoder's VBench scripts"),
        ("musubi", "safetensors", "normalized", "musubi-tuner"),
        ("musubi cache", "safetensors", "normalized", "musubi-tuner"),
        ("comfy", "safetensors", "raw", "ComfyUI"),
        ("comfy wrapper", "safetensors", "normalized", "ComfyUI"),
    ],
)
def test_every_program_gives_the_same_latents(
    write, wan_latents, program, container, scale, producer
):
    found = recognise_latents(write(program))

    found.check()
    assert (found.container, found.scale.value, found.producer) == (container, scale, producer)
    assert (found.length, found.frames, found.width, found.height) == (5, 17, 80, 48)
    tolerance = 0.05 if program == "bf16" else 1e-5
    torch.testing.assert_close(
        found.read(0, 5), wan_latents(raw=True), atol=tolerance, rtol=tolerance
    )
    json.dumps(found.to_json())


def test_chunks_are_the_whole(write, wan_latents):
    found = recognise_latents(write("torch"))
    pieces = [chunk.latents for chunk in found.chunks(2, 2)]
    assert [piece.shape[2] for piece in pieces] == [2, 2, 1]
    torch.testing.assert_close(torch.cat(pieces, 2), wan_latents(raw=True))


def test_facts_beside_the_tensor(write):
    assert recognise_latents(write("torch dict")).frame_rate == 24
    found = recognise_latents(write("vbench"))
    assert found.image_name == "a dog.jpg"
    assert found.frame_rate is None
    assert found.warnings == ()


def test_both_axes_16_are_told_by_continuity(tmp_path, wan_latents):
    latents = wan_latents(16)
    torch.save(latents, tmp_path / "a.pt")
    torch.save(latents.transpose(1, 2), tmp_path / "b.pt")
    first, second = (recognise_latents(tmp_path / name) for name in ("a.pt", "b.pt"))
    assert first.layout.value == "bcthw"
    assert second.layout.value == "btchw"
    assert margin_of(first.layout) == pytest.approx(-margin_of(second.layout))
    torch.testing.assert_close(first.read(0, 16), second.read(0, 16))


def test_undecidable_axes_are_asked_for(tmp_path):
    torch.save(torch.randn(1, 16, 16, 6, 10), tmp_path / "noise.pt")
    found = recognise_latents(tmp_path / "noise.pt")
    with pytest.raises(InputError, match="--layout"):
        found.check()
    assert any("noise" in warning for warning in found.warnings)
    wishes = LatentWishes(layout="btchw", scale="raw")
    recognise_latents(tmp_path / "noise.pt", wishes).check()


def test_undecidable_scale_is_asked_for(tmp_path, wan_latents):
    # Half way between normalised and raw, as far as the spread goes.
    between = (
        wan_latents()
        * (to_raw(torch.ones(1, 16, 1, 1, 1)) - to_raw(torch.zeros(1, 16, 1, 1, 1))).sqrt()
    )
    torch.save(between, tmp_path / "a.pt")
    found = recognise_latents(tmp_path / "a.pt")
    assert abs(margin_of(found.scale)) < 0.03
    with pytest.raises(InputError, match="--latent-scale"):
        found.check()
    asked = recognise_latents(tmp_path / "a.pt", LatentWishes(scale="raw"))
    asked.check()
    torch.testing.assert_close(asked.read(0, 5), between)


@pytest.mark.parametrize("contrast", [0.2, 1.0, 1.5])
def test_scale_does_not_depend_on_contrast(tmp_path, wan_latents, contrast):
    for raw in (False, True):
        torch.save(wan_latents(raw=raw) * contrast, tmp_path / "a.pt")
        found = recognise_latents(tmp_path / "a.pt")
        assert found.scale.value == ("raw" if raw else "normalized")
        assert (margin_of(found.scale) < 0) == raw


@pytest.mark.parametrize(
    ("kind", "inputs", "scale"),
    [
        ("KSampler", {}, "raw"),
        ("VAEEncode", {}, "raw"),
        ("WanVideoEncode", {}, "normalized"),
        ("WanVideoLatentReScale", {"direction": "wrapper_to_comfy"}, "raw"),
        ("WanVideoLatentReScale", {"direction": "comfy_to_wrapper"}, "normalized"),
        ("LatentCut", {"samples": ["4", 0]}, "normalized"),  # a circle: by the numbers
    ],
)
def test_comfy_workflow_is_followed(tmp_path, wan_latents, kind, inputs, scale):
    content = {"latent_format_version_0": torch.zeros(0), "latent_tensor": wan_latents()}
    save_file(content, tmp_path / "a", {"prompt": comfy_prompt(kind, **inputs)})
    found = recognise_latents(tmp_path / "a")
    assert found.scale.value == scale
    assert kind in found.scale.reason or "spread" in found.scale.reason


@pytest.mark.parametrize("prompt", ["", "[1]", "{", '{"7": {"class_type": "SaveLatent"}}', "[" * 9])
def test_odd_comfy_workflows_do_no_harm(tmp_path, wan_latents, prompt):
    save_file({"latent_tensor": wan_latents()}, tmp_path / "a", {"prompt": prompt})
    found = recognise_latents(tmp_path / "a")
    assert found.producer == "ComfyUI"
    assert any("format version" in warning for warning in found.warnings)


def test_key_is_chosen_or_asked_for(tmp_path, wan_latents):
    path = tmp_path / "a.pt"
    torch.save({"a": wan_latents(), "b": wan_latents(seed=1), "step": 3}, path)
    with pytest.raises(InputError, match="--key"):
        recognise_latents(path)
    assert recognise_latents(path, LatentWishes(key="b")).key == "b"
    with pytest.raises(InputError, match="no tensor 'c'"):
        recognise_latents(path, LatentWishes(key="c"))


def test_several_videos_and_dropped_latents(tmp_path, wan_latents):
    path = tmp_path / "a.pt"
    torch.save(torch.cat([wan_latents(), wan_latents(seed=1)]), path)
    assert recognise_latents(path).warnings
    found = recognise_latents(path, LatentWishes(item=1, drop=2))
    assert (found.length, found.frames) == (3, 9)
    torch.testing.assert_close(found.read(0, 3), wan_latents(seed=1, raw=True)[:, :, 2:])
    with pytest.raises(InputError, match="no number 2"):
        recognise_latents(path, LatentWishes(item=2))
    with pytest.raises(InputError, match="after dropping 5"):
        recognise_latents(path, LatentWishes(drop=5))


@pytest.mark.parametrize("rate", [24, 23.976, "30000/1001", "0", "x", -1, True, 1e9, "1/0"])
def test_frame_rates(tmp_path, wan_latents, rate):
    torch.save({"latents": wan_latents(), "fps": rate}, tmp_path / "a.pt")
    found = recognise_latents(tmp_path / "a.pt").frame_rate
    good = {24: Fraction(24), 23.976: Fraction("23.976"), "30000/1001": Fraction(30000, 1001)}
    assert found == (None if rate is True else good.get(rate))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_impossible_values(tmp_path, wan_latents, value):
    latents = wan_latents()
    latents[0, 3, 2, 1, 1] = value
    torch.save(latents, tmp_path / "a.pt")
    found = recognise_latents(tmp_path / "a.pt")
    assert found.warnings
    json.dumps(found.to_json(), allow_nan=False)
    with pytest.raises(InputError):
        found.check()


def test_constant_latents(tmp_path):
    torch.save(torch.zeros(1, 16, 5, 6, 10), tmp_path / "a.pt")
    found = recognise_latents(tmp_path / "a.pt")
    assert any("flat" in warning for warning in found.warnings)
    with pytest.raises(InputError, match="--latent-scale"):
        found.check()


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 48, 5, 6, 10), "5B"),
        ((1, 128, 5, 6, 10), "LTX"),
        ((1, 4, 6, 10), "Stable Diffusion"),
        ((16, 5), "4 or 5 axes"),
        ((1, 1, 16, 5, 6, 10), "4 or 5 axes"),
        ((1, 16, 0, 6, 10), "empty"),
        ((1, 16, 1, 6, 5000), "40000x48"),
        ((1, 5, 7, 16, 16), "16 channels"),
    ],
)
@pytest.mark.parametrize("key", [None, "latents"])
def test_latents_of_other_models(tmp_path, shape, words, key):
    tensor = torch.zeros(shape)
    torch.save(tensor if key is None else {key: tensor}, tmp_path / "a.pt")
    with pytest.raises(InputError, match=words):
        recognise_latents(tmp_path / "a.pt")


def test_whole_numbers_are_no_latents(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((1, 16, 5, 6, 10), np.int32))
    with pytest.raises(InputError, match="int32"):
        recognise_latents(tmp_path / "a.npy")


def test_contradicting_layout(tmp_path, wan_latents):
    torch.save(wan_latents(), tmp_path / "a.pt")
    for layout in ("btchw", "cthw"):
        with pytest.raises(InputError, match="layout"):
            recognise_latents(tmp_path / "a.pt", LatentWishes(layout=layout))


@pytest.mark.parametrize(
    "wrong", [{"layout": "hwc"}, {"scale": "big"}, {"drop": -1}, {"item": -1}], ids=str
)
def test_wrong_wishes(wrong):
    with pytest.raises(OptionError):
        LatentWishes(**wrong)


def test_real_latents(shared):
    found = recognise_latents(shared / "media/fixtures/test_latents_wan.pth")
    found.check()
    assert found.layout.value == "bcthw"
    assert found.scale.value == "normalized"
    assert margin_of(found.layout) > 0.5
    assert 0.17 < margin_of(found.scale) < 0.25
    assert (found.frames, found.width, found.height) == (61, 512, 320)
    assert found.warnings == ()
