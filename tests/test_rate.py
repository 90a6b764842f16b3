"""The search alone, on curves whose crossing is known."""

import math
from collections.abc import Callable

import pytest

from vlae_codec.errors import TargetError
from vlae_codec.rate import MAX_PASSES, crossing, largest_within, smallest_reaching

SLOPE = 0.003


def counted(curve: Callable[[int], float]) -> tuple[Callable[[int], float], list[int]]:
    """The curve, and the levels that it is asked for."""
    asked: list[int] = []

    def ask(level: int) -> float:
        asked.append(level)
        return curve(level)

    return ask, asked


@pytest.mark.parametrize("power", [0.5, 0.8, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.77, 0.99])
def test_the_crossing_of_a_smooth_curve_is_found_in_few_passes(power: float, share: float) -> None:
    curve, asked = counted(lambda level: 2 + 3 * (level / 1000) ** power)
    below, above = crossing(curve, 2 + 3 * share, SLOPE, 0.003)
    assert below is not None
    assert curve(below) <= 2 + 3 * share and (above is None or curve(above) > 2 + 3 * share)
    assert 2 + 3 * share - curve(below) < 0.02 or above == below + 1
    assert len(asked) <= MAX_PASSES + 3


def test_neighbours_are_found_where_no_tolerance_is_given() -> None:
    curve, _ = counted(lambda level: 0.0029 * level)
    assert crossing(curve, 0.0029 * 333.5, SLOPE, 0) == (333, 334)


def test_a_curve_that_is_not_smooth_ends_within_the_passes_and_keeps_its_promise() -> None:
    curve, asked = counted(lambda level: 0.003 * level + 0.2 * math.sin(level))
    below, above = crossing(curve, 1.0, SLOPE, 0)
    assert below is not None
    assert len(asked) <= MAX_PASSES
    assert curve(below) <= 1.0 < curve(above)


def test_a_target_below_the_whole_curve_is_told() -> None:
    curve, asked = counted(lambda level: 5 + 0.003 * level)
    assert crossing(curve, 4.0, SLOPE, 0.003) == (None, 0)
    assert len(asked) <= 3


def test_a_target_above_the_whole_curve_is_told() -> None:
    curve, asked = counted(lambda level: 5 + 0.003 * level)
    assert crossing(curve, 40.0, SLOPE, 0.003) == (1000, None)
    assert len(asked) <= 3


def coded(level: int) -> int:
    """The size of a made-up file, with the waves that real ones have."""
    return round(4000 * math.exp(0.003 * level + 0.002 * math.sin(level)))


@pytest.mark.parametrize("size", [4100, 9000, 33_333, 70_000])
def test_the_largest_file_within_a_size_is_at_most_one_percent_smaller(size: int) -> None:
    code, asked = counted(coded)
    assert 0.99 * size <= largest_within(size, code, int) <= size
    assert len(asked) <= MAX_PASSES


def test_any_size_above_the_largest_file_gives_that() -> None:
    assert largest_within(10**9, coded, int) == coded(1000)


def test_a_size_below_the_smallest_file_is_refused_with_that() -> None:
    with pytest.raises(TargetError, match=f"smallest possible file has {coded(0)}"):
        largest_within(3000, coded, int)


@pytest.mark.parametrize("psnr", [26.0, 30.5, 38.0])
def test_the_smallest_file_that_reaches_a_psnr_is_next_to_one_that_does_not(psnr: float) -> None:
    code, asked = counted(lambda level: level)
    found = smallest_reaching(psnr, lambda level: int(code(level)), lambda level: 25.9 + 0.0122 * level)
    assert 25.9 + 0.0122 * found >= psnr > 25.9 + 0.0122 * (found - 1)
    assert len(asked) <= MAX_PASSES


def test_a_psnr_that_a_file_has_exactly_is_reached_by_it() -> None:
    assert smallest_reaching(30.0, int, lambda level: level / 10) == 300


def test_a_psnr_out_of_reach_is_refused_with_the_best() -> None:
    with pytest.raises(TargetError, match=r"38\.10 dB is the most"):
        smallest_reaching(45, int, lambda level: 25.9 + 0.0122 * level)
