"""Cutting a picture's latents into segments that are coded one by one, and putting them together again."""

from typing import NamedTuple

from vlae_codec.bitstream import SEGMENT

LATENT = 16  # pixels per position of a latent
SIDE = SEGMENT // LATENT


class Box(NamedTuple):
    """The latents of one segment: rows and columns of the (C, H/16, W/16) array."""

    rows: slice
    columns: slice

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


def latent_size(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of latents of a picture in pixels."""
    return -(-height // LATENT), -(-width // LATENT)


def segments(height: int, width: int) -> list[Box]:
    """Boxes of the segments of a picture in pixels, in the order of the file."""
    rows, columns = (cut(side) for side in latent_size(height, width))
    return [Box(r, c) for r in rows for c in columns]


def cut(length: int) -> list[slice]:
    """Consecutive slices of at most SIDE."""
    return [slice(start, min(start + SIDE, length)) for start in range(0, length, SIDE)]
