"""Which way up a picture is: EXIF's orientation, 1 (upright) to 8, taken out of the EXIF and applied to the samples.

The EXIF, bytes from its TIFF header on, changes in the two bytes of that value only. Parsed and written anew it would
lose its thumbnail, and its maker notes would no longer stand where their own offsets point.
"""

import struct

import numpy as np
from numpy.typing import NDArray

TAG = 0x0112
UPRIGHT = 1
_SHORT = 3  # TIFF's number for the type; with any other the tag is ignored, as in browsers


def reset(exif: bytes) -> tuple[bytes, int]:
    """The EXIF with an orientation of 1, and the orientation that it had.

    Bytes without a sound orientation are returned as they are, with 1.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return exif, UPRIGHT
    try:
        offset = _find(exif, order)
        (orientation,) = struct.unpack_from(order + "H", exif, offset)
    except (struct.error, LookupError):  # it ends within its first directory, or has no orientation
        return exif, UPRIGHT
    if not UPRIGHT < orientation <= 8:
        return exif, UPRIGHT
    return exif[:offset] + struct.pack(order + "H", UPRIGHT) + exif[offset + 2 :], orientation


def _find(exif: bytes, order: str) -> int:
    """The offset of the value, in the first directory."""
    (start,) = struct.unpack_from(order + "I", exif, 4)
    (entries,) = struct.unpack_from(order + "H", exif, start)
    for entry in range(start + 2, start + 2 + 12 * entries, 12):
        if struct.unpack_from(order + "HHI", exif, entry) == (TAG, _SHORT, 1):
            return entry + 8
    raise LookupError


def upright(samples: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """(H, W, ...) mirrored and turned as the orientation asks; 5 to 8 exchange H and W."""
    if orientation in (5, 6, 7, 8):
        samples = samples.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return np.ascontiguousarray(samples)
