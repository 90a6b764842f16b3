import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vlae_codec import bitstream, codec, metrics, transforms
from vlae_codec.bitstream import Segment
from vlae_codec.entropy import FRACTIONS
from vlae_codec.errors import BitstreamError, CodecError, IncompatibleError, LimitError, UsageError
from vlae_codec.images import Picture
from vlae_codec.models import Model

Pixels = NDArray[np.uint8]
NOTHING: dict[str, bytes] = {}


def crop(photo: Pixels, height: int, width: int) -> Picture:
    """A piece of the photograph, repeated if that is too small."""
    tiled = np.tile(photo, (-(-height // 512), -(-width // 512), 1))
    return Picture(np.ascontiguousarray(tiled[:height, :width]), None, NOTHING)


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 70), (65, 1), (15, 17), (16, 16), (63, 64), (100, 257), (1030, 20), (1025, 1040)]
)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.usefixtures("use_small_model")
def test_every_size_round_trips(photo: Pixels, size: tuple[int, int], channels: int) -> None:
    pixels = crop(photo, *size).pixels[:, :, :channels]
    encoded = codec.encode(Picture(pixels, None, NOTHING), 70)
    decoded = codec.decode(encoded.data)
    assert decoded.pixels.shape == pixels.shape and decoded.pixels.dtype == np.uint8
    assert len(bitstream.parse(encoded.data).segments) == bitstream.segment_count(size[1], size[0])


@pytest.mark.usefixtures("use_small_model")
def test_latents_of_the_file_are_those_of_the_encoder(photo: Pixels, small_model: Model) -> None:
    picture = crop(photo, 1100, 90)
    y = transforms.analyse(small_model, picture.pixels, 800, torch.float32)
    found = codec.latents(codec.encode(picture, 80, effort=0).data) / FRACTIONS
    assert found.shape == y.shape and np.abs(found - y).max() <= 0.5001


@pytest.mark.usefixtures("use_small_model")
def test_encoding_is_deterministic(photo: Pixels) -> None:
    picture = crop(photo, 200, 130)
    assert codec.encode(picture, 33.3).data == codec.encode(picture, 33.3).data


@pytest.mark.usefixtures("use_small_model")
def test_alpha_and_metadata_come_back_as_they_were(photo: Pixels) -> None:
    alpha = photo[:90, :80, 0].copy()
    picture = Picture(
        crop(photo, 90, 80).pixels, alpha, {"icc": b"profile" * 40, "exif": b"Exif\0\0II*\0", "xmp": b"<x/>"}
    )
    decoded = codec.decode(codec.encode(picture, 10).data)
    assert decoded.alpha is not None and np.array_equal(decoded.alpha, alpha)
    assert dict(decoded.metadata) == dict(picture.metadata)


@pytest.mark.usefixtures("use_small_model")
def test_the_ledger_adds_up_to_the_file_and_is_read_back_from_it(photo: Pixels) -> None:
    picture = dataclasses.replace(
        crop(photo, 300, 1100), metadata={"icc": b"profile" * 40}, alpha=photo[:300, 0:1, 0].repeat(1100, 1)
    )
    encoded = codec.encode(picture, 60)
    ledger = encoded.ledger
    assert ledger.container + ledger.metadata + ledger.alpha + ledger.actual == 8 * len(encoded.data)
    assert ledger.theoretical == ledger.y + ledger.z_gross - ledger.bits_back
    assert ledger.y == pytest.approx(sum(ledger.y_groups))
    assert ledger.overhead == ledger.actual - ledger.theoretical
    assert ledger.overhead < 2 * (0.001 * ledger.theoretical + 24)
    assert ledger.metadata > 0 and ledger.alpha > 0 and ledger.bits_back > 0
    assert codec.ledger(encoded.data) == ledger


@pytest.mark.usefixtures("use_small_model")
def test_without_bits_back_the_file_says_so_and_decodes(photo: Pixels) -> None:
    encoded = codec.encode(crop(photo, 200, 200), 60, bits_back=False)
    assert not encoded.bits_back and encoded.ledger.bits_back == 0
    assert [s.bits_back for s in bitstream.parse(encoded.data).segments] == [False]
    assert codec.decode(encoded.data).pixels.shape == (200, 200, 3)


@pytest.mark.usefixtures("use_small_model")
def test_precision_changes_pixels_at_most_and_never_latents(photo: Pixels) -> None:
    data = codec.encode(crop(photo, 120, 140), 60).data
    one, two = (codec.decode(data, precision=p).pixels for p in (torch.float32, torch.bfloat16))
    assert np.abs(one.astype(int) - two).max() <= 8


@pytest.mark.usefixtures("use_small_model")
def test_stages_add_up_to_the_time_that_passed(photo: Pixels) -> None:
    stages: dict[str, float] = {}
    data = codec.encode(crop(photo, 200, 200), stages=stages).data
    assert set(stages) == {"analysis", "search", "prior", "entropy coding"} and min(stages.values()) > 0
    stages = {}
    codec.decode(data, stages=stages)
    assert set(stages) == {"synthesis", "prior", "entropy coding"} and min(stages.values()) > 0


@pytest.mark.usefixtures("use_small_model")
def test_progress_rises_to_one(photo: Pixels) -> None:
    seen: list[float] = []
    data = codec.encode(crop(photo, 1100, 40), progress=seen.append).data
    assert seen == sorted(seen) and seen[-1] == 1
    seen.clear()
    codec.decode(data, progress=seen.append)
    assert seen[-1] == 1


@pytest.mark.parametrize("quality", [-0.1, 100.1, float("nan"), float("inf")])
def test_a_quality_out_of_range_is_refused(photo: Pixels, quality: float) -> None:
    with pytest.raises(UsageError, match="quality"):
        codec.encode(crop(photo, 8, 8), quality)


def reseal(data: bytes, **changes: object) -> bytes:
    """The file with other segments or header fields, and right checksums."""
    container = bitstream.parse(data)
    segments = tuple(
        dataclasses.replace(s, **{k: v for k, v in changes.items() if k in vars(s)}) for s in container.segments
    )
    header = dataclasses.replace(container.header, **{k: v for k, v in changes.items() if k in vars(container.header)})
    return bitstream.pack(dataclasses.replace(container, header=header, segments=segments))


@pytest.mark.parametrize(
    "changes", [{"latents_crc": 1}, {"quality": 111}, {"width": 91}, {"bits_back": False}, {"payload": b"\1\2\3"}]
)
@pytest.mark.usefixtures("use_small_model")
def test_what_does_not_give_the_encoded_latents_is_refused(photo: Pixels, changes: dict[str, object]) -> None:
    data = codec.encode(crop(photo, 80, 80), 50).data
    with pytest.raises(BitstreamError, match=r"latents|symbols"):
        codec.decode(reseal(data, **changes))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    payload=st.binary(max_size=400), crc=st.integers(0, 2**32 - 1), borrowed=st.booleans(), quality=st.integers(0, 1000)
)
@pytest.mark.usefixtures("use_small_model")
def test_no_payload_raises_anything_but_a_codec_error(
    small_model: Model, payload: bytes, crc: int, borrowed: bool, quality: int
) -> None:
    header = bitstream.Header(False, small_model.id, quality, 40, 50)
    data = bitstream.pack(bitstream.Container(header, NOTHING, None, (Segment(payload, crc, borrowed),)))
    with pytest.raises(CodecError):
        codec.decode(data)


def test_an_unknown_model_is_refused_by_its_id(photo: Pixels, small_model: Model) -> None:
    header = bitstream.Header(False, b"\xab" * 8, 500, 8, 8)
    data = bitstream.pack(bitstream.Container(header, NOTHING, None, (Segment(b"\1", 0, True),)))
    with pytest.raises(IncompatibleError, match="abababababababab"):
        codec.decode(data)


@pytest.mark.usefixtures("use_small_model")
def test_a_picture_beyond_the_limit_is_refused(photo: Pixels) -> None:
    data = codec.encode(crop(photo, 50, 50)).data
    with pytest.raises(LimitError, match="2499"):
        codec.decode(data, max_pixels=2499)


class TestShippedModel:
    """Laws of the trained model."""

    @pytest.mark.parametrize("quality", [5, 25, 50, 75, 95])
    def test_the_payload_is_as_long_as_theory_says(self, coffee: Picture, quality: float) -> None:
        encoded = codec.encode(coffee, quality)
        assert encoded.bits_back
        assert encoded.ledger.overhead <= 0.001 * encoded.ledger.theoretical + 24

    def test_quality_and_size_rise_together(self, coffee: Picture) -> None:
        sizes, qualities = [], []
        for quality in range(0, 101, 10):
            data = codec.encode(coffee, quality).data
            sizes.append(len(data))
            qualities.append(metrics.psnr(coffee.pixels, codec.decode(data).pixels))
        assert sizes == sorted(set(sizes)) and qualities == sorted(set(qualities))
        assert qualities[-1] - qualities[0] > 8 and sizes[-1] > 10 * sizes[0]

    def test_bits_back_makes_files_smaller(self, coffee: Picture) -> None:
        with_it, without = (
            sum(len(codec.encode(coffee, q, bits_back=b).data) for q in (20, 50, 80)) for b in (True, False)
        )
        assert with_it < without

    def test_gray_pictures_come_back_gray_and_close(self, coffee: Picture) -> None:
        gray = coffee.pixels[:, :, 1:2].copy()
        decoded = codec.decode(codec.encode(Picture(gray, None, NOTHING), 60).data).pixels
        assert decoded.shape == gray.shape and metrics.psnr(gray, decoded) > 31
