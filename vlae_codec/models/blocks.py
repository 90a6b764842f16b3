"""The parts that the networks are made of: (B, C, H, W) -> (B, C, H, W) unless said.

Dense 3x3 and 1x1 convolutions only: on CPUs they use the matrix units, depthwise ones do not. Nothing
here sees further than its kernel, so a picture in tiles with a halo gives what the whole picture gives.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.125  # a power of two, so that the fixed-point prior can use it without rounding


def activation(x: Tensor) -> Tensor:
    """Leaky ReLU with slope 2^-3."""
    return F.leaky_relu(x, SLOPE)


def fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; elsewhere it is several times slower than float32."""
    return device.type == "cuda" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


class PreciseConv2d(nn.Conv2d):
    """A convolution that stays in float32 under autocast.

    For what comes from or becomes latents: they reach several hundred, where bfloat16 has no fractions left.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002, the name of the overridden argument
        """(B, C, H, W) of any float type -> (B, C', H', W') in float32."""
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.float())


class ResidualBlock(nn.Module):
    """x + 1x1(act(3x3(act(1x1(x))))) with half the channels inside, He et al., 2016, https://arxiv.org/abs/1512.03385.

    With `identity` the last convolution starts at zero: a block added to a trained network changes nothing at first.
    """

    def __init__(self, channels: int, identity: bool = False):
        super().__init__()
        inner = channels // 2
        self.reduce = nn.Conv2d(channels, inner, 1)
        self.spatial = nn.Conv2d(inner, inner, 3, padding=1)
        self.expand = nn.Conv2d(inner, channels, 1)
        initialise(self)
        # Branches at a quarter of He's scale: without this the first thousands of steps are lost.
        self.expand.weight.data.mul_(0.0 if identity else 0.25)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        branch: Tensor = self.expand(activation(self.spatial(activation(self.reduce(x)))))
        return x + branch


class Anchors(nn.Module):
    """A vector for every rate: linear between anchors that lie evenly over the rate index 0 to 1.

    Args:
        count: number of anchors, at least 2.
        channels: length of each vector.
        first, last: initial value at rate index 0 and 1, the same for all channels.
    """

    def __init__(self, count: int, channels: int, first: float, last: float):
        super().__init__()
        self.values = nn.Parameter(torch.linspace(first, last, count)[:, None].repeat(1, channels))

    def forward(self, rate: Tensor) -> Tensor:
        """(B,) rate indices -> (B, C, 1, 1) in float32."""
        position = rate * (len(self.values) - 1)
        below = position.floor().clamp(0, len(self.values) - 2)
        weight = (position - below)[:, None]
        index = below.long()
        value: Tensor = torch.lerp(self.values[index], self.values[index + 1], weight)
        return value[:, :, None, None]


class Modulation(nn.Module):
    """x * scale(rate) + shift(rate) per channel; starts as the identity."""

    def __init__(self, anchors: int, channels: int):
        super().__init__()
        self.scale = Anchors(anchors, channels, 1.0, 1.0)
        self.shift = Anchors(anchors, channels, 0.0, 0.0)

    def forward(self, x: Tensor, rate: Tensor) -> Tensor:
        """The same shape and type: one float32 factor would promote all that follows."""
        scale: Tensor = self.scale(rate).to(x.dtype)
        shift: Tensor = self.shift(rate).to(x.dtype)
        return x * scale + shift


class ModulatedBlocks(nn.Module):
    """A modulation by the rate, then residual blocks."""

    def __init__(self, anchors: int, channels: int, blocks: int):
        super().__init__()
        self.modulation = Modulation(anchors, channels)
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))

    def forward(self, x: Tensor, rate: Tensor) -> Tensor:
        """(B, C, H, W), (B,) -> (B, C, H, W)."""
        out: Tensor = self.blocks(self.modulation(x, rate))
        return out


def initialise(network: nn.Module) -> None:
    """He's initialisation for leaky ReLU in every convolution; biases zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, a=SLOPE, nonlinearity="leaky_relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
