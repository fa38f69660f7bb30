"""Whole files of every kind that refvid reads, as small as can be: what damage begins with."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

from refvid.media.image import encode_image
from refvid.models.mini.config import MiniConfig
from refvid.models.mini.decoder import MiniDecoder
from refvid.models.wan.autoencoder import WanAutoencoder
from refvid.models.wan.config import WanConfig

VIDEOS: Mapping[str, tuple[str, str, Mapping[str, str], bool]] = {
    "h264.mp4": ("mp4", "libx264", {"preset": "ultrafast"}, True),
    "h264.mkv": ("matroska", "libx264", {"preset": "ultrafast"}, True),
    "vp9.webm": ("webm", "libvpx-vp9", {"cpu-used": "8", "deadline": "realtime"}, False),
    "mpeg4.avi": ("avi", "mpeg4", {}, False),
    "ffv1.mkv": ("matroska", "ffv1", {}, False),
    "hevc.mov": (
        "mov", "libx265", {"preset": "ultrafast", "x265-params": "log-level=none"}, False,
    ),
    "h264.ts": ("mpegts", "libx264", {"preset": "ultrafast"}, True),
    "mjpeg.avi": ("avi", "mjpeg", {}, False),
}  # fmt: skip
"""Container, encoder, its options, and whether there is sound; by name."""

LATENTS = torch.linspace(-1, 1, 16 * 3 * 2 * 4).reshape(1, 16, 3, 2, 4)
OWN_FACTS = {
    "format": "refvid-latents", "backbone": "mini", "channels": "16", "frames": "3",
    "width": "30", "height": "16", "padded_width": "32", "padded_height": "16",
    "temporal_stride": "1", "first_chunk_extra": "0",
}  # fmt: skip

WAN_SIZES = WanConfig(
    base_channels=4, transformer_blocks=1, heads=2, head_channels=20, feed_forward_channels=24
)
"""Of the networks in `tiny_weights`; files of torch.save do not say theirs."""


def tiny_video(name: str) -> bytes:
    """Six pictures of 96x64."""
    container_format, codec, options, has_audio = VIDEOS[name]
    written = io.BytesIO()
    with av.open(written, "w", format=container_format) as container:
        stream: Any = container.add_stream(
            codec, rate=25, width=96, height=64, options=dict(options)
        )
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        sound = container.add_stream("aac", rate=48000) if has_audio else None
        for index in range(6):
            frame = av.VideoFrame.from_ndarray(
                np.full((64, 96, 3), index * 40, np.uint8), format="rgb24"
            ).reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp")
            silence.sample_rate = 48000
            container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
    return written.getvalue()


def tiny_images() -> dict[str, bytes]:
    """Pictures in every format, in 8 bits and in 16, still and moving, with alpha and without."""
    deep = np.arange(16 * 12 * 3, dtype=np.uint16).reshape(12, 16, 3) * 100
    plain = (deep // 257).astype(np.uint8)
    files = {}
    for suffix in ("png", "jpg", "webp", "avif", "tif", "bmp", "ppm", "jp2", "tga"):
        files[f"plain.{suffix}"] = encode_image(plain, Path(f"a.{suffix}"))
    for suffix in ("png", "tif"):
        files[f"deep.{suffix}"] = encode_image(deep, Path(f"a.{suffix}"))
    still = Image.fromarray(plain)
    clear, few = still.convert("RGBA"), still.convert("P")
    turned = Image.Exif()
    turned[0x0112] = 6
    files |= {
        "clear.png": _saved(clear, "png"),
        "clear.webp": _saved(clear, "webp"),
        "packed.tif": _saved(clear, "tiff", compression="tiff_lzw"),
        "few.gif": _saved(few, "gif", transparency=3),
        "few.png": _saved(few, "png", transparency=0),
        "turned.jpg": _saved(still, "jpeg", progressive=True, exif=turned),
        "ink.jpg": _saved(still.convert("CMYK"), "jpeg"),
        "gray.png": _saved(Image.fromarray(deep[:, :, 0]), "png"),
    }
    others = [still.transpose(Image.Transpose.FLIP_LEFT_RIGHT)] * 2
    for suffix in ("png", "webp", "gif", "avif"):
        files[f"moving.{suffix}"] = _saved(still, suffix, save_all=True, append_images=others)
    return files


def tiny_latents() -> dict[str, bytes]:
    """One latent, as every program saves it."""
    plain = LATENTS.numpy()
    return {
        "bare.pt": torch_file(LATENTS),
        "dict.pt": torch_file({"latents": LATENTS, "fps": 24, "image_name": "a.png"}),
        "array.npy": numpy_file(plain),
        "array.npz": numpy_file(plain, np.savez),
        "packed.npz": numpy_file(plain, np.savez_compressed),
        "own.safetensors": save({"latents": LATENTS}, OWN_FACTS),
        "comfy.latent": save(
            {"latent_tensor": LATENTS}, {"prompt": '{"7": {"class_type": "SaveLatent"}}'}
        ),
    }


def tiny_weights() -> dict[str, bytes]:
    """Networks as small as can be, with random weights."""
    mini = MiniConfig(width=8, wide=8, depths=(1, 1, 1), condition_width=8, kernels=2)
    small = dict(MiniDecoder(mini).state_dict())
    large = dict(WanAutoencoder(WAN_SIZES).state_dict())
    return {
        "mini.safetensors": save(small, {"config": json.dumps(asdict(mini))}),
        "wan.safetensors": save(
            large, {"backbone": "wan2.1", "network": json.dumps(asdict(WAN_SIZES))}
        ),
        "wan.pt": torch_file({"state_dict": large}),
        "wan.ckpt": torch_file({"module": {f"model.{key}": large[key] for key in large}}),
        "old.pt": torch_file(small, _use_new_zipfile_serialization=False),
    }


def torch_file(content: object, **options: Any) -> bytes:
    written = io.BytesIO()
    torch.save(content, written, **options)
    return written.getvalue()


def numpy_file(array: Any, save_array: Callable[..., None] = np.save) -> bytes:
    written = io.BytesIO()
    save_array(written, array)
    return written.getvalue()


def repacked(whole: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """A zip archive with other contents, whose checksums are right."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(written, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return written.getvalue()


def _saved(picture: Image.Image, name: str, **options: Any) -> bytes:
    written = io.BytesIO()
    picture.save(written, name, **options)
    return written.getvalue()
