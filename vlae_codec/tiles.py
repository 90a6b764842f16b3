"""Cutting a picture's latents into segments, which are coded one by one, and into tiles, which the networks see.

Networks see a tile with a halo as wide as they see far, so that no tile has a seam. Standard library, bitstream and
errors only.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from vlae_codec.bitstream import SEGMENT
from vlae_codec.errors import UsageError

LATENT = 16  # pixels per position of a latent
SIDE = SEGMENT // LATENT
TILE = 2 * SIDE  # larger ones waste less on halos, smaller ones need less memory


class Box(NamedTuple):
    """A rectangle of latents or of pixels: rows top to bottom, columns left to right, ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def rows(self) -> slice:
        """Of the array."""
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        """Of the array."""
        return slice(self.left, self.right)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    @property
    def pixels(self) -> "Box":
        """Of these latents; at the end of a picture they may reach beyond it."""
        return Box(*(LATENT * edge for edge in self))

    @property
    def latents(self) -> "Box":
        """Of these pixels: all that stand for one of them."""
        return Box(self.top // LATENT, -(-self.bottom // LATENT), self.left // LATENT, -(-self.right // LATENT))

    def grown(self, margin: int, size: tuple[int, int]) -> "Box":
        """With a margin on all sides, but for where the array of that size ends."""
        rows, columns = size
        return Box(
            *(max(self.top - margin, 0), min(self.bottom + margin, rows)),
            *(max(self.left - margin, 0), min(self.right + margin, columns)),
        )

    def common(self, other: "Box") -> "Box":
        """The part that lies in both, which must meet."""
        return Box(
            *(max(self.top, other.top), min(self.bottom, other.bottom)),
            *(max(self.left, other.left), min(self.right, other.right)),
        )

    def within(self, outer: "Box") -> "Box":
        """The same rectangle in an array that holds `outer` alone."""
        return Box(self.top - outer.top, self.bottom - outer.top, self.left - outer.left, self.right - outer.left)

    def parts(self, rows: int, columns: int) -> list["Box"]:
        """Cut into pieces of so many rows and columns, smaller at the bottom and on the right; in row-major order."""
        return [
            Box(top, min(top + rows, self.bottom), left, min(left + columns, self.right))
            for top in range(self.top, self.bottom, rows)
            for left in range(self.left, self.right, columns)
        ]


def region(wanted: tuple[int, int, int, int], height: int, width: int) -> Box:
    """x, y, width and height in a picture of so many pixels as a rectangle of pixels.

    Raises:
        UsageError: it has no pixels, or some outside the picture.
    """
    x, y, across, down = wanted
    if min(x, y) < 0 or min(across, down) < 1 or x + across > width or y + down > height:
        found = f"region of {across}x{down} pixels at {x},{y}"
        raise UsageError(f"{found}; at least one wanted, and all of them within the picture of {width}x{height}")
    return Box(y, y + down, x, x + across)


def parse_region(text: str) -> tuple[int, int, int, int]:
    """From "X,Y,W,H". UsageError: it is something else."""
    if not re.fullmatch(r"\d{1,9}(,\d{1,9}){3}", text, re.ASCII):
        raise UsageError(f"region {text!r}; X,Y,W,H in pixels wanted, such as 0,0,640,480")
    x, y, width, height = map(int, text.split(","))
    return x, y, width, height


def latent_size(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of latents of a picture in pixels."""
    return -(-height // LATENT), -(-width // LATENT)


def whole(height: int, width: int) -> Box:
    """All latents of a picture in pixels."""
    rows, columns = latent_size(height, width)
    return Box(0, rows, 0, columns)


def segments(height: int, width: int) -> list[Box]:
    """Boxes of the segments of a picture in pixels, in the order of the file."""
    return whole(height, width).parts(SIDE, SIDE)


def segments_in(box: Box, width: int) -> Iterator[int]:
    """Numbers of the segments that the box touches, of a picture so many pixels wide."""
    across = -(-width // SEGMENT)
    for row in range(box.top // SIDE, -(-box.bottom // SIDE)):
        yield from range(row * across + box.left // SIDE, row * across + -(-box.right // SIDE))
