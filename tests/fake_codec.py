"""Stands in for vlae_codec.codec: the same functions without networks, so that the command can be tested at once."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from vlae_codec import bitstream, images, tiles
from vlae_codec.bitstream import Container, Header, Segment
from vlae_codec.images import Picture

MODEL = bytes(8)


@dataclass(frozen=True)
class Ledger:
    container: int
    metadata: int
    alpha: int
    actual: int
    y: float = 100.0
    z_gross: float = 30.0
    bits_back: float = 20.5
    theoretical: float = 109.5
    y_groups: tuple[float, ...] = (40.0, 30.0, 20.0, 10.0)

    @property
    def overhead(self) -> float:
        return self.actual - self.theoretical


@dataclass(frozen=True)
class Encoded:
    data: bytes
    ledger: Ledger
    bits_back: bool = True


class FakeCodec(ModuleType):
    """Loses the lowest bit of every sample, and below quality 50 more of them; pictures of one segment only."""

    damage: Callable[[Picture], Picture] = staticmethod(lambda picture: picture)

    def encode(
        self,
        picture: Picture,
        quality: float = 50.0,
        *,
        effort: int = 3,
        model: str = "psnr",
        jobs: int = 1,
        progress: Callable[[float], None] = lambda done: None,
    ) -> Encoded:
        height, width, channels = picture.pixels.shape
        lost = 1 + max(0, round((50 - quality) / 10))
        header = Header(channels == 1, MODEL, round(10 * quality), width, height)
        segment = Segment(zlib.compress((picture.pixels >> lost << lost).tobytes()), 0, True)
        alpha = None if picture.alpha is None else images.pack_alpha(picture.alpha)
        data = bitstream.pack(Container(header, picture.metadata, alpha, (segment,)))
        progress(1.0)
        return Encoded(data, self.ledger(data))

    def decode(
        self,
        data: bytes,
        *,
        max_pixels: int,
        progress: Callable[[float], None] | None = None,
        region: tuple[int, int, int, int] | None = None,
        jobs: int = 1,
    ) -> Picture:
        file = bitstream.parse(data, max_pixels)
        width, height = file.header.width, file.header.height
        samples = np.frombuffer(zlib.decompress(file.segments[0].payload), np.uint8)
        alpha = None if file.alpha is None else images.unpack_alpha(file.alpha, width, height)
        part = tiles.region(region or (0, 0, width, height), height, width)
        pixels = samples.reshape(height, width, -1)[part.rows, part.columns].copy()
        return self.damage(Picture(pixels, alpha, file.metadata))

    def ledger(self, data: bytes, *, max_pixels: int = 10**6) -> Ledger:
        sizes = bitstream.section_bits(data)
        return Ledger(sizes.container, sizes.metadata, sizes.alpha, sizes.payload)
