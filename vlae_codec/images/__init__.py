"""Image files <-> Picture: uint8 pixels, alpha and metadata. The only part that imports PIL.

    picture.py   Picture, and what a user allows of files that are refused otherwise
    reading.py   bytes of an image file -> Picture
    samples.py   any of Pillow's colour models and bit depths -> 8-bit RGB or gray, and alpha
    colour.py    what profiles are worth, and CMYK and profiled gray as sRGB
    metadata.py  profile, EXIF and XMP of a file, and as Pillow writes them
    writing.py   Picture -> bytes of an image file
    alpha.py     alpha <-> bytes, without loss; colours that it hides; pictures without it
    foreign.py   files that Pillow does not read: HEIC by its own package, others by name
    guard.py     Pillow's errors and globals

Bytes in, bytes out; nothing here opens a path. Colour models, bit depths, palettes and orientation end here: whoever
gets a Picture has upright 8-bit RGB or gray. Only the formats in READABLE are ever tried, because some of Pillow's
others (EPS) start programs.
"""

from vlae_codec.images.alpha import WEBP_SIDE_MAX, colour_of, fill_hidden, flatten, pack_alpha, unpack_alpha
from vlae_codec.images.foreign import HEIF
from vlae_codec.images.picture import STRICT, Allowed, Picture, Samples
from vlae_codec.images.reading import READABLE, read
from vlae_codec.images.writing import check_suffix, write

__all__ = [
    "HEIF",
    "READABLE",
    "STRICT",
    "WEBP_SIDE_MAX",
    "Allowed",
    "Picture",
    "Samples",
    "check_suffix",
    "colour_of",
    "fill_hidden",
    "flatten",
    "pack_alpha",
    "read",
    "unpack_alpha",
    "write",
]
