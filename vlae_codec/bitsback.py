"""Coding of the latents of one segment with bits-back (Townsend et al., 2019, https://arxiv.org/abs/1901.04866).

`encode` and `decode` stand side by side: the second is the first read upwards, with push and pop exchanged.
A pop needs bits that are already there. The last group is coded without z, so it goes first, and z is then a free
sample of q(z | ŷ0, ŷ1, ŷ2): it takes bits from the last group, which the decoder puts back.
Knows a model only as a Protocol; integers in, a stack out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from vlae_codec.entropy import LEAST_BITS, Gaussians, Ints, Stack

KNOWN = 3  # groups that z is a posterior of; the last one pays for what z borrows
PLAIN_STRIDE = (
    3  # steps of z's grid when nothing is borrowed: a single z needs no finer one (about sqrt(12) deviations)
)


class LatentModel(Protocol):
    """The distributions of one segment's latents; groups and z are flat integer arrays."""

    def prior(self, stride: int) -> Gaussians:
        """p(z) for z in units of `stride` steps of its grid."""

    def posterior(self, known: Sequence[Ints]) -> Gaussians:
        """q(z | ŷ0, ŷ1, ŷ2): a function of integers that the decoder has, too."""

    def condition(self, z: Ints) -> Any:
        """What `likelihood` needs to know of z, computed once."""

    def likelihood(self, known: Sequence[Ints], condition: Any) -> Gaussians:
        """p(ŷ_t | ŷ_<t, z) with t = len(known); for the last group `condition` is None."""


@dataclass(frozen=True)
class Costs:
    """Ideal bits of one segment: of each group, of z under p(z), and what q(z) returned (0 if nothing was borrowed)."""

    groups: tuple[float, ...]
    z_gross: float
    bits_back: float
    borrowed: bool


def encode(stack: Stack, groups: Sequence[Ints], model: LatentModel, borrow: bool = True) -> Costs:
    """Push the four groups; on average the stack grows by the negative ELBO in bits.

    Args:
        borrow: draw z with bits of the stack, if it holds enough; else z is the mode of q on a coarser grid, and
            nothing comes back.
    """
    known = groups[:KNOWN]
    p_last = model.likelihood(known, None)
    stack.push(groups[KNOWN], p_last)
    q = model.posterior(known)
    z, borrowed = draw(stack, q) if borrow else (q.mode(PLAIN_STRIDE), False)
    stride = 1 if borrowed else PLAIN_STRIDE
    condition = model.condition(z * stride)
    p_known = [model.likelihood(known[:t], condition) for t in range(KNOWN)]
    for group, p in zip(reversed(known), reversed(p_known), strict=True):
        stack.push(group, p)
    prior = model.prior(stride)
    stack.push(z, prior)
    return costs(groups, [*p_known, p_last], (z, prior, q), borrowed)


def decode(stack: Stack, model: LatentModel, borrowed: bool, measure: bool = False) -> tuple[list[Ints], Costs | None]:
    """Pop the four groups: `encode` read upwards, with push and pop exchanged.

    Args:
        borrowed: as `encode` returned it.
        measure: also return the costs, as `encode` did.
    """
    stride = 1 if borrowed else PLAIN_STRIDE
    prior = model.prior(stride)
    z = stack.pop(prior)
    condition = model.condition(z * stride)
    groups: list[Ints] = []
    p_groups: list[Gaussians] = []
    for _ in range(KNOWN):
        p_groups.append(model.likelihood(groups, condition))
        groups.append(stack.pop(p_groups[-1]))
    q = model.posterior(groups)
    if borrowed:
        stack.push(z, q)
    p_groups.append(model.likelihood(groups, None))
    groups.append(stack.pop(p_groups[-1]))
    return groups, costs(groups, p_groups, (z, prior, q), borrowed) if measure else None


def costs(
    groups: Sequence[Ints], p_groups: Sequence[Gaussians], hyper: tuple[Ints, Gaussians, Gaussians], borrowed: bool
) -> Costs:
    """Ideal bits of everything that was pushed and popped; `hyper` is z, its prior and its posterior."""
    z, prior, q = hyper
    bits = tuple(p.bits(group) for group, p in zip(groups, p_groups, strict=True))
    return Costs(bits, prior.bits(z), q.bits(z) if borrowed else 0.0, borrowed)


def draw(stack: Stack, q: Gaussians) -> tuple[Ints, bool]:
    """z popped from the stack; its mode in units of PLAIN_STRIDE, and False, when the stack holds too few bits."""
    trial = stack.copy()
    z = trial.pop(q)
    if trial.bits < LEAST_BITS:
        return q.mode(PLAIN_STRIDE), False
    stack.coder = trial.coder
    return z, True
