"""What files say of how they were made."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from refvid.media.encoding import Encoding
from refvid.media.image import read_image
from refvid.media.image_facts import read_image_comment
from refvid.media.mp4_boxes import C2PA, XMP, append_uuid_box, read_box, uuid_boxes
from refvid.media.origin_marks import Origin, describe_origin, read_origin_marks
from refvid.media.output_plan import plan_output
from refvid.media.source_type import SourceType, find_in_xmp, term_of, xmp_packet
from refvid.media.video_info import read_video_info

ORIGIN = Origin(comment="refvid 1, model mini, by hand", source_type=SourceType.COMPOSITE)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_videos_say_their_type(samples, suffix):
    source, output = samples.make(frames=4), samples.folder / f"out{suffix}"
    samples.copy(source, output, origin=ORIGIN)
    info = read_video_info(output)
    marks = read_origin_marks(output, info.metadata)
    assert marks.source_type == "compositeWithTrainedAlgorithmicMedia"
    assert not marks.has_credentials
    assert {k.lower(): v for k, v in info.metadata.items()}["comment"] == ORIGIN.comment
    assert len(samples.read(output)) == 4


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".avif", ".tif"])
@pytest.mark.parametrize("depth", [8, 10])
def test_images_say_their_type(samples, suffix, depth):
    pix_fmt = "yuv420p10le" if depth == 10 else "yuv420p"
    source = samples.make(frames=1, pix_fmt=pix_fmt)
    output = samples.folder / f"out_%d{suffix}"
    samples.copy(source, output, origin=ORIGIN)
    image = samples.folder / f"out_0{suffix}"
    if depth == 10 and suffix == ".tif":
        pytest.skip("16-bit TIFF is written without marks")
    assert read_origin_marks(image, {}).source_type == "compositeWithTrainedAlgorithmicMedia"
    assert read_image_comment(image) == ORIGIN.comment
    assert describe_origin(image, {})["comment"] == ORIGIN.comment
    assert read_image(image).shape[2] == 3


@pytest.mark.parametrize("encoding", [Encoding(metadata=False), Encoding(provenance="none")])
def test_nothing_is_said_where_nothing_is_wanted(samples, encoding):
    source = samples.make(frames=2)
    for name in ("out.mp4", "out.mkv", "out_%d.png"):
        samples.copy(source, samples.folder / name, origin=ORIGIN, encoding=encoding)
    assert XMP not in uuid_boxes(samples.folder / "out.mp4")
    for name in ("out.mp4", "out.mkv"):
        tags = read_video_info(samples.folder / name).metadata
        assert not {"comment", "digital_source_type"} & {tag.lower() for tag in tags}
    assert read_image_comment(samples.folder / "out_0.png") is None


def test_what_was_generated_stays_generated(samples):
    source = samples.make("generated.mp4", frames=2)
    append_uuid_box(source, XMP, xmp_packet(SourceType.GENERATED))
    info = read_video_info(source)
    plan = plan_output(samples.folder / "out.mp4", info, Encoding())
    assert SourceType.ENHANCED.of(plan.source_type) == SourceType.GENERATED
    unmarked = plan_output(samples.folder / "out.mp4", info, Encoding(provenance="none"))
    assert any("trainedAlgorithmicMedia is lost" in note for note in unmarked.notes)


def test_the_strongest_type_wins():
    assert SourceType.ENHANCED.of(None) == SourceType.ENHANCED
    assert SourceType.ENHANCED.of("digitalCapture") == SourceType.ENHANCED
    assert SourceType.ENHANCED.of("compositeWithTrainedAlgorithmicMedia") == SourceType.COMPOSITE
    assert SourceType.COMPOSITE.of("algorithmicallyEnhanced") == SourceType.COMPOSITE
    assert SourceType.GENERATED.of("algorithmicallyEnhanced") == SourceType.GENERATED


@pytest.mark.parametrize(
    "words",
    [
        b"<a Iptc4xmpExt:DigitalSourceType='%s'/>",
        b'<a\n  Iptc4xmpExt:DigitalSourceType = "%s" b="c">',
        b"<Iptc4xmpExt:DigitalSourceType>%s</Iptc4xmpExt:DigitalSourceType>",
        b'<Iptc4xmpExt:DigitalSourceType rdf:resource="%s"/>',
    ],
)
def test_ways_to_write_it(words):
    for uri in (
        b"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
        b"https://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia/",
    ):
        assert find_in_xmp(words % uri) == "trainedAlgorithmicMedia"
    assert find_in_xmp(words % b"http://example.com/other") is None


def test_other_uris_are_no_terms():
    assert term_of("") is None
    assert term_of("http://cv.iptc.org/newscodes/digitalsourcetype/") is None


class TestBoxes:
    def test_large_sizes_and_the_last_box_of_a_kind(self, tmp_path):
        path = tmp_path / "a.mp4"
        wide = (1).to_bytes(4, "big") + b"free" + (24).to_bytes(8, "big") + bytes(8)
        path.write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0" + wide)
        for content in (b"first", b"second"):
            append_uuid_box(path, XMP, content)
        open_ended = (0).to_bytes(4, "big") + b"uuid" + C2PA.bytes + b"rest"
        path.write_bytes(path.read_bytes() + open_ended)
        boxes = uuid_boxes(path)
        assert read_box(path, boxes[XMP]) == b"second"
        assert read_box(path, boxes[C2PA]) == b"rest"

    @given(st.binary(max_size=200))
    def test_any_bytes_can_be_read(self, tmp_path_factory, content):
        path = tmp_path_factory.mktemp("boxes") / "a.mp4"
        path.write_bytes(content)
        uuid_boxes(path)
        read_origin_marks(path, {})

    def test_boxes_without_end(self, tmp_path):
        path = tmp_path / "a.mp4"
        path.write_bytes(b"\0\0\0\x08free" * 50_000)
        assert uuid_boxes(path) == {}


def test_credentials_of_images_are_seen(tmp_path):
    path = tmp_path / "a.png"
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())
    assert not read_origin_marks(path, {}).has_credentials
    path.write_bytes(buffer.getvalue() + b"\0\0\0\x10jumb\0\0\0\x10jumdc2pa")
    assert read_origin_marks(path, {}).has_credentials
