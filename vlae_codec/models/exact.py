"""The networks of the prior in fixed point: the same integers on every machine.

    weights, biases, modulations   multiples of 2^-14; weights as 16-bit integers times a power of two per channel
    activations                    multiples of 2^-10 within ±127; ŷ (in 64ths) and z enter in units of four steps
    sums                           multiples of 2^-24, all below 2^53 of them

Such numbers are held in float64, where their sums are exact in any order: no library, instruction set or number of
threads can change a bit. Before a modulation: round to the activations' grid (half to even). After each layer: leaky
ReLU with slope 2^-3, round to that grid, clamp.
The last layers end in the mean on a 1/64 grid and in the level of the standard deviation, found by comparing with
stored thresholds. `training/export.py` writes the numbers that stand here and proves the bound of every layer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vlae_codec.entropy import FRACTIONS, Distributions, Ints, Kind
from vlae_codec.models.blocks import SLOPE
from vlae_codec.models.config import GROUPS, QUARTERS, group_channels
from vlae_codec.models.vlae import LATENT_UNIT

WEIGHT_SCALE = 1 << 14
ACTIVATION_SCALE = 1 << 10
ACTIVATION_MAX = 127
SUM_LIMIT = 2.0**53
MEAN_MAX = ACTIVATION_MAX * int(LATENT_UNIT)  # steps of ŷ and of z: what `enter` makes of them ends there, too
MAX_LEVEL = 1000  # of the quality, in tenths

Tensors = Mapping[str, Tensor]


def requantise(x: Tensor) -> Tensor:
    """Leaky ReLU, then the nearest multiple of 2^-10 within ±127."""
    return limit(torch.maximum(x, x * SLOPE))


def limit(x: Tensor) -> Tensor:
    """The nearest multiple of 2^-10 within ±127."""
    return to_grid(x).clamp_(-ACTIVATION_MAX, ACTIVATION_MAX)


def to_grid(x: Tensor) -> Tensor:
    """The nearest multiple of 2^-10."""
    return torch.round(x * ACTIVATION_SCALE).div_(ACTIVATION_SCALE)


def enter(steps: Tensor) -> Tensor:
    """ŷ or z as activations."""
    return (steps / LATENT_UNIT).clamp_(-ACTIVATION_MAX, ACTIVATION_MAX)


def mean_in_fractions(steps: Tensor) -> Tensor:
    """A mean in 64ths."""
    return torch.round(steps.clamp(-MEAN_MAX, MEAN_MAX) * FRACTIONS)


class FixedConv2d:
    """A convolution whose sums are exact; zeros beyond the border, (B, C, H, W) -> (B, C', H', W')."""

    def __init__(self, tensors: Tensors, name: str, stride: int = 1):
        self.weight = whole_weight(tensors, name) / WEIGHT_SCALE
        self.bias = tensors[f"{name}.bias"].double() / WEIGHT_SCALE
        self.stride = stride

    def __call__(self, x: Tensor) -> Tensor:
        """Activations -> exact sums."""
        return F.conv2d(x, self.weight, self.bias, self.stride, self.weight.shape[-1] // 2)


def whole_weight(tensors: Tensors, name: str) -> Tensor:
    """A layer's weights in units of 2^-14, as whole numbers in float64."""
    return tensors[f"{name}.weight"].double() * 2.0 ** tensors[f"{name}.shift"].double()[:, None, None, None]


class FixedBlock:
    """`blocks.ResidualBlock` on activations."""

    def __init__(self, tensors: Tensors, name: str):
        layers = (FixedConv2d(tensors, f"{name}.{part}") for part in ("reduce", "spatial", "expand"))
        self.reduce, self.spatial, self.expand = layers

    def __call__(self, x: Tensor) -> Tensor:
        """The same shape."""
        return limit(x + self.expand(requantise(self.spatial(requantise(self.reduce(x))))))


class FixedModulation:
    """x * scale + shift per channel, for one quality: linear between the anchors, in integers, rounded down."""

    def __init__(self, tensors: Tensors, name: str, level: int):
        self.scale, self.shift = (interpolate(tensors[f"{name}.{part}"], level) for part in ("scale", "shift"))

    def __call__(self, x: Tensor) -> Tensor:
        """(1, C, H, W) -> the same shape."""
        return to_grid(x) * self.scale + self.shift


def interpolate(anchors: Tensor, level: int) -> Tensor:
    """(anchors, C) integers -> (1, C, 1, 1) multiples of 2^-14, for a quality in tenths."""
    position = level * (len(anchors) - 1)
    below = min(position // MAX_LEVEL, len(anchors) - 2)
    weight = position - below * MAX_LEVEL
    low, high = anchors[below].long(), anchors[below + 1].long()
    value = (low * (MAX_LEVEL - weight) + high * weight).div(MAX_LEVEL, rounding_mode="floor")
    return value.double()[None, :, None, None] / WEIGHT_SCALE


class ExactPrior:
    """p(z), q(z | ŷ0), p(ŷ0 | z) and p(ŷ_t | ŷ_<t) of one model, for any picture.

    Args:
        tensors: the integers that `training/export.py` writes, names without "prior.".
    """

    def __init__(self, tensors: Tensors):
        self.tensors = tensors
        self.prior_level, self.first_quality = tensors["prior_level"].int(), tensors["first_quality"].int()
        self.latent = tensors["contexts.0.head.out.bias"].numel() // 2 * QUARTERS
        self.channels = group_channels(self.latent)
        self.std_thresholds, self.log_std_thresholds = (
            tensors[name].double() / ACTIVATION_SCALE for name in ("std_thresholds", "log_std_thresholds")
        )
        self.hyper_analysis = [
            FixedConv2d(tensors, f"hyper_analysis.{name}", stride)
            for name, stride in (("inp", 1), ("down64", 2), ("out", 1))
        ]
        self.hyper_synthesis = [FixedConv2d(tensors, f"hyper_synthesis.{name}") for name in ("inp", "up32.0", "out")]
        self.inputs, self.hidden, self.outputs = (
            [FixedConv2d(tensors, f"contexts.{t}.{name}") for t in range(GROUPS)]
            for name in ("inp", "head.hidden", "head.out")
        )
        self.blocks = [FixedBlock(tensors, f"contexts.{t}.block") for t in range(1, GROUPS)]

    def modulation(self, name: str, level: int) -> FixedModulation:
        """The modulation of that name for a quality in tenths."""
        return FixedModulation(self.tensors, f"{name}.modulation", level)

    def posterior(self, first: Tensor) -> tuple[Tensor, Tensor]:
        """ŷ0 in steps (1, latent / 4, h, w) -> mean in 64ths and level of z, (1, Z, h/2, w/2)."""
        h = enter(first)
        *layers, last = self.hyper_analysis
        for layer in layers:
            h = requantise(layer(h))
        mean, log_std = last(h).chunk(2, 1)
        return mean_in_fractions(mean), torch.bucketize(log_std, self.log_std_thresholds)

    def first_likelihood(self, z: Tensor, level: int) -> tuple[Tensor, Tensor]:
        """z in steps (1, Z, h/2, w/2) -> mean in 64ths and level of ŷ0, (1, latent / 4, h, w)."""
        first, up, last = self.hyper_synthesis
        h = requantise(first(enter(z)))
        h = requantise(F.pixel_shuffle(up(h), 2))
        h = requantise(self.modulation("hyper_synthesis", level)(last(h)))
        return self.head(0, requantise(self.modulation("contexts.0", level)(self.inputs[0](h))))

    def state(self, t: int, group: Tensor, before: Tensor | None, level: int) -> Tensor:
        """What is known before group t: from ŷ_{t-1} in steps (1, channels, h, w) and from what was known before it."""
        h = self.inputs[t](enter(group))
        h = h if before is None else h + before
        return self.blocks[t - 1](requantise(self.modulation(f"contexts.{t}", level)(h)))

    def head(self, t: int, h: Tensor) -> tuple[Tensor, Tensor]:
        """Mean in 64ths and level of group t, from activations."""
        mean, raw = self.outputs[t](requantise(self.hidden[t](h))).chunk(2, 1)
        return mean_in_fractions(mean * LATENT_UNIT), torch.bucketize(raw, self.std_thresholds)


class SegmentModel:
    """The prior for the latents of one segment, as `bitsback.LatentModel`: flat integers in, Distributions out.

    Channels of z that carry nothing at this quality are zeros, and so are positions between the segment's edge and the
    next multiple of four: both sides know them, and they are in no flat array. Flat arrays run over channels, then
    rows, then columns of the groups.

    Args:
        prior: of the model.
        size: rows and columns of the segment's latents.
        level: quality in tenths.
    """

    def __init__(self, prior: ExactPrior, size: tuple[int, int], level: int):
        self.exact, self.level = prior, level
        self.size = height, width = size
        padded = [-(-side // 4) * 4 for side in self.size]
        self.coded = (prior.first_quality <= level).nonzero().flatten()  # channels of z
        self.hyper_shape = (1, len(self.coded), padded[0] // 4, padded[1] // 4)
        inside = torch.zeros(1, prior.latent, *padded, dtype=torch.bool)
        inside[:, :, :height, :width] = True
        self.inside = self.to_groups(inside)

    def to_groups(self, y: Tensor) -> list[Tensor]:
        """(1, latent, h, w) -> groups (1, channels, h/2, w/2), as `VLAE.split`."""
        cells = F.pixel_unshuffle(y, 2)
        return [cells[:, channels] for channels in self.exact.channels]

    def split(self, y: NDArray[Any]) -> list[NDArray[Any]]:
        """Latents (latent, height, width) of any type -> flat groups."""
        height, width = self.size
        pad = (0, -width % 4, 0, -height % 4)
        groups = self.to_groups(F.pad(torch.from_numpy(y)[None], pad))
        return [group[inside].numpy() for group, inside in zip(groups, self.inside, strict=True)]

    def merge(self, groups: Sequence[Ints]) -> Ints:
        """Undo `split`, for integers."""
        merged: Ints = self.spread(groups).int().numpy()
        return merged

    def spread(self, groups: Sequence[NDArray[Any]]) -> Tensor:
        """Flat groups of numbers -> (latent, height, width) in float64."""
        height, width = self.size
        cells = torch.cat([self.dense(group, t) for t, group in enumerate(groups)], 1)
        y = F.pixel_shuffle(cells[:, torch.cat(self.exact.channels).argsort()], 2)
        return y[0, :, :height, :width]

    def dense(self, group: NDArray[Any], t: int) -> Tensor:
        """Flat group t -> (1, channels, h/2, w/2) in float64, zeros outside."""
        inside = self.inside[t]
        values = torch.from_numpy(group).double()
        return torch.zeros(inside.shape, dtype=torch.float64).masked_scatter_(inside, values)

    def prior(self, stride: int) -> Distributions:
        """p(z) for z in units of `stride` steps: zero means, a level per channel."""
        level = self.exact.prior_level[self.coded][None, :, None, None].expand(self.hyper_shape)
        return Distributions(np.zeros(level.numel(), np.int32), flat(level), Kind.PRIOR).coarser(stride)

    def posterior(self, first: Ints) -> Distributions:
        """q(z | ŷ0), to be sampled."""
        mean, level = self.exact.posterior(self.dense(first, 0) / FRACTIONS)
        return Distributions(flat(mean[:, self.coded]), flat(level[:, self.coded]), Kind.SAMPLED)

    def first_likelihood(self, z: Ints) -> Distributions:
        """p(ŷ0 | z)."""
        full = torch.zeros(1, len(self.exact.prior_level), *self.hyper_shape[2:], dtype=torch.float64)
        full[:, self.coded] = torch.from_numpy(z).double().reshape(self.hyper_shape)
        return self.flattened(0, *self.exact.first_likelihood(full, self.level))

    def predictor(self) -> "SegmentPredictor":
        """p(ŷ_t | ŷ_<t) for t = 1 to 6, one after the other."""
        return SegmentPredictor(self)

    def flattened(self, t: int, mean: Tensor, level: Tensor) -> Distributions:
        """Arrays of group t as flat distributions."""
        inside = self.inside[t]
        return Distributions(flat(mean[inside]), flat(level[inside]), Kind.LATENT)


class SegmentPredictor:
    """p(ŷ_t | ŷ_<t) of one segment: each call takes ŷ_{t-1} in 64ths, flat, and gives the distribution of ŷ_t."""

    def __init__(self, model: SegmentModel):
        self.model = model
        self.seen = 0
        self.state: Tensor | None = None

    def __call__(self, group: Ints) -> Distributions:
        """As the class says."""
        model, known = self.model, self.model.dense(group, self.seen) / FRACTIONS
        self.seen += 1
        self.state = model.exact.state(self.seen, known, self.state, model.level)
        return model.flattened(self.seen, *model.exact.head(self.seen, self.state))


def flat(x: Tensor) -> Ints:
    """(n,) 32-bit integers."""
    values: NDArray[np.int32] = x.int().flatten().numpy()
    return values
