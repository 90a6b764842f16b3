"""The quality for a wanted size or PSNR: a search over tenths of quality for where a rising curve crosses a value.

Knows nothing of pictures: the curve is a function from a level to a number, and each call of it costs an analysis pass.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from vlae_codec.bitstream import QUALITY_MAX

MAX_PASSES = 10
Curve = Callable[[int], float]


class Crossing(NamedTuple):
    """The highest level found whose value is at most the target, and the lowest whose value is above; None where the
    curve lies on one side of it altogether."""

    below: int | None
    above: int | None


def crossing(curve: Curve, target: float, slope: float, tolerance: float) -> Crossing:
    """Where a rising curve crosses the target, between levels 0 and QUALITY_MAX.

    Regula falsi; when the same end has moved twice, a bisection, or the end of the scale if nothing bounds the other
    side. At most MAX_PASSES values are asked for.

    Args:
        curve: value of a level; it need not rise from each level to the next, but the result is then one of several.
        slope: what it typically rises by from a level to the next, for the first guesses.
        tolerance: stop when the value below is nearer to the target than this.
    """
    values: dict[int, float] = {}
    below, above = -1, QUALITY_MAX + 1
    moves = 0  # of the end below since the one above has moved, negative for the other way round
    level = QUALITY_MAX // 2
    while len(values) < MAX_PASSES and above - below > 1:
        values[level] = curve(level)
        if values[level] <= target:
            below, moves = level, max(moves, 0) + 1
        else:
            above, moves = level, min(moves, 0) - 1
        if below in values and target - values[below] < tolerance:
            break
        level = _guess(values, (below, above), target, slope, slow=abs(moves) > 1)
    return Crossing(below if below in values else None, above if above in values else None)


def _guess(values: dict[int, float], ends: tuple[int, int], target: float, slope: float, slow: bool) -> int:
    """A level strictly between the ends, if there is one."""
    below, above = ends
    if below in values and above in values:
        share = 0.5 if slow else (target - values[below]) / (values[above] - values[below])
        level = below + share * (above - below)
    elif below in values:
        level = above if slow else below + (target - values[below]) / slope
    else:
        level = below if slow else above - (values[above] - target) / slope
    return min(max(math.floor(level), below + 1), above - 1)
