"""Pixels to bytes and bytes to pixels: the straight line through the codec.

The only file that sees pixels, latents and bytes together. Pictures of any size are worked on in tiles, so that memory
does not grow with the activations of the networks.

    encode   pixels -analysis-> y -round-> ŷ -bitsback-> payloads -bitstream-> bytes
    decode   bytes -bitstream-> payloads -bitsback-> ŷ -synthesis-> pixels
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from vlae_codec import bitsback, bitstream, distortion, images, models, refine, segments, tiles, transforms
from vlae_codec.bitsback import Costs
from vlae_codec.bitstream import MAX_PIXELS, Container, Header, Segment
from vlae_codec.efforts import Latents, Source, candidates
from vlae_codec.entropy import Ints, Stack
from vlae_codec.errors import UsageError
from vlae_codec.images import Picture
from vlae_codec.ledger import Ledger, make_ledger
from vlae_codec.limits import give_back_memory
from vlae_codec.models import Model
from vlae_codec.models.exact import SegmentModel
from vlae_codec.refine import DEFAULT_EFFORT, EFFORT_MAX, Choice
from vlae_codec.segments import Reader
from vlae_codec.tiles import Box
from vlae_codec.timing import Stages, Stopwatch

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Progress = Callable[[float], None]
Coded = tuple[Segment, Costs]


@dataclass(frozen=True)
class Encoded:
    """A file's bytes, what they are, and whether z was drawn with borrowed bits in every segment."""

    data: bytes
    ledger: Ledger
    bits_back: bool


@torch.no_grad()
def encode(
    picture: Picture,
    quality: float = 50.0,
    *,
    effort: int = DEFAULT_EFFORT,
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
        effort: 0 rounds the latents, 1 trades bits for error while rounding, 2 also takes one step towards less error
            before, 3 rounds half of them first and lets the others make up for it, 4 to 9 search for better latents.
        model: name of a shipped model: "psnr", or "ssim" for what was trained for MS-SSIM.
        bits_back: False codes the best single z instead of a drawn one (larger by a little; for comparison).
        jobs: threads that code segments of 1024x1024 pixels side by side; the bytes are the same for any number.
        precision: of the analysis, which efforts 2 and 3 do in bfloat16 where that is fast; decides the latents, not
            whether the file can be read.
        stages: receives seconds by stage, those of all threads added.
        progress: is called with the fraction done.
    Raises:
        UsageError: quality or effort out of range. LimitError: sides or metadata beyond what the format holds.
    """
    if not 0 <= quality <= 100:
        raise UsageError(f"quality {quality:g}; 0 to 100 is possible")
    if effort not in range(EFFORT_MAX + 1):
        raise UsageError(f"effort {effort}; 0 to {EFFORT_MAX} is possible")
    watch, loaded, level = Stopwatch(stages), models.load(model), round(quality * 10)
    height, width = picture.pixels.shape[:2]
    source = Source(loaded, picture.pixels, level, precision, watch)
    y, bit_price = source.latents(effort), source.bit_price(effort)
    if effort >= refine.LONG_EFFORT:
        choice = best_choice(source, effort, bits_back, progress)
        y, bit_price, progress = choice.part, choice.bit_price, None
    code = partial(segments.encode, model=loaded, level=level, borrow=bits_back, watch=watch)
    coded = code_tiles(y, partial(code, bit_price=bit_price), (height, width), jobs, progress)
    if 0 < effort < refine.LONG_EFFORT and refine.doubtful(sum(costs.net for _, costs in coded), height * width):
        choice = best_choice(source, effort, bits_back, None)
        coded = code_tiles(choice.part, partial(code, bit_price=choice.bit_price), (height, width), jobs, None)
    payloads, costs = zip(*coded, strict=True)
    header = Header(picture.pixels.shape[2] == 1, loaded.id, level, width, height)
    alpha = None if picture.alpha is None else images.pack_alpha(picture.alpha)
    data = bitstream.pack(Container(header, picture.metadata, alpha, payloads))
    return Encoded(data, make_ledger(data, costs), all(cost.borrowed for cost in costs))


@torch.no_grad()
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
    watch = Stopwatch(stages)
    with segments.workers(jobs) as run:
        reader = Reader(container, run, watch)
        pixels = shown(reader.model, reader, container.header, wanted, precision, watch, progress)
    if container.alpha is None:
        return Picture(pixels, None, container.metadata)
    alpha = images.unpack_alpha(container.alpha, width, height)[wanted.rows, wanted.columns]
    return Picture(pixels, np.ascontiguousarray(alpha), container.metadata)


def code_tiles(
    latents: Latents, code: Callable[[Floats], Coded], size: tuple[int, int], jobs: int, progress: Progress | None
) -> list[Coded]:
    """Every segment of a picture of (height, width) pixels, in the order of the file."""
    boxes, coded = tiles.segments(*size), dict[Box, Coded]()
    with segments.workers(jobs) as run:
        for tile in tiles.whole(*size).parts(tiles.TILE, tiles.TILE):
            y, inside = latents(tile), tile.parts(tiles.SIDE, tiles.SIDE)
            parts = [y[:, box.rows, box.columns] for box in (box.within(tile) for box in inside)]
            for box, segment in zip(inside, run(code, parts), strict=True):
                coded[box] = segment
                report(progress, len(coded) / len(boxes))
            if len(coded) < len(boxes):
                give_back_memory()
    return [coded[box] for box in boxes]


def shown(
    model: Model,
    latents: Callable[[Box], Ints],
    header: Header,
    wanted: Box,
    precision: torch.dtype,
    watch: Stopwatch,
    progress: Progress | None = None,
) -> Pixels:
    """The pixels (height, width, 1 or 3) of a rectangle of pixels; `latents` gives ŷ of a box in 64ths."""
    halo, size = model.transforms.config.synthesis_halo, tiles.latent_size(header.height, header.width)
    pixels = np.empty((*wanted.size, 1 if header.gray else 3), np.uint8)
    parts = wanted.latents.parts(tiles.TILE, tiles.TILE)
    for number, tile in enumerate(parts):
        seen = tile.grown(halo, size)
        y = latents(seen)
        if len(parts) > 1:  # what is free now would be in the way of the activations
            give_back_memory()
        with watch("synthesis"):
            found = transforms.synthesise(model, y, header, precision)
        kept = tile.pixels.common(wanted)
        source, target = kept.within(seen.pixels), kept.within(wanted)
        pixels[target.rows, target.columns] = found[source.rows, source.columns]
        report(progress, (number + 1) / len(parts))
    return pixels


@torch.no_grad()
def ledger(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Ledger:
    """What the bits of a .vlae file are; decodes its latents, not its pixels."""
    reader = Reader(bitstream.parse(data, max_pixels), map, Stopwatch(None))
    return make_ledger(data, [reader.costs(number) for number in range(len(reader.boxes))])


@torch.no_grad()
def latents(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Ints:
    """ŷ of a .vlae file in 64ths of a step, (latent channels, H/16, W/16): the same on every machine."""
    container = bitstream.parse(data, max_pixels)
    box = tiles.whole(container.header.height, container.header.width)
    return Reader(container, map, Stopwatch(None))(box)


def best_choice(source: Source, effort: int, bits_back: bool, progress: Progress | None) -> Choice:
    """The latents that cost least for what they show, of those that this effort and lower ones find.

    They are held for the whole picture: about 15 bytes per pixel.
    """
    model, pixels, level = source.model, source.pixels, source.level
    choices = candidates(source, effort, partial(report, progress))
    return min(choices, key=lambda choice: lagrangian(model, pixels, choice, level, bits_back))


def lagrangian(model: Model, pixels: Pixels, choice: Choice, level: int, bits_back: bool = True) -> float:
    """Bits + λ·distortion of what a decoder shows, both over the whole picture."""
    height, width, channels = pixels.shape
    header = Header(channels == 1, model.id, level, width, height)
    coded, bits = np.zeros(choice.y.shape, np.int32), 0.0
    for box in tiles.segments(height, width):
        coding = SegmentModel(model.prior, box.size, level)
        kept = bitsback.quantise(coding.split(choice.part(box)), coding, choice.bit_price)
        bits += bitsback.encode(Stack(), kept, coding, bits_back).net
        coded[:, box.rows, box.columns] = coding.merge(kept.values)

    def latents(box: Box) -> Ints:
        return coded[:, box.rows, box.columns]

    decoded = shown(model, latents, header, Box(0, height, 0, width), torch.float32, Stopwatch(None))
    rate_to_lambda = model.transforms.config.rate_to_lambda
    return bits + float(rate_to_lambda(transforms.rate_index(level))) * distortion.total(model.tune, decoded, pixels)


def report(progress: Progress | None, fraction: float) -> None:
    """Tell whoever watches."""
    if progress:
        progress(fraction)
