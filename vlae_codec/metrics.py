"""How close two pictures are, and how far apart two rate-distortion curves.

uint8 arrays (H, W, C) or lists of (bits per pixel, quality) in, floats out. torch is imported by
ms_ssim alone, and bjontegaard [3], an extra that only benchmarks need, by bd_rate alone.

[1] Z. Wang, E. P. Simoncelli, A. C. Bovik, 2003, multi-scale structural similarity
[2] G. Bjøntegaard, 2001, VCEG-M33
[3] C. Herglotz et al., 2022, https://arxiv.org/abs/2202.12565 (Akima interpolation)
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlae_codec.errors import UsageError

Pixels = NDArray[np.uint8]
Point = tuple[float, float]
"""Bits per pixel and quality, such as PSNR in dB; a rate-distortion curve is a sequence of them, in any order."""
Window = tuple[float, float]
"""The quality from where to where."""

MS_SSIM_SIDE = 161
"""The smallest side, in pixels, whose fifth scale still holds the 11x11 window of MS-SSIM."""


def psnr(a: Pixels, b: Pixels) -> float:
    """Peak signal-to-noise ratio in dB, of the error over all pixels and channels together; inf for equal arrays."""
    assert a.dtype == b.dtype == np.uint8 and a.shape == b.shape
    # Integers: the sum is exact, and takes a third of the memory that float64 would.
    difference = a.astype(np.int16) - b
    error = int(np.square(difference, dtype=np.int32).sum(dtype=np.int64)) / a.size
    return 10 * math.log10(255**2 / error) if error else math.inf


def ms_ssim(a: Pixels, b: Pixels) -> float | None:
    """MS-SSIM [1], the mean over the channels (RGB, not luma); None when a side is too short for its five scales."""
    assert a.dtype == b.dtype == np.uint8 and a.shape == b.shape
    if min(a.shape[:2]) < MS_SSIM_SIDE:
        return None
    import pytorch_msssim
    import torch

    batches = [torch.from_numpy(x.transpose(2, 0, 1)[None].astype(np.float32)) for x in (a, b)]
    return float(pytorch_msssim.ms_ssim(*batches, data_range=255))


def decibels(similarity: float) -> float:
    """MS-SSIM as -10 log10(1 - x): its own scale is too crowded near 1 for a spline. At most 90, for equal pictures."""
    return -10 * math.log10(max(1 - similarity, 1e-9))


def overlap(anchor: Sequence[Point], test: Sequence[Point], window: Window | None = None) -> Window:
    """The range of quality that both curves, and the window if there is one, cover.

    Raises:
        UsageError: there is no such range; a curve has fewer than four points, or points that no spline goes through.
    """
    ranges = [(curve[0][1], curve[-1][1]) for curve in (_increasing(anchor), _increasing(test))]
    ranges += [window] if window else []
    low, high = max(start for start, _ in ranges), min(end for _, end in ranges)
    if low >= high:
        found = ", ".join(f"{start:.2f} to {end:.2f}" for start, end in ranges)
        raise UsageError(f"BD-rate needs curves that overlap in quality; these cover {found}")
    return low, high


def bd_rate(anchor: Sequence[Point], test: Sequence[Point], window: Window | None = None) -> float:
    """Bjøntegaard's delta [2] of rate at equal quality, in percent: -10 says `test` needs a tenth less than `anchor`.

    The mean over `overlap(anchor, test, window)` of the log of the rate, which Akima's splines interpolate [3].

    Raises:
        UsageError: as `overlap`.
    """
    import bjontegaard

    low, high = overlap(anchor, test, window)
    columns = [column for curve in (anchor, test) for column in zip(*_increasing(curve), strict=True)]
    splines: tuple[Any, ...] = bjontegaard.bd_rate(
        *columns, method="akima", require_matching_points=False, interpolators=True, min_overlap=0
    )[1:]
    # The package averages over the whole overlap and knows no window, but its splines can be averaged over any.
    mean_anchor, mean_test = (float(spline.integrate(low, high)) / (high - low) for spline in splines)
    return 100 * float(10 ** (mean_test - mean_anchor) - 1)


def _increasing(curve: Sequence[Point]) -> list[Point]:
    """The points by increasing quality, each of which must be there once for a spline to exist."""
    points = sorted(curve, key=lambda point: point[1])
    if len(points) < 4:
        raise UsageError(f"BD-rate needs curves of 4 points or more; this one has {len(points)}")
    if not all(0 < rate < math.inf and math.isfinite(quality) for rate, quality in points):
        raise UsageError(f"BD-rate needs positive rates and finite qualities; the curve is {points}")
    if len({quality for _, quality in points}) < len(points):
        raise UsageError(f"BD-rate needs points of different quality; the curve is {points}")
    return points
