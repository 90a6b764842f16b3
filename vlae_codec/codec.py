"""Pixels to bytes and bytes to pixels: the straight line through the codec.

The only file that sees pixels, latents and bytes together. Pictures of any size are worked on in tiles, so that memory
does not grow with the activations of the networks.

    encode   pixels -analysis-> y -round-> ŷ -bitsback-> payloads -bitstream-> bytes
    decode   bytes -bitstream-> payloads -bitsback-> ŷ -synthesis-> pixels
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from vlae_codec import bitstream, images, models, segments, tiles, transforms
from vlae_codec.bitsback import Costs
from vlae_codec.bitstream import MAX_PIXELS, Container, Header, Segment
from vlae_codec.entropy import Ints
from vlae_codec.errors import UsageError
from vlae_codec.images import Picture
from vlae_codec.segments import Reader, Run, Stages, Stopwatch
from vlae_codec.tiles import Box

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Ledger:
    """What the bits of a file are, in bits.

    container + metadata + alpha + actual is the whole file; theoretical = y + z_gross - bits_back is the negative ELBO
    at the z that was drawn; overhead = actual - theoretical is what the coder adds. `y_groups` sums to y.
    """

    container: int
    metadata: int
    alpha: int
    y: float
    z_gross: float
    bits_back: float
    theoretical: float
    actual: int
    overhead: float
    y_groups: tuple[float, ...]


@dataclass(frozen=True)
class Encoded:
    """A file's bytes, what they are, and whether z was drawn with borrowed bits in every segment."""

    data: bytes
    ledger: Ledger
    bits_back: bool


@torch.inference_mode()
def encode(
    picture: Picture,
    quality: float = 50.0,
    *,
    model: str = models.DEFAULT,
    bits_back: bool = True,
    jobs: int = 1,
    precision: torch.dtype = torch.float32,
    stages: Stages | None = None,
    progress: Progress | None = None,
) -> Encoded:
    """A picture as the bytes of a .vlae file.

    Args:
        picture: pixels (H, W, 3) or (H, W, 1) uint8, with alpha and metadata if it has them.
        quality: 0 (smallest file) to 100, in tenths; log-linear in λ.
        model: name of a shipped model.
        bits_back: False codes the best single z instead of a drawn one (larger by a little; for comparison).
        jobs: threads that code segments of 1024x1024 pixels side by side; the bytes are the same for any number.
        precision: of the analysis; decides the latents, not whether the file can be read.
        stages: receives seconds by stage, those of all threads added.
        progress: is called with the fraction done.
    Raises:
        UsageError: quality out of range. LimitError: sides or metadata beyond what the format holds.
    """
    if not 0 <= quality <= 100:
        raise UsageError(f"quality {quality:g}; 0 to 100 is possible")
    watch, loaded, level = Stopwatch(stages), models.load(model), round(quality * 10)
    code = partial(segments.encode, model=loaded, level=level, borrow=bits_back, watch=watch)
    height, width = picture.pixels.shape[:2]
    boxes, coded = tiles.segments(height, width), dict[Box, tuple[Segment, Costs]]()
    with segments.workers(jobs) as run:
        for tile in tiles.whole(height, width).parts(tiles.TILE):
            seen = tile.grown(loaded.transforms.config.analysis_halo, tiles.latent_size(height, width))
            with watch("analysis"):
                pixels = picture.pixels[seen.pixels.rows, seen.pixels.columns]
                y = transforms.analyse(loaded, pixels, level, precision)
            inside = tile.parts(tiles.SIDE)
            parts = [y[:, box.rows, box.columns] for box in (box.within(seen) for box in inside)]
            for box, segment in zip(inside, run(code, parts), strict=True):
                coded[box] = segment
                report(progress, len(coded) / len(boxes))
    payloads, costs = zip(*(coded[box] for box in boxes), strict=True)
    header = Header(picture.pixels.shape[2] == 1, loaded.id, level, width, height)
    alpha = None if picture.alpha is None else images.pack_alpha(picture.alpha)
    data = bitstream.pack(Container(header, picture.metadata, alpha, payloads))
    return Encoded(data, make_ledger(data, costs), all(cost.borrowed for cost in costs))


@torch.inference_mode()
def decode(
    data: bytes,
    *,
    region: tuple[int, int, int, int] | None = None,
    jobs: int = 1,
    max_pixels: int = MAX_PIXELS,
    precision: torch.dtype = torch.float32,
    stages: Stages | None = None,
    progress: Progress | None = None,
) -> Picture:
    """The picture in the bytes of a .vlae file: `encode` read upwards.

    Args:
        region: x, y, width and height in pixels of the part that is wanted; no more is decoded than it needs.
        jobs: threads that decode segments side by side.
        max_pixels: larger pictures are refused before anything is allocated.
        precision: of the synthesis; changes pixels by rounding, never the latents.
    Raises:
        BitstreamError: damaged. IncompatibleError: newer format or other model. LimitError: too large.
        UsageError: the region does not lie in the picture.
    """
    container = bitstream.parse(data, max_pixels)
    width, height = container.header.width, container.header.height
    wanted = tiles.region(region or (0, 0, width, height), height, width)
    with segments.workers(jobs) as run:
        pixels = decode_region(container, wanted, run, precision, Stopwatch(stages), progress)
    if container.alpha is None:
        return Picture(pixels, None, container.metadata)
    alpha = images.unpack_alpha(container.alpha, width, height)[wanted.rows, wanted.columns]
    return Picture(pixels, np.ascontiguousarray(alpha), container.metadata)


def decode_region(
    container: Container, wanted: Box, run: Run, precision: torch.dtype, watch: Stopwatch, progress: Progress | None
) -> NDArray[np.uint8]:
    """The pixels (height, width, 1 or 3) of a rectangle of pixels."""
    reader, header = Reader(container, run, watch), container.header
    halo, size = reader.model.transforms.config.synthesis_halo, tiles.latent_size(header.height, header.width)
    pixels = np.empty((*wanted.size, 1 if header.gray else 3), np.uint8)
    parts = wanted.latents.parts(tiles.TILE)
    for number, tile in enumerate(parts):
        seen = tile.grown(halo, size)
        y = reader(seen)
        with watch("synthesis"):
            found = transforms.synthesise(reader.model, y, header, precision)
        kept = tile.pixels.common(wanted)
        source, target = kept.within(seen.pixels), kept.within(wanted)
        pixels[target.rows, target.columns] = found[source.rows, source.columns]
        report(progress, (number + 1) / len(parts))
    return pixels


@torch.inference_mode()
def ledger(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Ledger:
    """What the bits of a .vlae file are; decodes its latents, not its pixels."""
    reader = Reader(bitstream.parse(data, max_pixels), map, Stopwatch(None))
    return make_ledger(data, [reader.costs(number) for number in range(len(reader.boxes))])


@torch.inference_mode()
def latents(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Ints:
    """ŷ of a .vlae file in 64ths of a step, (latent channels, H/16, W/16): the same on every machine."""
    container = bitstream.parse(data, max_pixels)
    box = tiles.whole(container.header.height, container.header.width)
    return Reader(container, map, Stopwatch(None))(box)


def make_ledger(data: bytes, costs: Sequence[Costs]) -> Ledger:
    """The ledger of a file from the ideal bits of its segments."""
    sizes = bitstream.section_bits(data)
    groups = tuple(sum(parts) for parts in zip(*(cost.groups for cost in costs), strict=True))
    z_gross, bits_back = sum(cost.z_gross for cost in costs), sum(cost.bits_back for cost in costs)
    theoretical = sum(groups) + z_gross - bits_back
    return Ledger(
        sizes.container, sizes.metadata, sizes.alpha, sum(groups), z_gross, bits_back, theoretical,
        sizes.payload, sizes.payload - theoretical, groups,
    )  # fmt: skip


def report(progress: Progress | None, fraction: float) -> None:
    """Tell whoever watches."""
    if progress:
        progress(fraction)
