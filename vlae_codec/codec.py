"""Pixels to bytes and bytes to pixels: the straight line through the codec.

The only file that sees pixels, latents and bytes together.

    encode   pixels -analysis-> y -round-> ŷ -bitsback-> payloads -bitstream-> bytes
    decode   bytes -bitstream-> payloads -bitsback-> ŷ -synthesis-> pixels
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vlae_codec import bitsback, bitstream, images, models, refine, tiles
from vlae_codec.bitsback import Costs
from vlae_codec.bitstream import MAX_PIXELS, QUALITY_MAX, Container, Header, Segment
from vlae_codec.entropy import FRACTIONS, Ints, Stack
from vlae_codec.errors import BitstreamError, CodecError, UsageError
from vlae_codec.images import Picture
from vlae_codec.ledger import Ledger, make_ledger
from vlae_codec.models.exact import SegmentModel
from vlae_codec.models.floating import floating
from vlae_codec.refine import BIT_PRICE, DEFAULT_EFFORT, EFFORT_MAX, Choice
from vlae_codec.timing import Stages, Stopwatch, TimedModel

Floats = NDArray[np.float32]
Progress = Callable[[float], None]


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
    precision: torch.dtype = torch.float32,
    stages: Stages | None = None,
    progress: Progress | None = None,
) -> Encoded:
    """A picture as the bytes of a .vlae file.

    Args:
        picture: pixels (H, W, 3) or (H, W, 1) uint8, with alpha and metadata if it has them.
        quality: 0 (smallest file) to 100, in tenths; log-linear in λ.
        effort: 0 rounds the latents, 1 to 3 trade bits for error while rounding, 4 to 9 search for better latents.
        model: name of a shipped model.
        bits_back: False codes the best single z instead of a drawn one (larger by a little; for comparison).
        precision: of the analysis; decides the latents, not whether the file can be read.
        stages: receives seconds by stage.
        progress: is called with the fraction done.
    Raises:
        UsageError: quality or effort out of range. LimitError: sides or metadata beyond what the format holds.
    """
    if not 0 <= quality <= 100:
        raise UsageError(f"quality {quality:g}; 0 to 100 is possible")
    if effort not in range(EFFORT_MAX + 1):
        raise UsageError(f"effort {effort}; 0 to {EFFORT_MAX} is possible")
    watch, loaded, level = Stopwatch(stages), models.load(model), round(quality * 10)
    with watch("analysis"):
        y = analyse(loaded, picture.pixels, level, precision)
    choice = Choice(y, BIT_PRICE if effort else 0.0)
    if effort >= refine.LEAST_EFFORT:
        with watch("search"):
            choice = searched(loaded, picture.pixels, y, level, effort, progress)
        progress = None
    height, width = picture.pixels.shape[:2]
    segments, costs = [], []
    boxes = tiles.segments(height, width)
    for number, box in enumerate(boxes):
        with watch("entropy coding"):
            segment, cost = encode_segment(loaded, choice, box, level, bits_back, watch)
        segments.append(segment)
        costs.append(cost)
        report(progress, (number + 1) / len(boxes))
    header = Header(picture.pixels.shape[2] == 1, loaded.id, level, width, height)
    alpha = None if picture.alpha is None else images.pack_alpha(picture.alpha)
    data = bitstream.pack(Container(header, picture.metadata, alpha, tuple(segments)))
    return Encoded(data, make_ledger(data, costs), all(cost.borrowed for cost in costs))


@torch.no_grad()
def decode(
    data: bytes,
    *,
    max_pixels: int = MAX_PIXELS,
    precision: torch.dtype = torch.float32,
    stages: Stages | None = None,
    progress: Progress | None = None,
) -> Picture:
    """The picture in the bytes of a .vlae file: `encode` read upwards.

    Args:
        max_pixels: larger pictures are refused before anything is allocated.
        precision: of the synthesis; changes pixels by rounding, never the latents.
    Raises:
        BitstreamError: damaged. IncompatibleError: newer format or other model. LimitError: too large.
    """
    watch = Stopwatch(stages)
    container = bitstream.parse(data, max_pixels)
    header = container.header
    loaded = models.load(header.model)
    y, _ = decode_latents(container, watch, progress=progress)
    with watch("synthesis"):
        pixels = synthesise(loaded, y, header, precision)
    alpha = None if container.alpha is None else images.unpack_alpha(container.alpha, header.width, header.height)
    return Picture(pixels, alpha, container.metadata)


@torch.no_grad()
def ledger(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Ledger:
    """What the bits of a .vlae file are; decodes its latents, not its pixels."""
    _, costs = decode_latents(bitstream.parse(data, max_pixels), Stopwatch(None), measure=True)
    return make_ledger(data, costs)


@torch.no_grad()
def latents(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Ints:
    """ŷ of a .vlae file in 64ths of a step, (latent channels, H/16, W/16): the same on every machine."""
    return decode_latents(bitstream.parse(data, max_pixels), Stopwatch(None))[0]


def searched(
    model: models.Model, pixels: NDArray[np.uint8], y: Floats, level: int, effort: int, progress: Progress | None
) -> Choice:
    """The latents that cost least for what they show, of those that this effort and lower ones find."""
    problem = refine.Problem(floating(model), pixels, rate_index(level))
    choices = refine.choices(problem, y, effort, partial(report, progress))
    return min(choices, key=lambda choice: lagrangian(model, pixels, choice, level))


def lagrangian(model: models.Model, pixels: NDArray[np.uint8], choice: Choice, level: int) -> float:
    """Bits + λ·squared error of what a decoder shows, both over the whole picture."""
    height, width, channels = pixels.shape
    header = Header(channels == 1, model.id, level, width, height)
    shown, bits = np.zeros(choice.y.shape, np.int32), 0.0
    for box in tiles.segments(height, width):
        coding = SegmentModel(model.prior, box.size, level)
        kept = bitsback.quantise(coding.split(choice.part(box)), coding, choice.bit_price)
        bits += bitsback.encode(Stack(), kept, coding).net
        shown[:, box.rows, box.columns] = coding.merge(kept.values)
    error = np.square(synthesise(model, shown, header, torch.float32) - pixels.astype(np.int32)).sum() / channels
    return bits + float(model.transforms.config.rate_to_lambda(rate_index(level))) * float(error)


def encode_segment(
    model: models.Model, choice: Choice, box: tiles.Box, level: int, borrow: bool, watch: Stopwatch
) -> tuple[Segment, Costs]:
    """Latents of one segment -> its section of the file, and the ideal bits."""
    segment_model = SegmentModel(model.prior, box.size, level)
    timed, stack = TimedModel(segment_model, watch), Stack()
    kept = bitsback.quantise(segment_model.split(choice.part(box)), timed, choice.bit_price)
    costs = bitsback.encode(stack, kept, timed, borrow)
    return Segment(stack.to_bytes(), latents_crc(segment_model.merge(kept.values)), costs.borrowed), costs


def decode_segment(
    model: models.Model, segment: Segment, box: tiles.Box, level: int, measure: bool, watch: Stopwatch
) -> tuple[Ints, Costs | None]:
    """ŷ (C, h, w) of one section in 64ths, and with `measure` the ideal bits: `encode_segment` read upwards.

    Raises:
        BitstreamError: the latents are not those that were encoded.
    """
    segment_model = SegmentModel(model.prior, box.size, level)
    stack = Stack(segment.payload)
    kept, costs = bitsback.decode(stack, TimedModel(segment_model, watch), segment.bits_back, measure)
    y = segment_model.merge(kept.values)
    if stack.bits or latents_crc(y) != segment.latents_crc:
        raise BitstreamError(
            f"decoded latents have checksum {latents_crc(y):08x}, {stack.bits} bits left; the file says "
            f"{segment.latents_crc:08x}, 0 bits: the file is damaged, or this machine's arithmetic is"
        )
    return y, costs


def decode_latents(
    container: Container, watch: Stopwatch, measure: bool = False, progress: Progress | None = None
) -> tuple[Ints, list[Costs]]:
    """ŷ (C, H/16, W/16) of a whole file in 64ths, and with `measure` the ideal bits of each segment."""
    header = container.header
    model = models.load(header.model)
    y = np.zeros((model.prior.latent, *tiles.latent_size(header.height, header.width)), np.int32)
    costs = []
    boxes = tiles.segments(header.height, header.width)
    for number, (box, segment) in enumerate(zip(boxes, container.segments, strict=True)):
        with watch("entropy coding"):
            part, cost = decode_segment(model, segment, box, header.quality, measure, watch)
        y[:, box.rows, box.columns] = part
        costs += [cost] if cost else []
        report(progress, (number + 1) / len(boxes))
    return y, costs


def latents_crc(y: Ints) -> int:
    """CRC-32 of latents (C, h, w) in 64ths, as little-endian 32-bit integers."""
    return zlib.crc32(y.astype("<i4").tobytes())


def analyse(model: models.Model, pixels: NDArray[np.uint8], level: int, precision: torch.dtype) -> Floats:
    """Pixels (H, W, 1 or 3) -> y (C, H/16, W/16) in steps, not rounded."""
    height, width = pixels.shape[:2]
    x = torch.tensor(pixels).permute(2, 0, 1)[None].float() / 255 - 0.5
    pad = (0, -width % tiles.LATENT, 0, -height % tiles.LATENT)
    x = F.pad(x.expand(-1, 3, -1, -1), pad, mode="replicate").contiguous(memory_format=torch.channels_last)
    with autocast(precision):
        y: Tensor = model.transforms.analysis(x, rate_index(level))
    if not torch.isfinite(y).all():
        raise CodecError("the analysis network gave numbers that are not finite")
    steps: Floats = y[0].numpy()
    return steps


def synthesise(model: models.Model, y: Ints, header: Header, precision: torch.dtype) -> NDArray[np.uint8]:
    """ŷ (C, H/16, W/16) in 64ths -> pixels (H, W, 1 or 3)."""
    latents = (torch.from_numpy(y)[None].float() / FRACTIONS).contiguous(memory_format=torch.channels_last)
    with autocast(precision):
        x = model.transforms.synthesis(latents, rate_index(header.quality))
    x = x[0, :, : header.height, : header.width]
    if header.gray:
        x = x.mean(0, keepdim=True)
    pixels: NDArray[np.uint8] = ((x + 0.5) * 255).round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()
    return pixels


def rate_index(level: int) -> Tensor:
    """(1,) rate index 0 to 1 of a quality in tenths."""
    return torch.tensor([level / QUALITY_MAX])


def autocast(precision: torch.dtype) -> torch.autocast:
    """Compute in this precision; float32 leaves everything as it is."""
    return torch.autocast("cpu", precision, enabled=precision != torch.float32)


def report(progress: Progress | None, fraction: float) -> None:
    """Tell whoever watches."""
    if progress:
        progress(fraction)
