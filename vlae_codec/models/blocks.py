"""The parts that the networks are made of: (B, C, H, W) -> (B, C, H, W) unless said.

Dense 3x3 and 1x1 convolutions only: on CPUs they use the matrix units, depthwise ones do not. Nothing
here sees further than its kernel, so a picture in tiles with a halo gives what the whole picture gives.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Activation = Callable[[Tensor], Tensor]
NORM_MIN = 1e-6  # variance that a norm adds, so that nothing stays nothing
SLOPE = 0.125  # a power of two, so that the fixed-point prior can use it without rounding


def activation(x: Tensor) -> Tensor:
    """Leaky ReLU with slope 2^-3."""
    return F.leaky_relu(x, SLOPE)


def fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 faster than float32; elsewhere it is up to several times slower.

    Intel's cores need AMX for it, which virtual machines may lack: their AVX512-BF16 does 75 GFLOP/s where float32 does
    140. AMD's AVX512-BF16 is fast.
    """
    if device.type == "cuda" or torch.cpu._is_amx_tile_supported():
        return True
    capabilities = getattr(torch.cpu, "get_capabilities", None)  # no older torch has it
    intel = capabilities is not None and capabilities()["cpu_name"].startswith("Intel")
    return torch.cpu._is_avx512_bf16_supported() and not intel


class PreciseConv2d(nn.Conv2d):
    """A 1x1 convolution that stays in float32 under autocast; its gradients do not.

    For what comes from or becomes latents: they reach several hundred, where bfloat16 has no fractions left.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002, the name of the overridden argument
        """(B, C, H, W) of any float type -> (B, C', H, W) in float32."""
        fast = torch.is_autocast_enabled(input.device.type)
        with torch.autocast(input.device.type, enabled=False):
            if fast and torch.is_grad_enabled():
                out: Tensor = PreciseProduct.apply(input.float(), self.weight, self.bias)  # type: ignore[no-untyped-call]
                return out
            return super().forward(input.float())


class PreciseProduct(torch.autograd.Function):
    """1x1 convolution in float32 whose gradients are products in bfloat16, which take a quarter of the time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """(B, C, H, W), (C', C, 1, 1), (C',) -> (B, C', H, W)."""
        ctx.save_for_backward(x.bfloat16(), weight.bfloat16())
        return F.conv2d(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Of x, weight and bias, as far as they are wanted."""
        (out,), (x, weight) = gradients, ctx.saved_tensors
        wanted = (*ctx.needs_input_grad[:2], False)
        geometry = ((1, 1), (0, 0), (1, 1), False, (0, 0), 1)  # stride, padding, dilation, no transposition, groups
        of_x, of_weight, _ = torch.ops.aten.convolution_backward(
            out.bfloat16(), x, weight, [len(weight)], *geometry, wanted
        )
        of_bias = out.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None
        return *(None if g is None else g.float() for g in (of_x, of_weight)), of_bias


class ResidualBlock(nn.Module):
    """x + 1x1(act(3x3(act(1x1(x))))) with half the channels inside, He et al., 2016, https://arxiv.org/abs/1512.03385.

    Args:
        act: SiLU for the transforms; the prior needs one that is exact in fixed point.
    """

    def __init__(self, channels: int, act: Activation = F.silu):
        super().__init__()
        self.act, inner = act, channels // 2
        self.reduce = nn.Conv2d(channels, inner, 1)
        self.spatial = nn.Conv2d(inner, inner, 3, padding=1)
        self.expand = nn.Conv2d(inner, channels, 1)
        initialise(self)
        # Branches at a quarter of He's scale: without this the first thousands of steps are lost.
        self.expand.weight.data.mul_(0.25)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        branch: Tensor = self.expand(self.act(self.spatial(self.act(self.reduce(x)))))
        return x + branch


class GatedBlock(nn.Module):
    """x + 1x1(3x3(a) · b) with a and b = silu(1x1(norm(x))): what is added are products of two features.

    The norm is that of Ba et al., 2016, https://arxiv.org/abs/1607.06450, over channels and without parameters; without
    it products of products diverge in training. Gates: Shazeer, 2020, https://arxiv.org/abs/2002.05202. It takes as
    many operations as `ResidualBlock` of these channels, within 1 % from 192 of them on.
    """

    def __init__(self, channels: int):
        super().__init__()
        inner = 8 * round(channels * 0.457 / 8)
        self.reduce = nn.Conv2d(channels, 2 * inner, 1)
        self.spatial = nn.Conv2d(inner, inner, 3, padding=1)
        self.expand = nn.Conv2d(inner, channels, 1)
        initialise(self)
        self.expand.weight.data.mul_(0.25)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        a, b = F.silu(self.reduce(normalised(x))).chunk(2, 1)
        branch: Tensor = self.expand(self.spatial(a) * b)
        return x + branch


def normalised(x: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the channels of every position. Fastest where channels come last in memory."""
    last = x.permute(0, 2, 3, 1)
    return F.layer_norm(last, last.shape[-1:], eps=NORM_MIN).permute(0, 3, 1, 2)


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
    """A modulation by the rate, then blocks."""

    def __init__(self, anchors: int, channels: int, blocks: int, block: Callable[[int], nn.Module]):
        super().__init__()
        self.modulation = Modulation(anchors, channels)
        self.blocks = nn.Sequential(*(block(channels) for _ in range(blocks)))

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
