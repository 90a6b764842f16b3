"""The networks of the prior in floating point, (B, C, H, W) -> (B, C', H', W'); `exact.py` has them in fixed point.

Leaky ReLU and convolutions only, so that fixed point can follow; PreciseConv2d where numbers become latents.
"""

from torch import Tensor, nn

from vlae_codec.models.blocks import Modulation, PreciseConv2d, ResidualBlock, activation, initialise
from vlae_codec.models.config import QUARTERS, Config, group_sizes


class HyperAnalysis(nn.Module):
    """Group 0 in latent units, (B, latent / 4, H/32, W/32) -> (B, 2 * hyper_latent, H/64, W/64): mean, log std of z."""

    def __init__(self, c: Config):
        super().__init__()
        n = c.hyper_width
        self.inp = nn.Conv2d(c.latent // QUARTERS, n, 3, padding=1)
        self.down64 = nn.Conv2d(n, n, 3, stride=2, padding=1)
        self.out = PreciseConv2d(n, 2 * c.hyper_latent, 1)
        initialise(self)
        self.out.weight.data.mul_(0.1)

    def forward(self, y: Tensor) -> Tensor:
        """As the class says."""
        out: Tensor = self.out(activation(self.down64(activation(self.inp(y)))))
        return out


class HyperSynthesis(nn.Module):
    """(B, hyper_latent, H/64, W/64) -> (B, features, H/32, W/32), modulated by the rate."""

    def __init__(self, c: Config):
        super().__init__()
        n = c.hyper_width
        self.inp = nn.Conv2d(c.hyper_latent, n, 3, padding=1)
        self.up32 = nn.Sequential(nn.Conv2d(n, 4 * n, 1), nn.PixelShuffle(2))
        self.out = nn.Conv2d(n, c.features, 3, padding=1)
        self.modulation = Modulation(c.anchors, c.features)
        initialise(self)

    def forward(self, z: Tensor, rate: Tensor) -> Tensor:
        """As the class says; `rate` is (B,)."""
        h = self.out(activation(self.up32(activation(self.inp(z)))))
        return activation(self.modulation(h, rate))


class FirstContext(nn.Module):
    """Mean and raw std of group 0, (B, latent / 2, h, w), from features of z, (B, features, h, w)."""

    def __init__(self, c: Config):
        super().__init__()
        self.inp = nn.Conv2d(c.features, c.context, 1)
        self.modulation = Modulation(c.anchors, c.context)
        self.head = Head(c, group_sizes(c.latent)[0])
        initialise(self.inp)

    def forward(self, features: Tensor, rate: Tensor) -> Tensor:
        """As the class says; `rate` is (B,)."""
        out: Tensor = self.head(activation(self.modulation(self.inp(features), rate)))
        return out


class Context(nn.Module):
    """What is known before group t, once group t - 1 is: (B, context, h, w), the state of a recurrence over groups.

    state_t = block(act(modulation(3x3(ŷ_{t-1}) + state_{t-1}))). Weights are those of t alone. Each group is seen once,
    so that seven groups cost what one network over all latents would, and what was seen first goes through most layers.
    """

    def __init__(self, c: Config, group: int):
        super().__init__()
        sizes = group_sizes(c.latent)
        self.inp = nn.Conv2d(sizes[group - 1], c.context, 3, padding=1)
        self.modulation = Modulation(c.anchors, c.context)
        self.block = ResidualBlock(c.context, activation)
        self.head = Head(c, sizes[group])
        initialise(self.inp)

    def forward(self, group: Tensor, state: Tensor | None, rate: Tensor) -> Tensor:
        """Latents (B, channels, h, w) in latent units and the state before them -> the next state; `rate` is (B,)."""
        h = self.inp(group)
        h = h if state is None else h + state
        out: Tensor = self.block(activation(self.modulation(h, rate)))
        return out


class Head(nn.Module):
    """(B, context, h, w) -> mean and raw std of a group, (B, 2 * channels, h, w)."""

    def __init__(self, c: Config, channels: int):
        super().__init__()
        self.hidden = nn.Conv2d(c.context, c.context, 1)
        self.out = PreciseConv2d(c.context, 2 * channels, 1)
        initialise(self)
        self.out.weight.data.mul_(0.1)
        assert self.out.bias is not None
        self.out.bias.data[channels:].fill_(0.5)

    def forward(self, h: Tensor) -> Tensor:
        """As the class says."""
        out: Tensor = self.out(activation(self.hidden(h)))
        return out
