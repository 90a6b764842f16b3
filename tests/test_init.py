import pytest

import vlae_codec
from vlae_codec import bitstream, inspection
from vlae_codec.bitstream import Container, Header, Segment, Sizes
from vlae_codec.errors import BitstreamError


def test_the_public_names_are_these() -> None:
    assert sorted(vlae_codec.__all__) == ["CodecError", "__version__", "decode", "encode", "info"]
    assert all(getattr(vlae_codec, name) is not None for name in vlae_codec.__all__)


def test_other_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = vlae_codec.nothing


def test_info_is_the_header_and_the_sizes() -> None:
    segment = Segment(b"payload", 0, True)
    data = bitstream.pack(Container(Header(True, b"\1" * 8, 505, 30, 20), {"xmp": b"<x/>"}, None, (segment,)))
    about = vlae_codec.info(data)
    assert (about.width, about.height, about.gray, about.quality, about.model) == (30, 20, True, 50.5, "01" * 8)
    assert about.size == len(data) and about.bpp == 8 * len(data) / 600
    assert about.sizes == Sizes(8 * (len(data) - 11), 32, 0, 56)
    assert inspection.info is vlae_codec.info


def test_info_refuses_damage() -> None:
    with pytest.raises(BitstreamError):
        vlae_codec.info(b"VLAE\1")
