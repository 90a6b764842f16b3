"""The quality for a wanted size or PSNR: a search over tenths of quality for where a rising curve crosses a value.

Knows nothing of pictures: whoever calls says how to code at a level (a quality in tenths) and how to measure. Each
trial is coded for real, as coding takes little beside the networks: what fits is known to fit.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from vlae_codec.bitstream import QUALITY_MAX
from vlae_codec.errors import TargetError, UsageError

MAX_PASSES = 10
QUICK_EFFORT = 3  # the last one at which all passes are made
FINAL_PASSES = 3  # of a higher one, whose files are a few per cent smaller at the same quality
QUICK_PASSES = MAX_PASSES - FINAL_PASSES  # at QUICK_EFFORT before those
MIDDLE = QUALITY_MAX // 2
SIZE_SLOPE = 0.003  # of the logarithm of a photograph's size, per level
SIZE_TOLERANCE = 0.003  # of the size: one level
PSNR_SLOPE = 0.0122  # dB per level
EQUAL_PSNR = 100.0  # dB; stands for infinity
Curve = Callable[[int], float]


@dataclass(frozen=True)
class Target:
    """What a file is to be: `bpp` bits per pixel or `size` bytes at most, or `psnr` dB at least; one of them."""

    bpp: float | None = None
    size: int | None = None
    psnr: float | None = None

    def __post_init__(self) -> None:
        wanted = {name: value for name, value in vars(self).items() if value is not None}
        if len(wanted) != 1:
            raise UsageError(f"{' and '.join(f'--{name}' for name in wanted) or 'no target'} given; one target wanted")
        ((name, value),) = wanted.items()
        if not 0 < value < math.inf:  # NaN is neither
            raise UsageError(f"--{name} {value:g}; a positive number wanted")

    @property
    def easiest(self) -> int:
        """The level that reaches it if one does."""
        return 0 if self.psnr is None else QUALITY_MAX


File = TypeVar("File")


class Crossing(NamedTuple):
    """The highest level found whose value is at most the target, and the lowest whose value is above; None where the
    curve lies on one side of it altogether."""

    below: int | None
    above: int | None


def crossing(
    curve: Curve, target: float, slope: float, tolerance: float, start: int = MIDDLE, passes: int = MAX_PASSES
) -> Crossing:
    """Where a rising curve crosses the target, between levels 0 and QUALITY_MAX.

    Regula falsi; when the same end has moved twice, a bisection, or the end of the scale if nothing bounds the other
    side. At most `passes` values are asked for.

    Args:
        curve: value of a level; it need not rise from each level to the next, but the result is then one of several.
        slope: what it typically rises by from a level to the next, for the first guesses.
        tolerance: stop when the value below is nearer to the target than this.
        start: the level that is asked for first.
    """
    values: dict[int, float] = {}
    below, above = -1, QUALITY_MAX + 1
    moves = 0  # of the end below since the one above has moved, negative for the other way round
    level = start
    while len(values) < passes and above - below > 1:
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


def largest_within(
    size: int, code: Callable[[int], File], length: Callable[[File], int], start: int = MIDDLE, passes: int = MAX_PASSES
) -> File:
    """The best file of at most `size` bytes.

    Args:
        code: a file of a level; called at most `passes` times, first with `start`.
        length: its bytes.
    Raises:
        TargetError: the smallest is larger.
    """
    files: dict[int, File] = {}

    def curve(level: int) -> float:
        files[level] = code(level)
        return math.log(length(files[level]))

    below, _ = crossing(curve, math.log(max(size, 1)), SIZE_SLOPE, SIZE_TOLERANCE, start, passes)
    if below is None:
        nearest = min(files.values(), key=length)
        raise TargetError(f"at most {size} bytes wanted; the smallest possible file has {length(nearest)}", nearest)
    return files[below]


def smallest_reaching(
    psnr: float,
    code: Callable[[int], File],
    measure: Callable[[File], float],
    start: int = MIDDLE,
    passes: int = MAX_PASSES,
) -> File:
    """The smallest file found whose PSNR is at least `psnr` dB.

    Args:
        code: a file of a level; called at most `passes` times, first with `start`.
        measure: its PSNR.
    Raises:
        TargetError: no level reaches it.
    """
    files: dict[int, File] = {}

    def curve(level: int) -> float:
        files[level] = code(level)
        return min(measure(files[level]), EQUAL_PSNR)

    _, above = crossing(curve, math.nextafter(psnr, -math.inf), PSNR_SLOPE, 0.0, start, passes)
    if above is None:
        nearest = max(files.values(), key=measure)
        raise TargetError(f"{psnr:g} dB wanted; {measure(nearest):.2f} dB is the most that is possible", nearest)
    return files[above]
