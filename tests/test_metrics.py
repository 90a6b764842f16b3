"""Laws of the metrics; numbers that follow from the definitions, not from a first run."""

import math

import numpy as np
import pytest

from vlae_codec import metrics
from vlae_codec.errors import UsageError

CURVE = [(0.1, 27.0), (0.2, 29.5), (0.4, 32.5), (0.8, 35.5), (1.6, 39.0)]


def _line(slope, offset, psnrs):
    """Points whose log10 of the rate is a straight line over PSNR, which Akima's splines keep."""
    return [(10 ** (slope * psnr + offset), psnr) for psnr in psnrs]


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (161, 170, 3), dtype=np.uint8)


def test_psnr_of_an_error_of_one_everywhere_is_that_of_the_peak():
    a = np.full((5, 7, 3), 200, np.uint8)
    assert metrics.psnr(a, a - 1) == metrics.psnr(a - 1, a) == 20 * math.log10(255)


def test_psnr_is_of_the_error_over_all_channels_together():
    a = np.zeros((4, 4, 3), np.uint8)
    b = a.copy()
    b[..., 1] = 3
    assert metrics.psnr(a, b) == pytest.approx(10 * math.log10(255**2 / 3), abs=1e-12)


def test_psnr_of_black_against_white_is_zero_and_of_equal_pictures_infinite():
    black, white = np.zeros((64, 64, 1), np.uint8), np.full((64, 64, 1), 255, np.uint8)
    assert metrics.psnr(black, white) == 0
    assert metrics.psnr(black, black) == math.inf


def test_ms_ssim_is_one_for_equal_pictures_and_falls_with_the_error(noise):
    near, far = np.clip(noise, 8, None), np.clip(noise, 90, None)
    assert metrics.ms_ssim(noise, noise) == pytest.approx(1, abs=1e-6)
    assert metrics.ms_ssim(noise, far) < metrics.ms_ssim(noise, near) < 1


def test_ms_ssim_takes_gray_pictures(noise):
    gray = noise[..., :1]
    assert metrics.ms_ssim(gray, gray) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("shape", [(160, 200, 3), (200, 160, 3), (1, 1, 3)])
def test_ms_ssim_of_a_picture_too_small_for_five_scales_is_none(shape):
    picture = np.zeros(shape, np.uint8)
    assert metrics.ms_ssim(picture, picture) is None


def test_ms_ssim_in_decibels_gains_ten_when_a_tenth_of_the_error_is_left():
    assert metrics.decibels(0.9) == pytest.approx(10) and metrics.decibels(0.99) == pytest.approx(20)
    assert metrics.decibels(1.0) == pytest.approx(90)


@pytest.mark.parametrize("window", [None, (30, 36)])
def test_a_curve_of_nine_tenths_of_the_rate_has_a_bd_rate_of_minus_ten_percent(window):
    assert metrics.bd_rate(CURVE, [(0.9 * rate, psnr) for rate, psnr in CURVE], window) == pytest.approx(-10, abs=1e-9)


def test_bd_rate_does_not_depend_on_the_order_of_the_points():
    better = [(0.8 * rate, psnr + 0.1) for rate, psnr in CURVE]
    assert metrics.bd_rate(CURVE[::-1], better) == metrics.bd_rate(CURVE, better)


def test_bd_rates_in_both_directions_cancel():
    better = [(0.8 * rate, psnr + 0.3) for rate, psnr in CURVE]
    there, back = metrics.bd_rate(CURVE, better) / 100, metrics.bd_rate(better, CURVE) / 100
    assert (1 + there) * (1 + back) == pytest.approx(1, abs=1e-12)


def test_bd_rate_is_the_mean_distance_of_the_logs_over_the_overlap():
    anchor, test = _line(0.10, -4.0, range(26, 40, 2)), _line(0.12, -4.7, range(28, 44, 3))
    middle = (28 + 38) / 2
    expected = 100 * (10 ** (0.02 * middle - 0.7) - 1)
    assert metrics.overlap(anchor, test) == (28, 38)
    assert metrics.bd_rate(anchor, test) == pytest.approx(expected, abs=1e-9)


def test_a_window_confines_bd_rate_to_the_part_of_it_that_both_curves_cover():
    anchor, test = _line(0.10, -4.0, range(26, 40, 2)), _line(0.12, -4.7, range(32, 44, 3))
    middle = (32 + 36) / 2
    expected = 100 * (10 ** (0.02 * middle - 0.7) - 1)
    assert metrics.overlap(anchor, test, (30, 36)) == (32, 36)
    assert metrics.bd_rate(anchor, test, (30, 36)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("curve", "window", "message"),
    [
        (CURVE[:3], None, "4 points or more; this one has 3"),
        ([(rate, psnr + 20) for rate, psnr in CURVE], None, "overlap in quality; these cover .* to .*, .* to .*"),
        (CURVE, (39, 45), "overlap"),
        ([(0.0, 26.0), *CURVE], None, "positive rates"),
        ([*CURVE, (2.0, math.inf)], None, "finite qualities"),
        ([*CURVE, (2.0, 39.0)], None, "different quality"),
    ],
)
def test_bd_rate_refuses_curves_that_have_none(curve, window, message):
    with pytest.raises(UsageError, match=message):
        metrics.bd_rate(CURVE, curve, window)
    with pytest.raises(UsageError, match=message):
        metrics.bd_rate(curve, CURVE, window)
