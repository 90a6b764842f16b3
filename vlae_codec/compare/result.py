"""What a comparison finds: files of several codecs, and how close each is to the picture. Imports numpy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Contender:
    """One codec's file of a picture.

    name, library, version, settings: which codec, and all that it was told but for the quality.
    quality: on the codec's own scale. data: the whole file. pixels: (H, W, 3 or 1) uint8, what the file decodes to.
    bpp: of the file, in bits per pixel. psnr: in dB, infinite for equal pictures. ms_ssim, ssimulacra2: at most 1 and
    100; None where the picture is too small for them. encode_seconds, decode_seconds: between pixels and bytes.
    """

    name: str
    library: str
    version: str
    settings: str
    quality: float
    data: bytes
    pixels: NDArray[np.uint8]
    bpp: float
    psnr: float
    ms_ssim: float | None
    ssimulacra2: float | None
    encode_seconds: float
    decode_seconds: float


@dataclass(frozen=True)
class Comparison:
    """One picture, coded by each codec to about the size of vlae's file.

    name: of the picture. original: (H, W, C) uint8. contenders: vlae first. missing: a line for each absent codec,
    which says why. ledger: of vlae's file, in bits. bits_map: (H/16, W/16) float32, vlae's ideal bits of the latents
    at each position, which stands for 16x16 pixels.
    """

    name: str
    original: NDArray[np.uint8]
    contenders: tuple[Contender, ...]
    missing: tuple[str, ...]
    ledger: dict[str, float]
    bits_map: NDArray[np.float32]
