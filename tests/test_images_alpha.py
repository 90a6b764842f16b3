from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vlae_codec.errors import BitstreamError
from vlae_codec.images import WEBP_SIDE_MAX, Samples, pack_alpha, unpack_alpha

NOISE = np.random.default_rng(0).integers(0, 256, (9, 14), dtype=np.uint8)
DISC = np.where(np.hypot(*np.mgrid[-32:32, -32:32]) < 20, 255, 0).astype(np.uint8)


@pytest.mark.parametrize(
    "alpha", [NOISE, DISC, NOISE[:1, :1], NOISE[:, :1], np.zeros((1, WEBP_SIDE_MAX + 1), np.uint8)]
)
def test_unpack_returns_every_value(alpha: Samples) -> None:
    height, width = alpha.shape
    assert np.array_equal(unpack_alpha(pack_alpha(alpha), width, height), alpha)


@pytest.mark.parametrize("name", ["PNG", "WEBP"])
def test_neither_format_alone_would_be_smaller(name: str) -> None:
    for alpha in (NOISE, DISC):
        alone = BytesIO()
        Image.fromarray(alpha).save(alone, name, optimize=True, lossless=True)
        assert len(pack_alpha(alpha)) <= len(alone.getvalue())


def test_sides_too_long_for_webp_are_packed_as_png() -> None:
    assert pack_alpha(np.zeros((WEBP_SIDE_MAX + 1, 1), np.uint8)).startswith(b"\x89PNG")


def test_packing_is_deterministic() -> None:
    assert pack_alpha(NOISE) == pack_alpha(NOISE.copy())


@pytest.mark.parametrize(("width", "height"), [(13, 9), (14, 10), (9, 14), (10**6, 10**6)])
def test_another_size_is_refused(width: int, height: int) -> None:
    with pytest.raises(BitstreamError, match=rf"\(14, 9, 'L'\); \({width}, {height}, 'L'\) wanted"):
        unpack_alpha(pack_alpha(NOISE), width, height)


@pytest.mark.parametrize("name", ["PNG", "WEBP", "TIFF"])
def test_other_pictures_are_refused(name: str) -> None:
    buffer = BytesIO()
    Image.new("RGBA", (14, 9), (1, 2, 3, 4)).save(buffer, name)
    with pytest.raises(BitstreamError):
        unpack_alpha(buffer.getvalue(), 14, 9)


@given(st.sampled_from([NOISE, DISC]), st.integers(0, 10**4), st.integers(0, 255), st.booleans())
def test_damage_raises_nothing_but_bitstream_errors(alpha: Samples, at: int, value: int, truncate: bool) -> None:
    data = bytearray(pack_alpha(alpha))
    at %= len(data)
    data[at] = value
    with suppress(BitstreamError):
        found = unpack_alpha(bytes(data[:at] if truncate else data), alpha.shape[1], alpha.shape[0])
        assert found.shape == alpha.shape
