"""Coding of the latents of one segment with bits-back (Townsend et al., 2019, https://arxiv.org/abs/1901.04866).

    ŷ0 = round(y0);  ŷ_t = μ_t + round(y_t - μ_t)  with μ_t the mean of p(ŷ_t | ŷ_<t),  t = 1..6

Rounding about the mean makes what was to be expected free: a symbol is 0 unless y_t is half a step away from μ_t.
Groups 1 to 6 know nothing of z. So they go first, and z is then a free sample of q(z | ŷ0): a pop needs bits that are
already there, and the decoder puts them back before it goes on.
`encode` and `decode` stand side by side: the second is the first read upwards, with push and pop exchanged.
Knows a model only as a Protocol; integers in, a stack out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vlae_codec.entropy import FRACTIONS, LEAST_BITS, SYMBOL_MAX, Distributions, Ints, Stack

GROUPS = 7
# Steps of z's grid when nothing is borrowed: a single z needs no finer one (about sqrt(12) deviations).
PLAIN_STRIDE = 3


class LatentModel(Protocol):
    """The distributions of one segment's latents; groups, in 64ths of a step, and z are flat integer arrays."""

    def prior(self, stride: int) -> Distributions:
        """p(z) for z in units of `stride` steps of its grid."""

    def posterior(self, first: Ints) -> Distributions:
        """q(z | ŷ0): a function of integers that the decoder has, too."""

    def first_likelihood(self, z: Ints) -> Distributions:
        """p(ŷ0 | z)."""

    def predictor(self) -> Callable[[Ints], Distributions]:
        """p(ŷ_t | ŷ_<t): the first call takes ŷ0 and gives the distribution of ŷ1, the next takes ŷ1, and so on."""


@dataclass(frozen=True)
class Latents:
    """What is kept of one segment, as flat groups.

    symbols: what is coded. values: ŷ in 64ths of a step. p: p(ŷ_t | ŷ_<t) of groups 1 to 6.
    """

    symbols: list[Ints]
    values: list[Ints]
    p: list[Distributions]

    @classmethod
    def begin(cls, symbols: Ints) -> "Latents":
        """With group 0."""
        return cls([symbols], [FRACTIONS * symbols], [])

    def add(self, symbols: Ints, p: Distributions) -> None:
        """The next group."""
        self.p.append(p)
        self.symbols.append(symbols)
        self.values.append(p.mean + FRACTIONS * symbols)


@dataclass(frozen=True)
class Costs:
    """Ideal bits of one segment: of each group, of z under p(z), and what q(z) returned (0 if nothing was borrowed)."""

    groups: tuple[float, ...]
    z_gross: float
    bits_back: float
    borrowed: bool

    @property
    def net(self) -> float:
        """The negative ELBO at the z that was drawn."""
        return sum(self.groups) + self.z_gross - self.bits_back


def quantise(y: Sequence[NDArray[np.floating[Any]]], model: LatentModel, bit_price: float = 0.0) -> Latents:
    """Round the flat groups of latents, each about what those before it predict.

    Args:
        bit_price: what a bit may cost in squared steps, for groups 1 to 6; 0 gives the nearest symbols.
    """
    latents, predict = Latents.begin(rounded(y[0])), model.predictor()
    for group in y[1:]:
        p = predict(latents.values[-1])
        latents.add(rounded_cheaply(group - p.mean / FRACTIONS, p, bit_price), p)
    return latents


def rounded(x: NDArray[np.floating[Any]]) -> Ints:
    """The nearest symbols."""
    symbols: Ints = np.rint(x).clip(-SYMBOL_MAX, SYMBOL_MAX).astype(np.int32)
    return symbols


def rounded_cheaply(x: NDArray[np.floating[Any]], p: Distributions, bit_price: float) -> Ints:
    """The nearest symbols, or the next ones towards zero where the bits saved are worth the error added."""
    symbols = rounded(x)
    if not bit_price:
        return symbols
    # Only latents between the symbol and zero have a second choice; its error is 1 - |symbol - x|.
    between = np.flatnonzero(np.abs(x) < np.abs(symbols))
    chosen = symbols[between]
    added = 1 - 2 * np.abs(chosen - x[between])  # of squared error
    saved = Distributions(p.mean[between], p.level[between], p.kind).saved(chosen)
    symbols[between] -= np.sign(chosen) * (added < bit_price * saved)
    return symbols


def encode(stack: Stack, latents: Latents, model: LatentModel, borrow: bool = True) -> Costs:
    """Push all groups; on average the stack grows by the negative ELBO in bits.

    Args:
        borrow: draw z with bits of the stack, if it holds enough; else z is the mode of q on a coarser grid, and
            nothing comes back.
    """
    for symbols, p in zip(reversed(latents.symbols[1:]), reversed(latents.p), strict=True):
        stack.push(symbols, p.centred())
    q = model.posterior(latents.values[0])
    z, borrowed = draw(stack, q) if borrow else (q.mode(PLAIN_STRIDE), False)
    stride = 1 if borrowed else PLAIN_STRIDE
    p_first = model.first_likelihood(z * stride)
    stack.push(latents.symbols[0], p_first)
    prior = model.prior(stride)
    stack.push(z, prior)
    return costs(latents, p_first, (z, prior, q), borrowed)


def decode(stack: Stack, model: LatentModel, borrowed: bool, measure: bool = False) -> tuple[Latents, Costs | None]:
    """Pop all groups: `encode` read upwards, with push and pop exchanged.

    Args:
        borrowed: as `encode` returned it.
        measure: also return the costs, as `encode` did.
    """
    stride = 1 if borrowed else PLAIN_STRIDE
    prior = model.prior(stride)
    z = stack.pop(prior)
    p_first = model.first_likelihood(z * stride)
    latents = Latents.begin(stack.pop(p_first))
    q = model.posterior(latents.values[0])
    if borrowed:
        stack.push(z, q)
    predict = model.predictor()
    while len(latents.symbols) < GROUPS:
        p = predict(latents.values[-1])
        latents.add(stack.pop(p.centred()), p)
    return latents, costs(latents, p_first, (z, prior, q), borrowed) if measure else None


def costs(
    latents: Latents, p_first: Distributions, hyper: tuple[Ints, Distributions, Distributions], borrowed: bool
) -> Costs:
    """Ideal bits of everything that was pushed and popped; `hyper` is z, its prior and its posterior."""
    z, prior, q = hyper
    coded = [p_first, *(p.centred() for p in latents.p)]
    bits = tuple(p.bits(symbols) for symbols, p in zip(latents.symbols, coded, strict=True))
    return Costs(bits, prior.bits(z), q.bits(z) if borrowed else 0.0, borrowed)


def draw(stack: Stack, q: Distributions) -> tuple[Ints, bool]:
    """z popped from the stack; its mode in units of PLAIN_STRIDE, and False, when the stack holds too few bits."""
    trial = stack.copy()
    z = trial.pop(q)
    if trial.bits < LEAST_BITS:
        return q.mode(PLAIN_STRIDE), False
    stack.coder = trial.coder
    return z, True
