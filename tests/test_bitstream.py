"""The container: round trip and sizes first, then golden bytes, then one test for each refusal.

`file_of` and `section` below write the format a second time, from its table and without the
code under test, so that a file may also break any rule under correct checksums.
"""

import re
import struct
import tracemalloc
import zlib
from dataclasses import astuple, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlae_codec import bitstream
from vlae_codec.bitstream import Container, Header, Segment, pack, parse, parse_header, section_bits, segment_count
from vlae_codec.errors import BitstreamError, CodecError, IncompatibleError, LimitError

SIDE_MAX = METADATA_MAX = 2**24
HEADER = Header(gray=False, model=b"weights!", quality=500, width=3, height=2)
TINY = Container(HEADER, {}, None, (Segment(b"payload", 0x01020304, True),))
FULL = Container(
    replace(HEADER, gray=True, width=1025),
    {"icc": b"icc", "exif": b"Exif", "xmp": b""},
    b"\x89PNG",
    (Segment(b"one", 1, True), Segment(b"", 2**32 - 1, False)),
)
GOLDEN = bytes.fromhex("""
    56 4c 41 45  01  01  77 65 69 67 68 74 73 21  f4 01  81 08  02
    01  03  5f 94 90 07  69 63 63
    02  04  32 ed cc b9  45 78 69 66
    03  00  03 70 9f 90
    04  04  f2 ea fc f3  89 50 4e 47
    10  07  bd ba 62 f5  01 00 00 00 6f 6e 65
    11  04  80 38 f3 04  ff ff ff ff
""")
COMPRESSED = pack(replace(FULL, metadata={"exif": bytes(64), "xmp": b"<xmp>" * 9}))


def varint(value):
    return bytes([value]) if value < 128 else bytes([value % 128 + 128]) + varint(value // 128)


def header_of(version=1, flags=0, quality=500, width=b"\3", height=b"\2"):
    return b"VLAE" + bytes([version, flags]) + b"weights!" + struct.pack("<H", quality) + width + height


def section(header, kind, data, length=None):
    head = bytes([kind]) + (varint(len(data)) if length is None else length)
    return head + struct.pack("<I", zlib.crc32(header + head + data)) + data


def file_of(*sections, **fields):
    header = header_of(**fields)
    return header + b"".join(section(header, *kind_and_data) for kind_and_data in sections)


ICC, EXIF, ALPHA, SEGMENT = (1, b"icc"), (2, b"exif"), (4, b"png"), (16, b"\4\3\2\1payload")


@st.composite
def containers(draw):
    side = st.integers(1, 4096)
    header = draw(st.builds(Header, st.booleans(), st.binary(min_size=8, max_size=8), st.integers(0, 1000), side, side))
    # A repeated byte is what zlib makes smaller.
    content = st.binary(max_size=200) | st.integers(0, 5000).map(bytes)
    metadata = draw(st.dictionaries(st.sampled_from(["icc", "exif", "xmp"]), content))
    alpha = draw(st.none() | st.binary(max_size=200))
    segment = st.builds(Segment, st.binary(max_size=300), st.integers(0, 2**32 - 1), st.booleans())
    segments = [draw(segment) for _ in range(segment_count(header.width, header.height))]
    return Container(header, metadata, alpha, tuple(segments))


@given(containers())
def test_parse_returns_what_was_packed(container):
    assert parse(pack(container)) == container


@pytest.mark.parametrize("side", [1, 127, 128, SIDE_MAX])
def test_the_first_24_bytes_of_a_file_hold_the_header(side):
    data = file_of(SEGMENT, flags=1, width=varint(side), height=varint(side))
    assert parse_header(data[:24]) == replace(HEADER, gray=True, width=side, height=side)
    assert bitstream.HEADER_MAX == 24


@given(containers())
def test_sizes_add_up_to_the_file(container):
    data = pack(container)
    sizes = section_bits(data)
    assert sizes.container + sizes.metadata + sizes.alpha + sizes.payload == 8 * len(data)
    assert sizes.payload == 8 * sum(len(segment.payload) for segment in container.segments)
    assert sizes.alpha == 8 * len(container.alpha or b"")


def test_metadata_counts_as_it_is_stored():
    stored = zlib.compress(bytes(1000), 9)
    assert section_bits(file_of((0x81, stored), SEGMENT)).metadata == 8 * len(stored)
    assert astuple(section_bits(file_of(ICC, SEGMENT))) == (8 * (18 + 6 + 6 + 4), 8 * 3, 0, 8 * 7)


def test_metadata_is_compressed_only_where_that_is_smaller():
    assert section(header_of(), 1, b"icc") in pack(replace(TINY, metadata={"icc": b"icc"}))
    assert section(header_of(), 0x82, zlib.compress(bytes(99), 9)) in pack(replace(TINY, metadata={"exif": bytes(99)}))


@pytest.mark.parametrize(("width", "height", "count"), [(1, 1, 1), (1024, 1024, 1), (1025, 1024, 2), (2048, 1025, 4)])
def test_a_segment_has_at_most_1024_by_1024_pixels(width, height, count):
    assert segment_count(width, height) == count


@pytest.mark.parametrize("payload", [0, 100_000, 2**21 - 5])
def test_a_file_of_one_segment_costs_at_most_32_bytes_beside_its_payload(payload):
    header = replace(HEADER, width=1024, height=1024)
    assert len(pack(replace(TINY, header=header, segments=(Segment(bytes(payload), 0, True),)))) <= payload + 32


def test_the_golden_file_keeps_its_bytes_and_its_meaning():
    assert pack(FULL) == GOLDEN
    assert parse(GOLDEN) == FULL


def test_the_example_of_the_specification_is_the_golden_file():
    text = (Path(__file__).parents[1] / "docs" / "FORMAT.md").read_text(encoding="utf-8")
    example = text.partition("## An example")[2].split("```")[1]
    assert bytes.fromhex("".join(line.partition("  ")[0] for line in example.splitlines())) == GOLDEN


@pytest.mark.parametrize("data", [GOLDEN, COMPRESSED])
def test_every_truncation_is_refused(data):
    for size in range(len(data)):
        with pytest.raises(BitstreamError):
            parse(data[:size])


@pytest.mark.parametrize("data", [GOLDEN, COMPRESSED])
def test_every_flipped_bit_is_refused(data):
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((BitstreamError, IncompatibleError, LimitError)):
            parse(bytes(damaged))


def accepts(read, data):
    """Whether `read` takes the bytes; any exception but a CodecError goes through."""
    try:
        read(data)
    except CodecError:
        return False
    return True


@given(st.binary(max_size=64), st.sampled_from([b"", b"VLAE", b"VLAE\1", header_of(), file_of(ICC), file_of(SEGMENT)]))
def test_arbitrary_bytes_raise_nothing_but_codec_errors(tail, start):
    for read in (parse, parse_header, section_bits):
        accepts(read, start + tail)


kinds = st.sampled_from([1, 2, 3, 4, 16, 17, 0x81, 0x82, 0x83]) | st.integers(0, 255)
contents = st.binary(max_size=20) | st.binary(max_size=20).map(zlib.compress)


@given(st.lists(st.tuples(kinds, contents), max_size=4), st.sampled_from([b"\3", b"\x81\x08", b"\x81\x10"]))
def test_arbitrary_sections_under_correct_checksums_are_refused_or_mean_one_container(sections, width):
    data = file_of(*sections, width=width)
    if accepts(parse, data):
        assert parse(pack(parse(data))) == parse(data)
        assert 8 * len(data) >= section_bits(data).container > 0


def refusal(data, error=BitstreamError, read=parse, **limits):
    with pytest.raises(error) as caught:
        read(data, **limits)
    return str(caught.value)


def test_an_empty_file_is_refused():
    assert refusal(b"") == "empty file"


def test_a_foreign_file_is_refused_with_what_it_starts_with():
    assert refusal(b"\x89PNG\r\n") == r"not a .vlae file (starts with b'\x89PNG', not with b'VLAE')"
    assert "not a .vlae file" in refusal(b"hi")


def test_a_newer_version_is_refused_as_incompatible_however_short_it_is():
    assert refusal(b"VLAE\2", IncompatibleError) == "format version 2; this program reads 1"


def test_version_0_is_refused_as_damage():
    assert refusal(file_of(SEGMENT, version=0)) == "format version 0; this program reads 1"


@pytest.mark.parametrize("flags", [2, 0x81])
def test_an_unknown_flag_is_refused_as_incompatible(flags):
    assert f"flags {flags:#04x}" in refusal(file_of(SEGMENT, flags=flags), IncompatibleError)


def test_a_quality_above_1000_is_refused():
    assert refusal(file_of(SEGMENT, quality=1001)) == "quality of 1001 tenths at byte 14; 0 to 1000 wanted"


@pytest.mark.parametrize("side", [0, SIDE_MAX + 1, 2**31])
def test_a_side_out_of_range_is_refused(side):
    assert refusal(file_of(SEGMENT, width=varint(side))) == f"width {side} at byte 16; 1 to {SIDE_MAX} wanted"
    assert refusal(file_of(SEGMENT, height=varint(side))) == f"height {side} at byte 17; 1 to {SIDE_MAX} wanted"


@pytest.mark.parametrize("length", [b"\x83\0", b"\x83\x80\0", b"\xff\xff\xff\xff\xff\0", b"\x83\x80\x80\x80\x80\x80\0"])
def test_a_varint_not_in_its_shortest_form_is_refused(length):
    assert "shortest form" in refusal(file_of(SEGMENT, width=length))
    assert "shortest form" in refusal(file_of((*ICC, length), SEGMENT))


def test_too_many_pixels_are_refused_before_anything_else_is_read():
    message = refusal(header_of(width=varint(SIDE_MAX), height=varint(SIDE_MAX)), LimitError)
    assert str(SIDE_MAX**2) in message and "178956970" in message and "--max-pixels" in message


def test_max_pixels_is_the_largest_number_accepted():
    assert parse(file_of(SEGMENT), max_pixels=6) == TINY
    refusal(file_of(SEGMENT), LimitError, max_pixels=5)


def test_a_section_longer_than_the_file_is_refused_with_both_lengths():
    data = file_of((16, bytes(512)))
    assert refusal(data[:-412]) == f"truncated at byte {len(data) - 512}: section of 512 bytes announced, 100 left"


def test_a_length_of_many_gigabytes_is_refused():
    assert "section of 34359738367 bytes announced" in refusal(header_of() + b"\x10\xff\xff\xff\xff\x7f" + bytes(9))


def test_a_wrong_checksum_is_refused_before_the_type_is_judged():
    for kind in (16, 99):
        data = bytearray(file_of((kind, bytes(9))))
        data[-1] ^= 1
        assert re.search(r"byte 18 .* [0-9a-f]{8} found, [0-9a-f]{8} wanted", refusal(bytes(data)))


@pytest.mark.parametrize("kind", [0, 5, 15, 18, 0x80, 0x84, 0x90, 0xFF])
def test_an_unknown_section_is_refused_as_incompatible(kind):
    assert f"type {kind} at byte 18" in refusal(file_of((kind, b"data"), SEGMENT), IncompatibleError)


@pytest.mark.parametrize(
    "sections", [(ICC, ICC), (EXIF, ICC), (EXIF, (0x82, zlib.compress(b""))), (ALPHA, ALPHA), (ALPHA, EXIF)]
)
def test_a_section_twice_or_out_of_order_is_refused(sections):
    assert "twice or out of order" in refusal(file_of(*sections, SEGMENT))


def test_metadata_between_segments_is_refused():
    assert "out of order" in refusal(file_of(SEGMENT, ALPHA, SEGMENT, width=b"\x81\x08"))


def test_a_missing_segment_is_refused():
    assert "2 segments wanted, 1 found" in refusal(file_of(SEGMENT, width=b"\x81\x08"))


@pytest.mark.parametrize("tail", [b"\n", section(header_of(), *SEGMENT), file_of(SEGMENT)])
def test_bytes_after_the_last_segment_are_refused(tail):
    data = file_of(SEGMENT)
    assert refusal(data + tail) == f"{len(tail)} bytes left at byte {len(data)}, after the last segment"


def test_a_segment_without_room_for_its_checksum_is_refused():
    for read in (parse, section_bits):
        assert refusal(file_of((16, b"abc")), read=read) == "segment of 3 bytes at byte 18; 4 or more wanted"


@pytest.mark.parametrize("data", [b"", b"no zlib", zlib.compress(b"text")[:-1], zlib.compress(b"text") + b"\0"])
def test_metadata_that_is_not_one_whole_zlib_stream_is_refused(data):
    assert "icc section at byte 18" in refusal(file_of((0x81, data), SEGMENT))


def test_a_zlib_bomb_is_refused_without_being_inflated():
    data = file_of((0x81, zlib.compress(bytes(8 * METADATA_MAX))), SEGMENT)
    tracemalloc.start()
    try:
        assert str(METADATA_MAX) in refusal(data, LimitError)
        assert tracemalloc.get_traced_memory()[1] < 3 * METADATA_MAX
    finally:
        tracemalloc.stop()


def test_metadata_of_exactly_16_mib_is_written_and_read_and_one_byte_more_is_refused():
    largest = replace(TINY, metadata={"icc": bytes(METADATA_MAX)})
    assert parse(pack(largest)) == largest
    refusal(file_of((1, bytes(METADATA_MAX + 1)), SEGMENT), LimitError)
    refusal(replace(TINY, metadata={"icc": bytes(METADATA_MAX + 1)}), LimitError, read=pack)


def test_a_side_larger_than_the_format_allows_is_not_written():
    wide = replace(TINY, header=replace(HEADER, width=SIDE_MAX + 1), segments=TINY.segments * (2**14 + 1))
    assert str(SIDE_MAX) in refusal(wide, LimitError, read=pack)
