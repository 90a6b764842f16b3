"""Pictures that users hand in, good and bad, and the answer they get: a row for each kind, through the command itself.

The number at the start of a row or a test is that of the kind; the others are in test_bad_files.py.
"""

import io
import os
import random
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import icc_profiles
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms

import vlae_codec
from vlae_codec import bitstream, codec, images, models
from vlae_codec.errors import CodecError
from vlae_codec.images import Picture
from vlae_codec.models import Model

pytestmark = pytest.mark.filterwarnings("always")  # they are what the user is told
COLOURS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
ALPHA = np.random.default_rng(1).integers(0, 256, (20, 30), dtype=np.uint8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
P3 = icc_profiles.rgb("Display P3")
Run = Callable[..., tuple[int, str, str]]
Contents = bytes | Callable[[], bytes] | None


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use_small_model: Model) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(models, "name_of", lambda model_id: "small")


def make(name: str, contents: Contents) -> None:
    if contents is not None:
        Path(name).write_bytes(contents if isinstance(contents, bytes) else contents())


def file_of(name: str, image: Image.Image | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    (image or Image.fromarray(COLOURS)).save(buffer, name, **options)
    return buffer.getvalue()


def with_alpha(mode: str = "RGBA") -> Image.Image:
    image = Image.fromarray(COLOURS).convert(mode[:-1])
    image.putalpha(Image.fromarray(ALPHA))
    return image


def png(width: int, height: int, depth: int = 8, colour: int = 2, rows: bytes = b"") -> bytes:
    chunks = (
        (b"IHDR", struct.pack(">2I5B", width, height, depth, colour, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    packed = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def frames(name: str) -> bytes:
    return file_of(name, save_all=True, append_images=[Image.fromarray(255 - COLOURS)], lossless=True)


def with_xmp(size: int) -> bytes:
    return images.write(Picture(COLOURS, None, {"xmp": bytes(size)}), ".png")


def with_profile(size: int) -> bytes:
    return file_of("PNG", icc_profile=icc_profiles.rgb("Adobe RGB", size))


def exif(**more: object) -> bytes:
    tags = Image.Exif()
    tags.update({0x010F: "Camera", 0x8825: {1: "N", 2: (51.0, 28.0, 38.0)}})
    tags.update({int(tag[1:]): value for tag, value in more.items()})
    return tags.tobytes()


def ycck() -> bytes:
    """Red: a JPEG of the Y, Cb and Cr of cyan and no black, whose Adobe marker says YCCK where Pillow writes CMYK."""
    data = file_of("JPEG", Image.new("CMYK", (16, 16), (255 - 179, 255 - 171, 255 - 1, 0)), quality=100)
    transform = data.index(b"Adobe") + 11
    return data[:transform] + b"\2" + data[transform + 1 :]


def encoded_and_decoded(vlae: Run, name: str, *options: str) -> tuple[Picture, str]:
    """What becomes of a file, and what the user was told."""
    code, _, told = vlae("encode", name, "-o", "x.vlae", *options)
    assert code == 0, told
    code, _, err = vlae("decode", "x.vlae", "-o", "out.png")
    assert (code, err) == (0, "")
    return images.read(Path("out.png").read_bytes(), "out.png"), told.replace("vlae: warning: ", "").rstrip()


REFUSED: dict[str, tuple[str, Contents, int, str]] = {
    "1 missing": ("x.png", None, 3, "x.png: No such file or directory"),
    "1 folder": (".", None, 3, ".: Is a directory"),
    "2 empty": ("x.png", b"", 3, "x.png: empty file; a picture wanted"),
    "2 one byte": ("x.png", b"\x89", 3, "no picture in a format that can be read (PNG, JPEG"),
    "2 text": ("x.jpg", b"hello\n", 3, "looks like text"),
    "2 another suffix": ("x.docx", b"PK\3\4\0\0", 3, "looks like a ZIP archive"),
    "2 a .vlae file": ("y.vlae", b"VLAE\1\0\0\0", 3, "looks like a .vlae file, which `vlae decode` reads"),
    "4 truncated PNG": ("x.png", lambda: file_of("PNG")[:-300], 3, "damaged or truncated picture"),
    "4 truncated JPEG": ("x.jpg", lambda: file_of("JPEG")[:-300], 3, "damaged or truncated picture"),
    "6 no columns": ("x.png", png(0, 5), 3, "x.png: "),
    "6 no rows": ("x.png", png(5, 0), 3, "x.png: "),
    "7 bomb": ("x.png", png(30000, 30000), 6, "the limit is 178956970 (--max-pixels); so many take about 11.1 GiB of"),
    "8 float": ("x.tif", lambda: file_of("TIFF", Image.new("F", (4, 4))), 3, "unsigned bits wanted, or --to-8bit"),
    "8 32-bit": ("x.tif", lambda: file_of("TIFF", Image.new("I", (4, 4))), 3, "8 or 16 unsigned bits wanted"),
    "14 huge XMP": ("x.png", lambda: with_xmp(17 << 20), 6, "at most 16777216 are allowed"),
    "14 huge profile": ("x.png", lambda: with_profile(17 << 20), 6, "(see --metadata)"),
    "15 GIF": ("x.gif", lambda: frames("GIF"), 3, "2 frames or pages; a single picture wanted, or --frame 0 to 1"),
    "15 APNG": ("x.png", lambda: frames("PNG"), 3, "2 frames or pages"),
    "15 TIFF pages": ("x.tif", lambda: frames("TIFF"), 3, "2 frames or pages"),
    "15 WebP": ("x.webp", lambda: frames("WEBP"), 3, "2 frames or pages"),
    "15 AVIF": ("x.avif", lambda: frames("AVIF"), 3, "2 frames or pages"),
    "16 SVG": ("x.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", 3, "looks like SVG"),
    "16 EPS": ("x.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 3, "looks like PostScript"),
    "16 PDF": ("x.pdf", b"%PDF-1.7\n", 3, "looks like a PDF"),
    "16 HEIC": ("x.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", 3, "no picture in a format"),
}  # fmt: skip


@pytest.mark.parametrize("row", REFUSED)
def test_what_is_refused(row: str, vlae: Run) -> None:
    name, contents, code, message = REFUSED[row]
    make(name, contents)
    found, _, err = vlae("encode", name, "-o", "out.vlae")
    assert (found, err.count("\n")) == (code, 1) and message in err, err
    assert not Path("out.vlae").exists()


REDUCED = "16 bits per sample, reduced to 8"
ACCEPTED: dict[str, tuple[str, Contents, tuple[int, ...], str]] = {
    "3 JPEG": ("x.png", lambda: file_of("JPEG"), (20, 30, 3), "x.png: holds JPEG, in spite of its name"),
    "3 WebP": ("x.png", lambda: file_of("WEBP"), (20, 30, 3), "x.png: holds WEBP, in spite of its name"),
    "6 one pixel": ("x.png", lambda: file_of("PNG", Image.new("RGB", (1, 1))), (1, 1, 3), ""),
    "6 one column": ("x.png", lambda: file_of("PNG", Image.new("L", (1, 700))), (700, 1, 1), ""),
    "6 very wide": ("x.png", lambda: file_of("PNG", Image.new("RGB", (65500, 1))), (1, 65500, 3), ""),
    "6 odd sides": ("x.png", lambda: file_of("PNG", Image.new("RGB", (33, 17))), (17, 33, 3), ""),
    "6 less than a latent": ("x.png", lambda: file_of("PNG", Image.new("RGB", (5, 3))), (3, 5, 3), ""),
    "8 RGB": ("x.png", png(2, 1, 16, 2, b"\0" + bytes(range(12))), (1, 2, 3), f"x.png: {REDUCED}"),
    "8 gray": ("x.png", png(2, 1, 16, 0, b"\0" + bytes(range(4))), (1, 2, 1), f"x.png: {REDUCED}"),
    "8 gray, alpha": ("x.png", png(2, 1, 16, 4, b"\0" + bytes(range(8))), (1, 2, 1), f"x.png: {REDUCED}"),
    "8 RGB, alpha": ("x.png", png(2, 1, 16, 6, b"\0" + bytes(range(16))), (1, 2, 3), f"x.png: {REDUCED}"),
    "8 PPM": ("x.ppm", b"P6 2 1 65535\n" + bytes(range(12)), (1, 2, 3), f"x.ppm: {REDUCED}"),
    "9 LAB": ("x.tif", lambda: file_of("TIFF", Image.new("LAB", (9, 8), (90, 9, 3))), (8, 9, 3), ""),
    "9 CMYK": (
        "x.jpg", lambda: file_of("JPEG", Image.new("CMYK", (9, 8), (0, 90, 9, 3))), (8, 9, 3),
        "x.jpg: CMYK without a profile that works, converted by a plain formula",
    ),
    "9 CMYK, profile": (
        "x.tif", lambda: file_of("TIFF", Image.new("CMYK", (9, 8)), icc_profile=icc_profiles.cmyk((255, 128, 128))),
        (8, 9, 3), "",
    ),
    "10 palette": ("x.gif", lambda: file_of("GIF", Image.fromarray(COLOURS).quantize()), (20, 30, 3), ""),
    "15 phone": ("x.jpg", lambda: frames("MPO"), (20, 30, 3), ""),
}  # fmt: skip


@pytest.mark.parametrize("row", ACCEPTED)
def test_what_is_accepted(row: str, vlae: Run) -> None:
    name, contents, shape, notice = ACCEPTED[row]
    make(name, contents)
    found, told = encoded_and_decoded(vlae, name)
    assert found.pixels.shape == shape and told == notice


def test_1_a_file_without_permission_is_an_unreadable_input(vlae: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    make("x.png", file_of("PNG"))

    def denied(_path: Path) -> bytes:  # chmod does not keep root out
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert vlae("encode", "x.png") == (3, "", "vlae: x.png: Permission denied\n")


@pytest.mark.parametrize(("name", "suffix"), [("PNG", "png"), ("JPEG", "jpg")])
def test_4_a_truncated_picture_is_taken_if_allowed_and_the_user_is_told(name: str, suffix: str, vlae: Run) -> None:
    make(f"x.{suffix}", file_of(name)[:-300])
    found, told = encoded_and_decoded(vlae, f"x.{suffix}", "--allow-truncated")
    assert found.pixels.shape == (20, 30, 3) and told.endswith("; what is missing is left blank")


def test_4_nothing_else_is_allowed_with_it_and_a_whole_picture_is_no_news(vlae: Run) -> None:
    make("x.png", file_of("PNG"))
    assert encoded_and_decoded(vlae, "x.png", "--allow-truncated")[1] == ""
    make("y.png", b"text")
    assert vlae("encode", "y.png", "--allow-truncated")[0] == 3


def test_5_flipped_bits_in_a_jpeg_are_not_seen_and_never_a_bug(vlae: Run) -> None:
    data, codes, dice = bytearray(file_of("JPEG", quality=95)), [], random.Random(0)
    start = data.index(b"\xff\xda") + 14
    for _ in range(12):
        damaged = data.copy()
        damaged[dice.randrange(start, len(data) - 2)] ^= 1 << dice.randrange(8)
        make("x.jpg", bytes(damaged))
        codes.append(vlae("encode", "x.jpg", "-o", "out.vlae", "--force")[0])
    assert set(codes) <= {0, 3} and codes.count(0) > 6


@pytest.mark.parametrize("kind", [np.float32, np.int32, np.uint32])
def test_8_samples_of_unknown_range_are_scaled_to_it_if_allowed(kind: type, vlae: Run) -> None:
    ramp = np.linspace(-4, 4, 1024).reshape(32, 32)
    samples = {np.float32: ramp * 10, np.int32: ramp * 2**28, np.uint32: (ramp + 4) * 2**28}[kind].astype(kind)
    data = file_of("TIFF", Image.fromarray(samples.view(np.int32) if kind is np.uint32 else samples))
    if kind is np.uint32:  # which Pillow reads and does not write
        signed, unsigned = (struct.pack("<HHIHH", 339, 3, 1, value, 0) for value in (2, 1))
        assert signed in data
        data = data.replace(signed, unsigned)
    make("x.tif", data)
    with warnings.catch_warnings(record=True) as caught:
        found = images.read(data, "x.tif", allowed=images.Allowed(to_8bit=True))
    assert np.abs(found.pixels.ravel() - np.linspace(0, 255, 1024)).max() <= 0.51
    assert len(caught) == 1 and "scaled to 8 bits" in str(caught[0].message)
    assert encoded_and_decoded(vlae, "x.tif", "--to-8bit")[1] == str(caught[0].message)


def test_8_floats_within_0_and_1_keep_their_brightness_and_what_is_not_finite_is_refused(vlae: Run) -> None:
    make("x.tif", file_of("TIFF", Image.fromarray(np.linspace(0.2, 0.6, 64, dtype=np.float32).reshape(8, 8))))
    allowed = images.Allowed(to_8bit=True)
    found = images.read(Path("x.tif").read_bytes(), "x.tif", allowed=allowed).pixels
    assert (found.min(), found.max()) == (51, 153)
    make("x.tif", file_of("TIFF", Image.fromarray(np.full((8, 8), np.nan, np.float32))))
    code, _, err = vlae("encode", "x.tif", "--to-8bit")
    assert code == 3 and "finite ones wanted" in err


def test_9_a_ycck_jpeg_has_the_colours_that_it_means(vlae: Run) -> None:
    make("x.jpg", ycck())
    pixels = images.read(ycck(), "x.jpg").pixels
    assert np.abs(pixels.astype(int) - [255, 0, 0]).max() <= 6
    assert encoded_and_decoded(vlae, "x.jpg")[0].pixels.shape == (16, 16, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_10_transparency_is_kept_without_loss_and_never_dropped_in_silence(mode: str, vlae: Run) -> None:
    image = with_alpha("LA" if mode == "LA" else "RGBA")
    if mode == "PA":
        image = Image.fromarray(COLOURS).quantize(64)
        image.info["transparency"] = bytes(range(0, 256, 4))
    wanted = np.asarray(image.convert("RGBA").getchannel("A"))
    make("x.png", file_of("PNG", image))
    found, told = encoded_and_decoded(vlae, "x.png")
    assert found.alpha is not None and np.array_equal(found.alpha, wanted) and told == ""
    assert found.pixels.shape[2] == (1 if mode == "LA" else 3)
    code, _, err = vlae("decode", "x.vlae", "-o", "out.jpg")
    assert code == 7 and "transparency, which .jpg cannot hold" in err and "--background" in err
    assert vlae("decode", "x.vlae", "-o", "out.jpg", "--background", "white")[0] == 0
    assert images.read(Path("out.jpg").read_bytes(), "out.jpg").alpha is None


def test_11_colours_under_full_transparency_may_change_and_no_others(vlae: Run) -> None:
    alpha = np.zeros((64, 64), np.uint8)
    alpha[16:48, 16:48] = 1
    noise = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    filled = images.fill_hidden(Picture(noise, alpha, {})).pixels
    assert np.array_equal(filled[alpha > 0], noise[alpha > 0])
    assert filled[:16].astype(int).std() < 40 < noise[:16].astype(int).std()
    make("x.png", file_of("PNG", Image.fromarray(np.dstack([noise, alpha]))))
    noisy = len(codec.encode(Picture(noise, alpha, {}), 50).data)
    encoded_and_decoded(vlae, "x.png")
    assert Path("x.vlae").stat().st_size < noisy
    assert "fully transparent may change" in vlae("encode", "--help")[1]


@pytest.mark.parametrize("value", range(2, 9))
def test_12_a_turned_picture_is_upright_and_its_tag_is_reset(value: int, vlae: Run) -> None:
    make("x.jpg", file_of("JPEG", exif=exif(_274=value)))
    found, _ = encoded_and_decoded(vlae, "x.jpg")
    width, height = (20, 30) if value > 4 else (30, 20)
    assert found.pixels.shape == (height, width, 3)
    assert found.metadata["exif"] == exif(_274=1).removeprefix(b"Exif\0\0")
    assert vlae("info", "x.vlae")[1].startswith(f"x.vlae: {width}x{height},")


@pytest.mark.parametrize(
    ("space", "size"), [("Display P3", 0), *(("Adobe RGB", size) for size in (0, 10**6, 3 * 10**6))]
)
def test_13_a_profile_is_kept_byte_for_byte_and_counts(space: str, size: int, vlae: Run) -> None:
    icc = icc_profiles.rgb(space, size)
    make("x.png", file_of("PNG", icc_profile=icc))
    found, told = encoded_and_decoded(vlae, "x.png")
    assert found.metadata == {"icc": icc} and told == ""
    sizes = bitstream.section_bits(Path("x.vlae").read_bytes())
    assert sizes.metadata > 0 and 8 * Path("x.vlae").stat().st_size > sizes.metadata > 0.9 * 8 * (len(icc) - 600)


def test_13_a_damaged_profile_is_kept_with_a_warning_and_left_out_on_demand(vlae: Run) -> None:
    damaged = b"broken" * 30
    make("x.png", file_of("PNG", icc_profile=damaged))
    code, _, err = vlae("encode", "x.png")
    assert (code, err) == (0, "vlae: warning: x.png: its colour profile is damaged, and kept as it is\n")
    assert bitstream.parse(Path("x.vlae").read_bytes()).metadata == {"icc": damaged}
    vlae("encode", "x.png", "--metadata", "exif,xmp", "--force")
    assert bitstream.parse(Path("x.vlae").read_bytes()).metadata == {}


def test_14_exif_with_a_place_is_kept_and_left_out_on_demand_and_so_is_what_is_too_large(vlae: Run) -> None:
    make("x.jpg", file_of("JPEG", exif=exif()))
    assert encoded_and_decoded(vlae, "x.jpg")[0].metadata == {"exif": exif().removeprefix(b"Exif\0\0")}
    for name, contents in (("x.jpg", None), ("y.png", lambda: with_xmp(17 << 20))):
        make(name, contents)
        assert vlae("encode", name, "-o", "x.vlae", "--metadata", "none", "--force")[0] == 0
        assert bitstream.parse(Path("x.vlae").read_bytes()).metadata == {}
    make("z.png", lambda: with_xmp(16 << 20))
    assert vlae("encode", "z.png")[0] == 0 and vlae("decode", "z.vlae", "-o", "zz.png", "--metadata", "icc")[0] == 0
    assert images.read(Path("zz.png").read_bytes(), "zz.png").metadata == {}


@pytest.mark.parametrize("name", ["GIF", "PNG", "TIFF", "WEBP", "AVIF", "MPO"])
def test_15_one_frame_of_several_is_taken_on_demand(name: str, vlae: Run) -> None:
    make("x", frames(name))
    one, two = (images.read(frames(name), "x", allowed=images.Allowed(frame=k)).pixels for k in (0, 1))
    lossy = 60  # of noise; of the other frame it would be 128
    first, second = COLOURS.astype(int), 255 - COLOURS.astype(int)
    assert np.abs(one - first).mean() < lossy and np.abs(two - second).mean() < lossy
    assert vlae("encode", "x", "--frame", "1")[0] == 0
    code, _, err = vlae("encode", "x", "--frame", "2", "--force")
    assert code == 3 and "frame 2 wanted; there are frames 0 to 1" in err


def test_16_heic_is_read_where_its_package_is_and_named_where_it_is_not(
    vlae: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    heif = pillow_heif.from_bytes("RGB", (30, 20), COLOURS.tobytes())
    heif.save("x.heic", quality=-1, exif=exif(_274=6), icc_profile=P3)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pillow_heif", None)
        code, _, err = vlae("encode", "x.heic")
        assert code == 3 and err.endswith("HEIC needs a package of its own: pip install 'vlae-codec[heif]'\n")
    found, told = encoded_and_decoded(vlae, "x.heic")
    assert found.pixels.shape == (30, 20, 3) and told == "" and found.metadata["icc"] == P3


def extreme(kind: str) -> NDArray[np.uint8]:
    y, x = np.mgrid[:96, :130]
    gray = {
        **{"black": 0 * x, "white": 0 * x + 255, "checkerboard": (x + y) % 2 * 255, "stripes": x // 3 % 2 * 255},
        "noise": np.random.default_rng(1).integers(0, 2, x.shape) * 255,
    }[kind]
    return np.repeat(gray.astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("kind", ["black", "white", "checkerboard", "stripes", "noise"])
@pytest.mark.parametrize("quality", [0, 100])
def test_31_pictures_unlike_any_photograph_make_the_round_trip_in_bounded_size(
    kind: str, quality: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the shipped model
    pixels = extreme(kind)
    data = codec.encode(Picture(pixels, None, {}), quality).data
    assert len(data) < pixels.size and codec.decode(data).pixels.shape == pixels.shape


def test_32_numbers_that_are_not_finite_are_an_error_of_ours(
    small_model: Model, vlae: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_model.transforms, "analysis", lambda x, rate: torch.full((1, 16, 2, 2), float("nan")))
    with pytest.raises(CodecError, match="not finite"):
        codec.encode(Picture(COLOURS, None, {}), 50)
    make("x.png", file_of("PNG"))
    code, out, err = vlae("encode", "x.png")
    assert (code, out) == (1, "") and "not finite" in err and err.count("\n") == 1


STARVED = """
import resource
import numpy, torch
from vlae_codec import cli, codec, images, jobs
codec.encode(images.Picture(numpy.zeros((64, 64, 3), numpy.uint8), None, {}))
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (60 << 20), resource.RLIM_INFINITY))
cli.main(["encode", "x.png"], prog_name="vlae")
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux only")
def test_33_want_of_memory_is_told_with_an_estimate(vlae: Run) -> None:
    make("x.png", png(8000, 4000, rows=bytes(4000 * (1 + 3 * 8000))))
    environment = os.environ | {"PYTHONPATH": str(Path(vlae_codec.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", STARVED], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 6, ended.stderr
    assert (
        ended.stderr.startswith("vlae: x.png: not enough memory; 32000000 pixels take about 1.4 GiB")
        and ended.stderr.count("\n") == 1
    )
    assert not Path("x.vlae").exists()


def test_33_the_estimate_comes_from_wherever_memory_is_wanting(vlae: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    make("x.png", file_of("PNG"))

    def fail(_image: Image.Image) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "load", fail)
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    assert vlae("encode", "x.png") == (6, "", "vlae: x.png: not enough memory; 600 pixels take about 1.0 GiB\n")
