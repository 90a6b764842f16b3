"""Latents <-> the sections of a file, one segment at a time, in one thread or several.

Knows no pixels. Integers of ŷ in 64ths of a step in, `bitstream.Segment` out, and back.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from vlae_codec import bitsback, models, tiles
from vlae_codec.bitsback import Costs
from vlae_codec.bitstream import Container, Segment
from vlae_codec.entropy import Ints, Stack
from vlae_codec.errors import BitstreamError
from vlae_codec.models import Model
from vlae_codec.models.exact import SegmentModel
from vlae_codec.tiles import Box
from vlae_codec.timing import Stopwatch, TimedModel

Item = TypeVar("Item")
Result = TypeVar("Result")


class Run(Protocol):
    """As the built-in `map`: results in the order of the items."""

    def __call__(self, function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
        """The function's result for each item."""


@contextmanager
def workers(jobs: int) -> Iterator[Run]:
    """What runs segments: this thread, or `jobs` others, for each of which torch then uses one thread alone.

    Threads, because most of a segment's time goes into the prior's networks, where Python's lock is free.
    """
    assert jobs >= 1, f"{jobs} jobs"
    if jobs == 1:
        yield map
        return
    before = torch.get_num_threads()
    with ThreadPoolExecutor(jobs, initializer=partial(torch.set_num_threads, 1)) as pool:
        try:
            yield pool.map
        finally:
            torch.set_num_threads(before)


@torch.no_grad()
def encode(
    y: NDArray[np.float32], model: Model, level: int, borrow: bool, bit_price: float, watch: Stopwatch
) -> tuple[Segment, Costs]:
    """Latents y (C, h, w) of one segment, not rounded -> its section of the file, and the ideal bits.

    Args:
        bit_price: squared steps that a bit may cost in rounding.
    """
    with watch("entropy coding"):
        segment_model = SegmentModel(model.prior, (y.shape[1], y.shape[2]), level)
        timed, stack = TimedModel(segment_model, watch), Stack()
        kept = bitsback.quantise(segment_model.split(y), timed, bit_price)
        costs = bitsback.encode(stack, kept, timed, borrow)
        return Segment(stack.to_bytes(), latents_crc(segment_model.merge(kept.values)), costs.borrowed), costs


@torch.no_grad()
def decode(
    segment: Segment, model: Model, size: tuple[int, int], level: int, measure: bool, watch: Stopwatch
) -> tuple[Ints, Costs | None]:
    """ŷ (C, *size) of one section in 64ths, and with `measure` the ideal bits: `encode` read upwards.

    Raises:
        BitstreamError: the latents are not those that were encoded.
    """
    with watch("entropy coding"):
        segment_model = SegmentModel(model.prior, size, level)
        stack = Stack(segment.payload)
        kept, costs = bitsback.decode(stack, TimedModel(segment_model, watch), segment.bits_back, measure)
        y = segment_model.merge(kept.values)
        if stack.bits or latents_crc(y) != segment.latents_crc:
            raise BitstreamError(
                f"decoded latents have checksum {latents_crc(y):08x}, {stack.bits} bits left; the file says "
                f"{segment.latents_crc:08x}, 0 bits: the file is damaged, or this machine's arithmetic is"
            )
        return y, costs


def latents_crc(y: Ints) -> int:
    """CRC-32 of latents (C, h, w) in 64ths, as little-endian 32-bit integers."""
    return zlib.crc32(y.astype("<i4").tobytes())


class Reader:
    """The latents of a file: segments are decoded when a box first needs them, and forgotten when it is below them.

    Args:
        run: decodes the segments that a box needs, side by side if it can.
    """

    def __init__(self, container: Container, run: Run, watch: Stopwatch):
        self.container, self.run, self.watch = container, run, watch
        self.model = models.load(container.header.model)
        self.boxes = tiles.segments(container.header.height, container.header.width)
        self.ready: dict[int, Ints] = {}

    def __call__(self, box: Box) -> Ints:
        """ŷ (C, rows, columns) of a box in 64ths; its top is no higher than that of the box before."""
        numbers = list(tiles.segments_in(box, self.container.header.width))
        missing = [number for number in numbers if number not in self.ready]
        decoded = zip(missing, self.run(self.decode, missing), strict=True)
        self.ready = {n: y for n, y in self.ready.items() if self.boxes[n].bottom > box.top} | dict(decoded)
        y = np.empty((self.model.prior.latent, *box.size), np.int32)
        for number in numbers:
            common = box.common(self.boxes[number])
            target, source = common.within(box), common.within(self.boxes[number])
            y[:, target.rows, target.columns] = self.ready[number][:, source.rows, source.columns]
        return y

    def decode(self, number: int) -> Ints:
        """ŷ (C, rows, columns) of one segment in 64ths."""
        return self._decode(number, measure=False)[0]

    def costs(self, number: int) -> Costs:
        """The ideal bits of one segment."""
        costs = self._decode(number, measure=True)[1]
        assert costs is not None
        return costs

    def _decode(self, number: int, measure: bool) -> tuple[Ints, Costs | None]:
        segment, size = self.container.segments[number], self.boxes[number].size
        return decode(segment, self.model, size, self.container.header.quality, measure, self.watch)
