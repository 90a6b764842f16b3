import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from vlae_codec.orientation import TAG, UPRIGHT, reset, upright


def exif(value: int, order: str = ">", kind: int = 3) -> bytes:
    """One directory of two entries, the second one the orientation, and something behind that must not move."""
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(order + "I", 8)
    width = struct.pack(order + "HHIHH", 0x0100, 3, 1, 640, 0)
    return head + struct.pack(order + "H", 2) + width + struct.pack(order + "HHIHH", TAG, kind, 1, value, 0) + b"maker"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value", range(2, 9))
def test_reset_changes_the_orientation_and_no_other_byte(value: int, order: str) -> None:
    assert reset(exif(value, order)) == (exif(UPRIGHT, order), value)


@pytest.mark.parametrize(
    "unsound", [exif(0), exif(1), exif(9), exif(6, kind=4), b"", b"text", exif(6)[:20], b"II*\0\xff\xff\xff\xff"]
)
def test_exif_without_a_sound_orientation_stays_as_it_is(unsound: bytes) -> None:
    assert reset(unsound) == (unsound, UPRIGHT)


@given(st.binary(max_size=80), st.sampled_from([b"II*\0", b"MM\0*"]))
def test_arbitrary_exif_keeps_its_length_and_is_upright_after_one_reset(noise: bytes, head: bytes) -> None:
    once, _ = reset(head + noise)
    assert len(once) == len(head + noise) and reset(once) == (once, UPRIGHT)


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 3)])
def test_upright_turns_as_pillow_does(value: int, shape: tuple[int, ...]) -> None:
    samples = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    image = Image.fromarray(samples)
    image.getexif()[TAG] = value
    assert np.array_equal(upright(samples, value), np.asarray(ImageOps.exif_transpose(image)))
