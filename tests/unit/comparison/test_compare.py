"""`compare`: what is paired with what, what is found, and what goes wrong."""

import base64
import json
import math
import re
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from refvid.comparison import compare as workflow
from refvid.comparison.clips import check_compare, choose_labels, find_clips
from refvid.comparison.compare import compare
from refvid.comparison.options import CompareOptions
from refvid.errors import InputError, OptionError, OutputError
from refvid.media.frame_range import FrameRange
from refvid.media.reader import open_video
from refvid.progress import ignore_progress
from tests.conftest import moving_pattern


def changed(pixels, frame, box, by=60):
    """The same frames, one of them brighter in a place (rows, columns)."""
    result = pixels.astype(int)
    result[frame][box] += by
    return result.clip(0, 255).astype(np.uint8)


@pytest.fixture
def pair(make_video):
    """Two videos of 30 frames that differ in frame 20, below on the right."""
    pixels = moving_pattern(30, 96, 128)
    spoiled = changed(pixels, 20, np.s_[64:80, 96:112])
    return make_video(pixels, "a.mp4"), make_video(spoiled, "b.mp4")


def run(*sources, on_progress=ignore_progress, **options):
    return compare(CompareOptions(sources=sources, **options), on_progress)


def test_finds_when_and_where(pair, tmp_path):
    report = run(*pair, page=tmp_path / "page.html")
    (clip,) = report.clips
    strongest = max(clip.moments, key=lambda moment: moment.differences[0])
    assert strongest.frame == 20
    assert strongest.time == Fraction(20, 25)
    left, top, right, bottom = strongest.box
    assert left <= 96 / 128
    assert right >= 112 / 128
    assert top <= 64 / 96
    assert bottom >= 80 / 96
    difference = clip.measures[-1]
    assert np.argmax(difference.values[1]) == 20
    psnr = clip.measures[0]
    assert np.argmin(psnr.values[1]) == 20
    assert report.labels == ("a", "b")


def test_measures_are_those_of_metrics(pair, tmp_path):
    from refvid.metrics.measure import measure
    from refvid.metrics.options import MetricsOptions

    report = run(*pair, page=tmp_path / "page.html", range=FrameRange(start=5, frames=20))
    (measured,) = measure(
        MetricsOptions(distorted=(pair[1],), reference=pair[0]), ignore_progress
    ).clips
    for curves in report.clips[0].measures[:2]:
        assert list(curves.values[1]) == list(measured.values[curves.key][5:25])
        assert curves.means[1] == pytest.approx(np.mean(measured.values[curves.key][5:25]))


def test_with_a_reference_every_candidate_is_measured(pair, make_video, tmp_path):
    clean = make_video(moving_pattern(30, 96, 128), "clean.mp4", options={"crf": "0"})
    page = tmp_path / "page.html"
    report = run(*pair, reference=clean, page=page, measures=("psnr",))
    (psnr, _) = report.clips[0].measures
    assert set(psnr.values) == {0, 1}
    assert psnr.means[0] > psnr.means[1]
    assert len(report.clips[0].order) == 3  # the reference can be seen, too
    means = report.to_json()["clips"][0]["means"]
    assert set(means["psnr"]) == {"a", "b"}


def test_preview_holds_every_frame_at_its_time(make_video, tmp_path):
    pixels = moving_pattern(20, 96, 128)
    # Two shades of grey, so that the tiles of the preview can be told apart.
    first = make_video(np.full_like(pixels, 80), "a.mp4")
    second = make_video(np.full_like(pixels, 160), "b.mp4")
    page = tmp_path / "page.html"
    run(first, second, page=page, measures=(), range=FrameRange(start=4))
    text = page.read_text(encoding="utf-8")
    pieces = re.findall(r'<script type="text/plain" data-clip="0">(.*?)</script>', text)
    preview = tmp_path / "preview.mp4"
    preview.write_bytes(b"".join(map(base64.b64decode, pieces)))
    (document,) = re.findall(r'<script type="application/json" id="document">(.*?)</script>', text)
    (clip,) = json.loads(document)["clips"]
    with open_video(preview) as video:
        frames = list(video)
    assert len(clip["times"]) == len(frames) == 16
    assert [float(frame.time) for frame in frames] == pytest.approx(clip["times"], abs=1e-6)
    assert clip["times"][0] == 0
    assert clip["end"] == pytest.approx(16 / 25)
    for (left, top), shade in zip(clip["corners"], (80, 160), strict=True):
        tile = frames[7].pixels[top : top + clip["height"], left : left + clip["width"]]
        assert abs(tile.astype(int) - shade).max() <= 3


def test_sizes_may_differ_then_nothing_is_measured(make_video, tmp_path):
    pixels = moving_pattern(8, 96, 128)
    large = make_video(pixels, "large.mp4")
    small = make_video(pixels[:, ::2, ::2], "small.mp4")
    report = run(small, large, page=tmp_path / "page.html")
    (clip,) = report.clips
    assert [curves.key for curves in clip.measures] == ["difference"]
    assert (clip.atlas.tile_width, clip.atlas.tile_height) == (128, 96)
    (note,) = report.notes
    assert "large.mp4 is not measured: it is 128x96, small.mp4 is 64x48" in note


def test_other_shapes_cannot_lie_on_each_other(pair, make_video, tmp_path):
    other = make_video(moving_pattern(30, 128, 96), "upright.mp4")
    with pytest.raises(InputError, match=r"a\.mp4 is 128x96, .*upright\.mp4 is 96x128"):
        run(pair[0], other, page=tmp_path / "page.html")


def test_other_lengths_name_the_shorter(pair, make_video, tmp_path):
    short = make_video(moving_pattern(25, 96, 128), "short.mp4")
    page = tmp_path / "page.html"
    message = r"short\.mp4 ends after 25 frames, .*a\.mp4 goes on.*--frames 25"
    with pytest.raises(InputError, match=message):
        run(pair[0], short, page=page, measures=())
    assert not page.exists()
    report = run(pair[0], short, page=page, measures=(), range=FrameRange(frames=25))
    assert len(report.clips[0].survey.times) == 25


def test_other_rates_name_the_first_mismatch(pair, make_video, tmp_path):
    fast = make_video(moving_pattern(30, 96, 128), "fast.mp4", rate=30)
    with pytest.raises(InputError, match=r"frame 1 is shown at 0\.040 s .* at 0\.033 s in .*fast"):
        run(pair[0], fast, page=tmp_path / "page.html", measures=())


def test_a_part_begins_with_the_same_frame_whatever_containers_round(make_video, tmp_path):
    pixels = moving_pattern(12, 96, 128)
    # Matroska rounds 1/30 s down to 33 ms, which is before the start of the part.
    videos = make_video(pixels, "a.mp4", rate=30), make_video(pixels, "b.mkv", rate=30)
    seen = []
    report = run(
        *videos,
        page=tmp_path / "page.html",
        range=FrameRange(start=Fraction(1, 30), end=Fraction(9, 30)),
        measures=("psnr",),
        on_progress=lambda progress: seen.append((progress.done, progress.total)),
    )
    (clip,) = report.clips
    assert (clip.survey.first_index, len(clip.survey.times)) == (1, 8)
    assert all(difference == 0 for (difference,) in clip.survey.differences)
    assert clip.measures[0].means[1] == math.inf
    assert seen == [(done, 16) for done in range(1, 17)]


@pytest.mark.parametrize("start", [7, Fraction(7, 25)])
def test_an_excerpt_lies_beside_its_part(pair, make_video, tmp_path, start):
    excerpt = make_video(moving_pattern(30, 96, 128)[7:19], "excerpt.mp4", options={"crf": "0"})
    report = run(
        pair[0],
        excerpt,
        page=tmp_path / "page.html",
        montage=tmp_path / "montage.mp4",
        range=FrameRange(start=start, frames=12),
        excerpts=(excerpt,),
    )
    (clip,) = report.clips
    assert (clip.survey.first_index, len(clip.survey.times)) == (7, 12)
    assert max(difference for (difference,) in clip.survey.differences) < 2
    assert min(clip.measures[0].values[1]) > 40
    with open_video(tmp_path / "montage.mp4") as montage:
        assert len(list(montage)) == 12


def test_image_sequences_go_by_order(pair, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for index, pixels in enumerate(moving_pattern(30, 96, 128)):
        Image.fromarray(pixels).save(folder / f"{index:03}.png")
    report = run(pair[0], folder, page=tmp_path / "page.html", measures=("psnr",))
    assert report.clips[0].measures[0].means[1] > 30


def test_equal_videos(pair, tmp_path):
    page, sheet = tmp_path / "page.html", tmp_path / "sheet.png"
    report = run(pair[0], pair[0], page=page, sheet=sheet)
    (clip,) = report.clips
    assert clip.measures[0].means[1] == math.inf
    assert [moment.differences for moment in clip.moments] == [(0.0,)]
    assert report.labels == ("a.mp4 (1)", "a.mp4 (2)")
    json.dumps(report.to_json(), allow_nan=False)
    with Image.open(sheet) as image:
        assert image.width > 600


def test_long_clips_are_cut_with_a_note(pair, tmp_path, monkeypatch):
    monkeypatch.setattr(workflow, "MOST_FRAMES", 10)
    report = run(*pair, page=tmp_path / "page.html", measures=())
    assert len(report.clips[0].survey.times) == 10
    (note,) = report.notes
    assert "30 frames: the page shows the first 10" in note
    report = run(*pair, page=tmp_path / "2.html", measures=(), range=FrameRange(frames=12))
    assert len(report.clips[0].survey.times) == 12
    assert report.notes == ()


def test_too_large_previews_are_refused(pair, tmp_path, monkeypatch):
    monkeypatch.setattr("refvid.comparison.survey.LARGEST_PREVIEW_FILE", 1000)
    with pytest.raises(OutputError, match=r"--frames.*--preview-height"):
        run(*pair, page=tmp_path / "page.html", measures=())
    assert not (tmp_path / "page.html").exists()


def test_progress_ends_at_its_total(pair, tmp_path):
    seen = []
    run(
        *pair,
        page=tmp_path / "page.html",
        montage=tmp_path / "montage.mp4",
        on_progress=lambda progress: seen.append((progress.done, progress.total)),
    )
    assert seen == [(done, 90) for done in range(1, 91)]


def test_hdr_is_said_to_be_shown_as_stored(make_video, tmp_path):
    pixels = moving_pattern(4, 96, 128)
    hlg = make_video(pixels, "hlg.mp4", transfer=18)
    report = run(hlg, hlg, sheet=tmp_path / "sheet.png")
    assert report.notes == ("hlg.mp4 is HDR: it is shown as stored, without tone mapping",)
    sdr = make_video(pixels, "sdr.mp4")
    report = run(sdr, hlg, sheet=tmp_path / "second.png")
    [note] = [one for one in report.notes if "HDR" in one]
    assert note.startswith("hlg.mp4 is HDR")


def test_montage_is_beside_each_other_with_the_sound_of_the_first(make_video, tmp_path):
    pixels = moving_pattern(25, 96, 128)
    first = make_video(np.full_like(pixels, 80), "a.mp4")
    second = make_video(np.full_like(pixels, 160), "b.mp4")
    sounding = tmp_path / "sounding.mp4"
    with av.open(str(first)) as source, av.open(str(sounding), "w") as target:
        video = target.add_stream_from_template(source.streams.video[0])
        audio = target.add_stream("aac", rate=48000, layout="mono")
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                target.mux(packet)
        for index in range(40):
            wave = np.sin(np.arange(1024) / 20 + index).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48000, index * 1024
            target.mux(audio.encode(frame))
        target.mux(audio.encode(None))
    montage = tmp_path / "montage.mp4"
    run(sounding, second, montage=montage)
    with open_video(montage) as video_reader:
        info = video_reader.info
        frames = list(video_reader)
    assert len(frames) == 25
    assert info.width == 256
    # Copied packet by packet, not encoded again.
    assert packets_of_sound(montage) == packets_of_sound(sounding)
    below = frames[10].pixels[-80:]
    assert abs(below[:, 8:120].astype(int) - 80).max() <= 4
    assert abs(below[:, 136:248].astype(int) - 160).max() <= 4
    label = frames[10].pixels[:20]
    assert label.max() > 150  # white letters
    assert np.median(label) < 60


def packets_of_sound(path):
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def test_sheet_enlarges_the_place(pair, tmp_path):
    sheet = tmp_path / "sheet.png"
    run(*pair, sheet=sheet)
    with Image.open(sheet) as image:
        pixels = np.asarray(image).astype(int)
    # Four columns: the frame, the map, and the place in both.
    assert pixels.shape[1] == 12 + 4 * 312


@pytest.mark.parametrize("name", ["sheet.bmp", "sheet"])
def test_sheet_of_unknown_kind(pair, tmp_path, name):
    with pytest.raises(OutputError, match="ends in"):
        run(*pair, sheet=tmp_path / name)


def test_folders_are_paired_by_name(make_video, tmp_path):
    for folder in ("ours", "theirs"):
        (tmp_path / folder).mkdir()
        for name in ("one", "two"):
            make_video(moving_pattern(4), f"{folder}/{name}.mp4")
    folders = (tmp_path / "ours", tmp_path / "theirs")
    options = CompareOptions(sources=folders, page=tmp_path / "page.html", measures=())
    assert [clip.name for clip in find_clips(options)] == ["one", "two"]
    assert choose_labels(options) == ("ours", "theirs")
    report = run(*folders, page=tmp_path / "page.html", measures=(), blind=True, seed=5)
    assert len(report.clips) == 2
    with pytest.raises(OptionError, match="one clip"):
        run(*folders, montage=tmp_path / "montage.mp4")
    (folders[1] / "two.mp4").unlink()
    with pytest.raises(InputError, match=r"theirs has no video named two"):
        run(*folders, page=tmp_path / "other.html")
    with pytest.raises(OptionError, match="not a folder"):
        run(folders[0], folders[1] / "one.mp4", page=tmp_path / "other.html")


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (("a.mp4", "b.mp4"), ("a", "b")),
        (("a.mp4", "a.mkv"), ("a.mp4", "a.mkv")),
        (("x/a.mp4", "y/a.mp4"), ("x/a", "y/a")),
        (("x/a.mp4", "y/a.mp4", "y/b.mp4"), ("x/a", "y/a", "y/b")),
        (("x/z/a.mp4", "y/z/a.mp4"), ("x/z/a", "y/z/a")),
    ],
)
def test_labels_are_as_short_as_they_can_be(tmp_path, names, labels):
    sources = tuple(tmp_path / name for name in names)
    options = CompareOptions(sources=sources, page=tmp_path / "page.html")
    assert choose_labels(options) == labels


@pytest.mark.parametrize(
    "changes",
    [
        {"sources": 1},
        {"labels": ("one",)},
        {"labels": ("same", "same")},
        {"labels": ("one", " ")},
        {"page": None},
        {"page": None, "sheet": "sheet.png", "blind": True},
        {"preview_height": 10},
    ],
)
def test_impossible_options(tmp_path, changes):
    options = {"sources": 2, "page": "page.html", **changes}
    options["sources"] = tuple(tmp_path / name for name in ("a.mp4", "b.mp4"))[: options["sources"]]
    for kind in ("page", "montage", "sheet"):
        if options.get(kind):
            options[kind] = tmp_path / options[kind]
    with pytest.raises(OptionError):
        CompareOptions(**options)


@pytest.mark.parametrize("changes", [{"montage": "page.html"}, {"sheet": "a.mp4"}])
def test_results_replace_neither_inputs_nor_each_other(tmp_path, changes):
    sources = tuple(tmp_path / name for name in ("a.mp4", "b.mp4"))
    for source in sources:
        source.touch()
    named = {kind: tmp_path / name for kind, name in {"page": "page.html", **changes}.items()}
    with pytest.raises(OptionError):
        check_compare(CompareOptions(sources=sources, overwrite=True, **named))


def test_existing_results_stay(pair, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("precious")
    with pytest.raises(OutputError, match="exists"):
        run(*pair, page=page)
    assert page.read_text() == "precious"
    run(*pair, page=page, overwrite=True, measures=())
    assert "precious" not in page.read_text(encoding="utf-8")


def test_missing_and_broken_videos(pair, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(pair[0].read_bytes()[:2000])
    for bad in (tmp_path / "none.mp4", broken):
        with pytest.raises(InputError, match=bad.name):
            run(pair[0], bad, page=tmp_path / "page.html")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.mp4", "b.mp4", "broken.mp4"]
