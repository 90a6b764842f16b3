"""Files, names and circumstances, good and bad, and the answer that users get: as test_bad_inputs.py for pictures."""

import ast
import dataclasses
import io
import os
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import batch_tasks
import numpy as np
import pytest
from PIL import Image

import vlae_codec
from vlae_codec import batch, bitstream, codec, files, jobs, models
from vlae_codec.errors import BitstreamError, CodecError
from vlae_codec.images import Picture
from vlae_codec.models import Model

COLOURS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
NAMES = ["two words", "new\nline", "日本 📷", os.fsdecode(b"not utf-8 \xff"), "-dash", "a" * 250]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(vlae_codec.__file__).parents[1])}
Run = Callable[..., tuple[int, str, str]]
KINDS = range(1, 35)
"""Numbers of the kinds of input, over this file and test_bad_inputs.py."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use_small_model: Model) -> None:
    """Has a picture and the .vlae file of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(models, "name_of", lambda model_id: "small")
    Image.fromarray(COLOURS).save("a.png")
    Path("a.vlae").write_bytes(codec.encode(Picture(COLOURS, None, {}), 50).data)


def names() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def good() -> bytes:
    return Path("a.vlae").read_bytes()


def changed(what: str, **changes: object) -> bytes:
    """The file with another header, or another segment, under right checksums."""
    container = bitstream.parse(good())
    if what == "header":
        return bitstream.pack(dataclasses.replace(container, header=dataclasses.replace(container.header, **changes)))
    return bitstream.pack(
        dataclasses.replace(container, segments=(dataclasses.replace(container.segments[0], **changes),))
    )


REFUSED: dict[str, tuple[bytes | Callable[[], bytes], int, str]] = {
    "19 empty": (b"", 4, "x.vlae: empty file"),
    "19 other magic": (b"RIFFxxxx", 4, "not a .vlae file"),
    "19 only a header": (lambda: good()[:18], 4, "truncated at byte"),
    "20 truncated": (lambda: good()[:-1], 4, "truncated at byte"),
    "21 bit flipped": (lambda: good()[:-1] + bytes([good()[-1] ^ 1]), 4, "is damaged: CRC-32"),
    "22 trailing byte": (lambda: good() + b"\0", 4, "after the last segment"),
    "22 two files": (lambda: good() * 2, 4, "after the last segment"),
    "23 larger than it is": (lambda: changed("header", width=33), 4, "x.vlae: "),
    "23 huge": (lambda: good()[:16] + b"\xff\xff\xff\x07" * 2 + bytes(40), 6, "16777215x16777215 = "),
    "24 newer": (b"VLAE\2" + bytes(40), 5, "format version 2; this program reads 1"),
    "24 unknown flag": (b"VLAE\1\x80" + bytes(40), 5, "flags 0x80"),
    "26 other latents": (lambda: changed("segment", latents_crc=1), 4, "this machine's arithmetic is"),
}  # fmt: skip


@pytest.mark.parametrize("row", REFUSED)
def test_what_is_refused(row: str, vlae: Run) -> None:
    contents, code, message = REFUSED[row]
    Path("x.vlae").write_bytes(contents if isinstance(contents, bytes) else contents())
    found, _, err = vlae("decode", "x.vlae", "-o", "out.png")
    assert (found, err.count("\n")) == (code, 1) and message in err, err
    assert not Path("out.png").exists()


def test_17_neither_the_input_nor_what_exists_is_overwritten(vlae: Run) -> None:
    assert vlae("encode", "a.png", "-o", "a.png", "--force")[0] == 7
    code, _, err = vlae("encode", "a.png")
    assert code == 7 and err == "vlae: a.vlae exists; --force overwrites it\n"
    assert vlae("encode", "a.png", "--force", "-q", "10")[0] == 0


def test_18_where_nothing_can_be_written_the_target_stays_as_it_was(vlae: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert vlae("encode", "a.png", "-o", "none/x.vlae")[0] == 7
    before = good()
    for error in (OSError(30, "Read-only file system"), OSError(28, "No space left"), OSError(122, "Quota exceeded")):

        def fail(_file: object, error: OSError = error) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            assert vlae("encode", "a.png", "--force") == (7, "", f"vlae: a.vlae: {error.strerror}\n")

    def interrupt(_file: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    assert vlae("encode", "a.png", "--force")[0] == 130
    assert good() == before and names() == ["a.png", "a.vlae"]


def test_20_truncated_at_any_byte_it_is_refused_as_damaged() -> None:
    data = good()
    for size in range(len(data)):
        with pytest.raises(BitstreamError):
            codec.decode(data[:size])


def test_21_a_flipped_bit_anywhere_is_refused_and_behind_the_header_as_damaged() -> None:
    data = good()
    sides = range(16, 18)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        # Damage to version or flags looks like a newer format, damage to the sides may exceed the limit.
        kind = CodecError if bit // 8 in (4, 5, *sides) else BitstreamError
        with pytest.raises(kind):
            codec.decode(bytes(damaged))


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file for the shipped model's weights, which is not there yet; nothing is loaded from elsewhere."""
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    models.load.cache_clear()
    monkeypatch.setattr(models, "WEIGHTS", tmp_path)
    yield models.entry_of(models.DEFAULT).path
    models.load.cache_clear()


def test_25_weights_that_are_missing_damaged_or_a_pickle_are_refused(weights: Path, vlae: Run) -> None:
    genuine = (Path(models.__file__).parent / "weights" / weights.name).read_bytes()
    code, _, err = vlae("encode", "a.png", "-o", "x.vlae")
    assert code == 5 and err.endswith("weights of model psnr cannot be read: No such file or directory\n")
    flipped = bytearray(genuine)
    flipped[len(genuine) // 2] ^= 1
    for contents in (genuine[:-1], bytes(flipped), pickle.dumps({"weights": 1}), b""):
        weights.write_bytes(contents)
        code, _, err = vlae("encode", "a.png", "-o", "x.vlae")
        assert code == 5 and "damaged weights: SHA-256" in err and err.endswith("; install anew\n"), err
    assert not Path("x.vlae").exists()


def test_25_a_file_of_another_model_is_refused_by_its_id_and_says_who_has_it(weights: Path, vlae: Run) -> None:
    Path("x.vlae").write_bytes(changed("header", model=b"\xab" * 8))
    code, _, err = vlae("decode", "x.vlae", "-o", "x.png")
    assert code == 5 and "model abababababababab is not part of this version" in err
    assert err.endswith("the version of vlae-codec that wrote the file has it\n")


def test_27_a_terminal_is_wrong_usage_and_an_empty_pipe_no_picture(vlae: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    for stdin, code in ((terminal, 2), (io.TextIOWrapper(io.BytesIO()), 3)):
        monkeypatch.setattr(sys, "stdin", stdin)
        assert vlae("encode", "-", "-o", "x.vlae")[0] == code


def test_27_a_closed_stdout_ends_it_quietly() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "vlae_codec", "info", "a.vlae", "a.vlae"]
    ended = subprocess.run(command, env=ENVIRONMENT, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert ended.returncode != 0 and ended.stderr == b""


@pytest.mark.filterwarnings("always")
def test_28_a_target_out_of_reach_is_refused_with_what_is_possible_which_is_made_on_demand(vlae: Run) -> None:
    for quality in ("nan", "-1", "101", "good"):
        assert vlae("encode", "a.png", "-o", "x.vlae", "-q", quality)[0] == 2
    for target, message in (("--size=10", "the smallest possible file has"), ("--psnr=99", "dB is the most")):
        code, _, err = vlae("encode", "a.png", "-o", "x.vlae", target)
        assert code == 8 and message in err and not Path("x.vlae").exists()
        code, out, err = vlae("encode", "a.png", "-o", "y.vlae", "--best-effort", "--force", target)
        assert code == 0 and err.startswith("vlae: warning: a.png: ") and message in err
        assert out.startswith("a.png -> y.vlae: ") and Path("y.vlae").stat().st_size > 10


@pytest.mark.parametrize("name", NAMES)
def test_29_any_name_works(name: str, vlae: Run) -> None:
    Path(f"{name}.png").write_bytes(Path("a.png").read_bytes())
    code, _, err = vlae("encode", "--", f"{name}.png")
    assert (code, err) == (0, "") and Path(f"{name}.vlae").exists()


def test_29_links_and_pipes_are_read_and_what_no_disk_takes_is_told(vlae: Run) -> None:
    Path("link.png").symlink_to("a.png")
    assert vlae("encode", "link.png")[0] == 0
    os.mkfifo("pipe.png")
    writer = threading.Thread(target=lambda: Path("pipe.png").write_bytes(Path("a.png").read_bytes()))
    writer.start()
    assert vlae("encode", "pipe.png")[0] == 0
    writer.join()
    assert Path("link.vlae").read_bytes() == Path("pipe.vlae").read_bytes() == good()
    for target, reason in (("b" * 300, "File name too long"), ("/dev/full", "No space left on device")):
        code, _, err = vlae("encode", "a.png", "-o", target)
        assert code == 7 and reason in err


def test_30_one_bad_file_of_a_thousand_does_not_stop_the_others(vlae: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "encode", batch_tasks.copy)
    monkeypatch.setattr(os, "fsync", lambda _file: None)  # a thousand of them take long
    Path("d").mkdir()
    for number in range(1000):
        Path("d", f"{number}.png").write_text("bad" if number == 500 else "1")
    code, out, err = vlae("encode", "d", "-r", "-o", "out", "--json")
    assert code == 9 and err == "vlae: d/500.png: bad\nvlae: 1 of 1000 files failed\n"
    assert len(out.splitlines()) == 1000 and len(list(Path("out").iterdir())) == 999


def test_30_a_file_that_is_removed_meanwhile_fails_alone() -> None:
    for name in ("b", "c"):
        Path(f"{name}.png").write_text("1")
    plan = batch.plan(["b.png", "c.png"], None, ".vlae")
    Path("b.png").unlink()
    outcomes = list(batch.outcomes(batch.Order(batch_tasks.copy), plan.jobs))
    assert [(o.exit_code, o.text.split(":")[-1]) for o in outcomes] == [(3, " No such file or directory"), (0, " 1x1")]


@pytest.mark.filterwarnings("always")
def test_30_two_inputs_of_one_output_are_refused_before_the_start_and_loops_end(vlae: Run) -> None:
    Path("d").mkdir()
    for name in ("d/b.png", "d/b.jpg"):
        Path(name).write_bytes(Path("a.png").read_bytes())
    Path("d/loop").symlink_to(".")
    code, _, err = vlae("encode", "d", "-r", "-o", "out", "--dry-run")
    assert code == 2 and "d/b.jpg and d/b.png would both be written to out/b.vlae" in err and not Path("out").exists()


WRITER = """
import sys
from vlae_codec import files
for _ in range(200):
    files.write_atomic("x", sys.argv[1].encode() * 100_000, force=True)
"""


def test_34_of_two_processes_that_write_one_output_the_last_wins_and_it_is_whole_all_the_time() -> None:
    files.write_atomic("x", b"a" * 100_000)
    command = [sys.executable, "-c", WRITER]
    writers = [subprocess.Popen([*command, letter], env=ENVIRONMENT) for letter in "ab"]
    while any(writer.poll() is None for writer in writers):
        data = Path("x").read_bytes()
        assert data in (b"a" * 100_000, b"b" * 100_000)
    assert [writer.returncode for writer in writers] == [0, 0] and names() == ["a.png", "a.vlae", "x"]


def test_every_kind_of_input_has_a_row_or_a_test() -> None:
    found = set()
    for name in ("test_bad_inputs.py", "test_bad_files.py"):
        for node in ast.walk(ast.parse(Path(__file__).with_name(name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                found |= set(re.findall(r"^test_(\d+)_", node.name))
            elif isinstance(node, ast.Dict):
                keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
                found |= {match[1] for key in keys if (match := re.match(r"(\d+) ", str(key)))}
    assert sorted(map(int, found)) == list(KINDS)
