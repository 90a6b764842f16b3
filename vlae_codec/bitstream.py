"""The .vlae file: a header, then sections. Container in, bytes out, and back.

Integers are little-endian; v is a varint (LEB128, shortest form only, at most 5 bytes).

    size  field    meaning
       4  magic    b"VLAE"
       1  version  1; any change to these bytes or to what they mean is a new version
       1  flags    bit 0: the picture is gray, decoders return one channel; the other bits are 0
       8  model    first 8 bytes of the SHA-256 of the weights that decide the bits
       2  quality  in tenths, 0 to 1000
       v  width    pixels, 1 to 2^24
       v  height   pixels, 1 to 2^24

    then sections up to the end of the file, each
       1  type     one of the list below
       v  length   bytes of data
       4  crc      CRC-32 of all header bytes, the type, the length and the data: a flipped bit
                   in the header or in the section's own head breaks it too
    length  data

    type     data
       1  ICC profile  |  at most once each, at most 16 MiB; type + 0x80 says that the data
       2  EXIF         |  is a zlib stream, which a writer uses only where that is smaller
       3  XMP          |
       4  alpha: a complete lossless PNG or WebP file, at most once
      16  segment: 4 bytes CRC-32 of the decoded latents, then the ANS payload
      17  segment whose z is the deterministic best point: nothing was borrowed

Sections stand in the order of this list, 16 and 17 mixed freely. The picture is cut into segments
of at most 1024x1024 pixels: ceil(width/1024) * ceil(height/1024) of them, in row-major order.
Whatever breaks a rule is refused; docs/FORMAT.md says with which error.
"""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from vlae_codec.errors import BitstreamError, IncompatibleError, LimitError
from vlae_codec.limits import check_pixels

MAGIC = b"VLAE"
VERSION = 1
MODEL_BYTES = 8
QUALITY_MAX = 1000
SIDE_MAX = 1 << 24
HEADER_MAX = 24  # bytes of the longest header: all of a file that `parse_header` needs
SEGMENT = 1024
MAX_PIXELS = 178_956_970  # where Pillow refuses too
METADATA_MAX = 16 << 20

_GRAY = 1
_FIXED = struct.Struct(f"<B{MODEL_BYTES}sH")  # flags, model, quality
_CRC = struct.Struct("<I")
_SIDES = range(1, SIDE_MAX + 1)
_VARINTS = range(1 << 7 * 5)
_COMPRESSED = 0x80
_METADATA = {"icc": 1, "exif": 2, "xmp": 3}
METADATA_KINDS = tuple(_METADATA)
_ALPHA = 4
_SEGMENT = {True: 16, False: 17}  # by Segment.bits_back
_ORDER = (*_METADATA, "alpha", "segment")
_NAMES = {kind: name for name, kind in _METADATA.items()}
_NAMES |= {kind | _COMPRESSED: name for kind, name in _NAMES.items()}
_NAMES |= {_ALPHA: "alpha"} | dict.fromkeys(_SEGMENT.values(), "segment")


@dataclass(frozen=True)
class Header:
    """The fields of the header; quality is in tenths."""

    gray: bool
    model: bytes
    quality: int
    width: int
    height: int


@dataclass(frozen=True)
class Segment:
    """One segment's ANS payload, and the CRC-32 that its decoded latents must have."""

    payload: bytes
    latents_crc: int
    bits_back: bool


@dataclass(frozen=True)
class Container:
    """All that a file holds; metadata has the keys "icc", "exif" and "xmp" and is not compressed."""

    header: Header
    metadata: Mapping[str, bytes]
    alpha: bytes | None
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Sizes:
    """Where the bits of a file went; the four add up to 8 * len(data). Metadata counts as stored."""

    container: int
    metadata: int
    alpha: int
    payload: int


class _Section(NamedTuple):
    at: int
    kind: int
    name: str
    data: bytes


def segment_count(width: int, height: int) -> int:
    """How many segments a picture of so many pixels is cut into."""
    return -(-width // SEGMENT) * -(-height // SEGMENT)


def pack(container: Container) -> bytes:
    """The bytes of a file. LimitError: a side or a piece of metadata is larger than the format allows."""
    header, segments = container.header, container.segments
    assert container.metadata.keys() <= _METADATA.keys(), f"metadata {sorted(container.metadata)}"
    assert len(segments) == segment_count(header.width, header.height) > 0, f"{len(segments)} segments"
    start = _pack_header(header)
    metadata = [_pack_metadata(name, container.metadata[name]) for name in _METADATA if name in container.metadata]
    alpha = [] if container.alpha is None else [(_ALPHA, container.alpha)]
    sections = [*metadata, *alpha, *map(_pack_segment, segments)]
    seed = zlib.crc32(start)
    return start + b"".join(_pack_section(seed, kind, data) for kind, data in sections)


def parse(data: bytes, max_pixels: int = MAX_PIXELS) -> Container:
    """What the bytes of a whole file hold, every checksum verified.

    Raises:
        BitstreamError: the bytes are no file, or a damaged one.
        IncompatibleError: a newer version, an unknown flag or section.
        LimitError: more than max_pixels, found before anything is allocated, or metadata beyond 16 MiB.
    """
    header = parse_header(data)
    check_pixels(header.width, header.height, max_pixels)
    sections = list(_parse_sections(data, header))
    metadata = {section.name: _parse_metadata(section) for section in sections if section.name in _METADATA}
    alpha = next((section.data for section in sections if section.name == "alpha"), None)
    segments = tuple(_parse_segment(section) for section in sections if section.name == "segment")
    return Container(header, metadata, alpha, segments)


def section_bits(data: bytes) -> Sizes:
    """Where the bits of a file went. Refuses what `parse` refuses, but for max_pixels and bad metadata streams."""
    bits: Counter[str] = Counter()
    for section in _parse_sections(data, parse_header(data)):
        content = _parse_segment(section).payload if section.name == "segment" else section.data
        bits[section.name] += 8 * len(content)
    container = 8 * len(data) - bits.total()
    return Sizes(container, sum(bits[name] for name in _METADATA), bits["alpha"], bits["segment"])


def _pack_header(header: Header) -> bytes:
    assert len(header.model) == MODEL_BYTES and 0 <= header.quality <= QUALITY_MAX, f"{header}"
    if max(header.width, header.height) > SIDE_MAX:
        raise LimitError(f"{header.width}x{header.height} pixels; a side of a .vlae file is at most {SIDE_MAX}")
    fixed = _FIXED.pack(_GRAY if header.gray else 0, header.model, header.quality)
    return MAGIC + bytes([VERSION]) + fixed + _pack_varint(header.width) + _pack_varint(header.height)


def parse_header(data: bytes) -> Header:
    """The header, from the first HEADER_MAX bytes of a file or more.

    Magic, version, flags and ranges are checked; other damage `parse` finds by the sections' checksums.
    """
    reader = _Reader(data)
    if not data:
        raise BitstreamError("empty file")
    if not MAGIC.startswith(data[: len(MAGIC)]):
        raise BitstreamError(f"not a .vlae file (starts with {data[: len(MAGIC)]!r}, not with {MAGIC!r})")
    version = reader.take(len(MAGIC) + 1, "magic and version")[-1]
    if version != VERSION:
        error = IncompatibleError if version > VERSION else BitstreamError
        raise error(f"format version {version}; this program reads {VERSION}")
    flags, model, quality = _FIXED.unpack(reader.take(_FIXED.size, "header"))
    if flags & ~_GRAY:
        raise IncompatibleError(f"flags {flags:#04x}; this program knows {_GRAY:#04x} and nothing else")
    if quality > QUALITY_MAX:
        raise BitstreamError(f"quality of {quality} tenths at byte {reader.at - 2}; 0 to {QUALITY_MAX} wanted")
    sides = reader.varint("width", _SIDES), reader.varint("height", _SIDES)
    return Header(bool(flags & _GRAY), model, quality, *sides)


def _parse_sections(data: bytes, header: Header) -> Iterator[_Section]:
    """Every section in turn; refuses what is damaged, out of order, missing or too much."""
    start = _pack_header(header)  # a header has one form only: these are the bytes it was read from
    reader, seed = _Reader(data, len(start)), zlib.crc32(start)
    wanted = segment_count(header.width, header.height)
    place = segments = 0
    while segments < wanted:
        if reader.at == len(data):
            raise BitstreamError(f"truncated at byte {reader.at}: {wanted} segments wanted, {segments} found")
        section = _parse_section(reader, seed)
        if section.name == "segment":
            segments += 1
        elif _ORDER.index(section.name) < place:
            raise BitstreamError(f"{section.name} section at byte {section.at} twice or out of order ({_ORDER} wanted)")
        place = _ORDER.index(section.name) + 1
        yield section
    if reader.at < len(data):
        raise BitstreamError(f"{len(data) - reader.at} bytes left at byte {reader.at}, after the last segment")


def _pack_section(seed: int, kind: int, data: bytes) -> bytes:
    head = bytes([kind]) + _pack_varint(len(data))
    return head + _CRC.pack(zlib.crc32(data, zlib.crc32(head, seed))) + data


def _parse_section(reader: "_Reader", seed: int) -> _Section:
    at = reader.at
    kind = reader.take(1, "section type")[0]
    length = reader.varint("section length", _VARINTS)
    head = reader.data[at : reader.at]
    (wanted,) = _CRC.unpack(reader.take(_CRC.size, "section checksum"))
    data = reader.take(length, "section")
    found = zlib.crc32(data, zlib.crc32(head, seed))
    if found != wanted:
        raise BitstreamError(f"section at byte {at} is damaged: CRC-32 {found:08x} found, {wanted:08x} wanted")
    if kind not in _NAMES:
        raise IncompatibleError(f"section of type {kind} at byte {at}, unknown to this program")
    return _Section(at, kind, _NAMES[kind], data)


def _pack_metadata(name: str, data: bytes) -> tuple[int, bytes]:
    if len(data) > METADATA_MAX:
        raise LimitError(f"{name} of {len(data)} bytes; at most {METADATA_MAX} are allowed (see --metadata)")
    compressed = zlib.compress(data, 9)
    return (_METADATA[name] | _COMPRESSED, compressed) if len(compressed) < len(data) else (_METADATA[name], data)


def _parse_metadata(section: _Section) -> bytes:
    what = f"{section.name} section at byte {section.at}"
    data, complete = section.data, True
    if section.kind & _COMPRESSED:
        inflater = zlib.decompressobj()
        try:
            data = inflater.decompress(section.data, METADATA_MAX + 1)  # stops there, whatever the stream still holds
        except zlib.error as error:
            raise BitstreamError(f"{what}: {error}") from error
        complete = inflater.eof and not inflater.unused_data
    if len(data) > METADATA_MAX:
        raise LimitError(f"{what}: more than the {METADATA_MAX} bytes that are allowed")
    if not complete:
        raise BitstreamError(f"{what}: {len(section.data)} bytes are not one whole zlib stream")
    return data


def _pack_segment(segment: Segment) -> tuple[int, bytes]:
    return _SEGMENT[segment.bits_back], _CRC.pack(segment.latents_crc) + segment.payload


def _parse_segment(section: _Section) -> Segment:
    if len(section.data) < _CRC.size:
        raise BitstreamError(f"segment of {len(section.data)} bytes at byte {section.at}; {_CRC.size} or more wanted")
    (latents_crc,) = _CRC.unpack_from(section.data)
    return Segment(section.data[_CRC.size :], latents_crc, section.kind == _SEGMENT[True])


def _pack_varint(value: int) -> bytes:
    assert value in _VARINTS, f"{value} does not fit in a varint"
    digits = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(digit | 0x80 for digit in digits[:-1]), digits[-1]])


@dataclass
class _Reader:
    """The bytes of a file and how far they are read; refuses to read past their end."""

    data: bytes
    at: int = 0

    def take(self, size: int, what: str) -> bytes:
        start, left = self.at, len(self.data) - self.at
        if size > left:
            raise BitstreamError(f"truncated at byte {start}: {what} of {size} bytes announced, {left} left")
        self.at += size
        return self.data[start : self.at]

    def varint(self, what: str, wanted: range) -> int:
        start, value = self.at, 0
        for shift in range(0, _VARINTS[-1].bit_length(), 7):
            byte = self.take(1, what)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        encoded = self.data[start : self.at]
        if encoded != _pack_varint(value):
            raise BitstreamError(f"{what} at byte {start}: {encoded.hex()} is no varint in its shortest form")
        if value not in wanted:
            raise BitstreamError(f"{what} {value} at byte {start}; {wanted[0]} to {wanted[-1]} wanted")
        return value
