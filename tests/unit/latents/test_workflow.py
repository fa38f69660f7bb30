"""Scale by ComfyUI's workflow, weighed against the numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from refvid.errors import InputError
from refvid.latents.recognise import recognise_latents
from refvid.latents.wishes import LatentWishes
from refvid.latents.workflow import scale_in_workflow

WRAPPER: dict[str, Any] = {"class_type": "WanVideoSampler", "inputs": {"model": ["90", 0]}}
CORE: dict[str, Any] = {"class_type": "KSampler", "inputs": {"latent_image": ["91", 0]}}
OTHERS: dict[str, Any] = {
    "90": {"class_type": "WanVideoModelLoader", "inputs": {}},
    "91": {"class_type": "EmptyHunyuanLatentVideo", "inputs": {}},
    "92": {"class_type": "VAELoader", "inputs": {"vae_name": "wan.safetensors"}},
}


def workflow(between: dict[str, Any], first=WRAPPER, second=WRAPPER) -> str:
    save = {"class_type": "SaveLatent", "inputs": {"samples": ["3", 0]}}
    return json.dumps({"1": first, "2": second, "3": between, "4": save, **OTHERS})


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


BETWEEN = {
    "concat": node("LatentConcat", samples1=["1", 0], samples2=["2", 0], dim="t"),
    "merge": node("VHS_MergeLatents", latents_A=["1", 0], latents_B=["2", 0], merge_strategy="x"),
    "switch": node("Any Switch (rgthree)", any_01=["1", 0], any_02=["2", 0]),
    "blend": node("LatentBlend", samples1=["1", 0], samples2=["2", 0], blend_factor=0.5),
    "math": node("SomebodysMath", a=["1", 0], b=["2", 0], vae=["92", 0]),
    "slice": node("ImpactSwitch", select=1, input1=["1", 0], input2=["2", 0], sel_mode=False),
    "trim": node("TrimVideoLatent", samples=["1", 0], trim_amount=2),
    "reroute": node("Reroute", **{"": ["2", 0]}),
}


@pytest.mark.parametrize("between", BETWEEN.values(), ids=BETWEEN.keys())
def test_any_node_between_is_gone_through(between):
    found = scale_in_workflow(workflow(between))
    assert (found.scale, found.is_certain) == ("normalized", True)
    assert "WanVideoSampler" in found.reason
    found = scale_in_workflow(workflow(between, CORE, CORE))
    assert (found.scale, found.is_certain) == ("raw", True)
    assert "KSampler" in found.reason


def test_both_kinds_in_one_say_nothing():
    assert scale_in_workflow(workflow(BETWEEN["concat"], WRAPPER, CORE)).scale is None


def test_models_and_texts_of_the_wrapper_make_no_latents():
    between = node("SomebodysDecoder", samples=["1", 0], model=["90", 0])
    found = scale_in_workflow(workflow(between, CORE))
    assert (found.scale, found.is_certain) == ("raw", True)


def test_unknown_makers_are_no_certainty():
    for kind in ("LoadLatent", "FancySampler"):
        found = scale_in_workflow(workflow(BETWEEN["trim"], node(kind)))
        assert (found.scale, found.is_certain) == ("raw", False)


def save(path, latents, between, first=WRAPPER):
    content = {"latent_format_version_0": torch.zeros(0), "latent_tensor": latents}
    save_file(content, path, {"prompt": workflow(between, first, first)})
    return path


def test_where_the_numbers_disagree_with_a_guess_the_user_is_asked(tmp_path, wan_latents):
    loaded = node("LoadLatent", latent="x.latent")
    path = save(tmp_path / "a.latent", wan_latents(), BETWEEN["trim"], loaded)
    found = recognise_latents(path)
    assert found.scale.value is None
    with pytest.raises(InputError, match=r"LoadLatent.*--latent-scale"):
        found.check()
    recognise_latents(path, LatentWishes(scale="normalized")).check()
    path = save(tmp_path / "b.latent", wan_latents(raw=True), BETWEEN["trim"], loaded)
    assert recognise_latents(path).scale.value == "raw"


def test_where_the_numbers_disagree_with_knowledge_the_user_is_told(tmp_path, wan_latents):
    found = recognise_latents(save(tmp_path / "a", wan_latents(), BETWEEN["trim"], CORE))
    assert found.scale.value == "raw"
    (warning,) = found.warnings
    assert "look normalized" in warning
    assert "--latent-scale normalized" in warning
    found = recognise_latents(save(tmp_path / "b", wan_latents(), BETWEEN["trim"]))
    assert (found.scale.value, found.warnings) == ("normalized", ())


def test_what_the_user_says_is_held_against_the_numbers_too(tmp_path, wan_latents):
    torch.save(wan_latents(raw=True), tmp_path / "a.pt")
    asked = recognise_latents(tmp_path / "a.pt", LatentWishes(scale="normalized"))
    asked.check()
    assert any("look raw" in warning for warning in asked.warnings)


@pytest.mark.parametrize(
    "inputs",
    [{"samples": ["3", 0]}, {"samples": ["nothing", 0]}, {"samples": [["1"], 0]}, {"a": "b"}],
)
def test_circles_and_broken_links_end(inputs):
    scale_in_workflow(workflow(node("LatentCut", **inputs)))


def test_a_long_chain_ends():
    nodes = {str(i): node("LatentFlip", samples=[str(i + 1), 0]) for i in range(5000)}
    nodes["5000"] = WRAPPER
    nodes["end"] = node("SaveLatent", samples=["0", 0])
    assert scale_in_workflow(json.dumps(nodes)).scale == "normalized"
