"""What a .vlae file says about itself: bytes in, Info out. Nothing is decoded; neither torch nor numpy is imported."""

from dataclasses import dataclass

from vlae_codec import bitstream, models
from vlae_codec.bitstream import Sizes


@dataclass(frozen=True)
class Info:
    """The header of a file in the units of `encode`, and where its bits went.

    model: the name of a model of this version, or else the hexadecimal id of the one that the file needs.
    size: bytes of the whole file.
    """

    width: int
    height: int
    gray: bool
    quality: float
    model: str
    size: int
    sizes: Sizes

    @property
    def bpp(self) -> float:
        """Bits per pixel, of the whole file."""
        return 8 * self.size / (self.width * self.height)


def info(data: bytes) -> Info:
    """The description of a whole file, whose checksums are verified; any size of picture is allowed.

    Raises:
        BitstreamError: damaged. IncompatibleError: a newer format.
    """
    header = bitstream.parse_header(data)
    model = models.name_of(header.model) or header.model.hex()
    sizes = bitstream.section_bits(data)
    return Info(header.width, header.height, header.gray, header.quality / 10, model, len(data), sizes)
