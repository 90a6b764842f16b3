"""What users hand in, good and bad, and the answer they get: one row for each kind, through the command itself."""

import dataclasses
import os
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from vlae_codec import bitstream, cli, codec, images, models
from vlae_codec.errors import CodecError
from vlae_codec.images import Picture
from vlae_codec.models import Model

COLOURS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
Run = Callable[..., tuple[int, str]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use_small_model: Model) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(models, "name_of", lambda model_id: "small")
    Path("a.vlae").write_bytes(codec.encode(Picture(COLOURS, None, {}), 50).data)


@pytest.fixture
def vlae(capfd: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments, prog_name="vlae")
        return int(ended.value.code or 0), capfd.readouterr().err

    return run


def file_of(name: str, image: Image.Image | None = None, **options: object) -> bytes:
    buffer = BytesIO()
    (image or Image.fromarray(COLOURS)).save(buffer, name, **options)
    return buffer.getvalue()


def png(width: int, height: int, depth: int = 8, colour: int = 2, rows: bytes = b"") -> bytes:
    chunks = (
        (b"IHDR", struct.pack(">2I5B", width, height, depth, colour, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    packed = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def frames(name: str) -> bytes:
    return file_of(name, save_all=True, append_images=[Image.fromarray(255 - COLOURS)])


def with_xmp(size: int) -> bytes:
    return images.write(Picture(COLOURS, None, {"xmp": bytes(size)}), ".png")


def vlae_file(**changes: object) -> bytes:
    container = bitstream.parse(Path("a.vlae").read_bytes())
    return bitstream.pack(dataclasses.replace(container, header=dataclasses.replace(container.header, **changes)))


Contents = bytes | Callable[[], bytes] | None
REFUSED: dict[str, tuple[str, Contents, int, str]] = {
    "1 missing": ("x.png", None, 3, "x.png: No such file or directory"),
    "2 empty": ("x.png", b"", 3, "x.png: empty file; a picture wanted"),
    "2 one byte": ("x.png", b"\x89", 3, "no picture in a format that can be read (PNG, JPEG"),
    "2 text": ("x.jpg", b"hello\n", 3, "no picture in a format"),
    "4 truncated PNG": ("x.png", lambda: file_of("PNG")[:-300], 3, "damaged or truncated picture"),
    "4 truncated JPEG": ("x.jpg", lambda: file_of("JPEG")[:-300], 3, "damaged or truncated picture"),
    "6 no columns": ("x.png", png(0, 5), 3, "x.png: "),
    "6 no rows": ("x.png", png(5, 0), 3, "x.png: "),
    "7 bomb": ("x.png", png(30000, 30000), 6, "the limit is 178956970 (--max-pixels); so many take about 11.1 GiB of"),
    "8 float": ("x.tif", lambda: file_of("TIFF", Image.new("F", (4, 4))), 3, "floating-point samples"),
    "8 32-bit": ("x.tif", lambda: file_of("TIFF", Image.new("I", (4, 4))), 3, "8 or 16 unsigned bits wanted"),
    "14 huge XMP": ("x.png", lambda: with_xmp(17 << 20), 6, "at most 16777216 are allowed"),
    "15 GIF": ("x.gif", lambda: frames("GIF"), 3, "2 frames or pages; a single picture wanted"),
    "15 APNG": ("x.png", lambda: frames("PNG"), 3, "2 frames or pages"),
    "15 TIFF pages": ("x.tif", lambda: frames("TIFF"), 3, "2 frames or pages"),
    "15 WebP": ("x.webp", lambda: frames("WEBP"), 3, "2 frames or pages"),
    "16 SVG": ("x.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", 3, "no picture in a format"),
    "16 EPS": ("x.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 3, "no picture in a format"),
    "16 PDF": ("x.pdf", b"%PDF-1.7\n", 3, "no picture in a format"),
    "16 HEIC": ("x.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", 3, "no picture in a format"),
    "19 empty .vlae": ("x.vlae", b"", 4, "x.vlae: empty file"),
    "19 other magic": ("x.vlae", b"RIFFxxxx", 4, "not a .vlae file"),
    "19 only a header": ("x.vlae", lambda: Path("a.vlae").read_bytes()[:18], 4, "truncated at byte"),
    "20 truncated": ("x.vlae", lambda: Path("a.vlae").read_bytes()[:-1], 4, "truncated at byte"),
    "21 bit flipped": ("x.vlae", lambda: Path("a.vlae").read_bytes()[:-1] + b"\xee", 4, "is damaged: CRC-32"),
    "22 trailing bytes": ("x.vlae", lambda: Path("a.vlae").read_bytes() * 2, 4, "after the last segment"),
    "23 larger than it is": ("x.vlae", lambda: vlae_file(width=33), 4, "x.vlae: "),
    "24 newer": ("x.vlae", lambda: b"VLAE\2" + bytes(40), 5, "format version 2; this program reads 1"),
    "24 unknown flag": ("x.vlae", lambda: b"VLAE\1\x80" + bytes(40), 5, "flags 0x80"),
}  # fmt: skip


@pytest.mark.parametrize("row", REFUSED)
def test_what_is_refused(row: str, vlae: Run) -> None:
    name, contents, code, message = REFUSED[row]
    if contents is not None:
        Path(name).write_bytes(contents if isinstance(contents, bytes) else contents())
    found, err = vlae("decode" if name.endswith(".vlae") else "encode", name, "-o", "out.png")
    assert (found, err.count("\n")) == (code, 1) and message in err, err
    assert not Path("out.png").exists()


ACCEPTED: dict[str, tuple[str, Contents, tuple[int, ...]]] = {
    "6 one pixel": ("x.png", lambda: file_of("PNG", Image.new("RGB", (1, 1))), (1, 1, 3)),
    "6 one column": ("x.png", lambda: file_of("PNG", Image.new("L", (1, 700))), (700, 1, 1)),
    "6 very wide": ("x.png", lambda: file_of("PNG", Image.new("RGB", (65500, 1))), (1, 65500, 3)),
    "8 16-bit colour": ("x.png", png(2, 1, 16, 2, b"\0" + bytes(range(12))), (1, 2, 3)),
    "8 16-bit gray": ("x.png", png(2, 1, 16, 0, b"\0" + bytes(range(4))), (1, 2, 1)),
    "9 CMYK": ("x.jpg", lambda: file_of("JPEG", Image.new("CMYK", (9, 8), (0, 90, 9, 3))), (8, 9, 3)),
    "10 palette": ("x.gif", lambda: file_of("GIF", Image.fromarray(COLOURS).quantize()), (20, 30, 3)),
    "12 turned": ("x.jpg", lambda: file_of("JPEG", exif=turned()), (30, 20, 3)),
    "13 broken profile": ("x.png", lambda: file_of("PNG", icc_profile=b"broken" * 30), (20, 30, 3)),
    "15 phone": ("x.jpg", lambda: frames("MPO"), (20, 30, 3)),
}


def turned() -> bytes:
    tags = Image.Exif()
    tags[0x0112] = 6
    return tags.tobytes()


@pytest.mark.parametrize("row", ACCEPTED)
def test_what_is_accepted(row: str, vlae: Run) -> None:
    name, contents, shape = ACCEPTED[row]
    assert contents is not None
    Path(name).write_bytes(contents if isinstance(contents, bytes) else contents())
    assert vlae("encode", name, "-o", "x.vlae") == (0, "")
    assert vlae("decode", "x.vlae", "-o", "out.png") == (0, "")
    assert images.read(Path("out.png").read_bytes(), "out.png").pixels.shape == shape


@pytest.mark.filterwarnings("default")
def test_3_what_counts_is_the_content_and_not_the_name(vlae: Run) -> None:
    Path("x.png").write_bytes(file_of("JPEG"))
    assert vlae("encode", "x.png") == (0, "vlae: warning: x.png: holds JPEG, in spite of its name\n")


def test_13_a_profile_of_a_megabyte_is_kept_byte_for_byte(vlae: Run) -> None:
    icc = bytes(16) + b"RGB " + os.urandom(10**6)
    Path("x.png").write_bytes(file_of("PNG", icc_profile=icc))
    assert vlae("encode", "x.png") == vlae("decode", "x.vlae", "-o", "out.png") == (0, "")
    assert images.read(Path("out.png").read_bytes(), "out.png").metadata == {"icc": icc}


def test_23_a_file_that_claims_to_be_huge_is_refused_before_anything_is_allocated(vlae: Run) -> None:
    container = bitstream.parse(Path("a.vlae").read_bytes())
    start = Path("a.vlae").read_bytes()[:16]
    assert len(container.segments) == 1
    Path("x.vlae").write_bytes(start + b"\xff\xff\xff\x07" * 2 + bytes(40))
    code, err = vlae("decode", "x.vlae")
    assert code == 6 and "16777215x16777215" in err and "GiB of memory" in err


def test_32_numbers_that_are_not_finite_are_an_error_of_ours(
    small_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_model.transforms, "analysis", lambda x, rate: torch.full((1, 16, 2, 2), float("nan")))
    with pytest.raises(CodecError, match="not finite"):
        codec.encode(Picture(COLOURS, None, {}), 50)


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
