"""A Picture -> the bytes of an image file, in any format that Pillow writes and that can hold it.

Formats that are listed here have options of their own; of all others Pillow's defaults are taken, and what comes out
is refused if it is not of the picture's size.
"""

import warnings
from collections.abc import Mapping
from io import BytesIO
from typing import Any, NamedTuple

from PIL import Image

from vlae_codec.errors import OutputError
from vlae_codec.images.colour import to_srgb
from vlae_codec.images.guard import pillow_set, reporting_as, save
from vlae_codec.images.metadata import options_of
from vlae_codec.images.picture import Picture


class Form(NamedTuple):
    """A file format that is written."""

    name: str  # Pillow's
    alpha: bool
    options: Mapping[str, Any] = {}
    gray: bool = True  # has samples of one channel


_JPEG = Form("JPEG", False, {"quality": 95, "subsampling": "4:4:4"})
_TIFF = Form("TIFF", True)  # not compressed: Pillow fails then on an EXIF with directories of its own
_FORMS = {
    ".png": Form("PNG", True),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": Form("WEBP", True, {"lossless": True, "exact": True}, gray=False),
    ".avif": Form("AVIF", True, {"quality": 95, "subsampling": "4:4:4"}),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".bmp": Form("BMP", False),
    ".ppm": Form("PPM", False),
    ".jp2": Form("JPEG2000", True),  # without loss, by default
}
_MORE = (
    Form("DDS", True),
    Form("GIF", False),
    Form("ICO", True),
    Form("MPO", False, _JPEG.options),
    Form("PDF", False, _JPEG.options),
    Form("QOI", True, gray=False),
    Form("TGA", True),
)
_BY_NAME = {form.name: form for form in (*_FORMS.values(), *_MORE)}
_PALETTED = "GIF"
_UNSEEN = ("EPS", "MPO", "PDF")  # Pillow does not read them, under another name, or by starting a program
_NO_PHOTOGRAPHS = ("BLP", "BUFR", "GRIB", "HDF5", "MSP", "PALM", "WMF", "XBM")  # few colours, or written by plugins


def form_of(suffix: str) -> Form | None:
    """The format that a suffix (".png") stands for; None if Pillow writes none of that name."""
    suffix = suffix.lower()
    if suffix in _FORMS:
        return _FORMS[suffix]
    name = Image.registered_extensions().get(suffix, "")
    written = name in Image.SAVE and name not in _NO_PHOTOGRAPHS
    return _BY_NAME.get(name, Form(name, False)) if written else None


def check_suffix(suffix: str, alpha: bool = False) -> Form:
    """The format that the suffix stands for. OutputError: there is none, or it cannot hold alpha."""
    form, known = form_of(suffix), " ".join(_FORMS)
    if form is None:
        found = f"cannot write {suffix or 'a name without suffix'}"
        raise OutputError(f"{found}; one of {known} wanted, or of Pillow's other formats")
    if alpha and not form.alpha:
        wanted = " ".join(name for name, other in _FORMS.items() if other.alpha)
        found = f"the picture has transparency, which {suffix} cannot hold"
        raise OutputError(f"{found}; one of {wanted} wanted, or --background")
    return form


def write(picture: Picture, suffix: str) -> bytes:
    """The bytes of an image file, in the format that the suffix (".png") stands for.

    Samples are exact but in .jpg and .avif, which are near-lossless, and in .gif, which has 256 colours. Warns of
    metadata that the format does not hold.

    Raises:
        OutputError: the format is unknown, has no alpha but the picture has, or cannot hold its size or metadata.
    """
    form = check_suffix(suffix, picture.alpha is not None)
    with reporting_as(OutputError, f"cannot be written as {form.name}"):
        return _encoded(picture, form)


def _encoded(picture: Picture, form: Form) -> bytes:
    gray = picture.pixels.shape[2] == 1
    image = Image.fromarray(picture.pixels[..., 0] if gray else picture.pixels)
    options, metadata = dict(form.options), dict(picture.metadata)
    if gray and not form.gray:
        image = (to_srgb(image, metadata.pop("icc", None)) or image).convert("RGB")  # RGB cannot have a profile of gray
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(picture.alpha))
    if gray and form.name == "AVIF":
        options["subsampling"] = "4:0:0"
    if form.name == "ICO":
        options["sizes"] = [image.size]
    if form.name == _PALETTED:
        warnings.warn(f"{form.name} holds 256 colours, and not all of the picture's", stacklevel=4)
    data = save(image, form.name, **options, **options_of(metadata, form.name))
    if form.name not in _UNSEEN:
        _check_size(data, image, form)
    return data


def _check_size(data: bytes, image: Image.Image, form: Form) -> None:
    """Some formats are written in sizes of their own."""
    with pillow_set():
        found = Image.open(BytesIO(data), formats=[form.name, "JPEG"]).size
    if found != image.size:
        raise OutputError(f"{form.name} has sizes of its own; {image.width}x{image.height} is none of them")
