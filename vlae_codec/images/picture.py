"""What is left of an image file, and what a user allows of files that are refused otherwise. numpy only."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Picture:
    """What is left of an image file: upright, 8 bits per sample.

    pixels: (H, W, 3) RGB or (H, W, 1) gray. alpha: (H, W), 255 is opaque; None where all is.
    metadata: those of "icc", "exif" (from its TIFF header on; any orientation is 1) and "xmp" that there are.
    """

    pixels: Samples
    alpha: Samples | None
    metadata: Mapping[str, bytes]

    def __post_init__(self) -> None:
        assert self.pixels.dtype == np.uint8 and self.pixels.ndim == 3 and self.pixels.shape[2] in (1, 3)
        assert self.alpha is None or (self.alpha.dtype == np.uint8 and self.alpha.shape == self.pixels.shape[:2])
        assert self.metadata.keys() <= {"icc", "exif", "xmp"}


@dataclass(frozen=True)
class Allowed:
    """What a user allows of files that are refused otherwise.

    truncated: what is missing at the end of a file is left blank.
    to_8bit: samples of unknown range are taken, floating-point ones within 0 to 1 as such, others from the least to
    the largest. frame: the one to take of several, counted from 0.
    """

    truncated: bool = False
    to_8bit: bool = False
    frame: int | None = None


STRICT = Allowed()
