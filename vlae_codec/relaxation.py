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
OWN_NOISE, OWN_ROUNDING = 0.7, 0.45  # what is taken away of the pull back from where a latent is shown
CHANCE = 0.15  # what the bits of rounding at random count for, against those of latents that are not rounded


class Relaxation(Protocol):
    """What takes the place of rounding for latents that still can move."""

    def shown(self, x: Tensor, group: int) -> Tensor:
        """What becomes of latents of a group, as the synthesis and the prior of others see it."""

    def bits(self, shown: Tensor, x: Tensor, origin: Tensor, p: Logistic) -> Tensor:
        """What has the slope of what latents cost, elementwise: at origin + x, shown at `shown`, distributed as p."""


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

    The noise of a latent itself pulls it back, by CURVATURE times the noise; on average that is nothing, so it can be
    taken out of the slope, and what stays is what the noise of others does.
    """

    def __init__(self) -> None:
        self.noise = torch.Generator().manual_seed(0)

    def shown(self, x: Tensor, group: int) -> Tensor:
        """With some of the noise."""
        share = share_above(x.detach())
        return x + DRAWN * ((torch.rand(x.shape, generator=self.noise) < share).to(x.dtype) - share)

    def bits(self, shown: Tensor, x: Tensor, origin: Tensor, p: Logistic) -> Tensor:
        """The mean of both outcomes, and what the noise that is not drawn adds to λ·D."""
        share = share_above(x)
        counted = (1 - DRAWN**2) * CURVATURE / 2 * share * (1 - share)
        return expected_bits(x, origin, p) + counted - own_pull(OWN_NOISE, shown, x, origin)


class Foreseeing:
    """Some of the way to where they will be rounded, as far as that can be known before anything is.

    So latents already make up for some of what rounding the others will do. Those that are rounded first can do it at
    no other time; therefore those that are rounded last are shown farther along. What rounding does to a latent itself
    it cannot make up for: some of what pulls it back from where it is shown is taken out of the slope.
    """

    def shown(self, x: Tensor, group: int) -> Tensor:
        """Nearer to the nearest integer, with the slope of x."""
        return x + FORESEEN[group] * (x.round() - x).detach()

    def bits(self, shown: Tensor, x: Tensor, origin: Tensor, p: Logistic) -> Tensor:
        """Partly those of rounding at random, whose slope is what the one integer costs more than the other."""
        bits = torch.lerp(interval_bits(shown, p), expected_bits(x, origin, p), CHANCE)
        return bits - own_pull(OWN_ROUNDING, shown, x, origin)


def share_above(x: Tensor) -> Tensor:
    """Distance from the integer below, 0 to 1."""
    return x - x.detach().floor()


def expected_bits(x: Tensor, origin: Tensor, p: Logistic) -> Tensor:
    """What latents cost in the mean that are rounded up with the probability of their distance from the integer below.

    Args:
        x: in steps from the origin; the bits have a slope by it, and by p.
    """
    below = x.detach().floor()
    lower, upper = (interval_bits(origin + outcome, p) for outcome in (below, below + 1))
    return torch.lerp(lower, upper, share_above(x))


def own_pull(part: float, shown: Tensor, x: Tensor, origin: Tensor) -> Tensor:
    """A term with part of the slope that λ·D gets from showing a latent elsewhere than it is."""
    return part * CURVATURE * (shown - origin - x).detach() * x
