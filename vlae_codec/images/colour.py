"""What colour profiles are worth, and conversions to sRGB: by a profile, or by Pillow's plain formula."""

from io import BytesIO

from PIL import Image, ImageCms


def is_sound(icc: bytes) -> bool:
    """Whether a colour engine takes the profile."""
    try:
        ImageCms.ImageCmsProfile(BytesIO(icc))
    except (OSError, ImageCms.PyCMSError):
        return False
    return True


def samples_of(icc: bytes) -> str:
    """What a profile describes, as it names it: "RGB", "GRAY", "CMYK", ..."""
    return icc[16:20].decode("latin-1").strip()


def to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image | None:
    """CMYK, gray or RGB as sRGB by its profile; None if there is none that works."""
    try:
        return ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(BytesIO(icc or b"")),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (OSError, ImageCms.PyCMSError):
        return None
