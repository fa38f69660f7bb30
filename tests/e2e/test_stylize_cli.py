"""`refvid stylize` on real files: what is kept, what the options do, what goes wrong and how.

The model is a small untrained one: nothing here depends on what exactly it does to a picture.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from tests.conftest import moving_pattern
from tests.program import Program

WIDTH, HEIGHT = 97, 65
TIMES = (0, 40, 80, 133, 160, 200, 280, 320, 360, 400)
"""When the frames of `clip` are shown [ms]."""

Stylize = Callable[..., Result]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Odd sizes, uneven times, a sound track."""
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=25, options={"crf": "4", "bf": "0"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv444p"
        video.codec_context.time_base = Fraction(1, 1000)
        sound: Any = container.add_stream("pcm_s16le", rate=8000)
        for picture, moment in zip(moving_pattern(len(TIMES), HEIGHT, WIDTH), TIMES, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = moment, Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        tone = (np.sin(np.arange(3200) / 5) * 8000).astype(np.int16)[None]
        samples = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
        samples.sample_rate, samples.pts = 8000, 0
        container.mux(sound.encode(samples))
        container.mux(sound.encode(None))
    return path


@pytest.fixture(scope="module")
def paintings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two paintings, turned by their EXIF tags, and something that is none."""
    folder = tmp_path_factory.mktemp("paintings")
    rng = np.random.default_rng(0)
    for name, color in (("warm.png", (200, 90, 30)), ("cold.jpg", (20, 60, 190))):
        strokes = np.kron(rng.normal(0, 30, (20, 25, 3)), np.ones((6, 6, 1)))
        pixels = (strokes + np.array(color)).clip(0, 255).astype(np.uint8)
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(pixels).save(folder / name, exif=exif)
    (folder / "broken.png").write_bytes((folder / "warm.png").read_bytes()[:200])
    return folder


@pytest.fixture
def stylize(style_weights: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stylize:
    """Run the command in-process, in full precision."""
    from refvid.cli.app import app

    monkeypatch.delenv("REFVID_CONFIG", raising=False)
    monkeypatch.setenv("REFVID_DTYPE", "fp32")

    def run(*words: str | Path, weights: Path | None = style_weights) -> Result:
        given = ("--weights", weights) if weights else ()
        return CliRunner().invoke(app, ["stylize", *(str(word) for word in (*words, *given))])

    return run


def read(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def times(path: Path) -> list[float]:
    """When the frames are shown [s]."""
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0) if frame.time is not None]


def packets(path: Path) -> list[bytes]:
    """Of the sound."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


LOSSLESS = ("-c", "ffv1", "--pix-fmt", "bgr0")


@pytest.fixture
def outcome(stylize: Stylize, clip: Path, tmp_path: Path) -> Callable[..., np.ndarray]:
    """Stylise the clip without loss, and give the frames."""

    def run(*words: str | Path) -> np.ndarray:
        output = tmp_path / "outcome.mkv"
        result = stylize(clip, *words, "-o", output, *LOSSLESS, "-y")
        assert result.exit_code == 0, result.stderr
        return read(output)

    return run


def test_what_is_kept(stylize: Stylize, clip: Path, paintings: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    result = stylize(clip, "--style", paintings / "warm.png", "-o", output)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{output}\n"
    assert times(output) == times(clip)
    assert len(set(np.diff(times(output)))) > 1
    assert read(output).shape == (len(TIMES), HEIGHT, WIDTH, 3)
    assert packets(output) == packets(clip)
    assert list(tmp_path.iterdir()) == [output]
    with av.open(str(output)) as container:
        assert "style warm.png" in container.metadata["COMMENT"]
        assert str(paintings) not in container.metadata["COMMENT"]


def test_a_style_changes_the_picture_and_the_same_words_give_the_same(
    outcome, clip: Path, paintings: Path
) -> None:
    style = ("--style", paintings / "warm.png")
    once = outcome(*style)
    assert np.abs(once.astype(int) - read(clip)).mean() > 2
    assert np.array_equal(outcome(*style), once)
    assert not np.array_equal(outcome("--style", paintings / "cold.jpg"), once)
    assert not np.array_equal(outcome(*style, "--style-scale", "0.5"), once)


@pytest.mark.parametrize("chunk", ["1", "3", "64"])
def test_chunks_leave_no_trace(outcome, paintings: Path, chunk: str) -> None:
    style = ("--style", paintings / "warm.png")
    difference = outcome(*style, "--chunk", chunk).astype(int) - outcome(*style)
    assert np.abs(difference).max() <= 1


def test_strength(outcome, stylize: Stylize, clip: Path, paintings: Path, tmp_path: Path) -> None:
    style = ("--style", paintings / "warm.png")
    source = read(clip)
    assert np.array_equal(outcome(*style, "--strength", "0"), source)
    full, half = outcome(*style), outcome(*style, "--strength", "0.5")
    assert np.abs(half - (source.astype(float) + full) / 2).max() <= 1.01


def test_weights_of_styles_are_ratios(outcome, paintings: Path) -> None:
    warm, cold = paintings / "warm.png", paintings / "cold.jpg"

    def mix(*weights: float) -> np.ndarray:
        words = (f"{path}:{w}" for path, w in zip((warm, cold), weights, strict=True))
        return outcome(*(part for word in words for part in ("--style", word)))

    assert np.array_equal(mix(1, 3), mix(2, 6))


def test_keyframes(outcome, clip: Path, tmp_path: Path) -> None:
    painted = tmp_path / "me@home.png"
    Image.fromarray(255 - read(clip)[4]).save(painted)
    by_number = outcome("--keyframe", f"{painted}@4")
    assert np.array_equal(outcome("--keyframe", f"{painted}@0.17s"), by_number)
    assert by_number.shape == (len(TIMES), HEIGHT, WIDTH, 3)


def test_preserved_colours(outcome, clip: Path, paintings: Path) -> None:
    style = ("--style", paintings / "warm.png")
    kept, source = outcome(*style, "--preserve-color").astype(float), read(clip).astype(float)
    weights = np.array([0.299, 0.587, 0.114])  # untagged and small: BT.601
    luma_kept, luma_source = kept @ weights, source @ weights
    inside = (kept.min(-1) > 1) & (kept.max(-1) < 254)
    assert inside.any()
    chroma = (kept - luma_kept[..., None]) - (source - luma_source[..., None])
    assert np.abs(chroma[inside]).max() < 1.6
    styled = outcome(*style).astype(float) @ weights
    assert np.abs(luma_kept - styled)[inside].max() < 1.6


def test_plans_and_notes(stylize: Stylize, clip: Path, paintings: Path, tmp_path: Path) -> None:
    wide = tmp_path / "wide.png"
    Image.new("RGB", (60, 10)).save(wide)
    small = tmp_path / "small.png"
    Image.new("RGB", (12, 12)).save(small)
    result = stylize(
        *(clip, "--style", f"{paintings / 'warm.png'}:3", "--style", small, "--dry-run", "--json"),
        *("--keyframe", f"{wide}@2", "--preserve-color", "--style-scale", "3"),
    )
    assert result.exit_code == 0, result.stderr
    (entry,) = json.loads(result.stdout)["results"]
    plan = entry["plan"]
    assert plan["model"] == "mini-style"
    assert plan["reference"] == (
        f"style {paintings / 'warm.png'} (75%), style {small} (25%), "
        f"keyframe {wide} at frame 2, the input's colours"
    )
    stretched, enlarged, capped = (
        any(word in note for note in plan["notes"])
        for word in ("is stretched", "is small", "no further than --style-scale 2")
    )
    assert stretched
    assert enlarged
    assert capped
    assert not list(tmp_path.glob("*.mkv"))
    text = stylize(clip, "--style", paintings / "warm.png", "--dry-run").stdout
    assert f"reference: style {paintings / 'warm.png'}\n" in text
    assert "note" not in text


def test_a_folder_of_clips(stylize: Stylize, clip: Path, paintings: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("a.mkv", "b.mkv"):
        (folder / name).write_bytes(clip.read_bytes())
    (folder / "c.mkv").write_bytes(clip.read_bytes()[:500])
    result = stylize(
        *(folder, "--style", paintings / "warm.png", "-o", f"{tmp_path}/out/", "--frames", "2"),
        "--json",
    )
    document = json.loads(result.stdout)
    assert result.exit_code == document["exit_code"] == 3
    assert [entry["status"] for entry in document["results"]] == ["done", "done", "failed"]
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == [
        "a_warm.mkv",
        "b_warm.mkv",
    ]


def test_styles_in_turn_have_results_of_their_own(
    stylize: Stylize, clip: Path, paintings: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "a.mkv").write_bytes(clip.read_bytes())
    warm, cold = paintings / "warm.png", paintings / "cold.jpg"
    for styles in ([warm], [cold], [warm, cold]):
        words = [word for style in styles for word in ("--style", style)]
        result = stylize(folder, *words, "--frames", "1")
        assert result.exit_code == 0, result.stderr
    # None of them was taken for an input of the next.
    names = ["a.mkv", "a_cold.mkv", "a_warm+cold.mkv", "a_warm.mkv"]
    assert sorted(file.name for file in folder.iterdir()) == names


def test_a_page_that_compares(
    stylize: Stylize, clip: Path, paintings: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mkv"
    words = ("--style", paintings / "warm.png", "--frames", "3", "--compare")
    result = stylize(clip, *words, "-o", output)
    assert result.exit_code == 0, result.stderr
    page = (tmp_path / "out_compare.html").read_text(encoding="utf-8")
    assert "<title>input · result</title>" in page


def test_image_sequences(stylize: Stylize, paintings: Path, tmp_path: Path) -> None:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    for index, pixels in enumerate(moving_pattern(3)):
        Image.fromarray(pixels).save(tmp_path / "in" / f"f_{index:02d}.png")
    result = stylize(
        *(tmp_path / "in" / "f_%02d.png", "-o", tmp_path / "out" / "f_%02d.png"),
        *("--style", paintings / "warm.png", "--keyframe", f"{tmp_path}/in/f_01.png@1"),
    )
    assert result.exit_code == 0, result.stderr
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == [
        f"f_{index:02d}.png" for index in range(3)
    ]


@pytest.mark.parametrize("name", ["made_rot90_h264_aac_dog.mp4", "h264_10bit.mp4"])
def test_turned_and_deep_videos(
    stylize: Stylize, shared: Path, paintings: Path, tmp_path: Path, name: str
) -> None:
    """A keyframe is laid over the frame as it is shown, and 10 bits stay 10 bits."""
    from refvid.media.image import write_image
    from refvid.media.reader import read_frame
    from refvid.media.video_info import read_video_info

    source, painted, output = shared / "media" / "fixtures" / name, tmp_path / "k.png", tmp_path
    write_image(painted, read_frame(source, index=1).pixels)
    result = stylize(
        *(source, "--style", paintings / "warm.png", "--keyframe", f"{painted}@1"),
        *("--frames", "2", "--preserve-color", "-o", f"{output}/", "--json"),
    )
    assert result.exit_code == 0, result.stderr
    (entry,) = json.loads(result.stdout)["results"]
    assert not any("stretched" in note for note in entry["report"]["plan"]["notes"])
    before, after = read_video_info(source), read_video_info(Path(entry["output"]))
    assert after.size == before.size
    assert after.bit_depth == before.bit_depth


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--style", "{paintings}/broken.png"], 3, "broken.png"),
        (["--style", "{paintings}"], 3, "is a folder"),
        (["--style", "{clip}"], 3, "is a video; give a picture"),
        (["--keyframe", "{paintings}/warm.png@99"], 3, "frame 99"),
        (["--keyframe", "{paintings}/warm.png@99s"], 3, "only"),
        (["--keyframe", "{paintings}/broken.png@0"], 3, "broken.png"),
        (["--style", "{paintings}/warm.png", "--weights", "{clip}"], 5, "clip.mkv"),
        (["--style", "{paintings}/warm.png", "--weights", "{mini}"], 2, "weights of mini,"),
        (["--style", "{paintings}/warm.png", "--device", "cuda:99"], 6, "cuda:99"),
        (["--style", "{paintings}/warm.png", "-o", "{taken}"], 4, "exists"),
    ],
)
def test_what_goes_wrong(
    stylize: Stylize, clip: Path, paintings: Path, tmp_path: Path, words, code: int, says: str
) -> None:
    from refvid.checkpoints.catalog import bundled_asset

    mini = bundled_asset("mini")
    if "{mini}" in words and not mini.is_file():
        pytest.skip("this tree has no bundled weights")
    taken = tmp_path / "taken.mkv"
    taken.write_bytes(b"precious")
    filled = [w.format(paintings=paintings, clip=clip, mini=mini, taken=taken) for w in words]
    where = () if "-o" in filled else ("-o", tmp_path / "new.mkv")
    weights = {"weights": None} if "--weights" in filled else {}
    result = stylize(clip, *filled, *where, **weights)
    assert result.exit_code == code, result.stderr
    assert result.stdout == ""
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == [taken]
    assert taken.read_bytes() == b"precious"


def test_missing_bundled_weights(
    stylize: Stylize, clip: Path, paintings: Path, tmp_path: Path, monkeypatch
) -> None:
    from refvid.checkpoints import bundled

    monkeypatch.setattr(bundled, "bundled_asset", lambda name: tmp_path / name)
    result = stylize(
        clip, "--style", paintings / "warm.png", "-o", tmp_path / "o.mkv", weights=None
    )
    assert result.exit_code == 5
    assert "weights of mini-style are missing" in result.stderr


@pytest.mark.parametrize(
    "words", [["--model", "{w}"], ["--weights", "{w}"], ["--model", "mini-style"]]
)
@pytest.mark.parametrize("command", ["enhance", "encode"])
def test_the_model_for_styles_does_nothing_else(
    clip: Path, style_weights: Path, tmp_path: Path, monkeypatch, command: str, words
) -> None:
    from refvid.cli.app import app

    monkeypatch.delenv("REFVID_MODEL", raising=False)
    filled = [word.format(w=style_weights) for word in words]
    output = tmp_path / {"enhance": "out.mkv", "encode": "out.safetensors"}[command]
    result = CliRunner().invoke(app, [command, str(clip), *filled, "-o", str(output)])
    assert result.exit_code == 2
    assert "use refvid stylize" in result.stderr
    assert not output.exists()


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_stopped_runs_leave_nothing(
    make_video, paintings: Path, style_weights: Path, tmp_path: Path, name: str, code: int
) -> None:
    if signal.getsignal(getattr(signal, name)) is signal.SIG_IGN:
        pytest.skip(
            f"{name} is ignored here, as under nohup, and so by the programs begun from here"
        )
    source = make_video(600)
    target = tmp_path / "stopped" / "out.mp4"
    target.parent.mkdir()
    words = ("--style", paintings / "warm.png", "--weights", style_weights, "-o", target)
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    with Program("stylize", source, *words, env=one_thread) as process:
        deadline = time.monotonic() + 120
        while not list(target.parent.iterdir()) and process.returncode is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(getattr(signal, name))
        out, err = process.communicate()
    assert process.returncode == code, err
    assert out == b""
    assert list(target.parent.iterdir()) == []
