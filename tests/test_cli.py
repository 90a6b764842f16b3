import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import icc_profiles
import numpy as np
import pytest
from fake_codec import MODEL, Encoded, FakeCodec

import vlae_codec
from vlae_codec import bitstream, cli, console, images, models
from vlae_codec.errors import CodecError
from vlae_codec.images import Picture

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
ALPHA = np.arange(48, dtype=np.uint8).reshape(6, 8)
NAMES = ["two words", "new\nline", "日本 📷", os.fsdecode(b"not utf-8 \xff"), "-dash"]
LITTLE_MEMORY = "vlae: a.png: not enough memory; 48 pixels take about 1.0 GiB\n"
Run = Callable[..., tuple[int, str, str]]


class PanicException(BaseException):
    """Named as what Rust extensions raise."""


@pytest.fixture(autouse=True)
def codec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCodec]:
    """A codec without networks, in a folder with one picture where no temporary file may stay."""
    fake = FakeCodec("vlae_codec.codec")
    monkeypatch.setitem(sys.modules, "vlae_codec.codec", fake)
    monkeypatch.setattr(vlae_codec, "codec", fake, raising=False)
    monkeypatch.setattr(models, "name_of", {MODEL: "psnr"}.get)
    monkeypatch.chdir(tmp_path)
    Path("a.png").write_bytes(images.write(Picture(PIXELS, None, {}), ".png"))
    yield fake
    assert not list(tmp_path.rglob(".vlae-*"))


def names() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def pixels_of(path: str) -> Any:
    return images.read(Path(path).read_bytes(), path).pixels


def test_encode_and_decode_put_their_outputs_beside_their_inputs(vlae: Run) -> None:
    assert vlae("encode", "a.png")[0] == 0 and names() == ["a.png", "a.vlae"]
    assert vlae("decode", "a.vlae", "--force")[0] == 0
    assert np.array_equal(pixels_of("a.png"), PIXELS & 0xFE)


@pytest.mark.parametrize("name", NAMES)
def test_any_name_makes_the_round_trip(name: str, vlae: Run) -> None:
    Path(name + ".png").write_bytes(Path("a.png").read_bytes())
    code, out, err = vlae("encode", "--", name + ".png")
    assert (code, err, out.count("\n")) == (0, "", 1)
    code, out, _ = vlae("decode", "--json", "-o", "x.webp", "--", name + ".vlae")
    assert code == 0 and json.loads(out)["input"] == name + ".vlae"
    assert np.array_equal(pixels_of("x.webp"), PIXELS & 0xFE)


def test_encode_prints_size_quality_bytes_rate_and_seconds(vlae: Run) -> None:
    code, out, err = vlae("encode", "-q", "33.3", "--verify", "a.png")
    size = Path("a.vlae").stat().st_size
    assert code == 0 and err == ""
    start = f"a.png -> a.vlae: 8x6, quality 33.3, model psnr, {size} bytes, {8 * size / 48:.3f} bpp, 0."
    assert out.startswith(start) and " dB" in out and "MS-SSIM" not in out


def test_the_json_of_encode_has_these_keys_and_adds_up(vlae: Run) -> None:
    _, out, err = vlae("encode", "--json", "--verify", "-q", "57.25", "a.png")
    record = json.loads(out)
    keys = "input output width height quality effort model bytes bpp seconds ledger psnr ms_ssim"
    assert set(record) == set(keys.split()) and err == ""
    ledger = record["ledger"]
    keys = "container metadata alpha y z_gross bits_back theoretical actual overhead"
    assert list(ledger) == keys.split()
    size = Path("a.vlae").stat().st_size
    assert 8 * size == 8 * record["bytes"] == sum(ledger[key] for key in ("container", "metadata", "alpha", "actual"))
    assert (record["width"], record["height"], record["bpp"], record["effort"]) == (8, 6, 8 * size / 48, 3)
    assert record["quality"] == 57.2 and 40 < record["psnr"] < 60 and record["ms_ssim"] is None


def test_equal_pictures_have_no_psnr_in_json(vlae: Run) -> None:
    Path("even.png").write_bytes(images.write(Picture(PIXELS & 0xFE, None, {}), ".png"))
    assert json.loads(vlae("encode", "--json", "--verify", "even.png")[1])["psnr"] is None


def test_the_json_of_decode_and_info_has_these_keys(vlae: Run) -> None:
    vlae("encode", "a.png")
    decoded = json.loads(vlae("decode", "a.vlae", "--json", "-o", "b.png")[1])
    assert list(decoded) == ["input", "output", "width", "height", "seconds"]
    about = json.loads(vlae("info", "--json", "a.vlae")[1])
    assert list(about) == ["input", "width", "height", "quality", "model", "bytes", "bpp", "gray", "sizes"]
    assert 8 * about["bytes"] == sum(about["sizes"].values()) and about["model"] == "psnr"
    assert json.loads(vlae("info", "--json", "--bits", "a.vlae")[1])["ledger"]["bits_back"] == 20.5


def test_bits_is_a_table_whose_lines_add_up(vlae: Run) -> None:
    tables = [
        vlae("encode", "--bits", "a.png")[1].splitlines()[1:],
        vlae("info", "--bits", "a.vlae")[1].splitlines()[1:],
    ]
    assert tables[0] == tables[1]
    total = 0.0
    for line in tables[0]:
        bits = float(line.rsplit(" bits", 1)[0].split()[-1])
        total, expected = (bits, total) if line.startswith("=") else (total + bits, bits)
        assert not line.startswith("=") or total == pytest.approx(expected)
    assert total == 8 * Path("a.vlae").stat().st_size


def test_alpha_and_metadata_survive_the_round_trip(vlae: Run) -> None:
    metadata = {"xmp": b"<x/>"}
    Path("t.png").write_bytes(images.write(Picture(PIXELS, ALPHA, metadata), ".png"))
    assert vlae("encode", "--verify", "t.png")[0] == vlae("decode", "t.vlae", "-o", "u.webp")[0] == 0
    found = images.read(Path("u.webp").read_bytes(), "u.webp")
    assert np.array_equal(found.alpha, ALPHA) and found.metadata == metadata
    code, _, err = vlae("decode", "t.vlae", "-o", "u.jpg")
    assert code == 7 and err.startswith("vlae: u.jpg: the picture has transparency, which .jpg cannot hold")


@pytest.mark.parametrize(
    ("option", "kept"),
    [([], {"icc", "exif", "xmp"}), (["all"], {"icc", "exif", "xmp"}), (["none"], set()), (["xmp,icc"], {"icc", "xmp"})],
)
def test_metadata_is_kept_as_chosen(option: list[str], kept: set[str], vlae: Run) -> None:
    metadata = {"icc": icc_profiles.gray(), "exif": b"II*\0\x08\0\0\0\0\0\0\0\0\0", "xmp": b"<x/>"}
    Path("m.png").write_bytes(images.write(Picture(PIXELS[:, :, :1], None, metadata), ".png"))
    code, _, err = vlae("encode", "--verify", *(["--metadata", *option] if option else []), "m.png")
    assert code == 0, err
    assert set(bitstream.parse(Path("m.vlae").read_bytes(), 100).metadata) == kept


def test_verify_writes_nothing_when_alpha_or_metadata_is_lost(codec: FakeCodec, vlae: Run) -> None:
    codec.damage = lambda picture: Picture(picture.pixels, ALPHA, {})
    code, _, err = vlae("encode", "--verify", "a.png")
    assert code == 1 and "does not give back" in err and names() == ["a.png"]


def test_several_inputs_go_into_a_folder(vlae: Run) -> None:
    Path("out").mkdir()
    Path("b.png").write_bytes(Path("a.png").read_bytes())
    assert vlae("encode", "-o", "out", "a.png", "b.png")[0] == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.vlae", "b.vlae"]


def test_bad_files_do_not_stop_the_others(codec: FakeCodec, vlae: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.png", "panic.png", "c.png"):
        Path(name).write_bytes(Path("a.png").read_bytes() if name != "b.png" else b"text")
    encode = codec.encode
    raised = iter([None, PanicException("std > 0")])

    def fail_second(*arguments: Any, **options: Any) -> Encoded:
        if error := next(raised, None):
            raise error
        return encode(*arguments, **options)

    monkeypatch.setattr(codec, "encode", fail_second)
    code, out, err = vlae("encode", "--json", "a.png", "b.png", "panic.png", "c.png", "none.png")
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 9 and [record.get("output") for record in records] == ["a.vlae", None, None, "c.vlae", None]
    assert [record.get("exit_code", 0) for record in records] == [0, 3, 1, 0, 3]
    first, second, third, last = err.splitlines()
    assert first.startswith("vlae: b.png: no picture") and third.startswith("vlae: none.png: No such file")
    assert second.startswith("vlae: panic.png: internal error: PanicException: std > 0 (please report this")
    assert last == "vlae: 3 of 5 files failed"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (CodecError("first\nsecond"), 1, "vlae: a.png: first second\n"),
        (
            ValueError("oops"),
            1,
            "vlae: internal error: ValueError: oops (please report this, with what VLAE_DEBUG=1 prints)\n",
        ),
        (
            PanicException("oops"),
            1,
            "vlae: internal error: PanicException: oops (please report this, with what VLAE_DEBUG=1 prints)\n",
        ),
        (MemoryError(), 6, LITTLE_MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 6, LITTLE_MEMORY),
        (KeyboardInterrupt(), 130, "vlae: interrupted\n"),
    ],
)
def test_what_goes_wrong_is_one_line_and_its_code_and_leaves_nothing(
    error: BaseException, code: int, message: str, codec: FakeCodec, vlae: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Encoded:
        raise error

    monkeypatch.setattr(codec, "encode", fail)
    assert vlae("encode", "a.png") == (code, "", message)
    assert names() == ["a.png"]
    monkeypatch.setenv("VLAE_DEBUG", "1")
    assert "Traceback" in vlae("encode", "a.png")[2]


def test_an_interrupt_stops_a_batch(codec: FakeCodec, vlae: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> Encoded:
        raise KeyboardInterrupt

    monkeypatch.setattr(codec, "encode", interrupt)
    Path("b.png").write_bytes(Path("a.png").read_bytes())
    assert vlae("encode", "a.png", "b.png") == (130, "", "vlae: interrupted\n")


@pytest.mark.parametrize("target", [["--size", "0.14k"], ["--size", "140"], ["--bpp", "23.4"]])
def test_a_size_is_a_ceiling_for_the_whole_file(target: list[str], vlae: Run) -> None:
    code, out, err = vlae("encode", "--json", *target, "a.png")
    assert code == 0, err
    record = json.loads(out)
    assert 100 < record["bytes"] == Path("a.vlae").stat().st_size <= 140
    assert 0 < record["quality"] < 50


@pytest.mark.parametrize("target", [["--size", "140"], ["--psnr", "35"]])
def test_a_target_is_met_with_a_search_too_in_few_more_passes(
    target: list[str], codec: FakeCodec, vlae: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    efforts: list[int] = []
    encode = codec.encode

    def noting(*arguments: Any, effort: int, **options: Any) -> Encoded:
        efforts.append(effort)
        return encode(*arguments, effort=effort, **options)

    monkeypatch.setattr(codec, "encode", noting)
    code, out, err = vlae("encode", "--json", "--verify", "-e", "6", *target, "a.png")
    assert code == 0, err
    record = json.loads(out)
    assert record["effort"] == 6
    assert record["bytes"] <= 140 if "--size" in target else record["psnr"] >= 35
    assert efforts == sorted(efforts) and set(efforts) == {3, 6} and len(efforts) <= 10 and efforts.count(6) <= 3


@pytest.mark.parametrize("effort", ["3", "6"])
def test_progress_towards_a_target_rises_to_one_at_most(
    effort: str, vlae: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []

    @contextmanager
    def noting(_name: str) -> Iterator[Callable[[float], None]]:
        yield seen.append

    monkeypatch.setattr(console, "_progress", noting)
    assert vlae("encode", "-e", effort, "--size", "140", "a.png")[0] == 0
    assert seen == sorted(seen) and seen[0] > 0 and seen[-1] <= 1 and len(seen) > 2


def test_a_target_that_only_a_higher_effort_reaches_is_reached(
    codec: FakeCodec, vlae: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = codec.encode

    def smaller(picture: Picture, quality: float, *, effort: int, **options: Any) -> Encoded:
        small = replace(picture, pixels=picture.pixels >> 7 << 7) if effort == 6 else picture
        return encode(small, quality, effort=effort, **options)

    monkeypatch.setattr(codec, "encode", smaller)
    smallest = len(smaller(Picture(pixels_of("a.png"), None, {}), 0, effort=6).data)
    assert vlae("encode", "--size", str(smallest), "a.png")[0] == 8
    assert vlae("encode", "-e", "6", "--size", str(smallest), "a.png")[0] == 0
    assert Path("a.vlae").stat().st_size <= smallest


def test_a_psnr_is_a_floor(vlae: Run) -> None:
    code, out, err = vlae("encode", "--json", "--verify", "--psnr", "35", "a.png")
    assert code == 0, err
    assert 35 <= json.loads(out)["psnr"] < 45


@pytest.mark.parametrize(
    ("target", "message"), [(["--size", "20"], "the smallest possible file has"), (["--psnr", "90"], "dB is the most")]
)
def test_what_cannot_be_reached_is_refused_with_the_best_value(target: list[str], message: str, vlae: Run) -> None:
    code, out, err = vlae("encode", *target, "a.png")
    assert (code, out) == (8, "") and err.startswith("vlae: a.png: ") and message in err
    assert names() == ["a.png"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["encode", "-q", "nan", "a.png"], 2, "nan is not in the range 0<=x<=100."),
        (["encode", "-q", "100.1", "a.png"], 2, "100.1 is not in the range 0<=x<=100."),
        (["encode", "-q", "-inf", "a.png"], 2, "is not in the range"),
        (["encode", "--max-pixels", "0", "a.png"], 2, "is not in the range x>=1"),
        (["encode"], 2, "Missing argument 'IN...'"),
        (["encode", "--metadata", "gps", "a.png"], 2, "'gps'; all, none, or some of icc,exif,xmp wanted."),
        (["encode", "--size", "nan", "a.png"], 2, "'nan' is no number of bytes"),
        (["encode", "--size", "20x", "a.png"], 2, "'20x' is no number of bytes"),
        (["encode", "--size", "-3", "a.png"], 2, "--size -3; a positive number wanted"),
        (["encode", "--bpp", "nan", "a.png"], 2, "--bpp nan; a positive number wanted"),
        (["encode", "--psnr", "inf", "a.png"], 2, "--psnr inf; a positive number wanted"),
        (["encode", "--bpp", "1", "--psnr", "30", "a.png"], 2, "--bpp and --psnr given; one target wanted"),
        (["encode", "-q", "50", "--size", "9k", "a.png"], 2, "-q and --size given; one of them wanted"),
        (["encode", "a.png", "./a.png"], 2, "a.png and ./a.png would both be written to a.vlae"),
        (["encode", "--json", "-o", "-", "a.png"], 2, "stdout cannot take both the output and --json"),
        (["encode", "none.png"], 3, "none.png: No such file or directory"),
        (["encode", "."], 3, ".: Is a directory; --recursive takes the files in it"),
        (["encode", "text.vlae", "-o", "x"], 3, "text.vlae: no picture in a format that can be read"),
        (["decode", "text.vlae"], 4, "text.vlae: not a .vlae file"),
        (["info", "text.vlae"], 4, "text.vlae: not a .vlae file"),
        (["decode", "--region", "1,2,3", "text.vlae"], 2, "region '1,2,3'; X,Y,W,H in pixels wanted"),
        (["decode", "--jobs", "-1", "text.vlae"], 2, "is not in the range x>=0"),
        (["decode", "empty.vlae"], 4, "empty.vlae: empty file"),
        (["info", "newer.vlae"], 5, "newer.vlae: format version 2; this program reads 1"),
        (["encode", "--max-pixels", "47", "a.png"], 6, "a.png: 8x6 = 48 pixels; the limit is 47 (--max-pixels)"),
        (["encode", "a.png", "-o", "a.png", "--force"], 7, "a.png is an input of this call"),
        (["encode", "a.png", "-o", "text.vlae"], 7, "text.vlae exists; --force overwrites it"),
        (["encode", "a.png", "-o", "no/x.vlae"], 7, "no/x.vlae: there is no folder no"),
        (["decode", "text.vlae", "-o", "x.xyz"], 7, "x.xyz: cannot write .xyz; one of .png"),
    ],
)
def test_refusals(arguments: list[str], code: int, message: str, vlae: Run) -> None:
    Path("text.vlae").write_bytes(b"text")
    Path("empty.vlae").write_bytes(b"")
    Path("newer.vlae").write_bytes(b"VLAE\2" + bytes(30))
    before = {name: Path(name).read_bytes() for name in names()}
    found, out, err = vlae(*arguments)
    assert (found, out) == (code, "") and message in err
    assert {name: Path(name).read_bytes() for name in names()} == before


def test_a_region_is_decoded_alone(vlae: Run) -> None:
    vlae("encode", "a.png")
    code, out, _ = vlae("decode", "--json", "--region", "2,1,5,4", "--jobs", "2", "a.vlae", "-o", "b.png")
    record = json.loads(out)
    assert code == 0 and (record["width"], record["height"]) == (5, 4)
    assert np.array_equal(pixels_of("b.png"), PIXELS[1:5, 2:7] & 0xFE)
    code, _, err = vlae("decode", "--region", "4,1,5,4", "a.vlae", "-o", "c.png")
    assert code == 2 and "region of 5x4 pixels at 4,1" in err and "picture of 8x6" in err


def test_max_pixels_reaches_the_decoder(vlae: Run) -> None:
    vlae("encode", "a.png")
    code, _, err = vlae("decode", "--max-pixels", "47", "a.vlae", "-o", "b.png")
    assert code == 6 and err.startswith("vlae: a.vlae: 8x6 = 48 pixels")
    assert f"{bitstream.MAX_PIXELS / 1e6:.0f} million" in vlae("encode", "--help")[1]


def test_pictures_go_through_pipes_and_nothing_else_goes_to_stdout(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    data = Path("a.png").read_bytes()
    for command in (["encode", "--bits", "--verify", "-"], ["decode", "-"]):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        with pytest.raises(SystemExit):
            cli.main(command, prog_name="vlae")
        data, err = capfdbinary.readouterr()
        assert err.startswith(b"- -> -: 8x6")
    assert np.array_equal(images.read(data, "-").pixels, PIXELS & 0xFE) and names() == ["a.png"]


def test_a_terminal_is_neither_read_nor_written(vlae: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    code, _, err = vlae("encode", "-", "-o", "x.vlae")
    assert (code, err) == (2, "vlae: stdin is a terminal; a file name or a pipe wanted\n")
    monkeypatch.setattr(sys, "stdout", terminal)
    code, _, err = vlae("encode", "a.png", "-o", "-")
    assert code == 2 and err.startswith("vlae: stdout is a terminal")
