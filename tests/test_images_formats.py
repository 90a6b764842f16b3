"""What is written by name, what of it comes back, and that a user is told what does not."""

import io
from dataclasses import replace

import icc_profiles
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageEnhance

from vlae_codec import codec, images
from vlae_codec.errors import OutputError, UsageError
from vlae_codec.images import Allowed, Picture, check_suffix, colour_of, flatten, read, write

COLOURS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
ALPHA = np.random.default_rng(1).integers(0, 256, (20, 30), dtype=np.uint8)
EXACT = [
    ".dds",
    ".dib",
    ".ico",
    ".j2k",
    ".jp2",
    ".pcx",
    ".png",
    ".pnm",
    ".qoi",
    ".sgi",
    ".tga",
    ".tiff",
    ".webp",
]
WITH_ALPHA = [".dds", ".ico", ".jp2", ".png", ".qoi", ".tga", ".tif", ".webp"]
HOLDERS = [".png", ".jpg", ".webp", ".avif", ".tif"]


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("suffix", EXACT)
def test_every_sample_is_in_the_file(suffix: str) -> None:
    assert np.array_equal(opened(write(Picture(COLOURS, None, {}), suffix)).convert("RGB"), COLOURS)
    gray = opened(write(Picture(COLOURS[..., :1], None, {}), suffix)).convert("RGB")
    assert np.array_equal(gray, COLOURS[..., :1].repeat(3, axis=2))


@pytest.mark.parametrize("suffix", WITH_ALPHA)
@pytest.mark.parametrize("channels", [1, 3])
def test_alpha_is_in_the_file_or_the_format_refused(suffix: str, channels: int) -> None:
    image = opened(write(Picture(COLOURS[..., :channels], ALPHA, {}), suffix)).convert("RGBA")
    assert np.array_equal(image, np.dstack([COLOURS[..., :channels].repeat(3 // channels, axis=2), ALPHA]))


def test_formats_that_cannot_hold_alpha_refuse_it_before_anything_is_done() -> None:
    for suffix in (".jpg", ".gif", ".pdf", ".eps", ".sgi", ".mpo", ".pcx", ".pgm", ".dib"):
        with pytest.raises(OutputError, match=rf"transparency, which \{suffix} cannot hold; .* or --background"):
            check_suffix(suffix, alpha=True)


@pytest.mark.parametrize(
    ("suffix", "start"), [(".pdf", b"%PDF"), (".eps", b"%!PS"), (".mpo", b"\xff\xd8"), (".PS", b"%!PS")]
)
def test_formats_that_pillow_only_writes(suffix: str, start: bytes) -> None:
    assert write(Picture(COLOURS, None, {}), suffix).startswith(start)


@pytest.mark.parametrize("suffix", [".xbm", ".blp", ".msp", ".palm", ".h5", ".grib", ".wmf", ".txt", ""])
def test_formats_that_hold_no_photographs_are_unknown(suffix: str) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        check_suffix(suffix)


@pytest.mark.parametrize("suffix", [".ico", ".icns"])
def test_a_picture_is_never_made_smaller(suffix: str) -> None:
    with pytest.raises(OutputError, match="sizes"):
        write(Picture(np.zeros((300, 400, 3), np.uint8), None, {}), suffix)


def test_gif_says_that_it_holds_few_colours() -> None:
    with pytest.warns(UserWarning, match="GIF holds 256 colours"):
        assert opened(write(Picture(COLOURS, None, {}), ".gif")).size == (30, 20)


def test_a_format_without_metadata_says_what_is_left_out() -> None:
    with pytest.warns(UserWarning, match="BMP holds no metadata; icc, xmp left out"):
        write(Picture(COLOURS, None, {"icc": icc_profiles.rgb("Display P3"), "xmp": b"<x/>"}), ".bmp")


def test_on_a_background_alpha_is_mixed_in_and_gray_stays_gray_on_gray() -> None:
    pixels, alpha = np.full((1, 3, 1), 100, np.uint8), np.array([[0, 51, 255]], np.uint8)
    gray = flatten(Picture(pixels, alpha, {}), colour_of("white"))
    assert gray.alpha is None and gray.pixels[..., 0].tolist() == [[255, 224, 100]]
    red = flatten(Picture(pixels, alpha, {"xmp": b"<x/>"}), colour_of("#f00"))
    assert red.pixels.tolist() == [[[255, 0, 0], [224, 20, 20], [100, 100, 100]]] and red.metadata == {"xmp": b"<x/>"}
    opaque = Picture(pixels, None, {})
    assert flatten(opaque, (1, 2, 3)) is opaque


def test_what_is_no_colour_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="'rouge' is no colour; one as white or #ffffff wanted"):
        colour_of("rouge")


def test_the_depth_of_jpeg_2000_and_avif_is_found() -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    deep = np.linspace(0, 1023, 64 * 64 * 3).astype(np.uint16).reshape(64, 64, 3)
    for data, bits in (
        (imagecodecs.jpeg2k_encode(deep, bitspersample=10, level=0, codecformat="jp2"), 10),
        (imagecodecs.jpeg2k_encode(deep * 64, level=0, codecformat="j2k"), 16),
        (imagecodecs.avif_encode(deep, bitspersample=10), 10),
        (imagecodecs.avif_encode(deep * 4, bitspersample=12), 12),
    ):
        with pytest.warns(UserWarning, match=f"x: {bits} bits per sample, reduced to 8"):
            found = read(data, "x").pixels
        assert np.abs(found - deep / 1023 * 255).mean() < 3
    read(imagecodecs.avif_encode((deep // 4).astype(np.uint8)), "x")


def seen(pixels: NDArray[np.uint8], icc: bytes) -> NDArray[np.int64]:
    """What a screen with colour management shows of it, in sRGB."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    shown = ImageCms.profileToProfile(Image.fromarray(pixels), profile, ImageCms.createProfile("sRGB"))
    return np.asarray(shown).astype(np.int64)


@pytest.fixture(scope="module")
def decoded(photo: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Picture]:
    """A photograph in Display P3, and what the shipped model makes of it."""
    vivid = ImageEnhance.Color(Image.fromarray(np.ascontiguousarray(photo[:160, :200]))).enhance(2.5)
    pixels = np.asarray(vivid).copy()
    picture = Picture(pixels, None, {"icc": icc_profiles.rgb("Display P3")})
    return pixels, codec.decode(codec.encode(picture, 95).data)


@pytest.mark.parametrize("suffix", HOLDERS)
def test_a_wide_gamut_photograph_looks_the_same_after_the_round_trip(
    suffix: str, decoded: tuple[NDArray[np.uint8], Picture]
) -> None:
    pixels, picture = decoded
    icc = icc_profiles.rgb("Display P3")
    image = opened(write(picture, suffix))
    assert image.info["icc_profile"] == icc
    wanted = seen(pixels, icc).mean((0, 1))
    shift = np.abs(seen(np.asarray(image.convert("RGB")), image.info["icc_profile"]).mean((0, 1)) - wanted).max()
    without_profile = np.abs(pixels.mean((0, 1)) - wanted).max()
    assert shift < 1.5 < 4 < without_profile, (shift, without_profile)


def test_gray_costs_what_gray_costs(photo: NDArray[np.uint8]) -> None:
    colour = np.ascontiguousarray(photo[:256, :256])
    gray = np.asarray(Image.fromarray(colour).convert("L"))[..., None]
    as_gray, as_rgb, coloured = (
        len(codec.encode(Picture(np.ascontiguousarray(pixels), None, {}), 60).data)
        for pixels in (gray, gray.repeat(3, axis=2), colour)
    )
    assert as_gray <= 1.01 * as_rgb and as_rgb < coloured
    with_alpha = replace(Picture(gray, None, {}), alpha=photo[:256, :256, 0].copy())
    found = codec.decode(codec.encode(with_alpha, 60).data)
    assert found.pixels.shape[2] == 1 and np.array_equal(images.read(write(found, ".png"), "x").alpha, with_alpha.alpha)


def test_nothing_is_allowed_by_default() -> None:
    assert Allowed() == Allowed(truncated=False, to_8bit=False, frame=None) == images.STRICT
