"""The codecs that vlae is compared with: what each can do, and the one registry.

Pixels (H, W, 3) RGB or (H, W, 1) gray uint8 in, the bytes of a file without metadata out, and back. Each codec is set
up for few bits, not for speed, and works in one thread. What is not installed says so and names the command that
installs it, so that a comparison goes on without. Libraries are imported when a codec is first used.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from vlae_codec.compare.libraries import Heic, JpegXl, Vvc
from vlae_codec.compare.pillow import PillowCodec, Pixels
from vlae_codec.errors import UsageError


class Codec(Protocol):
    """A codec with all its settings but the quality."""

    @property
    def key(self) -> str:
        """What the command line calls it."""

    @property
    def name(self) -> str:
        """What tables call it."""

    @property
    def library(self) -> str:
        """What does the work."""

    @property
    def version(self) -> str:
        """Of the library, and of what calls it."""

    @property
    def settings(self) -> str:
        """All that it is told but the quality."""

    @property
    def scale(self) -> Sequence[float]:
        """Its qualities from the worst to the best: numbers that mean what its library says they mean."""

    def missing(self) -> str:
        """Why it cannot be used here, and how to install it; empty if it can."""

    def encode(self, pixels: Pixels, quality: float) -> bytes:
        """The file. UsageError for pictures that the format does not hold."""

    def decode(self, data: bytes) -> Pixels:
        """(H, W, 3), or (H, W, 1) where the format has gray and the file is."""


_JPEG = {"optimize": True, "progressive": True}
_AVIF = {"subsampling": "4:4:4", "speed": 4, "max_threads": 1}
_JPEG2000 = {"quality_mode": "dB", "irreversible": True, "mct": 1}
JPEG = PillowCodec("jpeg", "JPEG", "JPEG", "libjpeg_turbo", {"subsampling": "4:2:0"} | _JPEG)
WEBP = PillowCodec("webp", "WebP", "WEBP", "webp", {"method": 6}, range(101))
AVIF = PillowCodec("avif", "AVIF", "AVIF", "avif", _AVIF, range(101))

CODECS: Mapping[str, Codec] = {
    codec.key: codec
    for codec in (
        JPEG,
        PillowCodec("jpeg444", "JPEG 4:4:4", "JPEG", "libjpeg_turbo", {"subsampling": "4:4:4"} | _JPEG),
        WEBP,
        AVIF,
        JpegXl(),
        PillowCodec("j2k", "JPEG 2000", "JPEG2000", "jpg_2000", _JPEG2000, tuple(np.arange(15, 55, 0.1).round(1))),
        Heic(),
        Vvc(),
    )
}
"""By key, in the order of tables. A new codec is one class, or one instance of PillowCodec, in this list."""


def chosen(keys: Sequence[str]) -> list[Codec]:
    """The codecs of these keys.

    Raises:
        UsageError: there is no such codec.
    """
    if unknown := [key for key in keys if key not in CODECS]:
        raise UsageError(f"no codec {', '.join(unknown)}; {', '.join(CODECS)} are known")
    return [CODECS[key] for key in dict.fromkeys(keys)]
