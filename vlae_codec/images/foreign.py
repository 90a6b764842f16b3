"""Files that Pillow does not read: HEIC, which a package of its own adds, and all others, which are at least named."""

from vlae_codec.errors import InputError

HEIF = "HEIF"
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
_STARTS = {
    b"VLAE": "a .vlae file, which `vlae decode` reads",
    b"%PDF": "a PDF",
    b"%!PS": "PostScript",
    b"\xc5\xd0\xd3\xc6": "PostScript",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"8BPS": "a Photoshop document",
    b"PK\3\4": "a ZIP archive, or a document that is one inside",
    b"\x1f\x8b": "a gzip archive",
    b"v/1\1": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"qoif": "QOI",
    b"\0\0\1\0": "an icon",
    b"\x1aE\xdf\xa3": "a video",
    b"II*\0": "a TIFF of an unusual kind, or a camera's raw file",
    b"MM\0*": "a TIFF of an unusual kind, or a camera's raw file",
    b"FUJIFILM": "a camera's raw file",
    b"<html": "a web page",
    b"<!DOCTYPE html": "a web page",
}


def is_heif(data: bytes) -> bool:
    """By its brands; AVIF is of the same family, but Pillow reads it."""
    return data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS and b"avif" not in data[8:64]


def add_heif(name: str) -> None:
    """Teach Pillow to read HEIC. InputError: the package that does is not installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise InputError(f"{name}: HEIC needs a package of its own: pip install 'vlae-codec[heif]'") from error
    register_heif_opener()


def guess(data: bytes) -> str:
    """What bytes that are no readable picture look like; empty where nothing tells."""
    for start, what in _STARTS.items():
        if data.startswith(start):
            return what
    if data[4:8] == b"ftyp":
        return "HEIC" if is_heif(data) else "a video"
    head = data[:512]
    if b"<svg" in head:
        return "SVG"
    printable = all(byte in b"\t\n\r\f" or byte >= 32 for byte in head)
    return "text" if head and printable else ""
