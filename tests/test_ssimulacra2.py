"""SSIMULACRA2: laws, its blur against the recursion that defines it, and scores of the reference and of a third."""

import numpy as np
import pytest

from vlae_codec import ssimulacra2

SIGMA, RADIUS = 1.5, 5


def _coarse(picture, step):
    return (picture // step * step + step // 2).astype(np.uint8)


def _recursive_gaussian(signal):
    """Charalampidis, 2016: three second-order recursions, zeros beyond the ends; what the reference blurs with."""
    omega, signs = np.array([1, 3, 5]) * np.pi / (2 * RADIUS), np.array([1, -1, 1])
    p, r = signs / np.tan(omega / 2), signs / np.tan(omega / 2) ** 2 / np.sin(omega)
    rho = np.exp(-(SIGMA**2) * omega**2 / 2) / RADIUS
    zeta = np.array([p[1] * r[2] - r[1] * p[2], p[2] * r[0] - r[2] * p[0]]) / (p[0] * r[1] - r[0] * p[1])
    gamma = [1, RADIUS**2 - SIGMA**2, zeta @ rho[:2] + rho[2]]
    beta = np.linalg.solve([p, r, [*zeta, 1]], gamma)
    out, before, long_before = np.zeros(len(signal)), np.zeros(3), np.zeros(3)
    padded = np.pad(signal, 2 * RADIUS)
    for n in range(1 - RADIUS, len(signal)):
        pair = padded[n - RADIUS - 1 + 2 * RADIUS] + padded[n + RADIUS - 1 + 2 * RADIUS]
        now = -pair * beta * np.cos(omega * (RADIUS + 1)) + 2 * np.cos(omega) * before - long_before
        before, long_before = now, before
        if n >= 0:
            out[n] = now.sum()
    return out


def test_the_blur_is_the_recursive_gaussian_with_zeros_beyond_the_border():
    signal = np.random.default_rng(0).random(40)
    column = np.zeros((3, 40, 9), np.float32)
    column[:, :, 4] = signal
    blurred = ssimulacra2.blurred(column)[0].sum(axis=1)
    assert np.allclose(blurred, _recursive_gaussian(signal), atol=1e-6)
    assert np.allclose(ssimulacra2.blurred(column.swapaxes(1, 2))[0].sum(axis=0), blurred, atol=1e-6)


def test_equal_pictures_score_a_hundred(photo):
    assert ssimulacra2.ssimulacra2(photo, photo) == 100


@pytest.mark.parametrize(
    ("name", "step", "score"),
    [("astronaut", 16, 52.43), ("astronaut", 64, -47.48), ("coffee", 16, 65.08), ("chelsea", 16, 64.27)],
)
def test_scores_are_those_of_another_implementation_with_the_blur_of_the_reference(name, step, score):
    """The package ssimulacra2 0.3.0 of PyPI in float64, its blur replaced by the recursion above."""
    from skimage import data

    picture = np.ascontiguousarray(getattr(data, name)())
    assert ssimulacra2.ssimulacra2(picture, _coarse(picture, step)) == pytest.approx(score, abs=0.02)


@pytest.mark.parametrize(
    ("name", "step", "score"),
    [
        ("astronaut", 8, 78.586), ("astronaut", 16, 52.404), ("astronaut", 32, 9.123), ("astronaut", 64, -47.490),
        ("coffee", 8, 84.733), ("coffee", 16, 65.065), ("coffee", 32, 23.523), ("coffee", 64, -45.387),
        ("chelsea", 8, 85.319), ("chelsea", 16, 64.269), ("chelsea", 32, 15.959), ("chelsea", 64, -39.746),
    ],
)  # fmt: skip
def test_scores_are_those_of_the_reference(name, step, score):
    """Version 2.1 of tools/ssimulacra2.cc over the blur and the XYB of libjxl 0.7.0, compiled for AVX2 and FMA."""
    from skimage import data

    picture = np.ascontiguousarray(getattr(data, name)())
    assert ssimulacra2.ssimulacra2(picture, _coarse(picture, step)) == pytest.approx(score, abs=0.1)


@pytest.mark.parametrize(("name", "score"), [("astronaut", 16.360), ("coffee", -12.029), ("chelsea", 25.534)])
def test_the_score_of_a_picture_moved_by_a_pixel_is_that_of_the_reference(name, score):
    from skimage import data

    picture = np.ascontiguousarray(getattr(data, name)())
    assert ssimulacra2.ssimulacra2(picture, np.roll(picture, 1, axis=1)) == pytest.approx(score, abs=0.1)


def test_a_gray_picture_scores_as_the_same_in_three_channels(photo):
    gray = photo[:200, :150, :1]
    colour = np.repeat(gray, 3, axis=2)
    assert ssimulacra2.ssimulacra2(gray, _coarse(gray, 32)) == ssimulacra2.ssimulacra2(colour, _coarse(colour, 32))


def test_odd_sides_are_halved_with_their_last_pixels_repeated():
    planes = np.arange(15, dtype=np.float32).reshape(1, 3, 5).repeat(3, axis=0)
    assert ssimulacra2.halved(planes)[2].tolist() == [[3, 5, 6.5], [10.5, 12.5, 14]]


@pytest.mark.parametrize(("shape", "scored"), [((113, 113, 3), True), ((112, 400, 3), False), ((1, 1, 1), False)])
def test_a_picture_too_small_for_six_scales_has_no_score(shape, scored):
    picture = np.zeros(shape, np.uint8)
    assert (ssimulacra2.ssimulacra2(picture, picture) is not None) == scored
