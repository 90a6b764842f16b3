"""Alpha <-> bytes without loss, by a library's codec; the colours that it hides; and pictures without it."""

from dataclasses import replace
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from vlae_codec.errors import BitstreamError, UsageError
from vlae_codec.images.guard import pillow_set, reporting_as, save
from vlae_codec.images.picture import Picture, Samples

WEBP_SIDE_MAX = 16383


def pack_alpha(alpha: Samples) -> bytes:
    """Alpha (H, W) as a lossless PNG or WebP file, whichever is smaller."""
    image = Image.fromarray(alpha)
    packed = [save(image, "PNG", optimize=True)]
    if max(image.size) <= WEBP_SIDE_MAX:
        packed.append(save(image, "WEBP", lossless=True))
    return min(packed, key=len)


def unpack_alpha(data: bytes, width: int, height: int) -> Samples:
    """Alpha (H, W) from what `pack_alpha` made.

    Raises:
        BitstreamError: no such file, a damaged one, or not of this size, which is found before it is decoded.
    """
    with reporting_as(BitstreamError, "alpha is damaged"), pillow_set():
        image = Image.open(BytesIO(data), formats=("PNG", "WEBP"))
        found = (*image.size, "L" if image.mode == "RGB" else image.mode)  # WebP has no gray
        if found != (width, height, "L"):
            raise BitstreamError(f"alpha of (width, height, mode) {found}; {(width, height, 'L')} wanted")
        image.load()
        return np.array(image.getchannel(0))


def fill_hidden(picture: Picture) -> Picture:
    """The picture with other colours where it is fully transparent: those around go on, which costs fewest bits."""
    if picture.alpha is None or picture.alpha.all():
        return picture
    return replace(picture, pixels=_filled(picture.pixels, picture.alpha > 0))


def _filled(pixels: Samples, seen: NDArray[np.bool_]) -> Samples:
    """(H, W, C) with means of what is seen nearby where (H, W) is not: of 2x2 blocks, else of larger ones."""
    height, width = seen.shape
    if seen.all() or max(seen.shape) == 1:
        return pixels
    pad = ((0, height % 2), (0, width % 2))
    blocks = (-(-height // 2), 2, -(-width // 2), 2)
    counts = np.pad(seen, pad).reshape(blocks).sum((1, 3), dtype=np.uint16)[..., None]
    sums = np.pad(pixels * seen[..., None], (*pad, (0, 0))).reshape(*blocks, -1).sum((1, 3), dtype=np.uint16)
    coarse = _filled((sums // np.maximum(counts, 1)).astype(np.uint8), counts[..., 0] > 0)
    return np.where(seen[..., None], pixels, coarse.repeat(2, 0).repeat(2, 1)[:height, :width])


def colour_of(text: str) -> tuple[int, int, int]:
    """ "white", "#fff", "rgb(255, 255, 255)" -> (255, 255, 255). UsageError: none of these."""
    try:
        colour = ImageColor.getcolor(text, "RGB")
    except ValueError as error:
        raise UsageError(f"{text!r} is no colour; one as white or #ffffff wanted") from error
    assert isinstance(colour, tuple)
    red, green, blue, *_ = colour
    return red, green, blue


def flatten(picture: Picture, background: tuple[int, int, int]) -> Picture:
    """The picture on a background, without alpha; gray stays gray only on gray."""
    if picture.alpha is None:
        return picture
    ground = np.array(background[:1] if len(set(background)) == 1 else background, np.uint32)
    alpha = picture.alpha[..., None].astype(np.uint32)
    mixed = (picture.pixels * alpha + ground * (255 - alpha) + 127) // 255
    if mixed.shape[2] != picture.pixels.shape[2] and "icc" in picture.metadata:
        metadata = {kind: data for kind, data in picture.metadata.items() if kind != "icc"}  # it describes gray
        picture = replace(picture, metadata=metadata)
    return replace(picture, pixels=mixed.astype(np.uint8), alpha=None)
