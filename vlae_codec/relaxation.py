"""What takes the place of rounding in a search for better latents, so that there is a slope to go down.

Latents are x steps from their origin, about which they are rounded: what the prior predicts, or 0 in the first group.
"""

import math
from typing import Protocol

import torch
from torch import Tensor

from vlae_codec.models.vlae import Logistic, interval_bits

DRAWN = 0.5  # amplitude of the noise that is drawn, against that of rounding
CURVATURE = 12 / math.log(2)  # second derivative of λ·D by a latent, bits per squared step
FORESEEN = 0.2, 0.2, 0.2, 0.2, 0.2, 0.75, 0.75  # of the way to where each group will be rounded
OWN = 0.45 * CURVATURE  # what of the slope a latent owes to being shown a step away from itself
CHANCE = 0.15  # what the bits of rounding at random count for, against those of latents that are not rounded


class Relaxation(Protocol):
    """What takes the place of rounding for latents that still can move."""

    def shown(self, x: Tensor, group: int) -> Tensor:
        """What becomes of latents of a group, as the synthesis and the prior of others see it."""

    def bits(self, shown: Tensor, x: Tensor, origin: Tensor, p: Logistic) -> Tensor:
        """What latents cost, elementwise, that are shown at `shown` and have the distribution p."""


class AsTheyAre:
    """Without rounding."""

    def shown(self, x: Tensor, group: int) -> Tensor:
        """The same."""
        return x

    def bits(self, shown: Tensor, x: Tensor, origin: Tensor, p: Logistic) -> Tensor:
        """Those of the interval about what is shown."""
        return interval_bits(shown, p)


class AtRandom:
    """Rounding up or down at random, with the latents as the mean.

    Rounding has the variance s (1 - s), where s is the probability of rounding up. To second order it adds
    CURVATURE / 2 times that to λ·D, which is counted without being drawn, but for noise of DRAWN times the amplitude.

    The curvature follows from training, which has noise of the variance 1/12 and chooses the scale of each latent that
    is coded: multiplied by a it takes log2(a) bits more and saves CURVATURE / 24 · (1 - a⁻²) of λ·D, and at a = 1 the
    derivatives of both are equal.
    """

    def __init__(self) -> None:
        self.noise = torch.Generator().manual_seed(0)

    def shown(self, x: Tensor, group: int) -> Tensor:
        """With some of the noise."""
        share = share_above(x)
        return x + DRAWN * ((torch.rand(x.shape, generator=self.noise) < share).to(x.dtype) - share)

    def bits(self, shown: Tensor, x: Tensor, origin: Tensor, p: Logistic) -> Tensor:
        """The mean of both outcomes, and what the noise that is not drawn adds to λ·D."""
        share = x - x.detach().floor()
        return expected_bits(x, origin, p) + (1 - DRAWN**2) * CURVATURE / 2 * share * (1 - share)


class Foreseeing:
    """Some of the way to where they will be rounded, as far as that can be known before anything is.

    So latents already make up for some of what rounding the others will do. Those that are rounded first can do it at
    no other time; therefore those that are rounded last are shown farther along. What rounding does to a latent itself
    it cannot make up for: the slope has no part of that.
    """

    def shown(self, x: Tensor, group: int) -> Tensor:
        """Nearer to the nearest integer, with the slope of x."""
        return x + FORESEEN[group] * (x.round() - x).detach()

    def bits(self, shown: Tensor, x: Tensor, origin: Tensor, p: Logistic) -> Tensor:
        """Partly those of rounding at random, whose slope is what the one integer costs more than the other; less what
        takes the slope back that a latent has from where it is shown itself."""
        away = (shown - origin - x).detach()
        return torch.lerp(interval_bits(shown, p), expected_bits(x, origin, p), CHANCE) - OWN * away * x


def share_above(x: Tensor) -> Tensor:
    """Distance from the integer below, 0 to 1, without a slope."""
    return (x - x.floor()).detach()


def expected_bits(x: Tensor, origin: Tensor, p: Logistic) -> Tensor:
    """What latents cost in the mean that are rounded up with the probability of their distance from the integer below.

    Args:
        x: in steps from the origin; the bits have a slope by it, and by p.
    """
    below = x.detach().floor()
    lower, upper = (interval_bits(origin + outcome, p) for outcome in (below, below + 1))
    return torch.lerp(lower, upper, x - below)
