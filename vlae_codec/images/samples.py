"""An image in any of Pillow's colour models and bit depths -> 8-bit RGB or gray, and alpha.

Nothing is clipped: deeper samples are scaled, and the user is told; those whose range nothing tells are refused unless
he allows it.
"""

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from PIL.ExifTags import Base
from PIL.ImageFile import ImageFile

from vlae_codec.errors import InputError
from vlae_codec.images.colour import to_srgb
from vlae_codec.images.picture import Allowed, Samples

CONVERTED = ("CMYK", "LAB", "YCbCr")  # colour models of Pillow that become RGB
_GRAY = ("1", "L", "LA", "La")
_SIZES_OF_JPEG_2000 = b"\xff\x4f\xff\x51"  # how a codestream begins
_UNSIGNED = 1  # TIFF's SampleFormat, also where there is none
_WHITE_IS_ZERO = 0  # TIFF's PhotometricInterpretation


class Stored(NamedTuple):
    """How samples stand in the file, of which Pillow's mode does not tell all: bits of each; gray with alpha."""

    bits: int
    gray_alpha: bool


def stored(image: ImageFile, data: bytes) -> Stored:
    """Of an image that was opened but not loaded; 8 bits where nothing tells."""
    layout = image.tile[0].args if image.tile else ""
    bits = 8
    if image.format in ("PNG", "PPM") and ";16" in str(layout):
        bits = 16
    elif image.format == "PPM" and isinstance(layout, tuple):
        bits = int(layout[-1]).bit_length()  # of the largest value
    elif image.format == "TIFF":
        bits = max(_tags(image).get(Base.BitsPerSample, (1,)))
    elif image.format == "JPEG2000":
        bits = 1 + (data[data.find(_SIZES_OF_JPEG_2000) + 42] & 0x7F)  # of the first component
    elif image.format == "AVIF":
        bits = _bits_of_avif(data)
    elif image.format == "HEIF":
        bits = image.info["bit_depth"]
    return Stored(bits, str(layout).startswith("LA"))


def _tags(image: Image.Image) -> Mapping[int, Any]:
    """Those of a TIFF."""
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
    return tags


def _bits_of_avif(data: bytes) -> int:
    """From the flags high_bitdepth and twelve_bit of its configuration box."""
    box = data.find(b"av1C")
    if box < 0 or not data[box + 6] & 0x40:
        return 8
    return 12 if data[box + 6] & 0x20 else 10


def samples(image: Image.Image, name: str, how: Stored, allowed: Allowed) -> tuple[Samples, Samples | None]:
    """Colour (H, W, 1 or 3) and alpha (H, W) of a loaded image; no alpha where all is opaque.

    Raises:
        InputError: samples of unknown range that are not allowed, or that are not finite.
    """
    alpha: Samples | None = None
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        pixels, alpha = _reduce_16_bits(image)
    elif image.mode in ("I", "F"):
        pixels = _stretch(image, name, allowed)
    else:
        if image.mode == "CMYK":
            image = _without_ink(image, name)
        gray = image.mode in _GRAY or how.gray_alpha
        if image.has_transparency_data:
            image = image.convert("RGBA" if not gray or image.mode == "RGBA" else "LA")
            alpha = np.array(image.getchannel("A"))
        pixels = np.array(image.convert("L" if gray else "RGB")).reshape(image.height, image.width, -1)
    if how.bits in range(9, 17):
        warnings.warn(f"{name}: {how.bits} bits per sample, reduced to 8", stacklevel=2)
    return pixels, None if alpha is None or alpha.min() == 255 else alpha


def _without_ink(image: Image.Image, name: str) -> Image.Image:
    converted = to_srgb(image, image.info.get("icc_profile"))
    if converted is None:
        warnings.warn(f"{name}: CMYK without a profile that works, converted by a plain formula", stacklevel=3)
    return converted or image.convert("RGB")


def _reduce_16_bits(image: Image.Image) -> tuple[Samples, Samples | None]:
    """Gray (H, W, 1) and alpha (H, W) of 16-bit gray. Pillow's own conversion clips: nearly all would be white."""
    tags = _tags(image)
    maximum = 2 ** tags.get(Base.BitsPerSample, (16,))[0] - 1  # TIFF has 12-bit samples too
    deep = np.asarray(image).astype(np.uint32)
    gray = ((deep * 255 + maximum // 2) // maximum).astype(np.uint8)
    if tags.get(Base.PhotometricInterpretation) == _WHITE_IS_ZERO:
        gray = 255 - gray  # Pillow inverts white-is-zero for 8 bits only
    transparent = image.info.get("transparency")
    alpha = None if transparent is None else np.where(deep == transparent, 0, 255).astype(np.uint8)
    return gray[..., None], alpha


def _stretch(image: Image.Image, name: str, allowed: Allowed) -> Samples:
    """Gray (H, W, 1) of samples whose range nothing tells."""
    if not allowed.to_8bit:
        kind = "floating-point" if image.mode == "F" else "signed or 32-bit"
        wanted = "8 or 16 unsigned bits wanted, or --to-8bit"
        raise InputError(f"{name}: {kind} samples, whose range nothing tells; {wanted}")
    values = np.asarray(image)
    tags = _tags(image)
    if image.mode == "I" and tags.get(Base.SampleFormat, (_UNSIGNED,))[0] == _UNSIGNED:
        values = values.view(np.uint32)  # Pillow reads them as signed
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise InputError(f"{name}: samples from {low} to {high}; finite ones wanted")
    if image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    warnings.warn(f"{name}: samples from {low:g} to {high:g}, scaled to 8 bits", stacklevel=3)
    scaled = (values.astype(np.float64) - low) * (255 / (high - low or 1))
    return np.rint(scaled).astype(np.uint8)[..., None]
