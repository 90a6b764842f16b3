"""The codecs that are measured: vlae, and the ones of Pillow to compare it with.

Pixels (H, W, 3) in, bytes out, and back. A codec has a name, its settings (all but the quality that decides the
bytes), its version, the qualities of its curve, and a middle one that gives about 0.7 bits per pixel on Kodak.
vlae is called as its users call it, and imported only then: the processes that measure the memory of the others
must not hold torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import NamedTuple

import numpy as np
import PIL
from PIL import Image, features

from benchmarks.common import Pixels, source_digest

LEDGER = ("theoretical", "actual", "overhead", "y", "z_gross", "bits_back")
"""The bits of vlae's ledger that a csv keeps."""

Stages = dict[str, float]
"""Seconds by name of the part of an encoder or decoder; filled by the codec that is given one."""


class Coded(NamedTuple):
    """A file, and what its encoder says about the bits in it: column of the csv to text."""

    data: bytes
    ledger: dict[str, str]


@dataclass(frozen=True)
class PillowCodec:
    """A format that Pillow reads and writes."""

    name: str
    library: str
    options: Mapping[str, object] = field(hash=False)
    qualities: tuple[float, ...]
    middle: float

    @property
    def settings(self) -> str:
        """The options as Pillow is given them."""
        return ", ".join(f"{key} {value}" for key, value in self.options.items())

    @property
    def version(self) -> str:
        """Of Pillow, and of the library that does the work."""
        return f"Pillow {PIL.__version__}, {self.library} {features.version(self.library)}"

    def encode(self, pixels: Pixels, quality: float, stages: Stages | None = None) -> Coded:
        """A file without metadata; `stages` stays empty, as Pillow does not look inside."""
        file = BytesIO()
        Image.fromarray(pixels).save(file, self.name, quality=int(quality), **self.options)
        return Coded(file.getvalue(), {})

    def decode(self, data: bytes, stages: Stages | None = None) -> Pixels:
        """RGB; `stages` stays empty."""
        with Image.open(BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))


@dataclass(frozen=True)
class Vlae:
    """This project's codec with the model it takes when not told otherwise."""

    qualities: tuple[float, ...] = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
    middle: float = 50
    name: str = field(default="vlae", init=False)
    settings: str = field(default="defaults", init=False)

    @property
    def version(self) -> str:
        """The release, the source as it is now, and the model that wrote a file."""
        from vlae_codec import __version__, bitstream

        model = bitstream.parse_header(self.encode(np.zeros((16, 16, 3), np.uint8), self.middle).data).model
        return f"{__version__}, source {source_digest()}, model {model.hex()}"

    def encode(self, pixels: Pixels, quality: float, stages: Stages | None = None) -> Coded:
        """A file without metadata, and its ledger."""
        from vlae_codec import codec, images

        encoded = codec.encode(images.Picture(pixels, alpha=None, metadata={}), quality, stages=stages)
        ledger = {name: f"{getattr(encoded.ledger, name):.1f}" for name in LEDGER}
        return Coded(encoded.data, ledger | {"bits_back_active": str(encoded.bits_back).lower()})

    def decode(self, data: bytes, stages: Stages | None = None) -> Pixels:
        """RGB, as it was encoded."""
        from vlae_codec import codec

        return codec.decode(data, stages=stages).pixels


Codec = Vlae | PillowCodec

BASELINES = (
    PillowCodec(
        "JPEG",
        "libjpeg_turbo",
        {"subsampling": "4:2:0", "optimize": True, "progressive": True},
        qualities=(5, 15, 25, 35, 45, 55, 65, 75, 85, 95),
        middle=35,
    ),
    PillowCodec(
        "WebP",
        "webp",
        {"method": 6},
        qualities=(5, 15, 25, 35, 45, 55, 65, 75, 85, 95),
        middle=55,
    ),
    PillowCodec(
        "AVIF",
        "avif",
        {"subsampling": "4:4:4", "speed": 6, "max_threads": 1},
        qualities=(15, 25, 35, 45, 55, 65, 75, 85, 92),
        middle=55,
    ),
)
