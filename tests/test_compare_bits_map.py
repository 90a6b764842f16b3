"""The map of bits: its sum, and its places."""

import numpy as np
import pytest

from vlae_codec import codec, models
from vlae_codec.compare.bits_map import bits_map
from vlae_codec.images import Picture


@pytest.fixture
def half_flat(photo):
    """(150, 230, 3): the left half is one colour, the right one texture."""
    pixels = photo[:150, :230].copy()
    pixels[:, :112] = 128
    return Picture(pixels, None, {})


def test_the_map_sums_to_the_bits_of_the_latents(half_flat, use_small_model):
    encoded = codec.encode(half_flat, 70)
    found = bits_map(encoded.data)
    assert found.shape == (10, 15) and found.dtype == np.float32
    assert found.sum() == pytest.approx(encoded.ledger.y, rel=1e-5) and (found >= 0).all()


def test_the_map_of_several_segments_sums_to_the_bits_of_all(use_small_model):
    strip = Picture(np.random.default_rng(2).integers(0, 256, (20, 1100, 1), dtype=np.uint8), None, {})
    encoded = codec.encode(strip, 50)
    assert bits_map(encoded.data).sum() == pytest.approx(encoded.ledger.y, rel=1e-5)


def test_bits_lie_where_the_picture_has_texture(half_flat):
    found = bits_map(codec.encode(half_flat, 50, model=models.DEFAULT).data)
    assert found[:, 9:].mean() > 5 * found[:, 1:5].mean()
