"""The Variational Lossy Autoencoder (Chen et al., 2016, https://arxiv.org/abs/1611.02731) in floating point.

One method per distribution and transform; nothing here opens a file, prints or reads a global.

    x  --analysis--> y --round--> ŷ --synthesis--> x̂            the discretised latent: all that is kept of x
    p(ŷ) = ∫ p(z) p(ŷ_0 | z) dz Π_t p(ŷ_t | ŷ_<t),  t = 1..6     a VAE with an autoregressive decoder over seven groups
    ŷ_0 = round(y_0);  ŷ_t = μ_t + round(y_t - μ_t)              with μ_t the mean of p(ŷ_t | ŷ_<t)
    q(z | ŷ_0)                                                   ŷ_1..6 know nothing of z, so they can lend it bits

Training uses this class; coding uses its analysis and synthesis, and the fixed-point prior of `exact.py`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlae_codec.models.blocks import Anchors, GatedBlock, ModulatedBlocks, PreciseConv2d, ResidualBlock, initialise
from vlae_codec.models.config import GROUPS, Config, group_channels
from vlae_codec.models.prior import Context, FirstContext, HyperAnalysis, HyperSynthesis

STRIDE = 64  # pixels per position of z; latents are at 1/16
LATENT_UNIT = 4.0  # the prior sees ŷ in units of four steps, so that ±127 in fixed point is ±508 steps
MIN_STD = 0.1 * 2 ** (-1 / 3)  # of a latent, in steps: that of level 0 in `entropy`
LOG2 = math.log(2)
MIN_PROBABILITY = 1e-9  # 30 bits; what lies further out is coded by an escape


class Normal(NamedTuple):
    """A diagonal Gaussian; mean and standard deviation broadcast against each other."""

    mean: Tensor
    std: Tensor


class Logistic(NamedTuple):
    """Independent logistic distributions, by mean and standard deviation of the same shape."""

    mean: Tensor
    std: Tensor


def interval_bits(value: Tensor, p: Logistic) -> Tensor:
    """-log2 of the mass of the unit interval around `value`, elementwise."""
    distance = (value - p.mean).abs()
    scale = p.std * (math.sqrt(3) / math.pi)
    mass = torch.sigmoid((0.5 - distance) / scale) - torch.sigmoid((-0.5 - distance) / scale)
    return -torch.log2(mass.clamp_min(MIN_PROBABILITY))


def kl_bits(q: Normal, p: Normal) -> Tensor:
    """KL(q || p) in bits, elementwise."""
    variance = (q.std.square() + (q.mean - p.mean).square()) / (2 * p.std.square())
    return (torch.log(p.std / q.std) + variance - 0.5) / LOG2


class Analysis(nn.Module):
    """(B, 3, H, W) in ±0.5, sides multiples of 16 -> (B, latent, H/16, W/16)."""

    def __init__(self, c: Config):
        super().__init__()
        self.stem = nn.Sequential(nn.PixelUnshuffle(4), *(ResidualBlock(c.width4) for _ in range(c.analysis_blocks4)))
        self.down8 = nn.Conv2d(c.width4, c.width8, 2, stride=2)
        self.blocks8 = ModulatedBlocks(c.anchors, c.width8, c.analysis_blocks8, ResidualBlock)
        self.down16 = nn.Conv2d(c.width8, c.width16, 2, stride=2)
        self.out = PreciseConv2d(c.width16, c.latent, 1)
        for conv in (self.down8, self.down16, self.out):
            initialise(conv)

    def forward(self, x: Tensor, rate: Tensor) -> Tensor:
        """As the class says; `rate` is (B,)."""
        y: Tensor = self.out(self.down16(self.blocks8(self.down8(self.stem(x)), rate)))
        return y


class Synthesis(nn.Module):
    """(B, latent, H/16, W/16) -> (B, 3, H, W) in ±0.5: `Analysis` read upwards."""

    def __init__(self, c: Config):
        super().__init__()
        self.inp = PreciseConv2d(c.latent, c.width16, 1)
        self.up8 = nn.Sequential(nn.Conv2d(c.width16, 4 * c.width8, 1), nn.PixelShuffle(2))
        self.blocks8 = ModulatedBlocks(c.anchors, c.width8, c.synthesis_blocks8, GatedBlock)
        self.up4 = nn.Sequential(nn.Conv2d(c.width8, 4 * c.width4, 1), nn.PixelShuffle(2))
        self.blocks4 = nn.Sequential(*(GatedBlock(c.width4) for _ in range(c.synthesis_blocks4)))
        self.out = nn.Conv2d(c.width4, 48, 3, padding=1)
        for conv in (self.inp, self.up8, self.up4, self.out):
            initialise(conv)
        self.out.weight.data.mul_(0.01)  # He's scale gives an error of 5e4 at the first step

    def forward(self, y: Tensor, rate: Tensor) -> Tensor:
        """As the class says; `rate` is (B,)."""
        h = self.inp(y)
        if torch.is_autocast_enabled(h.device.type):
            h = h.to(torch.get_autocast_dtype(h.device.type))
        h = self.up4(self.blocks8(self.up8(h), rate))
        return F.pixel_shuffle(self.out(self.blocks4(h)), 4)


class VLAE(nn.Module):
    """All networks of one model. `rate` is (B,), the rate index 0 (fewest bits) to 1."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = c = config
        span = 0.5 * math.log(c.lambda_high / c.lambda_low)
        self.analysis_net, self.synthesis_net = Analysis(c), Synthesis(c)
        self.log_gain = Anchors(c.anchors, c.latent, 0.0, span)  # the step shrinks with sqrt(λ)
        self.log_inverse_gain = Anchors(c.anchors, c.latent, 0.0, -span)
        self.hyper_analysis, self.hyper_synthesis = HyperAnalysis(c), HyperSynthesis(c)
        self.log_prior_std = nn.Parameter(torch.zeros(c.hyper_latent))
        self.contexts = nn.ModuleList([FirstContext(c), *(Context(c, t) for t in range(1, GROUPS))])
        self.group_channels = group_channels(c.latent)

    def analysis(self, x: Tensor, rate: Tensor) -> Tensor:
        """(B, 3, H, W) in ±0.5 -> y (B, latent, H/16, W/16) in quantisation steps, before rounding."""
        y: Tensor = self.analysis_net(x, rate)
        gain: Tensor = self.log_gain(rate).exp()
        return y * gain

    def synthesis(self, y: Tensor, rate: Tensor) -> Tensor:
        """Latents ŷ in float32 -> (B, 3, H, W) in ±0.5, float32, not clamped."""
        # `contiguous` would keep strides that convolutions do not take for channels_last, and run slower by half.
        latents = (y * self.log_inverse_gain(rate).exp()).clone(memory_format=torch.channels_last)
        x: Tensor = self.synthesis_net(latents, rate)
        return x.float()

    def split(self, y: Tensor) -> list[Tensor]:
        """(B, latent, h, w), sides even -> the context groups, each (B, channels, h/2, w/2)."""
        cells = F.pixel_unshuffle(y, 2)
        return [cells[:, channels] for channels in self.group_channels]

    def merge(self, groups: Sequence[Tensor]) -> Tensor:
        """Undo `split`."""
        return F.pixel_shuffle(torch.cat(list(groups), 1)[:, torch.cat(self.group_channels).argsort()], 2)

    def prior(self) -> Normal:
        """p(z), one Gaussian per channel: (1, hyper_latent, 1, 1)."""
        std = self.log_prior_std.clamp(-5, 5).exp()[None, :, None, None]
        return Normal(torch.zeros_like(std), std)

    def posterior(self, first: Tensor) -> Normal:
        """q(z | ŷ0): (B, latent / 4, h, w) -> (B, hyper_latent, h/2, w/2)."""
        mean, log_std = self.hyper_analysis(first / LATENT_UNIT).chunk(2, 1)
        return Normal(mean, log_std.clamp(-6, 3).exp())

    def first_likelihood(self, z: Tensor, rate: Tensor) -> Logistic:
        """p(ŷ0 | z), before the integral over each step: (B, hyper_latent, h/2, w/2) -> (B, latent / 4, h, w)."""
        return self.logistic(self.contexts[0](self.hyper_synthesis(z, rate), rate))

    def predictor(self, rate: Tensor) -> "Predictor":
        """p(ŷ_t | ŷ_<t) for t = 1 to 6, one after the other."""
        return Predictor(self, rate)

    def logistic(self, out: Tensor) -> Logistic:
        """What a context network gives, (B, 2 * channels, h, w), as distributions in steps."""
        mean, raw = out.chunk(2, 1)
        return Logistic(mean * LATENT_UNIT, F.softplus(raw).clamp_min(MIN_STD))


class Predictor:
    """p(ŷ_t | ŷ_<t): the first call takes ŷ_0 and gives the distribution of ŷ_1, the next takes ŷ_1, and so on."""

    def __init__(self, model: VLAE, rate: Tensor):
        self.model, self.rate = model, rate
        self.state: Tensor | None = None
        self.seen = 0  # groups

    def __call__(self, group: Tensor) -> Logistic:
        """(B, channels, h, w) in steps -> (B, channels of the next group, h, w)."""
        self.seen += 1
        context = self.model.contexts[self.seen]
        assert isinstance(context, Context)
        self.state = context(group / LATENT_UNIT, self.state, self.rate)
        return self.model.logistic(context.head(self.state))
