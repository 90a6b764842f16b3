"""A decoder written from docs/FORMAT.md alone.

The bytes of a .vlae file and the arrays of its model file in; latents and pixels out. Together with
`independent_networks.py` it uses numpy and the standard library and nothing of vlae_codec: where both decoders agree,
the document says all that a third one needs. Docstrings name the chapter that they follow, and variables are called
as they are there. It asserts what shows that document and file disagree; to refuse damaged files is not its job.
"""

import math
import struct
import zlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from independent_networks import Array, Ints, Prior, Synthesis
from numpy.typing import NDArray

SIDE = 64  # positions of latents along the side of a segment
PLAIN_STRIDE = 3  # of z where it was not borrowed
PLACES = ((0, 0), (1, 1), (0, 1), (1, 0))  # row and column in a 2x2 cell, by (part - floor(4 c / M)) mod 4


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
    deviation = 0.1 * 2 ** ((level - 8) / 24)
    return deviation, math.ceil(9 * deviation) + 1


def mean_step(level: int) -> int:
    """Coded probabilities, "Tables": g."""
    return 1 if level < 56 else 2 if level < 104 else 8


def phi(x: float, kind: str) -> float:
    """Coded probabilities, "Tables": Φ."""
    return 1 / (1 + math.exp(-math.pi / math.sqrt(3) * x)) if kind == "ŷ" else (1 + math.erf(x / math.sqrt(2))) / 2


@cache
def table(level: int, f: int, kind: str) -> list[int]:
    """Coded probabilities, "Tables": P as the sums F that `Stack` takes. Kinds are "ŷ", "z" and "q"."""
    deviation, R = deviation_and_reach(level)
    escapes = kind != "q"
    T = 2**24 - (2 * R + 4) - 8 * escapes
    B = [round(T * phi((k - R - 0.5 - f / 64) / deviation, kind)) for k in range(2 * R + 3)]
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
    g = np.array([mean_step(n) for n in range(272)])[level]
    rounded = (mean + g // 2) // g * g
    reach = np.array([deviation_and_reach(n)[1] for n in range(272)])[level]
    f, lowest = rounded % 64, rounded // 64 - reach
    order = np.argsort(64 * level + f, kind="stable")
    columns = (order, level[order], f[order], lowest[order])
    return [Place(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def pop_list(stack: Stack, mean: Ints, level: Ints, kind: str) -> Ints:
    """The order of coding, "Lists of symbols", with tables that have an escape."""
    symbols, far = np.zeros(len(mean), np.int64), []
    for place in coding_order(mean, level):
        k = stack.pop(table(place.level, place.f, kind))
        symbols[place.position] = place.lowest + k
        if k == 2 * deviation_and_reach(place.level)[1] + 2:
            far.append(place.position)
    for position in far:
        symbols[position] = stack.pop(ESCAPED) - 32767
    return symbols


def push_list(stack: Stack, symbols: Ints, mean: Ints, level: Ints) -> None:
    """The order of coding, "Lists of symbols", with tables that have no escape."""
    for place in reversed(coding_order(mean, level)):
        stack.push(int(symbols[place.position]) - place.lowest, table(place.level, place.f, "q"))


def group(y: Ints, t: int) -> list[Ints]:
    """Latents of a segment: the positions of group t, as a view of each channel."""
    M = len(y)
    channels, part = (range(t * M // 4, (t + 1) * M // 4), 0) if t < 4 else (range(M), t - 3)
    places = (PLACES[(part - 4 * c // M) % 4] for c in channels)
    return [y[c, row::2, column::2] for c, (row, column) in zip(channels, places, strict=True)]


def without_padding(values: Ints, views: list[Ints]) -> Ints:
    """Latents of a segment: an array as a list, without the positions that lie in the padding."""
    parts = (plane[: len(view), : view.shape[1]] for plane, view in zip(values, views, strict=True))
    return np.concatenate([part.ravel() for part in parts])


def pop_group(stack: Stack, views: list[Ints], mean: Ints, level: Ints, centred: bool) -> None:
    """The order of coding, "A segment": one group in 64ths, written to where it belongs."""
    mean, level = without_padding(mean, views), without_padding(level, views)
    k = pop_list(stack, 0 * mean if centred else mean, level, "ŷ")
    values = 64 * k + mean if centred else 64 * k
    ends = np.cumsum([view.size for view in views])
    for view, part in zip(views, np.split(values, ends[:-1]), strict=True):
        view[...] = part.reshape(view.shape)


def decode_segment(prior: Prior, segment: Segment, height: int, width: int) -> Ints:
    """The order of coding, "A segment": its latents (M, height, width) in 64ths."""
    stack = Stack(segment.payload)
    rows, columns = -(-height // 4), -(-width // 4)
    y = np.zeros((prior.latent, 4 * rows, 4 * columns), np.int64)
    inside = y[:, :height, :width]
    level = prior.hyper_level(rows * columns, segment.borrowed)
    k = pop_list(stack, np.zeros_like(level), level, "z")
    z = k if segment.borrowed else PLAIN_STRIDE * k
    pop_group(stack, group(inside, 0), *prior.first_likelihood(z.reshape(-1, rows, columns)), False)
    if segment.borrowed:
        push_list(stack, z, *prior.posterior(np.stack(group(y, 0))))
    state: Ints | int = 0
    for t in range(1, 7):
        state = prior.state(t, np.stack(group(y, t - 1)), state)
        pop_group(stack, group(inside, t), *prior.head(t, state), True)
    assert not stack.words and stack.state < 2
    assert zlib.crc32(inside.astype("<i4").tobytes()) == segment.latents_crc
    return inside


def decode(data: bytes, model: Mapping[str, Array]) -> tuple[Ints, NDArray[np.uint8]]:
    """A whole file: ŷ in 64ths, and pixels (height, width, 1 or 3). `model` has all arrays of the model file."""
    file = parse(data)
    prior = Prior(model, file.quality)
    assert prior.id() == file.model
    y = np.zeros((prior.latent, -(-file.height // 16), -(-file.width // 16)), np.int64)
    corners = [(row, column) for row in range(0, y.shape[1], SIDE) for column in range(0, y.shape[2], SIDE)]
    for (row, column), segment in zip(corners, file.segments, strict=True):
        part = y[:, row : row + SIDE, column : column + SIDE]
        part[...] = decode_segment(prior, segment, *part.shape[1:])
    x = Synthesis(model, file.quality).pixels(y)[:, : file.height, : file.width]
    if file.gray:
        x = x.mean(0, keepdims=True)
    return y, np.clip(np.rint(255 * (x + 0.5)), 0, 255).astype(np.uint8).transpose(1, 2, 0)
