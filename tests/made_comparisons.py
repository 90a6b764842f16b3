"""Comparisons to make pages of: generated pictures, and "codecs" that are other pictures of the same size."""

import math

import numpy as np
from numpy.typing import NDArray

from vlae_codec.compare.result import Comparison, Contender

LEDGER = {
    "container": 248.0, "metadata": 0.0, "alpha": 0.0, "y": 1000.5, "z_gross": 60.25, "bits_back": 40.25,
    "theoretical": 1020.5, "actual": 1040.0, "overhead": 19.5,
}  # fmt: skip


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    """Every pixel unlike its neighbours: a shift, a blur or a wrong pixel shows at once."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def contender(name: str, pixels: NDArray[np.uint8], size: int, psnr: float = 30.5) -> Contender:
    return Contender(
        name=name, library="lib" + name, version="1.2", settings="effort 3", quality=50, data=bytes(size),
        pixels=pixels, bpp=8 * size / (pixels.shape[0] * pixels.shape[1]), psnr=psnr, ms_ssim=None, ssimulacra2=70.25,
        encode_seconds=0.125, decode_seconds=0.0625,
    )  # fmt: skip


def comparison(name: str = "a.png", height: int = 90, width: int = 130, channels: int = 3, seed: int = 0) -> Comparison:
    """vlae and "Other", which is exact."""
    original = picture(height, width, channels, seed)
    near = (original // 2 + picture(height, width, channels, seed + 100) // 2).astype(np.uint8)
    contenders = (contender("vlae", near, 161), contender("Other", original.copy(), 170, math.inf))
    bits_map = np.random.default_rng(seed).random((-(-height // 16), -(-width // 16)), np.float32) * 50
    return Comparison(name, original, contenders, ("Absent: not installed",), LEDGER, bits_map)
