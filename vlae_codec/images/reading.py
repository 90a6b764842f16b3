"""The bytes of an image file -> a Picture: what is opened, what is refused, and what the user is told."""

import warnings
from io import BytesIO
from pathlib import PurePath

from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from vlae_codec import orientation
from vlae_codec.bitstream import MAX_PIXELS
from vlae_codec.errors import InputError
from vlae_codec.images import foreign
from vlae_codec.images.guard import pillow_set, reporting_as
from vlae_codec.images.metadata import keeps_profile, metadata_of
from vlae_codec.images.picture import STRICT, Allowed, Picture
from vlae_codec.images.samples import CONVERTED, Stored, samples, stored
from vlae_codec.images.writing import form_of
from vlae_codec.limits import check_pixels, estimating_memory

READABLE = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "PPM", "GIF", "JPEG2000")
_SEVERAL_BY_HABIT = "MPO"  # phones save a photograph and its previews as one, the photograph first


def read(data: bytes, name: str, max_pixels: int = MAX_PIXELS, allowed: Allowed = STRICT) -> Picture:
    """The picture in the bytes of an image file; `name` is for messages only. Threads take turns.

    Warns where less is kept than the file holds: deeper samples, CMYK without a profile, a profile that does not fit.

    Raises:
        InputError: no format of READABLE, damaged, truncated, animated, or with samples of unknown range.
        LimitError: more than max_pixels by the file's header, nothing is decoded then; or not enough memory.
    """
    if not data:
        raise InputError(f"{name}: empty file; a picture wanted")
    try:
        return _read(data, name, max_pixels, allowed, truncated=False)
    except InputError as error:
        if not allowed.truncated:
            raise
        picture = _read(data, name, max_pixels, allowed, truncated=True)
        warnings.warn(f"{error}; what is missing is left blank", stacklevel=2)
        return picture


def _read(data: bytes, name: str, max_pixels: int, allowed: Allowed, truncated: bool) -> Picture:
    with reporting_as(InputError, f"{name}: damaged or truncated picture"), pillow_set(truncated):
        image = _opened(data, name)
        check_pixels(*image.size, max_pixels, name)
        _choose_frame(image, name, allowed.frame)
        check_pixels(*image.size, max_pixels, name)  # pages may differ in size
        _check_suffix(image, name)
        how = stored(image, data)
        with estimating_memory(image.width * image.height, name):
            image.load()
            return _picture(image, name, how, allowed)


def _opened(data: bytes, name: str) -> ImageFile:
    formats: tuple[str, ...] = READABLE
    if foreign.is_heif(data):
        foreign.add_heif(name)
        formats = (foreign.HEIF,)
    try:
        return Image.open(BytesIO(data), formats=formats)
    except UnidentifiedImageError as error:
        looks = foreign.guess(data)
        readable = f"no picture in a format that can be read ({', '.join(READABLE)})"
        raise InputError(f"{name}: {readable}{looks and '; looks like ' + looks}") from error


def _choose_frame(image: Image.Image, name: str, frame: int | None) -> None:
    frames = getattr(image, "n_frames", 1)
    if frame is not None:
        if not 0 <= frame < frames:
            raise InputError(f"{name}: frame {frame} wanted; there are frames 0 to {frames - 1}")
        image.seek(frame)
    elif frames > 1 and image.format != _SEVERAL_BY_HABIT:
        raise InputError(f"{name}: {frames} frames or pages; a single picture wanted, or --frame 0 to {frames - 1}")


def _check_suffix(image: Image.Image, name: str) -> None:
    """Only a warning: what counts is what the file holds."""
    form = form_of(PurePath(name).suffix)
    if form and image.format not in (form.name, "MPO"):
        warnings.warn(f"{name}: holds {image.format}, in spite of its name", stacklevel=4)


def _picture(image: Image.Image, name: str, how: Stored, allowed: Allowed) -> Picture:
    pixels, alpha = samples(image, name, how, allowed)
    metadata = metadata_of(image)
    if "icc" in metadata and not keeps_profile(metadata["icc"], pixels.shape[2] == 1, image.mode in CONVERTED, name):
        del metadata["icc"]
    if "exif" in metadata:
        metadata["exif"], found = orientation.reset(metadata["exif"])
        pixels = orientation.upright(pixels, found)
        alpha = None if alpha is None else orientation.upright(alpha, found)
    return Picture(pixels, alpha, metadata)
