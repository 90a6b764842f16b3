"""Profile, EXIF and XMP: out of a file that Pillow has opened, and as its `save` takes them.

Pillow writes no metadata but what `save` is given, and EXIF byte for byte only into some formats: into TIFF, whose own
tags it becomes, what it says is written anew.
"""

import warnings
from collections.abc import Mapping
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.PngImagePlugin import PngInfo

from vlae_codec.images.colour import is_sound, samples_of

HOLDERS = ("PNG", "JPEG", "MPO", "WEBP", "AVIF", "TIFF")
"""Pillow's names of the formats that it writes metadata into."""
_EXIF_START = b"Exif\0\0"
_DESCRIBING_TAGS = (
    *(Base.ImageDescription, Base.Make, Base.Model, Base.Software, Base.DateTime, Base.Artist, Base.Copyright),
    *(Base.XResolution, Base.YResolution, Base.ResolutionUnit),
)


def metadata_of(image: Image.Image) -> dict[str, bytes]:
    """Those of "icc", "exif" (from its TIFF header on) and "xmp" that the file has."""
    info = image.info
    exif = info.get("exif") or b""
    if image.format == "TIFF":  # its own tags are the EXIF; by them Pillow has turned the pixels already
        exif = _describing(image.getexif())
    found = {"icc": info.get("icc_profile"), "exif": exif.removeprefix(_EXIF_START), "xmp": info.get("xmp")}
    return {kind: data for kind, data in found.items() if isinstance(data, bytes) and data}


def keeps_profile(icc: bytes, gray: bool, converted: bool, name: str) -> bool:
    """Whether a profile still says what the samples are, now RGB or gray; the user is told where that is in doubt.

    Args:
        converted: the samples were of another colour model, as CMYK.
    """
    wanted = "GRAY" if gray else "RGB"
    if is_sound(icc):
        kept = samples_of(icc) == wanted
        if not kept and not converted:
            message = f"{name}: its colour profile is for {samples_of(icc)} and not for {wanted}, and is left out"
            warnings.warn(message, stacklevel=3)
        return kept
    if not converted:
        warnings.warn(f"{name}: its colour profile is damaged, and kept as it is", stacklevel=3)
    return not converted


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


class _Verbatim(Image.Exif):
    """EXIF that is written as it is; of bytes Pillow's AVIF writer makes its own, without thumbnail and orientation."""

    def __init__(self, data: bytes):
        super().__init__()
        self.data = data

    def __bool__(self) -> bool:
        return True

    def tobytes(self, offset: int = 8) -> bytes:
        """All of it."""
        return self.data


def options_of(metadata: Mapping[str, bytes], form: str) -> dict[str, Any]:
    """Options of Pillow's `save`; the user is told what a format does not hold."""
    if form not in HOLDERS:
        if metadata:
            warnings.warn(f"{form} holds no metadata; {', '.join(metadata)} left out", stacklevel=4)
        return {}
    options: dict[str, Any] = {"icc_profile": metadata["icc"]} if "icc" in metadata else {}
    exif, xmp = metadata.get("exif", b""), metadata.get("xmp", b"")
    if form == "TIFF":
        tags = Image.Exif()
        tags.load(exif)
        return options | {"exif": _describing(tags, xmp)}
    if exif:
        options["exif"] = _Verbatim(_EXIF_START + exif) if form == "AVIF" else _EXIF_START + exif
    if xmp and form == "PNG":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + xmp)
    elif xmp:
        options["xmp"] = xmp
    return options
