"""A stack of integers, each of which costs -log2 p bits (asymmetric numeral systems, ANS [1]).

numpy arrays in, bytes out; the only module that imports constriction. Every probability is an integer out of
2^24, looked up by integers: a level of the standard deviation and a mean in 64ths. Nothing that differs between
machines in its last bits reaches the coder.

    std(level)     = 0.1 * 2^((level - 8)/24), level 0..271
    mean           in 64ths below level 56, rounded to 32nds below level 104, to eighths from there
    table(level, f): symbols floor(mean) - R .. floor(mean) + R + 1 with R = ceil(9 std) + 1, then an escape;
                     mass of each unit interval around a mean of f/64, rounded to integers
    escape:          the symbol follows as 16 bits; distributions that are sampled have none, since an escape drawn by
                     chance would be a wild symbol, or one inside the table, which would not be pushed back as it was

Sixteenths everywhere would cost 0.3 to 0.5 % at low rates, where most deviations are below 0.3 steps. Latents are
logistic: with Gaussians of the same deviations they take 1.3 to 2 % more.

The tables come from `math.erf` and `math.exp`; a test shows that none of their entries lies so near to a rounding
boundary that an error of 1e-14 would change it.

[1] J. Duda, 2013, https://arxiv.org/abs/1311.2540; the coder is https://github.com/bamler-lab/constriction
"""

import math
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property
from typing import Any, TypeVar

import constriction
import numpy as np
from numpy.typing import NDArray

from vlae_codec.errors import BitstreamError

Ints = NDArray[np.int32]
Number = TypeVar("Number", np.int32, np.float64)

FRACTIONS = 64  # of a step, for means
LEVELS = 272
LEVELS_PER_OCTAVE = 24
PRECISION = 24  # bits of a probability
ESCAPE = 1 << 3  # least probability of the escape, out of 2^24: 21 bits, then 16 for the symbol
ESCAPE_BITS = 16
SYMBOL_MAX = (1 << ESCAPE_BITS - 1) - 1
LEAST_BITS = 64  # what a stack keeps, so that symbols popped from it are unbiased


def level_std(level: float) -> float:
    """Standard deviation of a level, in steps; fractional levels lie between."""
    std: float = 0.1 * 2.0 ** ((level - 8) / LEVELS_PER_OCTAVE)
    return std


class Kind(Enum):
    """Of distributions: their shape, and whether symbols outside the tables can be coded."""

    LATENT = "p(ŷ): logistic, with escapes"
    PRIOR = "p(z): Gaussian, with escapes"
    SAMPLED = "q(z | ŷ): Gaussian, to pop samples from, without escapes"


@dataclass(frozen=True)
class Distributions:
    """The distributions of n integers.

    mean: (n,) in 64ths of a step; level: (n,) 0..271.
    """

    mean: Ints
    level: Ints
    kind: Kind

    def mode(self, stride: int) -> Ints:
        """The multiples of `stride` that are nearest to the means, in units of it (n,)."""
        return (self.mean + FRACTIONS * stride // 2) // (FRACTIONS * stride)

    def centred(self) -> "Distributions":
        """The same deviations about 0: the distributions of the differences to `mean`."""
        return Distributions(np.zeros_like(self.mean), self.level, self.kind)

    def coarser(self, stride: int) -> "Distributions":
        """Zero-mean distributions for integers in units of `stride`: each deviation divided by it."""
        level = self.level - round(LEVELS_PER_OCTAVE * math.log2(stride))
        return Distributions(self.mean, np.maximum(level, 0), self.kind)

    def bits(self, symbols: Ints) -> float:
        """-log2 p of symbols (n,), summed: what `Stack.push` adds but for the coder's overhead."""
        return float(self._sorted_bits(symbols).sum())

    def bits_each(self, symbols: Ints) -> NDArray[np.float64]:
        """-log2 p of each of the symbols (n,)."""
        return self.grouping.unsort(self._sorted_bits(symbols))

    def _sorted_bits(self, symbols: Ints) -> NDArray[np.float64]:
        index, escaped = self.grouping.index(symbols)
        tables = [table_bits(key, self.kind) for key in self.grouping.keys]
        first = np.cumsum([0, *map(len, tables)])[:-1]
        within: NDArray[np.int64] = index + np.repeat(first, np.diff(self.grouping.bounds))
        bits: NDArray[np.float64] = np.concatenate([*tables, np.empty(0)])[within] + ESCAPE_BITS * escaped
        return bits

    def saved(self, symbols: Ints) -> NDArray[np.float64]:
        """Bits that each symbol (n,) would save as the next one towards zero, in logistic distributions about zero."""
        scale = STDS[self.level] * (math.sqrt(3) / math.pi)
        edges = (np.abs(symbols) + np.array([[-1.5], [-0.5], [0.5]])) / scale
        inner, outer = -np.diff(1 / (1 + np.exp(np.minimum(edges, 700))), axis=0)
        least = 2.0**-PRECISION
        saved: NDArray[np.float64] = np.log2(np.maximum(inner, least)) - np.log2(np.maximum(outer, least))
        return saved

    @cached_property
    def grouping(self) -> "Grouping":
        """The order in which the symbols are coded."""
        return Grouping(self.mean, self.level)


class Grouping:
    """Symbols sorted by the table that codes them, so that each table is visited once."""

    def __init__(self, mean: Ints, level: Ints):
        assert mean.shape == level.shape and mean.ndim == 1
        step = MEAN_STEPS[level]
        mean = (mean + step // 2) // step * step
        key = (level * FRACTIONS + mean % FRACTIONS).astype(np.uint16)
        self.order = np.argsort(key, kind="stable")
        keys, starts = np.unique(key[self.order], return_index=True)
        self.keys: list[int] = keys.tolist()
        self.bounds: list[int] = [*starts.tolist(), len(self.order)]
        self.radius = RADII[level[self.order]]
        self.lowest = mean[self.order] // FRACTIONS - self.radius

    def parts(self) -> list[tuple[int, int, int]]:
        """Each table's key, and from where to where its symbols stand in sorted order."""
        return list(zip(self.keys, self.bounds, self.bounds[1:], strict=False))

    def index(self, symbols: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Position of each symbol in its table, in sorted order, and which of them are escapes."""
        index = symbols[self.order] - self.lowest
        last = 2 * self.radius + 2
        escaped = (index < 0) | (index >= last)
        return np.where(escaped, last, index).astype(np.int32), escaped

    def symbols(self, index: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Undo `index`, in sorted order; escapes are not filled in."""
        return (index + self.lowest).astype(np.int32), index == 2 * self.radius + 2

    def unsort(self, values: NDArray[Number]) -> NDArray[Number]:
        """Back from sorted order."""
        out = np.empty_like(values)
        out[self.order] = values
        return out


def radius(level: int) -> int:
    """How far from the mean a table reaches."""
    return math.ceil(9 * level_std(level)) + 1


# Grid of the means of each level, in 64ths.
MEAN_STEPS: Ints = np.repeat(np.array([1, 2, 8], np.int32), [56, 48, LEVELS - 104])
STDS = np.array([level_std(level) for level in range(LEVELS)])
RADII: Ints = np.array([radius(level) for level in range(LEVELS)], np.int32)


def gaussian_cdf(x: float) -> float:
    """Of the normal distribution with mean 0 and deviation 1."""
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def logistic_cdf(x: float) -> float:
    """Of the logistic distribution with mean 0 and deviation 1."""
    return 1 / (1 + math.exp(-x * math.pi / math.sqrt(3)))


def cumulative(key: int, kind: Kind) -> NDArray[np.float64]:
    """Mass below each symbol's interval and below the escape, out of 2^24, before rounding."""
    level, fraction = divmod(key, FRACTIONS)
    reach, std = RADII[level], level_std(level)
    escape = 0 if kind is Kind.SAMPLED else ESCAPE
    share = (1 << PRECISION) - (2 * int(reach) + 4) - escape  # even, so that the half of it is whole
    cdf = logistic_cdf if kind is Kind.LATENT else gaussian_cdf
    edges = range(-int(reach), int(reach) + 3)
    return share * np.array([cdf((edge - 0.5 - fraction / FRACTIONS) / std) for edge in edges])


@cache
def table(key: int, kind: Kind) -> NDArray[np.float64]:
    """Counts c with probabilities (c + 1) / 2^24; the last one is the escape. `key` is level * 64 + fraction.

    Without an escape, the two symbols in the middle share what is left of 2^24.
    """
    counts = np.diff(np.rint(cumulative(key, kind)))
    if kind is not Kind.SAMPLED:
        return np.append(counts, (1 << PRECISION) - (len(counts) + 1) - counts.sum())
    left = (1 << PRECISION) - len(counts) - counts.sum()
    middle = len(counts) // 2
    counts[middle - 1 : middle + 1] += left // 2, left - left // 2
    return counts


@cache
def table_bits(key: int, kind: Kind) -> NDArray[np.float64]:
    """-log2 of a table's probabilities."""
    return PRECISION - np.log2(table(key, kind) + 1.0)


@cache
def coder_model(key: int, kind: Kind) -> Any:
    """constriction's form of a table: it adds one to each count, and with these sums nothing is rounded."""
    return constriction.stream.model.Categorical(table(key, kind), perfect=False)


@cache
def escape_model() -> Any:
    """All symbols within ±SYMBOL_MAX, evenly."""
    return constriction.stream.model.Uniform(2 * SYMBOL_MAX + 1)


class Stack:
    """Bits that symbols are pushed on and popped from; last in, first out.

    Args:
        payload: what `to_bytes` gave; empty for a new stack.
    Raises:
        BitstreamError: no stack writes such bytes.
    """

    def __init__(self, payload: bytes = b""):
        if payload.endswith(b"\0"):
            raise BitstreamError("payload ends with a zero byte; a complete one does not")
        words = np.frombuffer(payload + b"\0" * (-len(payload) % 4), "<u4").astype(np.uint32)
        self.coder = constriction.stream.stack.AnsCoder(words)

    def to_bytes(self) -> bytes:
        """All bits, as words of 32 without the zero bytes at the end."""
        words: NDArray[np.uint32] = self.coder.get_compressed()
        return words.astype("<u4").tobytes().rstrip(b"\0")

    @property
    def bits(self) -> int:
        """How many bits there are."""
        return int(self.coder.num_valid_bits())

    def copy(self) -> "Stack":
        """An independent stack with the same bits."""
        other = Stack.__new__(Stack)
        other.coder = self.coder.clone()
        return other

    def push(self, symbols: Ints, p: Distributions) -> None:
        """Add symbols on top, so that `pop` returns them in order; the stack grows by `p.bits(symbols)`.

        Args:
            symbols: (n,) integers within ±SYMBOL_MAX.
            p: the distribution of each.
        Raises:
            BitstreamError: a symbol lies outside a table without escapes; `pop` never gives such a one.
        """
        assert symbols.shape == p.mean.shape and (np.abs(symbols) <= SYMBOL_MAX).all()
        groups = p.grouping
        index, escaped = groups.index(symbols)
        if escaped.any() and p.kind is Kind.SAMPLED:
            raise BitstreamError(f"{int(escaped.sum())} of {symbols.size} symbols lie outside their tables")
        if escaped.any():
            self.coder.encode_reverse(symbols[groups.order][escaped] + np.int32(SYMBOL_MAX), escape_model())
        for key, start, end in reversed(groups.parts()):
            self.coder.encode_reverse(index[start:end], coder_model(key, p.kind))

    def pop(self, p: Distributions) -> Ints:
        """Remove n symbols from the top: `push` read upwards.

        With a distribution that did not push them this is a sample of it. Never fails: an empty stack gives
        symbols, too, so that damage must be found by a checksum.
        """
        groups = p.grouping
        index = np.empty(len(groups.order), np.int32)
        for key, start, end in groups.parts():
            index[start:end] = self.coder.decode(coder_model(key, p.kind), end - start)
        symbols, escaped = groups.symbols(index)
        if escaped.any():
            symbols[escaped] = self.coder.decode(escape_model(), int(escaped.sum())) - SYMBOL_MAX
        return groups.unsort(symbols)
