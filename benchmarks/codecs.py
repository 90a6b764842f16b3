"""The codecs that are measured: vlae, and those of `vlae compare`.

Pixels (H, W, 3) in, bytes out, and back. A codec has a name, its settings (all but the quality that decides the
bytes), its version, the qualities of its curve, and a middle one that gives about 0.7 bits per pixel on Kodak.
vlae is called as its users call it, and imported only then: the processes that measure the memory of the others
must not hold torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import click
import numpy as np

from benchmarks.common import Pixels, source_digest
from vlae_codec import models
from vlae_codec.compare import codecs as compared

LEDGER = ("theoretical", "actual", "overhead", "y", "z_gross", "bits_back")
"""The bits of vlae's ledger that a csv keeps."""

Stages = dict[str, float]
"""Seconds by name of the part of an encoder or decoder; filled by the codec that is given one."""


class Coded(NamedTuple):
    """A file, and what its encoder says about the bits in it: column of the csv to text."""

    data: bytes
    ledger: dict[str, str]


@dataclass(frozen=True)
class Other:
    """A codec as `vlae compare` sets it up, with the qualities of its curve."""

    codec: compared.Codec
    qualities: tuple[float, ...]
    middle: float

    @property
    def name(self) -> str:
        """What results call it."""
        return self.codec.name

    @property
    def settings(self) -> str:
        """All that it is told but the quality."""
        return self.codec.settings

    @property
    def version(self) -> str:
        """Of its library, and of what calls it."""
        return self.codec.version

    def encode(self, pixels: Pixels, quality: float, stages: Stages | None = None) -> Coded:
        """A file without metadata; `stages` stays empty, as nobody looks inside."""
        return Coded(self.codec.encode(pixels, quality), {})

    def decode(self, data: bytes, stages: Stages | None = None) -> Pixels:
        """RGB; `stages` stays empty."""
        return np.ascontiguousarray(self.codec.decode(data))


@dataclass(frozen=True)
class Vlae:
    """This project's codec as it is when told no more than what it is tuned for."""

    qualities: tuple[float, ...] = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
    middle: float = 50
    tune: str = models.DEFAULT

    @property
    def name(self) -> str:
        """What results call it."""
        return "vlae" if self.tune == models.DEFAULT else f"vlae, {self.settings}"

    @property
    def settings(self) -> str:
        """As the command line has them."""
        return "defaults" if self.tune == models.DEFAULT else f"--tune {self.tune}"

    @property
    def version(self) -> str:
        """The release, the source as it is now, and the model that wrote a file."""
        from vlae_codec import __version__, bitstream

        model = bitstream.parse_header(self.encode(np.zeros((16, 16, 3), np.uint8), self.middle).data).model
        return f"{__version__}, source {source_digest()}, model {model.hex()}"

    def encode(self, pixels: Pixels, quality: float, stages: Stages | None = None) -> Coded:
        """A file without metadata, and its ledger."""
        from vlae_codec import codec, images

        picture = images.Picture(pixels, alpha=None, metadata={})
        encoded = codec.encode(picture, quality, model=self.tune, stages=stages)
        ledger = {name: f"{getattr(encoded.ledger, name):.1f}" for name in LEDGER}
        return Coded(encoded.data, ledger | {"bits_back_active": str(encoded.bits_back).lower()})

    def decode(self, data: bytes, stages: Stages | None = None) -> Pixels:
        """RGB, as it was encoded."""
        from vlae_codec import codec

        return codec.decode(data, stages=stages).pixels


Codec = Vlae | Other

_STEPS = (5, 15, 25, 35, 45, 55, 65, 75, 85, 95)
_AVIF_STEPS = (15, 25, 35, 45, 55, 65, 75, 85, 92)
BASELINES = (
    Other(compared.JPEG, _STEPS, 35),
    Other(compared.WEBP, _STEPS, 55),
    Other(compared.AVIF, _AVIF_STEPS, 55),
)
"""Those whose speed is measured, too."""
MORE = (
    Other(compared.CODECS["jpeg444"], _STEPS, 35),
    Other(replace(compared.AVIF, name="AVIF speed 6", options={**compared.AVIF.options, "speed": 6}), _AVIF_STEPS, 55),
    Other(compared.CODECS["jxl"], (15, 10, 7, 5, 3.5, 2.5, 1.7, 1.2, 0.8), 3.5),
    Other(compared.CODECS["j2k"], (24, 26, 28, 30, 32, 34, 36, 38, 40), 33),
    Other(compared.CODECS["heic"], (5, 12, 20, 27, 35, 42, 50, 60, 70), 42),
    Other(compared.CODECS["vvc"], (-47, -42, -37, -32, -27, -22, -17), -30),
)
OTHERS = (*BASELINES, *MORE)
TUNED = Vlae(tune="ssim")
ALL: Sequence[Codec] = (Vlae(), TUNED, *OTHERS)
"""In the order of results, whose first codec is the one that is compared."""


def others(names: Sequence[str]) -> list[Other]:
    """The codecs of these names, or all if there are none, without those that are not installed, which are named.

    Raises:
        click.UsageError: no codec has such a name.
    """
    known = {codec.name: codec for codec in OTHERS}
    if unknown := [name for name in names if name not in known]:
        raise click.UsageError(f"no codec {', '.join(unknown)}; {', '.join(known)} are known")
    wanted = [codec for name, codec in known.items() if not names or name in names]
    for codec in wanted:
        if reason := codec.codec.missing():
            click.echo(f"without {codec.name}: {reason}", err=True)
    return [codec for codec in wanted if not codec.codec.missing()]
