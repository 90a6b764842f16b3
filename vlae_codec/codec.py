"""Pixels to bytes and bytes to pixels: the straight line through the codec.

The only file that sees pixels, latents and bytes together.

    encode   pixels -analysis-> y -round-> ŷ -bitsback-> payloads -bitstream-> bytes
    decode   bytes -bitstream-> payloads -bitsback-> ŷ -synthesis-> pixels
"""

import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vlae_codec import bitsback, bitstream, images, models, tiles
from vlae_codec.bitsback import Costs
from vlae_codec.bitstream import MAX_PIXELS, QUALITY_MAX, Container, Header, Segment
from vlae_codec.entropy import FRACTIONS, Distributions, Ints, Stack
from vlae_codec.errors import BitstreamError, CodecError, UsageError
from vlae_codec.images import Picture
from vlae_codec.models.exact import SegmentModel

Floats = NDArray[np.float32]
Stages = dict[str, float]
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


class Stopwatch:
    """Adds up seconds by the name of a stage."""

    def __init__(self, stages: Stages | None):
        self.stages: Stages = stages if stages is not None else {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time what happens inside."""
        began, inner = time.perf_counter(), sum(self.stages.values())
        yield
        nested = sum(self.stages.values()) - inner
        self.stages[stage] = self.stages.get(stage, 0.0) + time.perf_counter() - began - nested


class TimedModel:
    """A `bitsback.LatentModel` whose time counts as "prior"."""

    def __init__(self, model: SegmentModel, watch: Stopwatch):
        self.model, self.watch = model, watch

    def prior(self, stride: int) -> Distributions:
        """p(z)."""
        with self.watch("prior"):
            return self.model.prior(stride)

    def posterior(self, first: Ints) -> Distributions:
        """q(z | ŷ0)."""
        with self.watch("prior"):
            return self.model.posterior(first)

    def first_likelihood(self, z: Ints) -> Distributions:
        """p(ŷ0 | z)."""
        with self.watch("prior"):
            return self.model.first_likelihood(z)

    def likelihood(self, known: Sequence[Ints]) -> Distributions:
        """p(ŷ_t | ŷ_<t)."""
        with self.watch("prior"):
            return self.model.likelihood(known)


@torch.inference_mode()
def encode(
    picture: Picture,
    quality: float = 50.0,
    *,
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
        model: name of a shipped model.
        bits_back: False codes the best single z instead of a drawn one (larger by a little; for comparison).
        precision: of the analysis; decides the latents, not whether the file can be read.
        stages: receives seconds by stage.
        progress: is called with the fraction done.
    Raises:
        UsageError: quality out of range. LimitError: sides or metadata beyond what the format holds.
    """
    if not 0 <= quality <= 100:
        raise UsageError(f"quality {quality:g}; 0 to 100 is possible")
    watch, loaded, level = Stopwatch(stages), models.load(model), round(quality * 10)
    with watch("analysis"):
        y = analyse(loaded, picture.pixels, level, precision)
    height, width = picture.pixels.shape[:2]
    segments, costs = [], []
    boxes = tiles.segments(height, width)
    for number, box in enumerate(boxes):
        with watch("entropy coding"):
            part = np.ascontiguousarray(y[:, box.rows, box.columns])
            segment, cost = encode_segment(loaded, part, level, bits_back, watch)
        segments.append(segment)
        costs.append(cost)
        report(progress, (number + 1) / len(boxes))
    header = Header(picture.pixels.shape[2] == 1, loaded.id, level, width, height)
    alpha = None if picture.alpha is None else images.pack_alpha(picture.alpha)
    data = bitstream.pack(Container(header, picture.metadata, alpha, tuple(segments)))
    return Encoded(data, make_ledger(data, costs), all(cost.borrowed for cost in costs))


@torch.inference_mode()
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


@torch.inference_mode()
def ledger(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Ledger:
    """What the bits of a .vlae file are; decodes its latents, not its pixels."""
    _, costs = decode_latents(bitstream.parse(data, max_pixels), Stopwatch(None), measure=True)
    return make_ledger(data, costs)


@torch.inference_mode()
def latents(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Ints:
    """ŷ of a .vlae file in 64ths of a step, (latent channels, H/16, W/16): the same on every machine."""
    return decode_latents(bitstream.parse(data, max_pixels), Stopwatch(None))[0]


def encode_segment(model: models.Model, y: Floats, level: int, borrow: bool, watch: Stopwatch) -> tuple[Segment, Costs]:
    """Latents y (C, h, w) of one segment, not rounded -> its section of the file, and the ideal bits."""
    segment_model = SegmentModel(model.prior, (y.shape[1], y.shape[2]), level)
    timed, stack = TimedModel(segment_model, watch), Stack()
    kept = bitsback.quantise(segment_model.split(y), timed)
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
