"""Image files <-> Picture: uint8 pixels, alpha and metadata. The only module that imports PIL.

Bytes of an image file in, a Picture out, and back; nothing here opens a path. Colour models, bit depths, palettes and
orientation end here: whoever gets a Picture has upright 8-bit RGB or gray. Only the formats in READABLE are ever tried,
because some of Pillow's others (EPS) start programs.
"""

import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.ExifTags import IFD, Base
from PIL.PngImagePlugin import PngInfo

from vlae_codec import orientation
from vlae_codec.bitstream import MAX_PIXELS
from vlae_codec.errors import BitstreamError, CodecError, InputError, OutputError
from vlae_codec.limits import check_pixels

READABLE = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "PPM", "GIF", "JPEG2000")
WEBP_SIDE_MAX = 16383

Samples = NDArray[np.uint8]
_EXIF_START = b"Exif\0\0"
_DESCRIBING_TAGS = (
    *(Base.ImageDescription, Base.Make, Base.Model, Base.Software, Base.DateTime, Base.Artist, Base.Copyright),
    *(Base.XResolution, Base.YResolution, Base.ResolutionUnit),
)
_lock = threading.Lock()


@dataclass(frozen=True, eq=False)
class Picture:
    """What is left of an image file: upright, 8 bits per sample.

    pixels: (H, W, 3) RGB or (H, W, 1) gray. alpha: (H, W), 255 is opaque; None where all is.
    metadata: those of "icc", "exif" (from its TIFF header on; any orientation is 1) and "xmp" that there are.
    """

    pixels: Samples
    alpha: Samples | None
    metadata: Mapping[str, bytes]

    def __post_init__(self) -> None:
        assert self.pixels.dtype == np.uint8 and self.pixels.ndim == 3 and self.pixels.shape[2] in (1, 3)
        assert self.alpha is None or (self.alpha.dtype == np.uint8 and self.alpha.shape == self.pixels.shape[:2])
        assert self.metadata.keys() <= {"icc", "exif", "xmp"}


def read(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> Picture:
    """The picture in the bytes of an image file; `name` is for messages only. Threads take turns.

    Raises:
        InputError: no format of READABLE, damaged, truncated, animated, or with samples of more than 16 bits.
        LimitError: more than max_pixels by the file's header; nothing is decoded then.
    """
    if not data:
        raise InputError(f"{name}: empty file; a picture wanted")
    with _reporting_as(InputError, f"{name}: damaged or truncated picture"), _pillow_without_limit():
        try:
            image = Image.open(BytesIO(data), formats=READABLE)
        except UnidentifiedImageError as error:
            raise InputError(f"{name}: no picture in a format that can be read ({', '.join(READABLE)})") from error
        check_pixels(*image.size, max_pixels, name)
        _check_frames(image, name)
        _check_suffix(image, name)
        image.load()
        return _picture(image, name)


@contextmanager
def _reporting_as(kind: type[CodecError], complaint: str) -> Iterator[None]:
    """Pillow's readers and writers raise nearly anything on damaged files; here it becomes one of our errors."""
    try:
        yield
    except (CodecError, MemoryError):
        raise
    except Exception as error:
        raise kind(f"{complaint} ({error})") from error


@contextmanager
def _pillow_without_limit() -> Iterator[None]:
    """Switch off Pillow's limit, a global that prints warnings: sizes are checked here, right after the header.

    The lock lets one thread at a time in, so that each puts back what it found.
    """
    with _lock:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _check_frames(image: Image.Image, name: str) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # phones save a photograph and its previews as MPO, the photograph first
        raise InputError(f"{name}: {frames} frames or pages; a single picture wanted")


def _check_suffix(image: Image.Image, name: str) -> None:
    """Only a warning: what counts is what the file holds."""
    form = _FORMATS.get(PurePath(name).suffix.lower())
    if form and image.format not in (form.name, "MPO"):
        warnings.warn(f"{name}: holds {image.format}, in spite of its name", stacklevel=3)


def _picture(image: Image.Image, name: str) -> Picture:
    pixels, alpha = _samples(image, name)
    metadata = _metadata(image)
    if metadata.get("icc", b"")[16:20] != (b"RGB " if pixels.shape[2] == 3 else b"GRAY"):
        metadata.pop("icc", None)  # it is about samples other than these: CMYK, for instance
    if "exif" in metadata:
        metadata["exif"], found = orientation.reset(metadata["exif"])
        pixels = orientation.upright(pixels, found)
        alpha = None if alpha is None else orientation.upright(alpha, found)
    return Picture(pixels, alpha, metadata)


def _samples(image: Image.Image, name: str) -> tuple[Samples, Samples | None]:
    """Colour (H, W, 1 or 3) and alpha (H, W) of an image in any of Pillow's modes."""
    alpha: Samples | None = None
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        pixels, alpha = _reduce_16_bits(image)
    elif image.mode in ("I", "F"):
        kind = "floating-point" if image.mode == "F" else "signed or 32-bit"
        raise InputError(f"{name}: {kind} samples, whose range nothing tells; 8 or 16 unsigned bits wanted")
    else:
        if image.mode == "CMYK":
            image = _to_srgb(image, image.info.get("icc_profile"))
        gray = image.mode in ("1", "L", "LA", "La")
        if image.has_transparency_data:
            image = image.convert("LA" if gray else "RGBA")
            alpha = np.array(image.getchannel("A"))
        pixels = np.array(image.convert("L" if gray else "RGB")).reshape(image.height, image.width, -1)
    return pixels, None if alpha is None or alpha.min() == 255 else alpha


def _reduce_16_bits(image: Image.Image) -> tuple[Samples, Samples | None]:
    """Gray (H, W, 1) and alpha (H, W) of 16-bit gray. Pillow's own conversion clips: nearly all would be white."""
    tags = getattr(image, "tag_v2", {})
    maximum = 2 ** tags.get(Base.BitsPerSample, (16,))[0] - 1  # TIFF has 12-bit samples too
    deep = np.asarray(image).astype(np.uint32)
    gray = ((deep * 255 + maximum // 2) // maximum).astype(np.uint8)
    if tags.get(Base.PhotometricInterpretation) == 0:
        gray = 255 - gray  # Pillow inverts white-is-zero for 8 bits only
    transparent = image.info.get("transparency")
    alpha = None if transparent is None else np.where(deep == transparent, 0, 255).astype(np.uint8)
    return gray[..., None], alpha


def _to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """CMYK or gray as RGB: by its profile, or by Pillow's plain formula where none works."""
    try:
        converted = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(BytesIO(icc or b"")),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (OSError, ImageCms.PyCMSError):
        converted = None
    return converted or image.convert("RGB")


def _metadata(image: Image.Image) -> dict[str, bytes]:
    info = image.info
    exif = info.get("exif", b"")
    if image.format == "TIFF":  # its own tags are the EXIF; by them Pillow has turned the pixels already
        exif = _describing(image.getexif())
    found = {"icc": info.get("icc_profile"), "exif": exif.removeprefix(_EXIF_START), "xmp": info.get("xmp")}
    return {kind: data for kind, data in found.items() if isinstance(data, bytes) and data}


def _describing(exif: Image.Exif, xmp: bytes = b"") -> bytes:
    """The tags that say something about the picture, not about how one TIFF file stores it; and XMP as a tag."""
    described = Image.Exif()
    for tag in _DESCRIBING_TAGS:
        if tag in exif:
            described[tag] = exif[tag]
    for ifd in (IFD.Exif, IFD.GPSInfo):
        if part := exif.get_ifd(ifd):
            described[ifd] = dict(part)
    if xmp:
        described[Base.XMLPacket] = xmp
    return described.tobytes() if len(described) else b""


class _Format(NamedTuple):
    name: str  # Pillow's
    alpha: bool
    options: Mapping[str, Any]


_FORMATS = {
    ".png": _Format("PNG", True, {}),
    ".jpg": _Format("JPEG", False, {"quality": 95, "subsampling": "4:4:4"}),
    ".webp": _Format("WEBP", True, {"lossless": True, "exact": True}),
    ".avif": _Format("AVIF", True, {"quality": 95, "subsampling": "4:4:4"}),
    ".tif": _Format("TIFF", True, {}),  # not compressed: Pillow fails then on an EXIF with directories of its own
    ".bmp": _Format("BMP", False, {}),
    ".ppm": _Format("PPM", False, {}),
}
_FORMATS |= {".jpeg": _FORMATS[".jpg"], ".tiff": _FORMATS[".tif"]}


def check_suffix(suffix: str) -> None:
    """OutputError unless `write` knows the suffix."""
    if suffix.lower() not in _FORMATS:
        raise OutputError(f"cannot write {suffix or 'a name without suffix'}; one of {' '.join(_FORMATS)} wanted")


def write(picture: Picture, suffix: str) -> bytes:
    """The bytes of an image file, in the format that the suffix (".png") stands for.

    Samples are exact but in .jpg and .avif, which are near-lossless; .bmp and .ppm hold no metadata.

    Raises:
        OutputError: the format is unknown, has no alpha but the picture has, or cannot hold its size or metadata.
    """
    check_suffix(suffix)
    form = _FORMATS[suffix.lower()]
    if picture.alpha is not None and not form.alpha:
        wanted = " ".join(name for name, other in _FORMATS.items() if other.alpha)
        raise OutputError(f"the picture has transparency, which {suffix} cannot hold; one of {wanted} wanted")
    with _reporting_as(OutputError, f"cannot be written as {form.name}"):
        return _encoded(picture, form)


def _encoded(picture: Picture, form: _Format) -> bytes:
    gray = picture.pixels.shape[2] == 1
    image = Image.fromarray(picture.pixels[..., 0] if gray else picture.pixels)
    options, metadata = dict(form.options), dict(picture.metadata)
    if gray and form.name == "AVIF":
        options["subsampling"] = "4:0:0"
    if gray and form.name == "WEBP" and "icc" in metadata:
        image = _to_srgb(image, metadata.pop("icc"))  # WebP has no gray, and RGB cannot have a profile of gray
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(picture.alpha))
    return _save(image, form.name, **options, **_metadata_options(form.name, metadata))


def _metadata_options(name: str, metadata: Mapping[str, bytes]) -> dict[str, Any]:
    """Pillow writes no metadata but what `save` is given."""
    options: dict[str, Any] = {"icc_profile": metadata["icc"]} if "icc" in metadata else {}
    exif, xmp = metadata.get("exif", b""), metadata.get("xmp", b"")
    if name == "TIFF":
        tags = Image.Exif()
        tags.load(exif)
        return options | {"exif": _describing(tags, xmp)}
    if exif:
        options["exif"] = _EXIF_START + exif
    if xmp and name == "PNG":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + xmp)
    elif xmp:
        options["xmp"] = xmp
    return options


def _save(image: Image.Image, name: str, **options: Any) -> bytes:
    """To memory: Pillow's `save` to a path leaves an empty file behind when it fails."""
    buffer = BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def pack_alpha(alpha: Samples) -> bytes:
    """Alpha (H, W) as a lossless PNG or WebP file, whichever is smaller."""
    image = Image.fromarray(alpha)
    packed = [_save(image, "PNG", optimize=True)]
    if max(image.size) <= WEBP_SIDE_MAX:
        packed.append(_save(image, "WEBP", lossless=True))
    return min(packed, key=len)


def unpack_alpha(data: bytes, width: int, height: int) -> Samples:
    """Alpha (H, W) from what `pack_alpha` made.

    Raises:
        BitstreamError: no such file, a damaged one, or not of this size, which is found before it is decoded.
    """
    with _reporting_as(BitstreamError, "alpha is damaged"), _pillow_without_limit():
        image = Image.open(BytesIO(data), formats=("PNG", "WEBP"))
        found = (*image.size, "L" if image.mode == "RGB" else image.mode)  # WebP has no gray
        if found != (width, height, "L"):
            raise BitstreamError(f"alpha of (width, height, mode) {found}; {(width, height, 'L')} wanted")
        image.load()
        return np.array(image.getchannel(0))
