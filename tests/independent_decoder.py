"""A decoder written from docs/FORMAT.md alone: whole numbers for the prior, and its own stack.

The bytes of a .vlae file and the arrays of its model file in; latents and pixels out. It imports numpy and the
standard library, nothing of vlae_codec: where both decoders agree, the document says all that a third one needs.
Docstrings name the chapter that they follow, and variables are called as they are there. It asserts what shows that
document and file disagree; refusing damaged files politely is not its job.
"""

import hashlib
import math
import struct
import zlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SEGMENT = 64  # positions of latents along a side of a segment
ACTIVATION_MAX = 130048
MEAN_MAX = 32512  # of q(z | ŷ0, ŷ1, ŷ2), in 64ths
PLAIN_STRIDE, PLAIN_LEVELS = 3, 25  # of z where nothing was borrowed
PLACES = ((0, 0), (1, 1), (0, 1), (1, 0))  # row and column in a 2x2 cell, by (t - floor(4 c / M)) mod 4


class Segment(NamedTuple):
    """Container, "Segments"."""

    borrowed: bool
    latents_crc: int
    payload: bytes


class File(NamedTuple):
    """What a file says before a model is needed."""

    gray: bool
    model: bytes
    quality: int  # in tenths
    width: int
    height: int
    segments: tuple[Segment, ...]


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Notation: the number at an offset, and the offset after it."""
    value, shift = 0, 0
    while data[at] & 128:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
    return value | data[at] << shift, at + 1


def parse(data: bytes) -> File:
    """Container, "Header" and "Sections"; metadata and alpha are passed over."""
    magic, version, flags, model, quality = struct.unpack_from("<4sBB8sH", data)
    assert (magic, version) == (b"VLAE", 1)
    width, at = varint(data, 16)
    height, at = varint(data, at)
    header, segments = data[:at], []
    while at < len(data):
        begin, kind = at, data[at]
        length, at = varint(data, at + 1)
        head, crc, content = data[begin:at], data[at : at + 4], data[at + 4 : at + 4 + length]
        assert zlib.crc32(header + head + content) == int.from_bytes(crc, "little")
        at += 4 + length
        if kind in (16, 17):
            segments.append(Segment(kind == 16, int.from_bytes(content[:4], "little"), content[4:]))
    return File(flags == 1, model, quality, width, height, tuple(segments))


class Stack:
    """The order of coding, "The stack". F is a list of len(P) + 1 numbers, from 0 to 2^24."""

    def __init__(self, payload: bytes):
        payload += bytes(-len(payload) % 4)
        self.words = [word for (word,) in struct.iter_unpack("<I", payload)]
        self.state = self.words.pop() if self.words else 0
        if self.words:
            self.state = self.state << 32 | self.words.pop()

    def push(self, k: int, F: Sequence[int]) -> None:
        """Add index k on top."""
        p = F[k + 1] - F[k]
        if self.state >> 40 >= p:
            self.words.append(self.state & 0xFFFFFFFF)
            self.state >>= 32
        self.state = (self.state // p << 24) + F[k] + self.state % p

    def pop(self, F: Sequence[int]) -> int:
        """Remove the index on top."""
        r = self.state & 0xFFFFFF
        k = bisect_right(F, r) - 1
        self.state = (F[k + 1] - F[k]) * (self.state >> 24) + r - F[k]
        if self.state < 1 << 32 and self.words:
            self.state = self.state << 32 | self.words.pop()
        return k


ESCAPED = (*range(0, 65535 * 256, 256), 1 << 24)  # F of v, which follows an escape


@cache
def deviation_and_reach(level: int) -> tuple[float, int]:
    """Coded probabilities, "Tables": σ and R."""
    deviation = 0.1 * 2 ** (level / 16)
    return deviation, math.ceil(6 * deviation) + 1


def mean_step(level: int) -> int:
    """Coded probabilities, "Tables": g."""
    return 1 if level < 32 else 2 if level < 64 else 8


@cache
def table(level: int, f: int, escapes: bool) -> list[int]:
    """Coded probabilities, "Tables": P as the sums F that `Stack` takes."""
    deviation, R = deviation_and_reach(level)
    T = 2**24 - (2 * R + 4) - 256 * escapes
    edges = [(k - R - 0.5 - f / 64) / deviation for k in range(2 * R + 3)]
    B = [round(T * (1 + math.erf(x / math.sqrt(2))) / 2) for x in edges]
    P = [B[k + 1] - B[k] + 1 for k in range(2 * R + 2)]
    D = 2**24 - sum(P)
    if escapes:
        P.append(D)
    else:
        P[R] += D // 2
        P[R + 1] += D - D // 2
    return [0, *np.cumsum(P).tolist()]


class Place(NamedTuple):
    """Where one symbol of a list stands in the order of coding: index k of its table is the symbol lowest + k."""

    position: int
    level: int
    f: int
    lowest: int


def coding_order(mean: Ints, level: Ints) -> list[Place]:
    """The order of coding, "Lists of symbols"."""
    g = np.array([mean_step(n) for n in range(176)])[level]
    rounded = (mean + g // 2) // g * g
    reach = np.array([deviation_and_reach(n)[1] for n in range(176)])[level]
    f, lowest = rounded % 64, rounded // 64 - reach
    order = np.argsort(64 * level + f, kind="stable")
    columns = (order, level[order], f[order], lowest[order])
    return [Place(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def pop_list(stack: Stack, mean: Ints, level: Ints) -> Ints:
    """The order of coding, "Lists of symbols", with tables that have an escape."""
    symbols, far = np.zeros(len(mean), np.int64), []
    for place in coding_order(mean, level):
        k = stack.pop(table(place.level, place.f, True))
        symbols[place.position] = place.lowest + k
        if k == 2 * deviation_and_reach(place.level)[1] + 2:
            far.append(place.position)
    for position in far:
        symbols[position] = stack.pop(ESCAPED) - 32767
    return symbols


def push_list(stack: Stack, symbols: Ints, mean: Ints, level: Ints) -> None:
    """The order of coding, "Lists of symbols", with tables that have no escape."""
    for place in reversed(coding_order(mean, level)):
        stack.push(int(symbols[place.position]) - place.lowest, table(place.level, place.f, False))


def divide(n: Ints, bits: int) -> Ints:
    """Coded probabilities, "Fixed point": round(n / 2^bits), from a tie to the even one."""
    odd = n >> bits & 1
    return n + (1 << bits - 1) - 1 + odd >> bits


def enter(v: Ints) -> Ints:
    """Coded probabilities, "Fixed point"."""
    return np.clip(256 * v, -ACTIVATION_MAX, ACTIVATION_MAX)


def act(s: Ints) -> Ints:
    """Coded probabilities, "Fixed point"."""
    return np.clip(divide(np.maximum(8 * s, s), 17), -ACTIVATION_MAX, ACTIVATION_MAX)


def correlate(weight: Array, a: Array, stride: int = 1) -> Array:
    """Coded probabilities, "Fixed point": the sum in conv, (C, H, W) -> (outputs, H / stride, W / stride)."""
    k = weight.shape[2] // 2
    padded = np.pad(a, ((0, 0), (k, k), (k, k)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], (1, 2))[:, ::stride, ::stride]
    return np.tensordot(weight, windows, ((1, 2, 3), (0, 3, 4)))


def shuffle(s: Array, r: int = 2) -> Array:
    """Coded probabilities, "Fixed point"; with r = 4 the last line of "From latents to pixels"."""
    channels, height, width = s.shape
    cells = s.reshape(channels // r**2, r, r, height, width).transpose(0, 3, 1, 4, 2)
    return cells.reshape(channels // r**2, r * height, r * width)


class Prior:
    """Coded probabilities, "Distributions": the networks at one quality, in 64-bit integers."""

    def __init__(self, arrays: Mapping[str, Array], quality: int):
        names = [name for name in arrays if name.startswith("prior.")]
        self.arrays: dict[str, Ints] = {name[6:]: arrays[name].astype(np.int64) for name in names}
        self.quality = quality
        self.latent = len(self.arrays["contexts.0.out.bias"]) // 2
        self.coded = np.flatnonzero(self.arrays["first_quality"] <= quality)

    def id(self) -> bytes:
        """Coded probabilities, "The model file"."""
        digest = hashlib.sha256()
        for name, values in sorted(self.arrays.items()):
            digest.update(f"{name}[{', '.join(map(str, values.shape))}]".encode("ascii"))
            digest.update(values.astype("<i4").tobytes())
        return digest.digest()[:8]

    def conv(self, name: str, a: Ints, stride: int = 1) -> Ints:
        """Coded probabilities, "Fixed point"."""
        sums: Ints = correlate(self.arrays[f"{name}.weight"], a, stride)
        return sums + 1024 * self.arrays[f"{name}.bias"][:, None, None]

    def modulate(self, network: str, s: Ints) -> Ints:
        """Coded probabilities, "Fixed point"."""
        scale, shift = (self.anchors(f"{network}.modulation.{part}")[:, None, None] for part in ("scale", "shift"))
        return divide(s, 14) * scale + 1024 * shift

    def anchors(self, name: str) -> Ints:
        """Coded probabilities, "Fixed point": the scales or shifts of all channels."""
        a = self.arrays[name]
        i = min(self.quality * (len(a) - 1) // 1000, len(a) - 2)
        w = self.quality * (len(a) - 1) - 1000 * i
        return (a[i] * (1000 - w) + a[i + 1] * w) // 1000

    def level(self, s: Ints, thresholds: str) -> Ints:
        """Coded probabilities, "Distributions": #{θ : 2^14 θ < s}."""
        return np.searchsorted(self.arrays[thresholds] << 14, s, side="left")

    def hyper_level(self, positions: int, borrowed: bool) -> Ints:
        """The levels of p(z) as a list."""
        level = self.arrays["prior_level"][self.coded]
        return np.repeat(level if borrowed else np.maximum(level - PLAIN_LEVELS, 0), positions)

    def posterior(self, y: Ints) -> tuple[Ints, Ints]:
        """Means and levels of q(z | ŷ0, ŷ1, ŷ2) as lists; group 3 of y is 0."""
        a = act(self.conv("hyper_analysis.inp", enter(y)))
        a = act(self.conv("hyper_analysis.down32", a, 2))
        a = act(self.conv("hyper_analysis.down64", a, 2))
        s, s_level = np.split(self.conv("hyper_analysis.out", a), 2)
        mean = np.clip(divide(s, 18), -MEAN_MAX, MEAN_MAX)
        return mean[self.coded].ravel(), self.level(s_level[self.coded], "log_std_thresholds").ravel()

    def features(self, z: Ints, rows: int, columns: int) -> Ints:
        """The features of z, a list."""
        a = np.zeros((len(self.arrays["prior_level"]), rows, columns), np.int64)
        a[self.coded] = z.reshape(-1, rows, columns)
        a = act(self.conv("hyper_synthesis.inp", enter(a)))
        a = act(shuffle(self.conv("hyper_synthesis.up32.0", a)))
        return act(self.modulate("hyper_synthesis", self.conv("hyper_synthesis.out", a)))

    def likelihood(self, t: int, y: Ints, f: Ints) -> tuple[Ints, Ints]:
        """Means and levels of p(ŷ_t | ŷ_<t, z), arrays."""
        s = np.zeros(1, np.int64)
        if t > 0:
            known = np.concatenate([np.stack(group(y, u)) for u in range(t)])
            s = s + self.conv(f"contexts.{t}.known", enter(known))
        if t < 3:
            s = s + self.conv(f"contexts.{t}.features", f)
        a = act(self.modulate(f"contexts.{t}", s))
        s, s_level = np.split(self.conv(f"contexts.{t}.out", act(self.conv(f"contexts.{t}.hidden", a))), 2)
        return divide(s, 16), self.level(s_level, "std_thresholds")
