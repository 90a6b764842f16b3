"""Better latents from a slower encoder: what each effort tries.

    nudge    y - η·∇ λ·D(synthesis(y), x)                         effort 2: one step, before anything is rounded
    search   minimise R + λ·D over y                              effort 3: two steps; from effort 4 on many
    flip     ŷ to neighbouring integers where R + λ·D falls       from effort 7 on, after the search

Pixels and y in, y out: file format and decoder know nothing of it. Memory does not grow with the picture: it is worked
on window by window, and what lies around a window stays as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vlae_codec import tiles
from vlae_codec.flips import flipped
from vlae_codec.problem import HALO, NUDGE_MAX, ROUNDINGS, Problem, between, differentiable
from vlae_codec.search import EIGHTHS, QUARTERS, long, quick, search, total_steps
from vlae_codec.tiles import Box

Floats = NDArray[np.float32]
Progress = Callable[[float], None]

EFFORT_MAX, DEFAULT_EFFORT = 9, 3
"""The last effort, and the one of an encoder that is not told otherwise."""
NUDGING_EFFORT, HALVES_EFFORT, LONG_EFFORT = 2, 3, 4
"""The effort that takes one step, the one that rounds in two, and the first that searches for long."""
BRANCHES = [(0, QUARTERS), (4, QUARTERS), (8, EIGHTHS), (24, EIGHTHS), (64, EIGHTHS), (152, EIGHTHS)]
"""Of efforts that search for long: steps of the one descent after which each branches off, and the parts that it then
rounds latents in. With all branches before, that is 4, 12, 24, 48, 96 and 192 steps."""
SWEEPS = [0, 0, 0, 8, 24, 64]  # of flips after them
SWEEP = 6  # steps that take as long, about

SMALL, MOST_CHECKED = 1 << 14, 1 << 22
"""Pixels of pictures whose coding is always compared with plain rounding, and at most of those where it may be."""
NEARLY_EMPTY = 0.04  # bits per pixel


@dataclass(frozen=True)
class Choice:
    """Latents (C, h, w) in steps, not rounded, and how many squared steps a bit may cost in rounding them."""

    y: Floats
    bit_price: float

    def part(self, box: Box) -> Floats:
        """The latents of a box."""
        return self.y[:, box.rows, box.columns]


def bit_price(tune: str, effort: int, rate: Tensor) -> float:
    """Squared steps that a bit may cost in rounding; a long search has counted it already.

    Args:
        rate: (1,) rate index.
    """
    rounding = ROUNDINGS[tune]
    prices = {1: rounding.price, NUDGING_EFFORT: rounding.nudged_price, HALVES_EFFORT: rounding.halves_price}
    return between(prices[effort], float(rate)) if effort in prices else 0.0


def doubtful(bits: float, pixels: int) -> bool:
    """Whether it must be looked at if an effort below the searching ones is better than plain rounding.

    It is on photographs, always. Where there is next to nothing to code it need not be; and a picture that is small
    takes next to no time to look at.
    """
    return pixels <= SMALL or (bits < NEARLY_EMPTY * pixels and pixels <= MOST_CHECKED)


def nudge(problem: Problem, y: Floats, seen: Box, box: Box) -> Floats:
    """The latents of a box after one step down the gradient of the error that the synthesis makes of them.

    What the analysis gives is not yet the best for this picture. The windows do not depend on the box, so that neither
    do the latents.

    Args:
        y: (C, rows, columns) of `seen`, which has HALO more latents than the box on each side within the picture.
        box: sides are multiples of a segment's, but for where the picture ends.
    """
    size = tiles.latent_size(*problem.pixels.shape[:2])
    step = between(ROUNDINGS[problem.tune].nudge, float(problem.rate))
    out = y.copy()
    for window in box.parts(tiles.SIDE, tiles.SIDE):
        region = window.grown(HALO, size)
        known, inner = region.within(seen), window.within(region)
        slope = distortion_slope(problem, y[:, known.rows, known.columns], region)[:, inner.rows, inner.columns]
        target = window.within(seen)
        out[:, target.rows, target.columns] -= np.nan_to_num(step * slope).clip(-NUDGE_MAX, NUDGE_MAX)
    kept = box.within(seen)
    return out[:, kept.rows, kept.columns]


def settle(problem: Problem, y: Floats, seen: Box, box: Box) -> Floats:
    """The latents of a box, half of them rounded, and the others moved to make up for what that did.

    Args:
        y, seen, box: as for `nudge`.
    """
    (found,) = search(problem, y, seen, box, [quick(problem)], lambda done: None)
    return found


def search_long(problem: Problem, y: Floats, effort: int, progress: Progress) -> list[Floats]:
    """The latents of the whole picture that the efforts from LONG_EFFORT up to this one find, then those with flips.

    MS-SSIM is no sum over the cells of a picture, so there are no flips for it.

    Args:
        y: to start from, (C, h, w).
        progress: is called with the fraction done.
    """
    whole, number = tiles.whole(*problem.pixels.shape[:2]), effort - LONG_EFFORT + 1
    sweeps = SWEEPS[:number] if problem.tune == "psnr" else [0]
    ways = [long(problem, *branch) for branch in BRANCHES[:number]]
    times = [total_steps(ways), *(SWEEP * times for times in sweeps)]
    first, *others = (partial(report_part, progress, sum(times[:k]), time, sum(times)) for k, time in enumerate(times))
    found = search(problem, y, whole, whole, ways, first)
    pairs = zip(found, sweeps, others, strict=False)
    return found + [flipped(problem, latents, times, part) for latents, times, part in pairs if times]


def report_part(progress: Progress, before: int, time: int, total: int, done: float) -> None:
    """Tell whoever watches how much of all is done, when it is of a part."""
    progress((before + time * done) / total)


def distortion_slope(problem: Problem, y: Floats, region: Box) -> Floats:
    """Derivative of λ·D(synthesis(y), x), in bits, by the latents (C, rows, columns) of a region."""
    latents = torch.from_numpy(y)[None].requires_grad_()
    with differentiable(latents.device):
        bits = problem.price(latents, problem.picture(region))
    slope: Floats = torch.autograd.grad(bits, latents)[0][0].numpy()
    return slope
