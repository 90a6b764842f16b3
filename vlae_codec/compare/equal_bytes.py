"""One picture coded by vlae and by others to the same size: pixels in, a `Comparison` out.

Of each codec the best quality is taken whose file is at most as large as vlae's. All are given the same pixels, and
neither alpha nor metadata; seconds are those between pixels and bytes, of the one file that is kept.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from typing import NamedTuple

import numpy as np

from vlae_codec import __version__, bitstream, codec, metrics, models
from vlae_codec.compare.bits_map import bits_map
from vlae_codec.compare.codecs import Codec
from vlae_codec.compare.pillow import Pixels
from vlae_codec.compare.result import Comparison, Contender
from vlae_codec.errors import CodecError
from vlae_codec.images import Picture
from vlae_codec.ssimulacra2 import ssimulacra2

Watch = Callable[[str], None]
"""Is told the name of each codec when its turn comes."""


class Coded(NamedTuple):
    """A file, the quality on its codec's scale, and the seconds that it took to make."""

    quality: float
    data: bytes
    seconds: float


def compare(
    name: str, pixels: Pixels, quality: float, others: Sequence[Codec], effort: int = 3,
    tune: str = models.DEFAULT, watch: Watch = lambda _: None,
) -> Comparison:  # fmt: skip
    """vlae's file of a picture (H, W, 3 or 1), and one of at most its size of each other codec.

    Takes some seven encodes with each of them. A codec that is not installed, refuses the picture, or has no file as
    small is named in `missing`.

    Args:
        quality, effort, tune: of vlae, 0 to 100, 0 to 9, one of `models.TUNES`.
    """
    watch("vlae")
    first, ledger = _vlae(pixels, quality, effort, tune)
    contenders, missing = [first], []
    for other in others:
        watch(other.name)
        try:
            contenders.append(_matched(other, pixels, len(first.data)))
        except Exception as error:  # whatever a library raises, the others go on
            missing.append(f"{other.name}: {error}")
    return Comparison(name, pixels, tuple(contenders), tuple(missing), ledger, bits_map(first.data, pixels.size))


def _vlae(pixels: Pixels, quality: float, effort: int, tune: str) -> tuple[Contender, dict[str, float]]:
    _warm_up(tune)
    started = time.perf_counter()
    encoded = codec.encode(Picture(pixels, None, {}), quality, effort=effort, model=tune)
    seconds = time.perf_counter() - started
    header = bitstream.parse_header(encoded.data)
    about = ("vlae", "vlae-codec", f"{__version__}, model {header.model.hex()}", f"effort {effort}, tune {tune}")
    coded = Coded(header.quality / 10, encoded.data, seconds)
    ledger = {key: value for key, value in asdict(encoded.ledger).items() if key != "y_groups"}
    return _measured(about, coded, pixels, lambda data: codec.decode(data, max_pixels=pixels.size).pixels), ledger


@cache
def _warm_up(tune: str) -> None:
    """Once: what vlae loads when it is first used is not part of anyone's seconds."""
    codec.decode(codec.encode(Picture(np.zeros((64, 64, 3), np.uint8), None, {}), model=tune).data)


def _matched(other: Codec, pixels: Pixels, size: int) -> Contender:
    """The other codec's file of at most `size` bytes; CodecError if there is none."""
    if reason := other.missing():
        raise CodecError(reason)
    coded = largest_within(size, other, pixels)
    about = (other.name, other.library, other.version, other.settings)
    return _measured(about, coded, pixels, other.decode)


def largest_within(size: int, other: Codec, pixels: Pixels) -> Coded:
    """The largest file of at most `size` bytes that a bisection over the codec's scale meets.

    Raises:
        CodecError: even the worst quality takes more.
    """
    fitting: list[Coded] = []
    low, high = 0, len(other.scale)  # what lies below low fits, what lies from high on does not
    while low < high:
        middle = (low + high) // 2
        started = time.perf_counter()
        data = other.encode(pixels, other.scale[middle])
        coded = Coded(float(other.scale[middle]), data, time.perf_counter() - started)
        if len(data) <= size:
            fitting.append(coded)
            low = middle + 1
        else:
            high = middle
    if not fitting:
        raise CodecError(f"its smallest file has {len(data)} bytes, and vlae's {size}")
    return max(fitting, key=lambda coded: len(coded.data))


def _measured(
    about: tuple[str, str, str, str], coded: Coded, original: Pixels, decode: Callable[[bytes], Pixels]
) -> Contender:
    started = time.perf_counter()
    decoded = decode(coded.data)
    seconds = time.perf_counter() - started
    pixels = as_original(decoded, original)
    return Contender(
        *about,
        quality=coded.quality,
        data=coded.data,
        pixels=pixels,
        bpp=8 * len(coded.data) / (original.shape[0] * original.shape[1]),
        psnr=metrics.psnr(original, pixels),
        ms_ssim=metrics.ms_ssim(original, pixels),
        ssimulacra2=ssimulacra2(original, pixels),
        encode_seconds=coded.seconds,
        decode_seconds=seconds,
    )


def as_original(decoded: Pixels, original: Pixels) -> Pixels:
    """Decoded pixels with as many channels as the original: some formats hold gray as RGB."""
    if decoded.shape[2] == 3 and original.shape[2] == 1:
        decoded = np.rint(decoded.mean(axis=2, keepdims=True)).astype(np.uint8)
    assert decoded.shape == original.shape
    return np.ascontiguousarray(decoded)
