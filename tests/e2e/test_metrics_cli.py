"""`refvid metrics` on real files: the numbers, the files it writes, and what it refuses."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from refvid.cli.app import app
from refvid.media.reader import open_video
from refvid.metrics.catalog import MEASURES
from refvid.metrics.psnr import psnr
from refvid.metrics.ssim import ms_ssim, ssim

FRAMES = 6
SIZE = (176, 192)
Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def no_user_settings(monkeypatch, tmp_path_factory) -> None:
    empty = tmp_path_factory.mktemp("config") / "none.toml"
    empty.touch()
    monkeypatch.setenv("REFVID_CONFIG", str(empty))


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """A textured picture that drifts."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (40, 44, 3), dtype=np.uint8))
    big = np.asarray(noise.resize((220, 200), Image.Resampling.BICUBIC))
    height, width = SIZE
    return np.stack([big[t : t + height, 2 * t : 2 * t + width] for t in range(FRAMES)])


@pytest.fixture
def write(tmp_path) -> Callable[..., Path]:
    """Write a video, with frames at chosen times [ms] if wanted."""

    def write_video(
        name: str,
        pixels: np.ndarray,
        *,
        crf: int = 20,
        rate: int = 25,
        times_ms: list[int] | None = None,
        pix_fmt: str = "yuv420p",
        matrix: int | None = None,
    ) -> Path:
        path: Path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream("libx264", rate=rate)
            stream.height, stream.width = pixels.shape[1:3]
            stream.pix_fmt = pix_fmt
            stream.options = {"crf": str(crf), "preset": "ultrafast"}
            if matrix is not None:
                stream.codec_context.colorspace = matrix
            if times_ms is not None:
                stream.codec_context.time_base = Fraction(1, 1000)
            for index, picture in enumerate(pixels):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture))
                if times_ms is not None:
                    frame.pts, frame.time_base = times_ms[index], Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return write_video


@pytest.fixture
def clean(write, pixels) -> Path:
    path: Path = write("clean.mp4", pixels)
    return path


@pytest.fixture
def poor(write, pixels) -> Path:
    path: Path = write("poor.mp4", pixels, crf=40)
    return path


@pytest.fixture
def run() -> Run:
    def run_program(*words: object) -> Result:
        return CliRunner().invoke(app, ["metrics", *map(str, words)])

    return run_program


@pytest.fixture
def measured(run) -> Callable[..., dict[str, Any]]:
    """Run with `--json` and give the document."""

    def measure(*words: object) -> dict[str, Any]:
        result = run(*words, "--json")
        assert result.exit_code == 0, result.stderr
        document: dict[str, Any] = json.loads(result.stdout)
        return document

    return measure


def frames_of(path: Path) -> list[np.ndarray]:
    with open_video(path) as video:
        return [frame.pixels for frame in video]


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_numbers_are_those_of_the_frames(measured, clean, poor) -> None:
    document = measured(poor, "--reference", clean, "--measures", "ssim,MS-SSIM,psnr")
    assert document["measures"] == ["psnr", "ssim", "ms_ssim"]
    (result,) = document["results"]
    assert (result["frames"], result["aligned_by"]) == (FRAMES, "time")
    pairs = list(zip(frames_of(poor), frames_of(clean), strict=True))
    rows = result["per_frame"]
    assert [row["frame"] for row in rows] == list(range(FRAMES))
    assert [row["time"] for row in rows] == pytest.approx([t / 25 for t in range(FRAMES)])
    for name, measure in (("psnr", psnr), ("ssim", ssim), ("ms_ssim", ms_ssim)):
        expected = [measure(a, b) for a, b in pairs]
        assert [row[name] for row in rows] == pytest.approx(expected)
        assert result["summary"][name] == pytest.approx(np.mean(expected))
    errors = [np.mean((a.astype(float) - b) ** 2) for a, b in pairs]
    mean = 10 * math.log10(255**2 / np.mean(errors))
    assert result["summary"]["psnr_of_mean_mse"] == pytest.approx(mean)
    assert mean < result["summary"]["psnr"]


def test_every_measure_that_needs_no_network(measured, clean, poor) -> None:
    names = [name for name, measure in MEASURES.items() if not measure.packages]
    document = measured(poor, "--reference", clean, "--measures", ",".join(names))
    first, *others = document["results"][0]["per_frame"]
    for name in names:
        assert (first[name] is None) == MEASURES[name].needs_previous
        assert all(math.isfinite(row[name]) for row in others)
    same = measured(clean, "--reference", clean, "--measures", ",".join(names))
    summary, better = document["results"][0]["summary"], same["results"][0]["summary"]
    assert better["psnr"] == better["psnr_of_mean_mse"] == "inf"
    for name in names[1:]:
        is_better = better[name] > summary[name]
        assert is_better == MEASURES[name].higher_is_better, name
    assert better["ssim"] == pytest.approx(1, abs=1e-6)
    assert better["flicker"] == 0


@pytest.mark.skipif(find_spec("stlpips_pytorch") is None, reason="it is not installed")
def test_st_lpips(measured, clean, poor, tmp_path) -> None:
    mask = tmp_path / "left.png"
    picture = np.zeros(SIZE, np.uint8)
    picture[:, :96] = 255
    Image.fromarray(picture).save(mask)
    words = ("--reference", clean, "--measures", "st-lpips", "--frames", 2, "--device", "cpu")
    results = measured(poor, clean, *words)["results"]
    distances = [result["summary"]["st_lpips"] for result in results]
    assert 0.01 < distances[0] < 1
    assert distances[1] == 0
    (left,) = measured(poor, *words, "--mask", mask)["results"]
    assert left["summary"]["st_lpips"] != distances[0]
    assert left["summary"]["st_lpips"] == pytest.approx(distances[0], rel=0.5)


def test_table_csv_and_plots(run, write, pixels, clean, poor, tmp_path) -> None:
    fair = write("fair.mp4", pixels, crf=30)
    for suffix in ("svg", "png"):
        table = run(
            poor, fair, "--reference", clean, "--csv", tmp_path / f"{suffix}.csv",
            "--plot", tmp_path / f"plot.{suffix}", "--measures", "psnr,flicker",
        )  # fmt: skip
        assert table.exit_code == 0, table.stderr
    header, *lines = table.stdout.splitlines()
    assert header.split()[:3] == ["file", "frames", "PSNR"]
    assert "PSNR of mean MSE [dB]" in header
    assert [line.split()[:2] for line in lines] == [[str(poor), "6"], [str(fair), "6"]]
    rows = read_rows(tmp_path / "svg.csv")
    assert [row["file"] for row in rows] == [str(poor)] * FRAMES + [str(fair)] * FRAMES
    assert [row["flicker"] == "" for row in rows[:FRAMES]] == [True] + [False] * (FRAMES - 1)
    means = [np.mean([float(r["psnr"]) for r in part]) for part in (rows[:FRAMES], rows[FRAMES:])]
    assert means[0] < means[1]
    for line, mean in zip(lines, means, strict=True):
        assert float(line.split()[2]) == pytest.approx(mean, abs=0.006)
    drawing = (tmp_path / "plot.svg").read_text()
    assert drawing.count('<g id="axes_') == 2
    with Image.open(tmp_path / "plot.png") as image:
        assert image.format == "PNG"
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 10
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


def test_equal_frames(run, clean, tmp_path) -> None:
    table = run(
        clean, "--reference", clean, "--csv", tmp_path / "x.csv", "--plot", tmp_path / "x.svg"
    )
    assert table.exit_code == 0, table.stderr
    assert table.stdout.splitlines()[1].split()[2:] == ["inf", "inf", "1.0000"]
    assert {row["psnr"] for row in read_rows(tmp_path / "x.csv")} == {"inf"}
    # A plot of nothing but infinity still has its panel.
    only = run(clean, "--reference", clean, "--measures", "psnr", "--plot", tmp_path / "y.svg")
    assert only.exit_code == 0, only.stderr
    assert (tmp_path / "y.svg").read_text().count('<g id="axes_') == 1


def test_odd_file_names(run, clean, tmp_path) -> None:
    names = ["_first.mp4", "co$t $x^{.mp4", "画像.mp4"]
    clips = [tmp_path / name for name in names]
    for clip in clips:
        clip.write_bytes(clean.read_bytes())
    words = (*clips, "--reference", clean, "--measures", "ssim")
    result = run(*words, "--csv", tmp_path / "x.csv", "--plot", tmp_path / "x.svg")
    assert result.exit_code == 0, result.stderr
    assert {row["file"] for row in read_rows(tmp_path / "x.csv")} == set(map(str, clips))
    drawing = (tmp_path / "x.svg").read_text()
    assert "_first.mp4" in drawing
    assert "co$t" in drawing


def test_existing_files_stay(run, clean, poor, tmp_path) -> None:
    for option, name in (("--csv", "kept.csv"), ("--plot", "kept.png")):
        kept = tmp_path / name
        kept.write_bytes(b"precious")
        refused = run(poor, "--reference", clean, option, kept)
        assert refused.exit_code == 4
        assert "exists already" in refused.stderr
        assert kept.read_bytes() == b"precious"
        assert run(poor, "--reference", clean, option, kept, "--overwrite").exit_code == 0
        assert kept.read_bytes() != b"precious"


def test_failed_runs_write_nothing(run, write, pixels, clean, tmp_path) -> None:
    short = write("short.mp4", pixels[:4])
    result = run(
        clean,
        short,
        "--reference",
        clean,
        "--csv",
        tmp_path / "x.csv",
        "--plot",
        tmp_path / "x.png",
    )
    assert result.exit_code == 3
    assert not list(tmp_path.glob("*x.*"))


def test_different_lengths(run, measured, write, pixels, clean) -> None:
    short = write("short.mp4", pixels[:4], crf=35)
    for one, other in ((short, clean), (clean, short)):
        result = run(one, "--reference", other)
        assert result.exit_code == 3
        assert result.stdout == ""
        assert f"{short} and {clean} cannot be aligned" in result.stderr
        assert "has 4 frames" in result.stderr
    assert measured(short, "--reference", clean, "--frames", 4)["results"][0]["frames"] == 4


def test_a_lost_frame_is_named(run, write, pixels, clean) -> None:
    times = [0, 40, 120, 160, 200]
    lossy = write("lossy.mkv", np.delete(pixels, 2, 0), times_ms=times)
    result = run(lossy, "--reference", clean)
    assert result.exit_code == 3
    assert "frame 2 is shown at 0.120 s in the first and at 0.080 s in the second" in result.stderr


def test_another_rate_is_no_match(run, write, pixels, clean) -> None:
    fast = write("fast.mp4", pixels, rate=30)
    result = run(fast, "--reference", clean)
    assert result.exit_code == 3
    assert "frame 1 is shown at 0.033 s in the first and at 0.040 s" in result.stderr


def test_variable_rates_and_other_containers(measured, write, pixels) -> None:
    times = [0, 33, 67, 200, 234, 300]
    one = write("one.mkv", pixels, times_ms=times)
    # It begins later, and its times are rounded elsewhere.
    other = write("other.mp4", pixels, crf=35, times_ms=[t + 1400 for t in times])
    (result,) = measured(other, "--reference", one)["results"]
    assert result["frames"] == FRAMES
    assert [row["time"] for row in result["per_frame"]] == pytest.approx(
        [t / 1000 for t in times], abs=0.0011
    )
    assert 20 < result["summary"]["psnr"] < 60


def test_different_sizes(run, write, pixels, clean) -> None:
    small = write("small.mp4", pixels[:, :160])
    result = run(small, "--reference", clean)
    assert result.exit_code == 3
    assert "192x160" in result.stderr
    assert "192x176" in result.stderr


def test_too_small_for_a_measure(run, write, pixels) -> None:
    small = write("small.mp4", pixels[:, :160, :160])
    result = run(small, "--reference", small, "--measures", "psnr,ms-ssim")
    assert result.exit_code == 3
    assert "too small for MS-SSIM" in result.stderr


def test_image_sequences_are_aligned_by_number(measured, clean, tmp_path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for index, picture in enumerate(frames_of(clean)):
        Image.fromarray(picture).save(folder / f"f{index:03}.png")
    for words in ((folder, clean), (clean, folder), (folder / "f%03d.png", folder)):
        (result,) = measured(words[0], "--reference", words[1])["results"]
        assert (result["aligned_by"], result["frames"]) == ("number", FRAMES)
        assert result["summary"]["psnr"] == "inf"


def test_colours_as_tagged_and_depths(measured, write, pixels, clean) -> None:
    deep = write("deep.mp4", pixels, crf=1, pix_fmt="yuv420p10le")
    (result,) = measured(deep, "--reference", clean)["results"]
    assert (result["bit_depth"], result["matrix"], result["range"]) == (10, "smpte170m", "limited")
    assert result["is_tagged"] is False
    assert result["summary"]["psnr"] > 30


def test_untagged_colours_next_to_tagged_ones(run, write, pixels, clean) -> None:
    tagged = write("tagged.mp4", pixels, matrix=1)
    result = run(tagged, "--reference", clean)
    assert result.exit_code == 0
    assert "read as bt709" in result.stderr
    assert "not both are tagged" in result.stderr
    assert "warning" not in run(clean, "--reference", clean).stderr
    assert "smpte170m, limited range (assumed" in run(clean, "--reference", clean, "-v").stderr


def test_a_folder_of_masks_leaves_the_times_alone(run, write, pixels, clean, tmp_path) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    for index in range(FRAMES):
        Image.fromarray(np.full(SIZE, 255, np.uint8)).save(folder / f"m{index}.png")
    assert run(clean, "--reference", clean, "--mask", folder).exit_code == 0
    fast = write("fast.mp4", pixels, rate=30)
    result = run(fast, "--reference", clean, "--mask", folder)
    assert result.exit_code == 3
    assert "frame 1 is shown" in result.stderr


def test_mask_images(measured, clean, poor, tmp_path) -> None:
    height, width = SIZE
    mask = np.zeros((height, width), np.uint8)
    mask[40:120, 30:150] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    document = measured(poor, "--reference", clean, "--mask", tmp_path / "mask.png")
    assert document["mask"] == str(tmp_path / "mask.png")
    pairs = zip(frames_of(poor), frames_of(clean), strict=True)
    expected = [psnr(a[40:120, 30:150], b[40:120, 30:150]) for a, b in pairs]
    rows = document["results"][0]["per_frame"]
    assert [row["psnr"] for row in rows] == pytest.approx(expected, abs=1e-4)

    Image.fromarray(np.full_like(mask, 255)).save(tmp_path / "all.png")
    everything = measured(poor, "--reference", clean, "--mask", tmp_path / "all.png")
    unmasked = measured(poor, "--reference", clean)
    for name in ("psnr", "psnr_of_mean_mse", "ssim"):
        assert everything["results"][0]["summary"][name] == pytest.approx(
            unmasked["results"][0]["summary"][name], abs=1e-5
        )


def test_mask_videos(measured, write, clean, poor) -> None:
    masks = np.zeros((FRAMES, *SIZE, 3), np.uint8)
    masks[3:, 40:120, 30:150] = 255  # nothing is edited at first
    mask = write("mask.mp4", masks, crf=0, pix_fmt="yuv444p")
    document = measured(
        poor, "--reference", clean, "--mask", mask, "--measures", "psnr,ssim,flicker"
    )
    rows = document["results"][0]["per_frame"]
    assert [row["psnr"] is None for row in rows] == [True] * 3 + [False] * 3
    assert [row["flicker"] is None for row in rows] == [True] * 3 + [False] * 3
    pairs = list(zip(frames_of(poor), frames_of(clean), strict=True))[3:]
    expected = [psnr(a[40:120, 30:150], b[40:120, 30:150]) for a, b in pairs]
    assert document["results"][0]["summary"]["psnr"] == pytest.approx(np.mean(expected), abs=0.01)


def test_impossible_masks(run, write, pixels, clean, poor, tmp_path) -> None:
    black = tmp_path / "black.png"
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(black)
    result = run(poor, "--reference", clean, "--mask", black)
    assert result.exit_code == 3
    assert "nothing to measure" in result.stderr
    small = tmp_path / "small.png"
    Image.fromarray(np.full((100, 100), 255, np.uint8)).save(small)
    result = run(poor, "--reference", clean, "--mask", small)
    assert result.exit_code == 3
    assert "100x100" in result.stderr
    short = write("short_mask.mp4", np.full_like(pixels[:3], 255))
    result = run(poor, "--reference", clean, "--mask", short)
    assert result.exit_code == 3
    assert f"{short} and {poor} cannot be aligned" in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["{poor}"], 2, "reference"),
        (["--reference", "{clean}"], 2, "DISTORTED"),
        (["{poor}", "--reference", "{clean}", "--measures", "psnr,vmaf"], 2, "vmaf"),
        (["{poor}", "--reference", "{clean}", "--measures", ""], 2, "measure"),
        (["{poor}", "--reference", "{clean}", "--frames", "0"], 2, "frames"),
        (["{poor}", "--reference", "{clean}", "--plot", "x.pdf"], 2, ".svg"),
        (["{poor}", "--reference", "{clean}", "--csv", "{poor}", "-y"], 2, "is the input"),
        (["{poor}", "--reference", "{clean}", "--csv", "a.svg", "--plot", "a.svg"], 2, "one file"),
        (["{poor}", "--reference", "{clean}", "--csv", "missing/x.csv"], 4, "missing"),
        (["missing.mp4", "--reference", "{clean}"], 3, "missing.mp4"),
        (["{poor}", "missing.mp4", "--reference", "{clean}"], 3, "missing.mp4"),
        (["{poor}", "--reference", "missing.mp4"], 3, "missing.mp4"),
        (["{poor}", "--reference", "{clean}", "--mask", "missing.png"], 3, "missing.png"),
        (["{text}", "--reference", "{clean}"], 3, "text.mp4"),
        (["{poor}", "--reference", "{cut}"], 3, "cut.mp4"),
        (["{poor}", "--reference", "{clean}", "--mask", "{text}"], 3, "text.mp4"),
    ],
)  # fmt: skip
def test_what_is_refused(run, clean, poor, tmp_path, words, code, says) -> None:
    (tmp_path / "text.mp4").write_text("no video at all")
    (tmp_path / "cut.mp4").write_bytes(clean.read_bytes()[:-500])
    names = {name: tmp_path / f"{name}.mp4" for name in ("clean", "poor", "text", "cut")}
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    result = run(*(word.format(**names) for word in words))
    assert result.exit_code == code, result.stderr
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_damage_in_the_middle(run, write, pixels, clean, poor) -> None:
    """Whichever side is damaged; and no thread stays, which `no_leaked_threads` sees."""
    data = bytearray(poor.read_bytes())
    for position in range(len(data) // 3, len(data) // 2):
        data[position] = 0xFF
    poor.write_bytes(data)
    for words in ((poor, clean), (clean, poor)):
        result = run(words[0], "--reference", words[1])
        assert result.exit_code == 3, result.stderr
        assert "poor.mp4" in result.stderr
        assert "Traceback" not in result.stderr


def test_cheap_failures_come_before_torch(clean, tmp_path) -> None:
    words = ["metrics", "missing.mp4", "--reference", str(clean)]
    code = (
        "from refvid.cli.app import app\n"
        f"try: app({words!r})\nexcept SystemExit as stop: assert stop.code == 3\n"
        "import sys; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True)


def test_psnr_alone_needs_no_torch(clean, tmp_path) -> None:
    words = ["metrics", str(clean), "--reference", str(clean), "--measures", "psnr"]
    code = (
        "from refvid.cli.app import app\n"
        f"try: app({words!r})\nexcept SystemExit as stop: assert not stop.code\n"
        "import sys; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True)
