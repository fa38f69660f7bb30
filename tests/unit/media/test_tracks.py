"""Sound, subtitles and chapters beside the video, whole and trimmed."""

from __future__ import annotations

from fractions import Fraction

import av
import pytest
from av.stream import Disposition

from refvid.errors import OutputError
from refvid.media.encoding import Encoding
from refvid.media.output_plan import plan_output
from refvid.media.reader import open_video
from refvid.media.video_info import read_video_info
from refvid.media.writer import create_video

MILLISECOND = Fraction(1, 1000)


def payloads(tracks):
    return [[packet.payload for packet in track] for track in tracks]


@pytest.mark.parametrize(
    ("name", "codecs", "suffix"),
    [
        ("in.mp4", ["aac:eng", "aac:deu"], ".mp4"),
        ("in.mp4", ["aac", "mp3"], ".mov"),
        ("in.mp4", ["ac3", "aac"], ".mkv"),
        ("in.mkv", ["libopus:eng", "flac:fra"], ".mkv"),
        ("in.mkv", ["libopus", "ac3"], ".mp4"),
        ("in.mkv", ["libopus:eng"], ".webm"),
        ("in.mov", ["pcm_s16le"], ".mkv"),
    ],
)
def test_sound_is_copied_packet_by_packet(samples, name, codecs, suffix):
    source = samples.make(name, audio=codecs, frames=50)
    output = samples.folder / f"out{suffix}"
    frames = samples.copy(source, output)
    before, after = samples.packets_of(source, "audio"), samples.packets_of(output, "audio")
    assert len(after) == len(codecs)
    assert payloads(after) == payloads(before)
    # Where the output cannot begin before 0, all of it moves, pictures and sound alike.
    shift = samples.read(output)[0].time - frames[0].time
    for old, new in zip(before, after, strict=True):
        # Matroska moves everything by whole milliseconds, and stores its own times so, too.
        drift = max(abs(b.time - a.time - shift) for a, b in zip(old, new, strict=True))
        assert drift <= (0 if suffix == ".mp4" and name == "in.mp4" else 2 * MILLISECOND)
    languages = [track.language for track in read_video_info(output).audio]
    assert languages == [codec.partition(":")[2] or None for codec in codecs]


def test_sound_longer_than_the_video_is_kept(samples):
    source = samples.make(audio=["aac"], frames=10, audio_seconds=Fraction(3))
    output = samples.folder / "out.mp4"
    samples.copy(source, output)
    assert samples.packets_of(output, "audio") == samples.packets_of(source, "audio")


def test_sound_that_starts_late_stays_in_sync(samples):
    source = samples.make(audio=["aac"], frames=30, audio_start=Fraction("0.3"))
    for suffix in (".mp4", ".mkv"):
        output = samples.folder / f"out{suffix}"
        samples.copy(source, output)
        before, after = samples.packets_of(source, "audio"), samples.packets_of(output, "audio")
        gap = after[0][0].time - samples.read(output)[0].time
        assert abs(gap - before[0][0].time) <= (0 if suffix == ".mp4" else MILLISECOND)


def test_sound_can_be_left_out(samples):
    source = samples.make(audio=["aac"], subtitles=["mov_text"])
    output = samples.folder / "out.mp4"
    samples.copy(source, output, encoding=Encoding(audio="none", subtitles="none"))
    info = read_video_info(output)
    assert info.audio == ()
    assert info.subtitles == ()


def test_what_a_container_forbids_is_encoded_or_left_out_with_a_note(samples):
    source = samples.make("in.mkv", audio=["ac3:eng", "libopus"], attachment=b"font")
    info = read_video_info(source)
    plan = plan_output(samples.folder / "out.webm", info, Encoding())
    sound = "audio track 1 (ac3, eng) cannot be stored in webm as it is: encoded as opus, 192 kb/s"
    assert sound in plan.notes
    assert any("attachment" in note for note in plan.notes)
    output = samples.folder / "out.webm"
    samples.copy(source, output)
    tracks = read_video_info(output).audio
    assert [(track.codec, track.language) for track in tracks] == [("opus", "eng"), ("opus", None)]


def test_second_video_is_left_out_with_a_note(samples):
    first = samples.make("first.mp4")
    both = samples.folder / "both.mkv"
    with av.open(str(both), "w") as container:
        for _ in range(2):
            container.add_stream("libx264", rate=25, width=64, height=48)
        for stream in container.streams.video:
            for index in range(4):
                frame = av.VideoFrame(64, 48, "yuv420p")
                frame.pts = index
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    plan = plan_output(samples.folder / "out.mkv", read_video_info(both), Encoding())
    assert plan.notes == ("second video track 1 (h264) is left out",)
    assert plan_output(samples.folder / "out.mkv", read_video_info(first), Encoding()).notes == ()


@pytest.mark.parametrize(
    ("name", "codec", "suffix", "becomes"),
    [
        ("in.mp4", "mov_text:eng", ".mp4", "mov_text"),
        ("in.mp4", "mov_text:eng", ".mkv", "subrip"),
        ("in.mkv", "subrip:eng", ".mkv", "subrip"),
        ("in.mkv", "subrip:eng", ".mp4", "mov_text"),
        ("in.mkv", "ass:eng", ".mkv", "ass"),
        ("in.mkv", "ass:eng", ".mp4", "mov_text"),
        ("in.mkv", "subrip:eng", ".webm", "webvtt"),
    ],
)
def test_subtitles_are_copied_or_converted(samples, name, codec, suffix, becomes):
    lines = [(40, 300, "one"), (500, 250, "two & ö")]
    source = samples.make(name, subtitles=[codec], lines=lines, frames=30)
    output = samples.folder / f"out{suffix}"
    samples.copy(source, output)
    (track,) = read_video_info(output).subtitles
    assert (track.codec, track.language) == (becomes, "eng")
    shown = []
    with av.open(str(output)) as container:
        stream = container.streams.subtitles[0]
        for packet in container.demux(stream):
            if packet.size > 2:
                text = b" ".join(part.dialogue for part in packet.decode()).decode()
                shown.append(((packet.pts or 0) * packet.time_base, text))
    assert [text for _, text in shown] == ["one", "two & ö"]
    assert [time for time, _ in shown] == [Fraction("0.04"), Fraction("0.5")]
    if becomes == codec.partition(":")[0]:
        before = samples.packets_of(source, "subtitle")
        assert payloads(samples.packets_of(output, "subtitle")) == payloads(before)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("limits", "first", "last"),
    [
        ({"start": 10, "end": 30}, 10, 29),
        ({"start": Fraction("0.4"), "end": Fraction("1.2")}, 10, 29),
        ({"start": Fraction("0.39"), "frames": 20}, 10, 29),
        ({"start": 10, "end": Fraction("1.2")}, 10, 29),
        ({"end": 30}, 0, 29),
        ({"start": 10}, 10, 49),
        ({"start": 49}, 49, 49),
    ],
)
def test_trimming_cuts_everything_alike(samples, limits, first, last, suffix):
    source = samples.make(
        "in.mkv",
        audio=["libopus"],
        subtitles=["subrip"],
        lines=[(0, 600, "early"), (700, 200, "middle"), (1000, 900, "late")],
        chapters=[(0, 800, "a"), (800, 2000, "b")],
        frames=50,
    )
    output = samples.folder / f"out{suffix}"
    frames = samples.copy(source, output, **limits)
    assert [frame.index for frame in frames] == list(range(first, last + 1))
    result = samples.read(output)
    assert len(result) == len(frames)
    begin, end = Fraction(first, 25), Fraction(last + 1, 25)
    lead = result[0].time
    assert lead <= Fraction(1, 100)
    for old, new in zip(frames, result, strict=True):
        assert abs(new.time - lead - (old.time - begin)) <= MILLISECOND

    before, after = samples.packets_of(source, "audio")[0], samples.packets_of(output, "audio")[0]
    inside = [p for p in before if (first == 0 or p.time >= begin) and (last == 49 or p.time < end)]
    assert [p.payload for p in after] == [p.payload for p in inside]
    for old, new in zip(inside, after, strict=True):
        assert abs(new.time - lead - (old.time - begin)) <= 2 * MILLISECOND

    with av.open(str(output)) as container:
        texts = [
            ((packet.pts or 0) * packet.time_base - lead, packet.decode()[0].dialogue.decode())
            for packet in container.demux(container.streams.subtitles[0])
            if packet.size > 2
        ]
        chapters = [
            (c["start"] * unit, c["end"] * unit, c["metadata"]["title"])
            for c in container.chapters()
            if (unit := c["time_base"])
        ]
    lines = [
        (max(Fraction(start, 1000), begin) - begin, text)
        for start, stop, text in ((0, 600, "early"), (700, 900, "middle"), (1000, 1900, "late"))
        if Fraction(stop, 1000) > begin and Fraction(start, 1000) < end
    ]
    assert [text for _, text in texts] == [text for _, text in lines]
    for (shown, _), (wanted, _) in zip(texts, lines, strict=True):
        assert abs(shown - wanted) <= MILLISECOND
    expected = [
        (max(start, begin) - begin, min(stop, end) - begin, title)
        for start, stop, title in ((Fraction(0), Fraction("0.8"), "a"), (Fraction("0.8"), 2, "b"))
        if stop > begin and start < end
    ]
    assert [title for *_, title in chapters] == [title for *_, title in expected]
    for (start, stop, _), (wanted_start, wanted_stop, _) in zip(chapters, expected, strict=True):
        assert abs(start - wanted_start) <= MILLISECOND
        # chapters are written before the last frame is known: a frame's length is an estimate
        assert abs(stop - wanted_stop) <= Fraction(1, 25)


def test_dispositions_are_kept(samples):
    source = samples.make("in.mkv", audio=["libopus", "libopus"], subtitles=["subrip"])
    marked = samples.folder / "marked.mkv"
    with av.open(str(source)) as old, av.open(str(marked), "w") as new:
        targets = {}
        for stream in old.streams:
            targets[stream.index] = new.add_stream_from_template(stream, opaque=True)
        targets[1].disposition = Disposition(0)
        targets[2].disposition = Disposition.default
        targets[3].disposition = Disposition.forced
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = targets[packet.stream_index]
                new.mux(packet)
    output = samples.folder / "out.mkv"
    samples.copy(marked, output)
    info = read_video_info(output)
    assert [track.is_default for track in info.audio] == [False, True]
    assert info.subtitles[0].is_forced


def test_a_source_without_frames_in_the_range_leaves_nothing(samples):
    from refvid.errors import InputError

    source = samples.make(audio=["aac"])
    output = samples.folder / "out.mp4"
    with pytest.raises(InputError, match="has only 8 frames"):
        samples.copy(source, output, start=100)
    assert not output.exists()
    assert list(samples.folder.glob(".*")) == []


def test_no_frames_written_is_an_error(samples):
    source = samples.make()
    output = samples.folder / "out.mp4"
    with (
        open_video(source) as video,
        pytest.raises(OutputError, match="no frames"),
        create_video(output, like=video.info),
    ):
        pass
    assert not output.exists()
