"""Random crops of a folder of photographs: decoded once to memory, then cut, mirrored and turned to floats."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vlae_codec.errors import InputError
from vlae_codec.images import Picture, read

Pixels = NDArray[np.uint8]
SUFFIXES = {".avif", ".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
YCC = torch.tensor([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
"""Y, Cb and Cr of JPEG from red, green and blue, https://www.w3.org/Graphics/JPEG/jfif3.pdf."""


class Crops:
    """Draws crops from pictures that are at least as large.

    Args:
        pictures: (H, W, 3) arrays; smaller ones than `size` are left out.
        size: side of a crop in pixels.
        half_chroma: share of the crops that become what `with_half_chroma` makes of them.
    Raises:
        InputError: no picture is large enough.
    """

    def __init__(self, pictures: Sequence[Pixels], size: int, half_chroma: float = 0.0):
        self.pictures = [p for p in pictures if min(p.shape[:2]) >= size]
        self.size, self.half_chroma = size, half_chroma
        if not self.pictures:
            raise InputError(f"none of {len(pictures)} pictures has both sides of at least {size} pixels")

    def draw(self, count: int) -> Tensor:
        """(count, 3, size, size) float32 in ±0.5, drawn with torch's random state; half of them mirrored."""
        out = np.empty((count, self.size, self.size, 3), np.uint8)
        for crop in out:
            crop[:] = self.draw_one()
        return to_floats(torch.from_numpy(out))

    def draw_one(self) -> Pixels:
        """(size, size, 3) from a picture, a place and a direction drawn evenly."""
        picture = self.pictures[randrange(len(self.pictures))]
        y, x = (randrange(side - self.size + 1) for side in picture.shape[:2])
        crop = picture[y : y + self.size, x : x + self.size][:, :: (1, -1)[randrange(2)]]
        halved = self.half_chroma and float(torch.rand(())) < self.half_chroma
        return with_half_chroma(crop) if halved else crop


def with_half_chroma(pixels: Pixels) -> Pixels:
    """(H, W, 3) of even sides as JPEG 4:2:0 leaves them, but for its quantisation: most photographs that people have.

    Chroma becomes the mean of 2x2 pixels, and linear between them; all of it in whole numbers, as in JPEG.
    """
    ycc = torch.einsum("yc,hwc->yhw", YCC, torch.tensor(pixels.copy()).float())[None].round()
    half = F.avg_pool2d(ycc[:, 1:], 2).round()
    ycc[:, 1:] = F.interpolate(half, scale_factor=2, mode="bilinear").round()
    rgb = torch.einsum("cy,yhw->hwc", YCC.inverse(), ycc[0])
    shown: Pixels = rgb.round().clamp(0, 255).byte().numpy()
    return shown


def randrange(stop: int) -> int:
    """An integer in [0, stop), from torch's random state, which checkpoints keep."""
    return int(torch.randint(stop, ()))


def to_floats(pixels: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32 in ±0.5."""
    return pixels.permute(0, 3, 1, 2).float() / 255 - 0.5


def load(folder: Path, limit: int | None = None) -> list[Pixels]:
    """Every picture below `folder` in the order of names, as (H, W, 3) uint8; unreadable files are refused by name."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)[:limit]
    if not paths:
        raise InputError(f"{folder}: no pictures ({', '.join(sorted(SUFFIXES))})")
    return [load_one(path) for path in paths]


def load_one(path: Path) -> Pixels:
    """(H, W, 3) uint8; gray is repeated, alpha left out."""
    try:
        picture: Picture = read(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    return np.ascontiguousarray(np.broadcast_to(picture.pixels, (*picture.pixels.shape[:2], 3)))
