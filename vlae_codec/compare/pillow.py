"""Formats that Pillow writes, as codecs to compare with; imports PIL when one is first used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def described(options: Mapping[str, object]) -> str:
    """Options as the libraries are given them."""
    return ", ".join(f"{key} {value}" for key, value in options.items())


def pixels_of(image: Any) -> Pixels:
    """(H, W, 1 or 3) of a Pillow image."""
    samples = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    return samples[..., None] if samples.ndim == 2 else samples


@dataclass(frozen=True)
class PillowCodec:
    """A format that Pillow reads and writes. `feature` is Pillow's name of the library that it must be built with."""

    key: str
    name: str
    format: str
    feature: str
    options: Mapping[str, Any] = field(hash=False)
    scale: Sequence[float] = range(1, 101)

    @property
    def library(self) -> str:
        """As Pillow calls it."""
        return {"jpg_2000": "openjpeg"}.get(self.feature, self.feature)

    @property
    def settings(self) -> str:
        """The options as Pillow is given them."""
        return described(self.options)

    @property
    def version(self) -> str:
        """Of Pillow, and of the library that does the work."""
        import PIL
        from PIL import features

        return f"Pillow {PIL.__version__}, {self.library} {features.version(self.feature)}"

    def missing(self) -> str:
        """Pillow's wheels have all of them; other builds need not."""
        from PIL import features

        return "" if features.version(self.feature) else f"this Pillow has no {self.library}; pip install -U pillow"

    def encode(self, pixels: Pixels, quality: float) -> bytes:
        """WebP has no gray, and holds it as RGB."""
        from PIL import Image

        options, file = dict(self.options), BytesIO()
        gray = pixels.shape[2] == 1
        if gray and "subsampling" in options:
            options["subsampling"] = "4:0:0" if self.format == "AVIF" else "4:4:4"
        if self.format == "JPEG2000":
            options |= {"quality_layers": [quality], "mct": 0 if gray else options["mct"]}
        Image.fromarray(pixels[..., 0] if gray else pixels).save(file, self.format, quality=int(quality), **options)
        return file.getvalue()

    def decode(self, data: bytes) -> Pixels:
        """RGB, or gray."""
        from PIL import Image

        with Image.open(BytesIO(data), formats=(self.format,)) as image:
            return pixels_of(image)
