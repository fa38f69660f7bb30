"""Writing the result: encode the frames, carry everything else over, publish when complete."""

from __future__ import annotations

import logging
from contextlib import suppress
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import Final

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from refvid.errors import OutputError
from refvid.media.color import resolve_color
from refvid.media.container import libav_name
from refvid.media.credentials import Credentials, Statement
from refvid.media.encoding import Encoding
from refvid.media.kept import is_stored
from refvid.media.origin_marks import Origin
from refvid.media.output_plan import OutputPlan, plan_output
from refvid.media.output_stream import add_video_stream
from refvid.media.packet_file import PacketFile, read_packets
from refvid.media.partial_file import PartialFile, check_target
from refvid.media.piped_video import PipedResult
from refvid.media.pixel_conversion import Pixels, RgbWriter
from refvid.media.reader import Frame, Trim
from refvid.media.sequence import is_pattern
from refvid.media.sequence_writer import ImageWriter, SequenceWriter
from refvid.media.side_data import TIME_CODES, Fields, matroska_stereo_mode
from refvid.media.stream_copy import StreamCopier
from refvid.media.stretch_encoder import StretchEncoder
from refvid.media.tags import cut_chapters, file_tags, fit_track_tags, fits_mp4, video_tags
from refvid.media.time_code import carry_time_code
from refvid.media.tracks import Companions
from refvid.media.video_info import VideoInfo
from refvid.media.video_writer import Part, VideoWriter
from refvid.media.work_folder import WorkFolder
from refvid.media.work_journal import Stretch
from refvid.wording import counted

logger = logging.getLogger(__name__)

# 32 bits in the file; the tool chain takes it as signed.
_FINEST_TIME_SCALE: Final = 2**31 - 1


def create_video(
    output: Path,
    *,
    like: VideoInfo,
    encoding: Encoding | None = None,
    plan: OutputPlan | None = None,
    trim: Trim | None = None,
    overwrite: bool = False,
    create_folder: bool = False,
    origin: Origin | None = None,
    work: WorkFolder | None = None,
    sink: PipedResult | None = None,
) -> VideoWriter:
    """Prepare to write a video in which everything but the pixels is the source's.

    Args:
        output: See `plan_output`. It appears when it is whole.
        like: The source. Its sound, subtitles, chapters and metadata are read from its path.
        encoding: The caller's wishes; None follows the source.
        plan: What `plan_output` decided about these; None has it decide.
        trim: What part of the source the frames come from (`VideoReader.trim`); its beginning
            becomes time 0. None: all of it, and all times are kept.
        overwrite: Replace an existing output.
        create_folder: Make the folder of an image sequence, where it is missing.
        origin: How it was made, to be said in it; left out where `encoding` does.
        work: Where finished stretches are kept. Those that are there begin the result:
            `frames_written` counts them, and the next frame follows them. None keeps none.
        sink: Takes the result as it comes, in place of `output`: where nothing need be changed in
            it afterwards, as in y4m.

    Returns:
        A writer; use it as a context manager. Leaving it finishes the file, or removes it if
        there was an exception.

    Raises:
        OutputError, OptionError: See `plan_output`; or the output exists.
    """
    encoding = Encoding() if encoding is None else encoding
    plan = plan or plan_output(output, like, encoding)
    origin = origin if encoding.marks_origin else None
    if plan.container == "image sequence":
        if not is_pattern(output):
            return ImageWriter(output, plan, origin=origin, overwrite=overwrite)
        return SequenceWriter(
            output,
            plan,
            origin=origin,
            overwrite=overwrite,
            create_folder=create_folder,
            work=work,
        )
    if sink is None:
        check_target(output, overwrite=overwrite)
    return _FileWriter(
        output,
        plan,
        like=like,
        keep_metadata=encoding.metadata,
        trim=Trim() if trim is None else trim,
        overwrite=overwrite,
        origin=origin,
        credentials=encoding.credentials,
        work=work,
        sink=sink,
    )


class _FileWriter(VideoWriter):
    """Writes a container file."""

    def __init__(
        self,
        output: Path,
        plan: OutputPlan,
        *,
        like: VideoInfo,
        keep_metadata: bool,
        trim: Trim,
        overwrite: bool,
        origin: Origin | None,
        credentials: Credentials | None,
        work: WorkFolder | None,
        sink: PipedResult | None,
    ) -> None:
        super().__init__(output, plan)
        self._like = like
        self._keep_metadata = keep_metadata
        self._trim = trim
        self._overwrite = overwrite
        self._origin = origin
        self._credentials = credentials
        self._work = work
        self._sink = sink
        self._partial: PartialFile | None = None
        self._to_picture = RgbWriter(plan.pix_fmt, plan.color)
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._copier: StreamCopier | None = None
        self._noted = set(like.side_data)
        self._first_pts: int | None = None
        self._last_frame_end = Fraction(0)
        self._encoder: StretchEncoder | None = None
        self._is_unused = True
        self._kept: PacketFile | None = None
        self._last_dts: int | None = None

    @property
    def _shift(self) -> int:
        """What is taken off every timestamp."""
        first = self._first_pts or 0
        # mp4 hides what comes before 0.
        return first if self._trim.start or first < 0 else 0

    def _open(self) -> None:
        if self._sink is None:
            self._partial = PartialFile(self.output, overwrite=self._overwrite)
        tags = self._tags()
        self._container = av.open(
            self._sink if self._partial is None else libav_name(self._partial.path),
            "w",
            format=self.plan.container,
            container_options=self._muxer_options(tags),
        )
        self._container.metadata.update(tags)
        self._stream = add_video_stream(self._container, self.plan)
        if self.plan.companions is not None:
            self._copy_video_tags(self._stream, self.plan.companions)
        if self.plan.tracks:
            self._copier = StreamCopier(
                self._like.path,
                self.plan.tracks,
                self._container,
                origin=self._like.origin,
                keep_metadata=self._keep_metadata,
            )
        for stretch in self._work.stretches if self._work is not None else ():
            self._take_over(stretch)

    def _take_over(self, stretch: Stretch) -> None:
        """Begin with what an interrupted run had finished."""
        assert self._stream is not None
        facts = stretch.facts["writer"]
        if self._first_pts is None:
            self._begin(facts["first_pts"])
        (path,) = stretch.files
        for packet in read_packets(path, self._stream):
            self._mux(packet)
        self.frames_written += facts["frames"]
        self._noted |= set(facts["noted"])
        self._last_frame_end = Fraction(facts["end"])

    def _muxer_options(self, tags: dict[str, str]) -> dict[str, str]:
        if self.plan.container not in ("mp4", "mov"):
            return self.plan.muxer_options
        # A track that starts late is shifted by an edit in units of the movie's time scale. Its
        # default is a millisecond, which would move sound against the pictures.
        scale = self.plan.time_base.denominator
        for track in self.plan.tracks:
            finer = lcm(scale, track.time_base.denominator)
            scale = finer if finer <= _FINEST_TIME_SCALE else scale
        options = {"movie_timescale": str(scale)}
        if not fits_mp4(tags):
            options["movflags"] = "+use_metadata_tags"
        return options

    def _tags(self) -> dict[str, str]:
        if not self._keep_metadata:
            return {}
        ours = {} if self._origin is None else self._origin.tags(self.plan.container)
        return file_tags(self._like.metadata, ours)

    def _copy_video_tags(self, target: VideoStream, companions: Companions) -> None:
        target.disposition = companions.disposition
        tags = video_tags(companions.tags)
        if not self._keep_metadata:
            tags = {key: value for key, value in tags.items() if key == "language"}
        target.metadata.update(fit_track_tags(tags, self.plan.container))
        stereo_mode = matroska_stereo_mode(self._like.side_data.get("STEREO3D", b""))
        if stereo_mode is not None and self.plan.container in ("matroska", "webm"):
            target.metadata["stereo_mode"] = stereo_mode

    def _write(self, pixels: Pixels, frame: Frame) -> None:
        self._encode(self._to_picture.write(pixels, *self._extras(frame)), frame)

    def _write_unchanged(self, frame: Frame) -> None:
        picture = frame.decoded
        if picture is not None:
            color = resolve_color(self._like.color, self._like.coded_height)
            picture = self._to_picture.retag(picture, color)
        extras = self._extras(frame)  # it says what is lost, also of a picture as it is
        self._encode(picture or self._to_picture.write(frame.pixels, *extras), frame)

    def _encode(self, picture: av.VideoFrame, frame: Frame) -> None:
        if self._first_pts is None:
            self._begin(frame.pts)
        if self._encoder is None:
            assert self._stream is not None
            self._encoder = StretchEncoder(self.plan, self._stream, is_first=self._is_unused)
            self._is_unused = False
            if self._work is not None:
                self._kept = PacketFile(self._work.file("packets"))
        picture.pts = frame.pts - self._shift
        picture.time_base = frame.time_base
        picture.duration = frame.duration or 0
        if not self.plan.has_timestamps:
            picture.pts, picture.time_base = self.frames_written, self.plan.time_base
            picture.duration = 1
        self._last_frame_end = (frame.pts + (frame.duration or 0)) * frame.time_base
        self._keep_and_mux(self._encoder.encode(picture))

    def _extras(self, frame: Frame) -> tuple[dict[str, bytes], Fields | None]:
        """Return what the frame carries that its encoder stores; say what is lost from now on."""
        encoder = self.plan.encoder
        stored = {k: v for k, v in frame.side_data.items() if is_stored(k, encoder)}
        lost = frame.side_data.keys() - stored.keys() - TIME_CODES
        for loss in self.plan.describe_losses(lost - self._noted):
            logger.warning("%s: from frame %s on, %s", self._like.path, frame.index, loss)
        self._noted |= lost
        return stored, self.plan.fields if frame.is_interlaced else None

    def _begin(self, pts: int) -> None:
        """Settle what depends on the first frame's time; the header is written after this."""
        assert self._container is not None
        self._first_pts = pts
        start = pts * self._like.time_base if self._trim.start or self._shift else None
        if self._copier is not None:
            self._copier.begin(start, self._trim.limit)
        if self._trim.start:
            assert self._stream is not None
            rate = None if self._like.is_variable_rate else self._like.frame_rate
            late = pts * self._like.time_base - self._like.start_time
            for tags in (self._container.metadata, self._stream.metadata):
                carry_time_code(tags, late, rate, self.output)
        if self.plan.companions is not None and self._keep_metadata:
            chapters = cut_chapters(
                self.plan.companions.chapters, self._like.origin, start, self._trim.end
            )
            self._container.set_chapters(list(chapters))

    def _keep_and_mux(self, packets: list[Packet[VideoStream]]) -> None:
        for packet in packets:
            if self._kept is not None:
                self._kept.add(packet)
            self._mux(packet)

    def _mux(self, packet: Packet[VideoStream]) -> None:
        assert self._container is not None
        if packet.dts is not None:
            if self._last_dts is not None:
                # An encoder begins a stretch with times of decoding before its first picture, as if
                # there were none before. There is room: as many pictures wait at its end.
                packet.dts = max(packet.dts, self._last_dts + 1)
            self._last_dts = packet.dts
            if self._copier is not None:
                # Back to times of the source, by which the other streams are read.
                shift = self._shift * self.plan.time_base
                self._copier.advance(packet.dts * packet.time_base + shift)
        self._container.mux(packet)

    def _flush(self) -> int:
        """Have the encoder give all that it holds back; the frames of its stretch."""
        encoder, self._encoder = self._encoder, None
        if encoder is None:
            return 0
        self._keep_and_mux(encoder.finish())
        if encoder.packets != encoder.frames:
            raise OutputError(
                f"{self.output} was not written: {counted(encoder.frames, 'frame')} went to "
                f"the encoder {self.plan.encoder}, but it returned {encoder.packets}. "
                "Choose another codec."
            )
        return encoder.frames

    def _end_stretch(self) -> Part:
        frames = self._flush()
        assert self._kept is not None, "there is a work folder, and a stretch has frames"
        kept, self._kept = self._kept, None
        kept.close()
        facts = {
            "frames": frames,
            "first_pts": self._first_pts,
            "end": str(self._last_frame_end),
            "noted": sorted(self._noted),
        }
        return Part([kept.path], facts)

    def _finish(self) -> None:
        assert self._container is not None
        self._flush()
        if self._kept is not None:
            # Nothing follows the last stretch.
            self._kept.close()
            self._kept.path.unlink(missing_ok=True)
        if self._copier is not None:
            self._copier.finish(None if self._trim.is_open_ended else self._last_frame_end)
        container, self._container = self._container, None
        container.close()
        if self._partial is None:
            return
        if self._origin is not None:
            self._origin.finish(self._partial.path, self.plan.container)
            if self._credentials is not None:
                self._partial.rewrite(self._sign)
        self._partial.publish()

    def _sign(self, unsigned: Path, signed: Path) -> None:
        assert self._credentials is not None
        assert self._origin is not None
        statement = Statement(
            container=self.plan.container,
            title=self.output.name,
            how=self._origin.how,
            source_type=self._origin.source_type,
            source=self._origin.source,
        )
        self._credentials.sign(unsigned, signed, statement)

    def _discard(self) -> None:
        if self._copier is not None:
            self._copier.close()
            self._copier = None
        if self._kept is not None:
            self._kept.close()
            self._kept = None
        self._stream = self._encoder = None
        if self._container is not None:
            container, self._container = self._container, None
            # It writes a trailer to a file that is removed next: failing is fine.
            with suppress(av.FFmpegError, OSError, ValueError):
                container.close()
        if self._partial is not None:
            self._partial.discard()
