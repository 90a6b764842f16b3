"""Rate and distortion of a batch of crops, and the loss that weighs them.

    rate = -log2 p(ŷ | z) + KL(q(z | ŷ) || p(z));   loss = mean over crops of (rate/pixels + λ·D) / sqrt(λ)

D is the mean squared error, or what takes its place in a model that is tuned for something else.

Uniform noise stands for rounding in the rate (Ballé et al., 2017, https://arxiv.org/abs/1611.01704); the context
networks and the synthesis see rounded latents, whose gradient passes straight through.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vlae_codec.distortion import DISTORTIONS
from vlae_codec.models.vlae import VLAE, Logistic, interval_bits, kl_bits
from vlae_codec.training.config import Objective
from vlae_codec.training.searched import searched


@dataclass(frozen=True)
class Bits:
    """Bits of each crop (B,): the groups of ŷ, and the KL of each channel of z (B, channels)."""

    groups: tuple[Tensor, ...]
    kl: Tensor

    @property
    def total(self) -> Tensor:
        """(B,) bits: the negative ELBO on the latents."""
        return torch.stack(self.groups).sum(0) + self.kl.sum(1)


@dataclass(frozen=True)
class Terms:
    """The loss, and what it is made of: bits per pixel, distortion, KL bits per pixel; each (B,)."""

    loss: Tensor
    bpp: Tensor
    distortion: Tensor
    kl_bpp: Tensor


def quantise(model: VLAE, y: Tensor, rate: Tensor) -> tuple[list[Tensor], list[Logistic]]:
    """Round latents about what is predicted; the gradient passes straight through to y.

    Args:
        y: (B, latent, h, w) in quantisation steps, not rounded.
    Returns:
        The groups of ŷ, and p(ŷ_t | ŷ_<t) of groups 1 to 6.
    """
    first, *rest = model.split(y)
    groups = [first + (first.round() - first).detach()]
    p: list[Logistic] = []
    predict = model.predictor(rate)
    for group in rest:
        p.append(predict(groups[-1]))
        mean = p[-1].mean.detach()
        groups.append(group + ((group - mean).round() + mean - group).detach())
    return groups, p


def latent_bits(model: VLAE, y: Tensor, rate: Tensor, noise: bool) -> tuple[Tensor, Bits]:
    """ŷ (gradient straight through) and its bits.

    Args:
        y: (B, latent, h, w) in quantisation steps, not rounded.
        noise: uniform noise instead of rounding in the rate, z drawn from the posterior; else rounded, z at its mean.
    """
    groups, p = quantise(model, y, rate)
    coded = model.split(y + torch.rand_like(y) - 0.5) if noise else groups
    posterior = model.posterior(groups[0])
    z = posterior.mean + posterior.std * torch.randn_like(posterior.std) if noise else posterior.mean
    likelihoods = [model.first_likelihood(z, rate), *p]
    bits = tuple(interval_bits(c, p).sum((1, 2, 3)) for c, p in zip(coded, likelihoods, strict=True))
    return model.merge(groups), Bits(bits, kl_bits(posterior, model.prior()).sum((2, 3)))


def charged_kl(kl: Tensor, positions: int, free_bits: float) -> Tensor:
    """KL (B, channels) as the loss counts it: a channel below its free bits costs as if it used them.

    The floor holds for the mean over the batch (Kingma et al., 2016, https://arxiv.org/abs/1606.04934), in bits per
    position of z; returns the sum over channels (B,).
    """
    if not free_bits:
        return kl.sum(1)
    mean = kl.mean(0, keepdim=True)
    floor = torch.full_like(mean, free_bits * positions)
    return torch.where(mean > floor, kl, floor.expand_as(kl)).sum(1)


def evaluate(model: VLAE, x: Tensor, rate: Tensor, objective: Objective, step: int) -> Terms:
    """The loss of crops (B, 3, H, W) in ±0.5 at rate indices (B,)."""
    y = model.analysis(x, rate)
    if objective.searched:
        y = searched(model, x, y, rate, objective.tune)
    rounded, bits = latent_bits(model, y, rate, noise=True)
    distortion = DISTORTIONS[objective.tune](model.synthesis(rounded, rate), x)
    pixels = x.shape[-2] * x.shape[-1]
    kl = charged_kl(bits.kl, pixels // 64**2, objective.free_bits)
    charged = (torch.stack(bits.groups).sum(0) + objective.kl_weight(step) * kl) / pixels
    config = model.config
    lam = config.rate_to_lambda(rate)
    middle = math.sqrt(config.lambda_low * config.lambda_high)
    loss = ((charged + lam * distortion) * (middle / lam).sqrt()).mean()
    return Terms(loss, bits.total.detach() / pixels, distortion.detach(), bits.kl.detach().sum(1) / pixels)
