"""`refvid ui` in a real browser."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import refvid
from refvid.media.reader import open_video
from tests.browser import chromium
from tests.conftest import moving_pattern

LONG = 120_000
"""How long the page may take on a busy machine [ms]."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def served(root: Path, temporary: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The page as users have it: its address, and the process."""
    if find_spec("gradio") is None:  # not imported: it sets up threads and warns
        pytest.skip("needs the extra ui: pip install gradio")
    temporary.mkdir(exist_ok=True)
    port = str(free_port())
    words = [sys.executable, "-m", "refvid", "ui", "--root", str(root), "--port", port]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TMPDIR": str(temporary)}
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert f"http://127.0.0.1:{port}/" in line
        try:
            yield f"http://127.0.0.1:{port}/", server
        finally:
            server.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def address(root: Path, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(root, tmp_path_factory.mktemp("temporary")) as (address, _):
        yield address


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    pages = []

    def open_at(width: int = 1280) -> Any:
        page = browser.new_page(viewport={"width": width, "height": 900})
        pages.append(page)
        show(page, address)
        return page

    yield open_at
    for page in pages:
        page.close()


def show(page: Any, address: str) -> None:
    page.set_default_timeout(LONG)
    page.goto(address)
    page.get_by_role("tab", name="Enhance").wait_for()


def drop(page: Any, box: str, *files: Path) -> None:
    """Give files to a box by its label, and wait until they have arrived."""
    area = page.locator(".block", has=page.get_by_text(box, exact=True)).filter(visible=True).first
    area.locator("input[type=file]").set_input_files([str(file) for file in files])
    for file in files:
        area.get_by_text(file.stem).first.wait_for()


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).filter(visible=True).click()


def says(page: Any, words: str | re.Pattern[str]) -> None:
    page.get_by_text(words).filter(visible=True).first.wait_for()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "reference.png"
    Image.fromarray(moving_pattern(1)[0]).save(path)
    return path


def shown_pictures(page: Any) -> list[bytes]:
    """What the slider shows: the input and the result."""
    images = page.get_by_test_id("imageslider-image").filter(visible=True)
    images.nth(1).wait_for()
    sources = [images.nth(number).get_attribute("src") for number in range(2)]
    return [page.request.get(source).body() for source in sources]


def test_upload_preview_and_slider(open_page, make_video, picture, root):
    page = open_page()
    video = make_video(80, "dropped.mp4")
    drop(page, "Video", video)
    says(page, "64×48, 80 frames, 25 per second, h264")
    drop(page, "References", picture)
    press(page, "Preview 2 s")
    says(page, "Done: dropped_refvid_preview.mp4")
    # What was found.
    says(page, re.compile(r"reference.png: frames 0-\d+; \d+% was found in it"))
    says(page, "50 frames in")
    result = root / "dropped_refvid_preview.mp4"
    assert refvid.info(result).to_json()["frame_count"] == 50
    middle = shown_pictures(page)
    assert middle[0] != middle[1]
    with Image.open(BytesIO(middle[0])) as shown, open_video(video, start=24, frames=1) as clip:
        assert np.array_equal(np.asarray(shown.convert("RGB")), next(iter(clip)).pixels)
    # The handle lays more of the result open.
    box = page.get_by_test_id("slider").filter(visible=True).bounding_box()
    edge = "() => document.querySelector('img.fixed').style.clipPath"
    half = page.evaluate(edge)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] - 60, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    page.wait_for_function(f"half => ({edge})() !== half", arg=half)
    # Another frame.
    old = page.evaluate("document.querySelector('img.fixed').src")
    number = page.get_by_label("number input for Frame").filter(visible=True)
    number.fill("3")
    number.press("Enter")
    page.wait_for_function("old => document.querySelector('img.fixed').src !== old", arg=old)
    page.wait_for_function("document.querySelector('video').readyState > 0")
    # A second one replaces nothing.
    before = result.read_bytes()
    press(page, "Preview 2 s")
    says(page, "Done: dropped_refvid_preview_2.mp4")
    assert result.read_bytes() == before


def test_files_outside_of_the_folder(open_page, make_video, root, address, tmp_path):
    page = open_page()
    outside = make_video(3, "outside.mp4")
    shutil.copy(outside, root / "inside.mp4")
    (root / "link.mp4").symlink_to(outside)
    box = page.get_by_label("Or its path in the folder of results").filter(visible=True)
    for words, answer in (
        ("inside.mp4", "64×48, 3 frames"),
        (str(outside), "outside of"),
        ("../../etc/passwd", "outside of"),
        ("link.mp4", "outside of"),
        ("missing.mp4", "There is no file missing.mp4"),
    ):
        box.fill(words)
        says(page, answer)
    for file in (outside, root / "link.mp4", root / "inside.mp4", Path("/etc/passwd")):
        assert page.request.get(f"{address}gradio_api/file={file}").status == 403


def write_shots(folder: Path) -> None:
    folder.mkdir()
    for number, frame in enumerate(moving_pattern(8)):
        Image.fromarray(frame).save(folder / f"shot_{number:04}.png")


def test_images_in_a_row(open_page, root, picture):
    page = open_page()
    write_shots(root / "shots")
    box = page.get_by_label("Or its path in the folder of results").filter(visible=True)
    choice = page.get_by_label("Make a video of these images").filter(visible=True)
    assert choice.count() == 0
    box.fill("shots")
    says(page, "64×48, 8 frames, 24 per second, png")
    choice.wait_for()
    drop(page, "References", picture)
    press(page, "Start")
    says(page, "Done: shots_refvid/shot_%04d.png")
    first, last = shown_pictures(page)
    assert first != last
    assert len([*(root / "shots_refvid").iterdir()]) == 8
    choice.check()
    press(page, "Start")
    says(page, "Done: shots_refvid.mp4")
    assert refvid.info(root / "shots_refvid.mp4").to_json()["frame_count"] == 8
    box.fill("inside.mp4")  # whether it is there or not
    choice.wait_for(state="hidden")
    (root / "shots" / "shot_0008.png").symlink_to(picture)
    box.fill("shots/shot_%04d.png")
    says(page, re.compile("shot_0008.png is outside of"))


def test_cancel_leaves_nothing(open_page, make_video, root):
    page = open_page()
    drop(page, "Video", make_video(moving_pattern(400, 160, 240), "long.mp4"))
    says(page, "240×160")
    press(page, "Start")
    says(page, re.compile(r"^long.mp4: \d+ of 400 frames"))
    # Another one waits behind it, and is taken out in the list of all.
    press(page, "Start")
    says(page, "Waiting: 1 job before this one.")
    page.get_by_role("tab", name="Queue").click()
    page.get_by_label(re.compile("long_refvid_2.mp4: waiting")).check()
    press(page, "Cancel the chosen one")
    says(page, re.compile("^Enhance long.mp4: Cancelled"))
    page.get_by_label(re.compile("long_refvid.mp4: ")).check()
    press(page, "Cancel the chosen one")
    says(page, "Nothing is running.")
    assert not [path for path in root.iterdir() if "long" in path.name]


def test_errors_are_plain_sentences(open_page, root, tmp_path, make_video):
    page = open_page()
    press(page, "Start")
    says(page, "There is nothing to work on: drop a file")
    (tmp_path / "broken.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(500))
    drop(page, "Video", tmp_path / "broken.mp4")
    says(page, re.compile("broken.mp4.*(damaged|cannot|Cannot|no video)"))
    assert "refvid-ui-" not in page.inner_text("body")
    press(page, "Start")
    says(page, re.compile("broken.mp4.*(damaged|cannot|Cannot|no video)"))
    assert not [path for path in root.iterdir() if "broken" in path.name]


def test_an_upload_that_is_cancelled(open_page, make_video):
    page = open_page()
    page.route("**/upload?*", lambda route: route.abort())
    area = page.locator("input[type=file]").first
    area.set_input_files(str(make_video(3, "lost.mp4")))
    press(page, "Start")
    says(page, "There is nothing to work on: drop a file and wait until it has arrived")


def test_options_reach_the_library(open_page, make_video, root):
    page = open_page()
    drop(page, "Video", make_video(30, "part.mp4"))
    says(page, "64×48, 30 frames")
    page.get_by_role("button", name="Part of the video").filter(visible=True).click()
    page.get_by_label("Begin here").filter(visible=True).fill("10f")
    page.get_by_label("At most so many frames").filter(visible=True).fill("5")
    press(page, "Start")
    says(page, "Done: part_refvid.mp4")
    assert refvid.info(root / "part_refvid.mp4").to_json()["frame_count"] == 5
    page.get_by_label("Begin here").filter(visible=True).fill("soon")
    press(page, "Start")
    says(page, re.compile("--start.*soon"))


def test_stylize_and_decode(open_page, make_video, picture, root, tmp_path):
    page = open_page()
    page.get_by_role("tab", name="Stylize").click()
    video = make_video(5, "plain.mp4")
    drop(page, "Video", video)
    press(page, "Start")
    says(page, "There is no style: give a style image")
    drop(page, "Paintings", picture)
    press(page, "Start")
    says(page, "Done: plain_stylized.mp4")
    refvid.encode(video, tmp_path / "saved.safetensors", model="mini")
    page.get_by_role("tab", name="Decode").click()
    drop(page, "Latents", tmp_path / "saved.safetensors")
    says(page, "latents of mini")
    press(page, "Start")
    says(page, "Done: saved_refvid.mp4")
    assert refvid.info(root / "saved_refvid.mp4").to_json()["frame_count"] == 5


def test_tabs_work_beside_each_other(open_page, make_video, root):
    pages = [open_page(), open_page()]
    for number, page in enumerate(pages):
        drop(page, "Video", make_video(moving_pattern(10, seed=number), "tab.mp4"))
        says(page, "64×48, 10 frames")
    for page in pages:
        press(page, "Start")
    says(pages[0], "Done: tab_refvid.mp4")
    says(pages[1], "Done: tab_refvid_2.mp4")
    results = [(root / name).read_bytes() for name in ("tab_refvid.mp4", "tab_refvid_2.mp4")]
    assert results[0] != results[1]


@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_the_screen_and_asks_nobody_else(
    browser, address, root, width, make_video, picture
):
    page = browser.new_page(viewport={"width": width, "height": 844})
    asked: list[str] = []
    problems: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    show(page, address)
    for name in ("Queue", "Decode", "Stylize", "Enhance"):
        page.get_by_role("tab", name=name).click()
        says(page, "Nothing is running.") if name == "Queue" else None
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    for panel in ("Reference", "Part of the video", "Model and machine", "Encoding"):
        page.get_by_role("button", name=panel).filter(visible=True).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    write_shots(root / f"shots_of_a_name_that_is_rather_long_for_a_screen_{width}")
    box = page.get_by_label("Or its path in the folder of results").filter(visible=True)
    box.fill(f"shots_of_a_name_that_is_rather_long_for_a_screen_{width}")
    page.get_by_label("Make a video of these images").filter(visible=True).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if folder := os.environ.get("REFVID_SCREENSHOTS"):
        page.screenshot(path=Path(folder, f"images_{width}.png"), full_page=True)
    box.fill("")
    drop(page, "Video", make_video(5, f"a_name_that_is_rather_long_for_a_screen_{width}.mp4"))
    drop(page, "References", picture)
    press(page, "Preview 2 s")
    says(page, re.compile("Done: "))
    shown_pictures(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if folder := os.environ.get("REFVID_SCREENSHOTS"):
        page.screenshot(path=Path(folder, f"ui_{width}.png"), full_page=True)
    page.close()
    assert not problems
    assert not [url for url in asked if not url.startswith((address, "data:", "blob:"))]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_once_with_open_pages_and_work(browser, make_video, tmp_path, number):
    root, temporary = tmp_path / "root", tmp_path / "temporary"
    root.mkdir()
    with served(root, temporary) as (address, server):
        page = browser.new_page()
        show(page, address)
        drop(page, "Video", make_video(moving_pattern(400, 160, 240), "long.mp4"))
        press(page, "Start")
        says(page, re.compile(r"^long.mp4: \d+ of 400 frames"))
        with urllib.request.urlopen(f"{address}gradio_api/heartbeat/somebody"):  # stays open
            server.send_signal(number)
            code = server.wait(60)
        page.close()
        assert code == 128 + number
        assert server.stderr is not None
        assert "Traceback" not in server.stderr.read()
    assert not [*root.iterdir()]
    assert not [*temporary.glob("refvid-ui-*")]
