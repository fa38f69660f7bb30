"""The page of `refvid compare` in a real browser."""

import json
import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from refvid.cli.app import app
from tests.browser import chromium

sync_api = pytest.importorskip(
    "playwright.sync_api",
    reason="needs Playwright: pip install --group browser",
)

FRAMES = 24
BITS = 5
WIDTH, HEIGHT = 160, 96
# The bars of a clip's frame numbers, so that pixels tell which clip they are of.
COLORS = {"yellow": (255, 255, 0), "cyan": (0, 255, 255), "white": (255, 255, 255)}
HOSTILE = "</script><img src=x onerror=alert(1)>"


def numbered_frame(index: int, color: tuple[int, int, int]) -> np.ndarray:
    """A frame that shows its number as bars from top to bottom; the last bar is always lit."""
    picture = np.full((HEIGHT, WIDTH, 3), (0, 0, 60), np.uint8)
    bar = HEIGHT // (BITS + 1)
    for bit in range(BITS + 1):
        if bit == BITS or index >> bit & 1:
            picture[bit * bar : (bit + 1) * bar] = color
    return picture


def write_clip(
    path: Path, color: tuple[int, int, int], times: Sequence[int] = range(FRAMES)
) -> Path:
    """Write a frame for each time, in units of 1/12 s."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=12, options={"crf": "8"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv444p"
        for index, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(numbered_frame(index, color), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 12)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def refvid(*words: object) -> Result:
    """Run the program in this process: importing torch once is slow enough."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.stderr
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("compare")


@pytest.fixture(scope="module")
def clips(folder):
    return [write_clip(folder / name / "clip.mp4", color) for name, color in COLORS.items()]


@pytest.fixture(scope="module")
def report(folder, clips):
    """A page with three candidates, one of them with a hostile name."""
    page = folder / "report.html"
    labels = f"yellow,{HOSTILE},white"
    refvid("compare", *clips, "-o", page, "--labels", labels, "--metrics", "psnr")
    return page


@pytest.fixture(scope="module")
def blind_report(folder, clips):
    """A blind page with two clips of two candidates."""
    for clip in clips[:2]:
        shutil.copy(clip, clip.with_name("other.mp4"))
    page = folder / "blind.html"
    folders = [clip.parent for clip in clips[:2]]
    refvid("compare", *folders, "-o", page, "--blind", "--seed", 1, "--metrics", "none")
    return page


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


class Viewer:
    """A page as its user sees it."""

    def __init__(self, page, file):
        self.page = page
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.dialogs: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._note)
        page.on("dialog", self._accept)
        page.goto(file.as_uri())
        self.wait_for_frame(0)

    def _note(self, line):
        if line.type == "error":
            self.errors.append(line.text)

    def _accept(self, dialog):
        self.dialogs.append(dialog.message)
        dialog.accept()

    def wait_for_frame(self, frame):
        self.page.locator(f"#stage[data-frame='{frame}']").wait_for(timeout=20_000)

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def look(self, *places):
        """What the canvas shows at shares of its width: (name of the clip, frame number) each."""
        columns = self.page.evaluate(
            """([places, bits]) => {
                const canvas = document.getElementById("canvas");
                const pen = canvas.getContext("2d");
                return places.map((place) => Array.from({ length: bits + 1 }, (_, bit) => {
                    const x = Math.floor(place * canvas.width);
                    const y = Math.floor(((bit + 0.5) / (bits + 1)) * canvas.height);
                    return Array.from(pen.getImageData(x, y, 1, 1).data.slice(0, 3));
                }));
            }""",
            [list(places), BITS],
        )
        return [self._decode(column) for column in columns]

    @staticmethod
    def _decode(column):
        lit = np.array(column[-1]) > 128
        (name,) = [name for name, color in COLORS.items() if ((np.array(color) > 128) == lit).all()]
        number = sum(1 << bit for bit in range(BITS) if max(column[bit]) > 128)
        return name, number

    def frame(self):
        return int(self.page.get_attribute("#stage", "data-frame"))


@pytest.fixture
def open_page(browser):
    contexts = []
    viewers: list[Viewer] = []

    def open_file(file, **options):
        contexts.append(browser.new_context(viewport={"width": 900, "height": 800}, **options))
        viewer = Viewer(contexts[-1].new_page(), file)
        viewers.append(viewer)
        return viewer

    yield open_file
    for viewer in viewers:
        assert viewer.errors == []
        # Nothing but the file itself and what it holds.
        assert {url.split(":")[0] for url in viewer.requests} <= {"file", "blob", "data"}
    for context in contexts:
        context.close()


def test_keys_step_both_sides_together(open_page, report):
    viewer = open_page(report)
    assert viewer.look(0.25, 0.75) == [("yellow", 0), ("cyan", 0)]
    for frame in range(1, FRAMES):
        viewer.press("ArrowRight")
        viewer.wait_for_frame(frame)
        assert viewer.look(0.25, 0.75) == [("yellow", frame), ("cyan", frame)]
    viewer.press("ArrowRight")  # there is no further frame
    viewer.press("ArrowLeft")
    viewer.wait_for_frame(FRAMES - 2)
    viewer.press("Shift+ArrowLeft")
    viewer.wait_for_frame(FRAMES - 12)
    assert viewer.look(0.25, 0.75) == [("yellow", FRAMES - 12), ("cyan", FRAMES - 12)]
    viewer.press("Home")
    viewer.wait_for_frame(0)
    viewer.press("End")
    viewer.wait_for_frame(FRAMES - 1)
    assert viewer.look(0.25, 0.75) == [("yellow", FRAMES - 1), ("cyan", FRAMES - 1)]


def test_both_sides_play_in_step(open_page, report):
    viewer = open_page(report)
    viewer.press(" ")
    seen = set()
    for _ in range(400):
        (left, frame), (right, other) = viewer.look(0.25, 0.75)
        assert (left, right) == ("yellow", "cyan")
        assert frame == other
        seen.add(frame)
        if len(seen) == FRAMES:
            break
        viewer.page.wait_for_timeout(10)
    # It plays, and from the beginning again: a slow machine may skip frames, not all of them.
    assert len(seen) > FRAMES // 2
    assert viewer.page.get_attribute("#play", "aria-label") == "Pause"
    viewer.press(" ")
    assert viewer.page.get_attribute("#play", "aria-label") == "Play"


def test_the_loop_stays_in_its_range(open_page, report):
    viewer = open_page(report)
    for _ in range(8):
        viewer.press("ArrowRight")
    viewer.wait_for_frame(8)
    viewer.press("[")
    for _ in range(4):
        viewer.press("ArrowRight")
    viewer.wait_for_frame(12)
    viewer.press("]", " ")
    viewer.page.wait_for_timeout(300)
    seen = set()
    for _ in range(150):
        seen.add(viewer.look(0.25)[0][1])
        viewer.page.wait_for_timeout(10)
    # A slow machine may notice the end a frame or two late.
    assert seen <= {*range(8, 15)}
    assert len(seen) > 1
    viewer.press(" ", "\\")
    viewer.press("Home")
    viewer.wait_for_frame(0)


def test_pointer_and_keys_move_the_split(open_page, report):
    viewer = open_page(report)
    box = viewer.page.locator("#stage").bounding_box()
    y = box["y"] + box["height"] / 2
    viewer.page.mouse.move(box["x"] + box["width"] * 0.5, y)
    viewer.page.mouse.down()
    viewer.page.mouse.move(box["x"] + box["width"] * 0.8, y, steps=4)
    viewer.page.mouse.up()
    divider = viewer.page.locator("#divider")
    assert divider.get_attribute("aria-valuenow") == "80"
    assert [name for name, _ in viewer.look(0.25, 0.75, 0.85)] == ["yellow", "yellow", "cyan"]
    divider.press("Home")
    assert [name for name, _ in viewer.look(0.05, 0.95)] == ["cyan", "cyan"]
    divider.press("ArrowRight")
    assert divider.get_attribute("aria-valuenow") == "2"
    viewer.wait_for_frame(0)  # the arrows of the divider step no frames


def test_choosing_and_swapping_videos(open_page, report):
    viewer = open_page(report)
    viewer.press("x")
    assert [name for name, _ in viewer.look(0.25, 0.75)] == ["cyan", "yellow"]
    viewer.page.select_option("#left", label="white")
    assert [name for name, _ in viewer.look(0.25, 0.75)] == ["white", "yellow"]
    viewer.page.select_option("#right", label="white")  # the other side's video: they swap
    assert [name for name, _ in viewer.look(0.25, 0.75)] == ["yellow", "white"]
    viewer.page.get_by_label("Side by side").check()
    assert [name for name, _ in viewer.look(0.1, 0.4, 0.6, 0.9)] == [
        *["yellow"] * 2,
        *["white"] * 2,
    ]


def test_difference_view(open_page, report):
    viewer = open_page(report)
    viewer.press("v")
    viewer.wait_for_frame(0)
    # Yellow and cyan differ in red and blue, not in green.
    red, green, blue = viewer.page.evaluate(
        """() => {
            const canvas = document.getElementById("canvas");
            const pen = canvas.getContext("2d");
            const y = canvas.height - 10;
            return Array.from(pen.getImageData(canvas.width / 2, y, 1, 1).data.slice(0, 3));
        }"""
    )
    assert red > 200
    assert blue > 200
    assert green < 60


def test_zoom_and_pan(open_page, report):
    viewer = open_page(report)
    viewer.press("+")
    assert viewer.page.locator("#zoom-text").inner_text() == "150 %"
    viewer.page.locator("#zoom-reset").click()
    assert viewer.page.locator("#zoom-text").inner_text() == "fit"
    box = viewer.page.locator("#stage").bounding_box()
    # The lit bar at the bottom, eight times as large: it fills what is below the middle.
    for _ in range(6):
        viewer.press("+")
    viewer.page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.5)
    viewer.page.mouse.down()
    viewer.page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] - box["height"] * 9, steps=20)
    viewer.page.mouse.up()
    colors = viewer.page.evaluate(
        """() => {
            const canvas = document.getElementById("canvas");
            const pen = canvas.getContext("2d");
            return [0.3, 0.9].map((share) => Array.from(
                pen.getImageData(canvas.width * 0.75, canvas.height * share, 1, 1).data.slice(0, 3)
            ));
        }"""
    )
    assert all(green > 200 and blue > 200 for _, green, blue in colors)


def test_curves_and_strip_lead_to_frames(open_page, report):
    viewer = open_page(report)
    curve = viewer.page.locator(".chart svg").first
    box = curve.bounding_box()
    curve.click(position={"x": box["width"] - 1, "y": 40})
    viewer.wait_for_frame(FRAMES - 1)
    assert viewer.page.locator(".readout").first.inner_text().strip() != ""
    card = viewer.page.locator(".moment").first
    frame = int(card.locator("strong").inner_text().split()[1])
    card.click()
    viewer.wait_for_frame(frame)
    assert viewer.look(0.25, 0.75) == [("yellow", frame), ("cyan", frame)]


def test_hostile_names_are_only_text(open_page, report):
    viewer = open_page(report)
    assert HOSTILE in viewer.page.locator("#means").inner_text()
    assert viewer.page.title() == f"yellow · {HOSTILE} · white"
    assert viewer.page.locator("img[src=x]").count() == 0
    assert viewer.dialogs == []


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_the_window_in_both_schemes(open_page, report, scheme, width):
    viewer = open_page(report, color_scheme=scheme)
    viewer.page.set_viewport_size({"width": width, "height": 800})
    assert viewer.page.evaluate("document.documentElement.scrollWidth") <= width
    (back,) = viewer.page.evaluate(
        "[getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)]"
    )
    assert (sum(back[:3]) > 380) == (scheme == "light")
    viewer.page.locator("#theme").click()
    (switched,) = viewer.page.evaluate(
        "[getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)]"
    )
    assert (sum(switched[:3]) > 380) == (scheme == "dark")


def test_everything_has_a_name_for_screen_readers(open_page, report):
    viewer = open_page(report)
    nameless = viewer.page.evaluate(
        """() => Array.from(document.querySelectorAll(
                "button, select, input, [role=slider], svg[role=img]"))
            .filter((item) => !item.closest("[hidden], dialog"))
            .filter((item) => !(item.getAttribute("aria-label") || item.textContent.trim()
                || item.labels?.[0]?.textContent.trim()))
            .map((item) => item.outerHTML)"""
    )
    assert nameless == []


def test_blind_votes_from_page_to_tally(open_page, blind_report, tmp_path):
    source = blind_report.read_text(encoding="utf-8")
    assert "yellow" not in source
    assert "cyan" not in source
    viewer = open_page(blind_report)
    page = viewer.page
    assert page.locator("#measures").is_hidden()
    assert page.locator("#left-name").inner_text() == "Left"
    expected = []
    for question in range(2):
        page.get_by_text(f"Question {question + 1} of 2").wait_for()
        viewer.wait_for_frame(0)
        left, right = [name for name, _ in viewer.look(0.25, 0.75)]
        assert {left, right} == {"yellow", "cyan"}
        expected.append("1" if left == "yellow" else "2")
        viewer.press("x", "x", expected[-1])  # always for yellow
    # Each is on the left once: two clips, sides shuffled evenly.
    assert sorted(expected) == ["1", "2"]
    page.get_by_text("2 answered").wait_for()
    assert "yellow" not in page.locator("body").inner_text()
    page.locator("#reveal").click()
    result = page.locator("#ballot-result").inner_text()
    assert result.count("yellow") == 4  # on a side and as preferred, twice
    assert page.locator("#left-name").inner_text() in ("yellow", "cyan")
    with page.expect_download() as download:
        page.locator("#export").click()
    votes = tmp_path / download.value.suggested_filename
    download.value.save_as(votes)
    assert votes.suffix == ".json"
    run = refvid("compare", "--votes", votes, "--json")
    (row,) = json.loads(run.stdout)["preferences"]
    assert (row["first"], row["wins"], row["losses"], row["ties"]) == ("cyan", 0, 2, 0)


def test_votes_survive_a_reload(open_page, blind_report):
    viewer = open_page(blind_report)
    viewer.press("1")
    viewer.page.get_by_text("1 answered").wait_for()
    viewer.page.reload()
    viewer.page.get_by_text("1 answered").wait_for()


def test_swapped_sides_are_counted_for_the_right_video(open_page, blind_report):
    viewer = open_page(blind_report)
    preferred = viewer.look(0.75)[0][0]
    viewer.press("x", "1")  # now it is on the left
    viewer.page.get_by_text("1 answered").wait_for()
    viewer.page.locator("#reveal").click()
    assert len(viewer.dialogs) == 1  # one question is open
    row = viewer.page.locator("#ballot-result tbody tr").first
    assert row.locator("td").last.inner_text() == preferred


@pytest.mark.parametrize("codec", ["h264", "vp9"])
def test_uneven_times_step_exactly(open_page, tmp_path, codec):
    times = (0, 1, 3, 4, 9, 10, 11)
    clips = [
        write_clip(tmp_path / f"{name}.mp4", COLORS[name], times) for name in ("yellow", "cyan")
    ]
    page = tmp_path / "report.html"
    refvid("compare", *clips, "-o", page, "--preview-codec", codec, "--metrics", "none")
    viewer = open_page(page)
    for frame in range(1, len(times)):
        viewer.press("ArrowRight")
        viewer.wait_for_frame(frame)
        assert viewer.look(0.25, 0.75) == [("yellow", frame), ("cyan", frame)]
        assert f"{times[frame] / 12:.3f} s" in viewer.page.locator("#clock").inner_text()
