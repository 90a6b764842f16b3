"""The networks of docs/FORMAT.md, for `independent_decoder.py`: the prior in whole numbers, the synthesis in floats.

Arrays of the model file and decoded integers in; means, levels and pixels out. Numpy and the standard library only.
Docstrings name the chapter that they follow, and variables are called as they are there.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

ACTIVATION_MAX = 130048
MEAN_MAX = 32512  # in 64ths
PLAIN_LEVELS = 38  # by which those of p(z) are lower where z was not borrowed


def divide(n: Ints, bits: int) -> Ints:
    """Fixed point: round(n / 2^bits), from a tie to the even one."""
    odd = n >> bits & 1
    return n + (1 << bits - 1) - 1 + odd >> bits


def enter(v: Ints) -> Ints:
    """Fixed point; v in 64ths."""
    return np.clip(4 * v, -ACTIVATION_MAX, ACTIVATION_MAX)


def act(s: Ints) -> Ints:
    """Fixed point."""
    return np.clip(divide(np.maximum(8 * s, s), 17), -ACTIVATION_MAX, ACTIVATION_MAX)


def limit(s: Ints) -> Ints:
    """Fixed point."""
    return np.clip(divide(s, 14), -ACTIVATION_MAX, ACTIVATION_MAX)


def correlate(weight: Array, a: Array, stride: int = 1) -> Array:
    """Fixed point, the sum in conv: (C, H, W) -> (outputs, H / stride, W / stride)."""
    (_, height, width), k = a.shape, weight.shape[2] // 2
    padded = np.pad(a, ((0, 0), (k, k), (k, k)))
    sums = np.zeros((len(weight), -(-height // stride), -(-width // stride)), a.dtype)
    for u, v in np.ndindex(weight.shape[2:]):
        sums += np.tensordot(weight[:, :, u, v], padded[:, u : u + height : stride, v : v + width : stride], 1)
    return sums


def shuffle(s: Array, r: int = 2) -> Array:
    """Fixed point; with r = 4 the last line of "From latents to pixels"."""
    channels, height, width = s.shape
    cells = s.reshape(channels // r**2, r, r, height, width).transpose(0, 3, 1, 4, 2)
    return cells.reshape(channels // r**2, r * height, r * width)


class Prior:
    """Distributions: the networks of one model at one quality, in 64-bit integers."""

    def __init__(self, model: Mapping[str, Array], quality: int):
        self.arrays: dict[str, Ints] = {
            name.removeprefix("prior."): values.astype(np.int64)
            for name, values in model.items()
            if name.startswith("prior.")
        }
        self.quality = quality
        self.latent = 2 * len(self.arrays["contexts.0.head.out.bias"])
        self.coded = np.flatnonzero(self.arrays["first_quality"] <= quality)

    def id(self) -> bytes:
        """The model file: its id."""
        digest = hashlib.sha256()
        for name, values in sorted(self.arrays.items()):
            digest.update(f"{name}[{', '.join(map(str, values.shape))}]".encode("ascii"))
            digest.update(values.astype("<i4").tobytes())
        return digest.digest()[:8]

    def conv(self, name: str, a: Ints, stride: int = 1) -> Ints:
        """Fixed point."""
        weight, shift, bias = (self.arrays[f"{name}.{part}"] for part in ("weight", "shift", "bias"))
        sums: Ints = correlate(weight, a, stride)
        return (sums << shift[:, None, None]) + 1024 * bias[:, None, None]

    def modulate(self, network: str, s: Ints) -> Ints:
        """Fixed point."""
        scale, shift = (self.anchors(f"{network}.modulation.{part}")[:, None, None] for part in ("scale", "shift"))
        return divide(s, 14) * scale + 1024 * shift

    def anchors(self, name: str) -> Ints:
        """Fixed point: the scales or the shifts of all channels at this quality."""
        a = self.arrays[name]
        i = min(self.quality * (len(a) - 1) // 1000, len(a) - 2)
        w = self.quality * (len(a) - 1) - 1000 * i
        value: Ints = (a[i] * (1000 - w) + a[i + 1] * w) // 1000
        return value

    def level(self, s: Ints, thresholds: str) -> Ints:
        """Distributions: #{θ : 2^14 θ < s}."""
        return np.searchsorted(self.arrays[thresholds] << 14, s, side="left")

    def hyper_level(self, positions: int, borrowed: bool) -> Ints:
        """Distributions, p(z): levels as a list."""
        level = self.arrays["prior_level"][self.coded]
        return np.repeat(level if borrowed else np.maximum(level - PLAIN_LEVELS, 0), positions)

    def mean(self, s: Ints, bits: int) -> Ints:
        """Distributions: a sum as a mean in 64ths."""
        return np.clip(divide(s, bits), -MEAN_MAX, MEAN_MAX)

    def posterior(self, first: Ints) -> tuple[Ints, Ints]:
        """Distributions, q(z | ŷ0): means and levels as lists, from the array of group 0."""
        a = act(self.conv("hyper_analysis.inp", enter(first)))
        a = act(self.conv("hyper_analysis.down64", a, 2))
        s, s_level = np.split(self.conv("hyper_analysis.out", a), 2)
        return self.mean(s, 18)[self.coded].ravel(), self.level(s_level[self.coded], "log_std_thresholds").ravel()

    def first_likelihood(self, z: Ints) -> tuple[Ints, Ints]:
        """Distributions, p(ŷ0 | z): means and levels as arrays, from the coded channels of z."""
        a = np.zeros((len(self.arrays["prior_level"]), *z.shape[1:]), np.int64)
        a[self.coded] = z
        a = act(self.conv("hyper_synthesis.inp", enter(64 * a)))
        a = act(shuffle(self.conv("hyper_synthesis.up32.0", a)))
        a = act(self.modulate("hyper_synthesis", self.conv("hyper_synthesis.out", a)))
        return self.head(0, act(self.modulate("contexts.0", self.conv("contexts.0.inp", a))))

    def state(self, t: int, group: Ints, before: Ints | int) -> Ints:
        """Distributions, the state before group t: from the array of group t - 1 and from the state before it."""
        s = self.conv(f"contexts.{t}.inp", enter(group)) + (before << 14)
        a = act(self.modulate(f"contexts.{t}", s))
        inner = act(self.conv(f"contexts.{t}.block.spatial", act(self.conv(f"contexts.{t}.block.reduce", a))))
        return limit((a << 14) + self.conv(f"contexts.{t}.block.expand", inner))

    def head(self, t: int, a: Ints) -> tuple[Ints, Ints]:
        """Distributions: means and levels of group t as arrays."""
        s, s_level = np.split(self.conv(f"contexts.{t}.head.out", act(self.conv(f"contexts.{t}.head.hidden", a))), 2)
        return self.mean(s, 16), self.level(s_level, "std_thresholds")


class Synthesis:
    """From latents to pixels, of one model at one quality, in float64."""

    def __init__(self, model: Mapping[str, Array], quality: int):
        self.arrays: dict[str, Floats] = {
            name: values.astype(np.float64)
            for name, values in model.items()
            if name.startswith(("synthesis_net.", "log_inverse_gain."))
        }
        self.quality = quality

    def anchors(self, name: str) -> Floats:
        """anchors(a), as (C, 1, 1)."""
        a = self.arrays[name]
        p = self.quality / 1000 * (len(a) - 1)
        i = min(int(p), len(a) - 2)
        value: Floats = a[i] + (p - i) * (a[i + 1] - a[i])
        return value[:, None, None]

    def conv(self, name: str, x: Floats) -> Floats:
        """A convolution in real numbers."""
        sums: Floats = correlate(self.arrays[f"synthesis_net.{name}.weight"], x)
        return sums + self.arrays[f"synthesis_net.{name}.bias"][:, None, None]

    def blocks(self, name: str, x: Floats) -> Floats:
        """As many blocks as there are."""
        number = 0
        while f"synthesis_net.{name}.{number}.reduce.weight" in self.arrays:
            inner = self.conv(f"{name}.{number}.reduce", (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-6))
            a, b = np.split(inner * (1 + np.tanh(inner / 2)) / 2, 2)  # SiLU, without overflow
            x = x + self.conv(f"{name}.{number}.expand", self.conv(f"{name}.{number}.spatial", a) * b)
            number += 1
        return x

    def pixels(self, y: Ints) -> Floats:
        """ŷ in 64ths -> (3, 16 h, 16 w)."""
        x = self.conv("inp", np.exp(self.anchors("log_inverse_gain.values")) * y / 64)
        x = shuffle(self.conv("up8.0", x))
        scale, shift = (self.anchors(f"synthesis_net.blocks8.modulation.{part}.values") for part in ("scale", "shift"))
        x = self.blocks("blocks8.blocks", x * scale + shift)
        x = shuffle(self.conv("up4.0", x))
        x = self.conv("out", self.blocks("blocks4", x))
        return shuffle(x, 4)
