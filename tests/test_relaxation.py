import pytest
import torch

from vlae_codec import relaxation
from vlae_codec.models.config import GROUPS
from vlae_codec.models.vlae import Logistic, interval_bits


def chances() -> tuple[torch.Tensor, torch.Tensor, Logistic]:
    """Latents, 100 000 of each, their origin and what is predicted of them."""
    x = torch.tensor([-1.9, -0.5, 0.0, 0.2, 3.0])[:, None].repeat(1, 100_000).requires_grad_()
    origin = torch.tensor(0.3).expand_as(x)
    return x, origin, Logistic(origin + 0.1, torch.ones_like(x))


def test_rounding_at_random_has_latents_as_its_mean_and_part_of_its_noise() -> None:
    x, _, _ = chances()
    shown, share = relaxation.AtRandom().shown(x, 3), x - x.floor()
    torch.testing.assert_close(shown.mean(1), x[:, 0], atol=0.005, rtol=0)
    torch.testing.assert_close(shown.var(1), (relaxation.DRAWN**2 * share * (1 - share))[:, 0], atol=0.002, rtol=0)
    (slope,) = torch.autograd.grad(shown.sum(), x)
    assert (slope == 1).all()


def test_rounding_at_random_counts_what_coding_either_integer_takes_and_the_error_it_makes() -> None:
    """Of a λ·D with the curvature that the search expects."""
    x, origin, p = chances()
    at_random = relaxation.AtRandom()
    up = torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) < x - x.floor()
    drawn = x.floor() + up
    real = (interval_bits(origin + drawn, p) + relaxation.CURVATURE / 2 * (drawn - x) ** 2).mean(1)
    shown = at_random.shown(x, 3)
    left = relaxation.CURVATURE / 2 * (shown - x) ** 2
    counted = (at_random.bits(origin + shown, x, origin, p) + left).mean(1)
    torch.testing.assert_close(counted, real, atol=0.03, rtol=0)
    assert counted[2] == interval_bits(origin, p)[2, 0] and counted[1] > counted[2] + 2


def test_the_curvature_is_that_of_the_scale_which_training_finds_best() -> None:
    """Of a latent that has noise of the variance 1/12: its bits and its error, multiplied by the scale."""
    scale = torch.linspace(0.5, 2, 1501)
    cost = torch.log2(scale) + relaxation.CURVATURE / 2 / 12 / scale**2
    assert float(scale[cost.argmin()]) == pytest.approx(1, abs=0.002)


def test_foreseen_are_latents_between_what_they_are_and_what_rounding_makes_of_them() -> None:
    x, _, _ = chances()
    for group in range(GROUPS):
        shown, share = relaxation.Foreseeing().shown(x, group), relaxation.FORESEEN[group]
        torch.testing.assert_close(x.round() - shown, (1 - share) * (x.round() - x))
        (slope,) = torch.autograd.grad(shown.sum(), x)
        assert 0 < share < 1 and (slope == 1).all()


def test_the_bits_of_latents_that_foresee_draw_them_to_the_cheaper_integer() -> None:
    """Also within half a step of what is predicted, where the bits of an interval hardly have a slope."""
    x = torch.tensor([-0.45, -0.1, 0.1, 0.45, 0.55, 1.2]).requires_grad_()
    p, origin = Logistic(torch.zeros(6), torch.full((6,), 0.2)), torch.zeros(6)
    slopes = [
        torch.autograd.grad(way.bits(x, x, origin, p).sum(), x)[0]
        for way in (relaxation.AsTheyAre(), relaxation.Foreseeing())
    ]
    assert torch.equal(slopes[1].sign(), x.detach().sign())
    assert (slopes[1][1:3].abs() > 3 * slopes[0][1:3].abs()).all()
    lower, upper = (interval_bits(torch.tensor(value), Logistic(p.mean[0], p.std[0])) for value in (0.0, 1.0))
    torch.testing.assert_close(
        slopes[1][2], torch.lerp(slopes[0][2], upper - lower, relaxation.CHANCE), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize(
    ("way", "part"),
    [(relaxation.Foreseeing, relaxation.OWN_ROUNDING), (relaxation.AtRandom, relaxation.OWN_NOISE)],
)
def test_a_latent_makes_up_for_less_of_where_it_is_shown_itself(way: type[relaxation.Relaxation], part: float) -> None:
    """Of an error with that part of the curvature nothing is left in the slope."""
    x, relaxed = torch.tensor([-1.3, 0.2, 0.4]).requires_grad_(), way()
    p, origin = Logistic(torch.zeros(3), torch.full((3,), 0.5)), torch.full((3,), 0.1)
    shown = relaxed.shown(x, 6)
    error = part * relaxation.CURVATURE / 2 * (shown - x.detach()) ** 2
    away, at_home = (relaxed.bits((origin + place).detach(), x, origin, p) for place in (shown, x))
    (slope,) = torch.autograd.grad((error + away - at_home).sum(), x)
    torch.testing.assert_close(slope, torch.zeros(3), atol=1e-4, rtol=0)
    assert (shown - x).abs().min() > 0.05
