import struct
import warnings
import zlib
from contextlib import suppress
from io import BytesIO
from typing import Any

import icc_profiles
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from vlae_codec.errors import InputError, LimitError, OutputError
from vlae_codec.images import Picture, Samples, check_suffix, read, write

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = "<x:xmpmeta>é</x:xmpmeta>".encode()
COLOURS = np.random.default_rng(0).integers(0, 256, (13, 17, 3), dtype=np.uint8)
ALPHA = np.arange(13 * 17, dtype=np.uint8).reshape(13, 17)
SMOOTH = np.stack([ALPHA, ALPHA // 2, 200 - ALPHA // 3], axis=2)
RAMP = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16) + np.uint16(100)
EXACT = [".png", ".webp", ".tif", ".tiff", ".bmp", ".ppm"]
NEAR = [".jpg", ".jpeg", ".avif"]
MULTIPLE = ["GIF", "PNG", "WEBP", "TIFF", "AVIF"]


def file_of(image: Image.Image | Samples, name: str, **options: Any) -> bytes:
    buffer = BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, name, **options)
    return buffer.getvalue()


def exif(orientation: int = 1) -> bytes:
    tags = Image.Exif()
    tags.update({0x010F: "Camera", 0x0112: orientation, 0x8769: {0x9003: "2026:01:02 03:04:05"}})
    return tags.tobytes().removeprefix(b"Exif\0\0")


def png(width: int, height: int, depth: int, colour: int, rows: bytes, **chunks: bytes) -> bytes:
    header = struct.pack(">2I5B", width, height, depth, colour, 0, 0, 0)
    chunks = {"IHDR": header, **chunks, "IDAT": zlib.compress(rows), "IEND": b""}
    packed = [struct.pack(">I", len(data)) + name.encode() + data for name, data in chunks.items()]
    return b"\x89PNG\r\n\x1a\n" + b"".join(part + struct.pack(">I", zlib.crc32(part[4:])) for part in packed)


def tiff(bits: int, photometric: int, rows: bytes) -> bytes:
    values = {256: 4, 257: 1, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: 1, 279: len(rows)}
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
    return b"II*\0" + struct.pack("<I", 8 + len(rows)) + rows + struct.pack("<H", len(values)) + tags + bytes(4)


def largest_error(a: Samples, b: Samples) -> int:
    return int(np.abs(a.astype(int) - b).max())


@pytest.mark.parametrize("suffix", EXACT)
def test_lossless_formats_return_every_sample(suffix: str) -> None:
    assert np.array_equal(read(write(Picture(COLOURS, None, {}), suffix), "x").pixels, COLOURS)


@pytest.mark.parametrize("suffix", EXACT + NEAR)
def test_gray_comes_back_gray_but_from_webp_which_has_none(suffix: str) -> None:
    found = read(write(Picture(SMOOTH[..., :1], None, {}), suffix), "x").pixels
    assert found.shape[2] == (3 if suffix == ".webp" else 1)
    assert largest_error(found, SMOOTH[..., :1]) <= (6 if suffix in NEAR else 0)


@pytest.mark.parametrize("suffix", NEAR)
def test_jpeg_and_avif_are_near_lossless(suffix: str) -> None:
    assert largest_error(read(write(Picture(SMOOTH, None, {}), suffix), "x").pixels, SMOOTH) <= 6


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_alpha_and_the_colours_it_hides_come_back(suffix: str, channels: int) -> None:
    found = read(write(Picture(COLOURS[..., :channels], ALPHA, {}), suffix), "x")
    assert np.array_equal(found.alpha, ALPHA) and (found.pixels == COLOURS[..., :channels]).all()


@pytest.mark.parametrize("suffix", [".jpg", ".bmp", ".ppm"])
def test_alpha_into_a_format_without_it_is_refused(suffix: str) -> None:
    with pytest.raises(OutputError, match=r"transparency, which \S+ cannot hold; one of \.png \.webp"):
        write(Picture(COLOURS, ALPHA, {}), suffix)


@pytest.mark.parametrize("suffix", [".png", ".JPG", ".webp", ".avif"])
def test_metadata_comes_back_byte_for_byte(suffix: str) -> None:
    metadata = {"icc": SRGB, "exif": exif(), "xmp": XMP}
    assert read(write(Picture(COLOURS, None, metadata), suffix), "x").metadata == metadata


def test_tiff_whose_tags_exif_becomes_keeps_what_it_says() -> None:
    found = read(write(Picture(COLOURS, None, {"icc": SRGB, "exif": exif(), "xmp": XMP}), ".tif"), "x").metadata
    tags = Image.Exif()
    tags.load(found["exif"])
    assert (found["icc"], found["xmp"]) == (SRGB, XMP)
    assert tags[0x010F] == "Camera" and tags.get_ifd(0x8769)[0x9003] == "2026:01:02 03:04:05"


def test_layout_tags_in_exif_do_not_reach_the_tiff_that_is_written() -> None:
    tags = Image.Exif()
    tags.update({0x0100: 4000, 0x0101: 3000, 0x010F: "Camera"})
    metadata = {"exif": tags.tobytes()[6:]}
    assert np.array_equal(read(write(Picture(COLOURS, None, metadata), ".tif"), "x").pixels, COLOURS)


@pytest.mark.parametrize("value", range(2, 9))
@pytest.mark.parametrize("name", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_is_applied_to_pixels_and_alpha(name: str, value: int) -> None:
    image = Image.fromarray(np.dstack([SMOOTH, 255 - ALPHA]))
    found = read(
        file_of(image, name, exif=exif(value), quality=100, subsampling="4:4:4", lossless=True, exact=True), "x"
    )
    image.getexif()[0x0112] = value
    wanted = np.asarray(ImageOps.exif_transpose(image))
    assert found.alpha is not None and largest_error(np.dstack([found.pixels, found.alpha]), wanted) <= 9
    assert np.array_equal(read(write(found, ".png"), "x").pixels, found.pixels)


def test_orientation_is_1_afterwards_and_the_rest_of_exif_the_same() -> None:
    assert read(file_of(COLOURS, "PNG", exif=exif(6)), "x").metadata["exif"] == exif(1)


def test_opaque_alpha_is_dropped() -> None:
    assert read(file_of(Image.new("RGBA", (3, 2), (1, 2, 3, 255)), "PNG"), "x").alpha is None


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P"])
def test_a_transparent_colour_becomes_alpha(mode: str) -> None:
    image = Image.new(mode, (2, 1), 0 if mode != "RGB" else (0, 0, 0))
    image.putpixel((1, 0), 1 if mode != "RGB" else (9, 9, 9))
    found = read(file_of(image, "PNG", transparency=0 if mode != "RGB" else (0, 0, 0)), "x")
    assert found.alpha is not None and found.alpha.tolist() == [[0, 255]]
    assert found.pixels.shape[2] == (1 if mode in ("1", "L") else 3)


def test_a_transparent_value_of_16_bits_becomes_alpha() -> None:
    rows = b"\0" + struct.pack(">2H", 0x1234, 0x1235)
    with pytest.warns(UserWarning, match="x: 16 bits per sample, reduced to 8"):
        found = read(png(2, 1, 16, 0, rows, tRNS=struct.pack(">H", 0x1234)), "x")
    assert found.alpha is not None and found.alpha.tolist() == [[0, 255]] and (found.pixels == 0x12).all()


def test_one_bit_becomes_black_and_white() -> None:
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert read(file_of(image, "PNG"), "x").pixels.tolist() == [[[0], [255]]]


@pytest.mark.parametrize("name", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_gray_of_16_bits_is_scaled_and_rounded(name: str) -> None:
    wanted = np.round(RAMP / 257).astype(np.uint8)
    with pytest.warns(UserWarning, match="x: 16 bits per sample, reduced to 8"):
        assert np.array_equal(read(file_of(RAMP, name), "x").pixels[..., 0], wanted)


def test_tiff_of_12_bits_and_tiff_where_white_is_zero_are_scaled() -> None:
    rows = int("000800fff400", 16).to_bytes(6, "big")
    with pytest.warns(UserWarning, match="x: 12 bits per sample"):
        assert read(tiff(12, 1, rows), "x").pixels.ravel().tolist() == [0, 128, 255, 64]
    inverted = struct.pack("<4H", 0, 0x8080, 0xFFFF, 257)
    with pytest.warns(UserWarning, match="x: 16 bits per sample"):
        assert read(tiff(16, 0, inverted), "x").pixels.ravel().tolist() == [255, 127, 0, 254]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_samples_of_unknown_range_are_refused(dtype: type) -> None:
    with pytest.raises(InputError, match=r"x.tif: .* samples, whose range nothing tells"):
        read(file_of(np.ones((4, 4), dtype), "TIFF"), "x.tif")


@pytest.mark.parametrize(("mode", "name"), [("CMYK", "JPEG"), ("CMYK", "TIFF"), ("YCbCr", "TIFF"), ("LAB", "TIFF")])
def test_other_colour_models_become_rgb_without_their_profile(mode: str, name: str) -> None:
    image = Image.new(mode, (8, 8), (0, 0, 0, 0)[: len(Image.new(mode, (1, 1)).getbands())])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = read(file_of(image, name, icc_profile=b"broken" * 30), "x")
    assert found.pixels.shape == (8, 8, 3) and "icc" not in found.metadata
    told = ["x: CMYK without a profile that works, converted by a plain formula"] if mode == "CMYK" else []
    assert [str(warning.message) for warning in caught] == told


@pytest.mark.parametrize(("lab", "rgb"), [((255, 128, 128), (255, 255, 255)), ((0, 128, 128), (0, 0, 0))])
def test_cmyk_is_converted_by_its_own_profile(lab: tuple[int, int, int], rgb: tuple[int, int, int]) -> None:
    data = file_of(Image.new("CMYK", (8, 8), (90, 20, 30, 0)), "TIFF", icc_profile=icc_profiles.cmyk(lab))
    assert tuple(read(data, "x").pixels[0, 0]) == rgb


def test_a_profile_is_kept_only_by_the_samples_it_describes() -> None:
    gray, gray_profile = Image.new("L", (4, 4), 128), icc_profiles.gray()
    assert read(file_of(gray, "PNG", icc_profile=gray_profile), "x").metadata == {"icc": gray_profile}
    with pytest.warns(UserWarning, match="x: its colour profile is for RGB and not for GRAY, and is left out"):
        assert read(file_of(gray, "PNG", icc_profile=SRGB), "x").metadata == {}
    with pytest.warns(UserWarning, match="x: its colour profile is for GRAY and not for RGB, and is left out"):
        assert read(file_of(gray.convert("RGB"), "PNG", icc_profile=gray_profile), "x").metadata == {}


def test_webp_gets_profiled_gray_as_srgb() -> None:
    gray = Picture(np.full((4, 4, 1), 128, np.uint8), None, {"icc": icc_profiles.gray()})
    found = read(write(gray, ".webp"), "x")
    assert found.metadata == {} and (found.pixels == 188).all()


@pytest.mark.parametrize("name", MULTIPLE)
def test_several_frames_or_pages_are_refused_with_their_number(name: str) -> None:
    others = [Image.new("RGB", (8, 8), (80 * i, 0, 0)) for i in (1, 2)]
    data = file_of(Image.new("RGB", (8, 8)), name, save_all=True, append_images=others)
    with pytest.raises(InputError, match=r"x: 3 frames or pages; a single picture wanted"):
        read(data, "x")


def test_a_phones_mpo_is_its_first_picture() -> None:
    preview = Image.new("RGB", (8, 8), (255, 0, 0))
    data = file_of(Image.new("RGB", (16, 16), (9, 9, 9)), "MPO", save_all=True, append_images=[preview])
    assert (read(data, "x").pixels == np.full((16, 16, 3), 9)).all()


@pytest.mark.parametrize("data", [b"", b"\0", b"text", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg/>", b"VLAE\1"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"x: (empty file|no picture in a format that can be read)"):
        read(data, "x")


@pytest.mark.parametrize("suffix", EXACT + NEAR)
def test_a_truncated_picture_is_refused(suffix: str) -> None:
    data = write(Picture(COLOURS, None, {}), suffix)
    for size in range(len(data) // 2, len(data) - 40, 7):
        with pytest.raises(InputError, match="x: "):
            read(data[:size], "x")


@pytest.mark.filterwarnings("default")  # of what a format does not hold, or has damaged
@given(st.sampled_from(EXACT + NEAR), st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 255)), max_size=9))
def test_damage_raises_nothing_but_input_and_limit_errors(suffix: str, damage: list[tuple[int, int]]) -> None:
    data = bytearray(write(Picture(COLOURS, ALPHA if suffix == ".png" else None, {"exif": exif(6)}), suffix))
    for at, value in damage:
        data[at % len(data)] = value
    with suppress(InputError, LimitError):
        assert read(bytes(data), "x", max_pixels=10**6).pixels.size


def test_too_many_pixels_are_refused_by_the_header_with_numbers() -> None:
    with pytest.raises(
        LimitError, match=r"x: 30000x30000 = 900000000 pixels; the limit is 100 \(--max-pixels\).*11.1 GiB"
    ):
        read(png(30000, 30000, 8, 2, b""), "x", max_pixels=100)


@pytest.mark.parametrize("name", ["PNG", "TIFF", "WEBP", "GIF"])
def test_pillows_own_limit_neither_warns_nor_refuses_and_is_restored(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = file_of(COLOURS, name)
    for limit in (150, 10):  # one pixel above which Pillow warns, and twice which it refuses
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert read(data, "x").pixels.shape == COLOURS.shape
        with pytest.raises(InputError):
            read(b"text", "x")
        assert limit == Image.MAX_IMAGE_PIXELS


def test_an_unknown_suffix_is_refused_with_those_that_can_be_written() -> None:
    with pytest.raises(OutputError, match=r"cannot write \.xyz; one of \.png \.jpg .* wanted"):
        check_suffix(".xyz")
    with pytest.raises(OutputError, match="a name without suffix"):
        write(Picture(COLOURS, None, {}), "")


def test_what_a_format_cannot_hold_is_refused() -> None:
    with pytest.raises(OutputError, match="cannot be written as JPEG"):
        write(Picture(np.zeros((1, 65536, 3), np.uint8), None, {}), ".jpg")
    with pytest.raises(OutputError, match="cannot be written as JPEG"):
        write(Picture(COLOURS, None, {"xmp": bytes(70000)}), ".jpg")
