"""The command as a process of its own: what it imports, and how it ends when it is stopped or nobody listens."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from fake_codec import MODEL

import vlae_codec
from vlae_codec import bitstream
from vlae_codec.bitstream import Container, Header, Segment

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(vlae_codec.__file__).parents[1])}
COMMAND = [sys.executable, "-m", "vlae_codec"]
HEAVY = ("torch", "numpy", "PIL", "constriction")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Has one file that can be looked at."""
    monkeypatch.chdir(tmp_path)
    file = Container(Header(False, MODEL, 500, 8, 6), {}, None, (Segment(b"payload", 0, True),))
    Path("a.vlae").write_bytes(bitstream.pack(file))
    return tmp_path


def run(*command: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=False)


def imported(arguments: Sequence[str]) -> set[str]:
    """Names of the modules that a command needs, which must end well."""
    code = f"import sys, vlae_codec.cli\ntry: vlae_codec.cli.main({arguments})\nfinally: print(*sys.modules)"
    ended = run(sys.executable, "-c", code)
    assert ended.returncode == 0, ended.stderr
    return set(ended.stdout.decode().split())


@pytest.mark.parametrize("arguments", [["--help"], ["encode", "--help"], ["--version"], ["info", "a.vlae"]])
def test_help_and_info_import_nothing_heavy(arguments: Sequence[str]) -> None:
    assert not set(HEAVY) & imported(arguments)


def test_coding_does_not_wait_for_the_compiler_of_torch() -> None:
    photograph = Path(vlae_codec.__file__).parent / "example" / "coffee.png"
    for arguments in (["encode", str(photograph), "-o", "b.vlae"], ["decode", "b.vlae", "-o", "b.png"]):
        loaded = imported(arguments)
        assert "torch" in loaded and not {"sympy", "torch._dynamo"} & loaded


def test_import_vlae_codec_imports_nothing_heavy() -> None:
    ended = run(sys.executable, "-c", "import sys, vlae_codec, vlae_codec.models\nprint(*sys.modules)")
    assert not set(HEAVY) & set(ended.stdout.decode().split())


@pytest.mark.parametrize("arguments", [["--help"], ["info", "a.vlae"]])
def test_help_and_info_answer_at_once(arguments: Sequence[str]) -> None:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        assert run(*COMMAND, *arguments).returncode == 0
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1  # 0.1 on a machine that has nothing else to do


def test_a_closed_stdout_ends_quietly() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [*COMMAND, "info", "a.vlae", "a.vlae"], env=ENVIRONMENT, stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert ended.returncode != 0 and ended.stderr == b""


def test_an_interrupted_encode_exits_with_130_and_leaves_no_file() -> None:
    os.mkfifo("pipe.png")
    # Tests that run in the background of a shell inherit a SIGINT that is ignored.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code += "; from vlae_codec.cli import main; main(['encode', 'pipe.png'])"
    process = subprocess.Popen([sys.executable, "-c", code], env=ENVIRONMENT, stderr=subprocess.PIPE)
    with Path("pipe.png").open("wb"):  # opened at last: the other end waits for the picture
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"vlae: interrupted\n")
    assert {path.name for path in Path().iterdir()} == {"a.vlae", "pipe.png"}


def test_names_print_where_the_terminal_has_no_such_letters() -> None:
    Path("日本.vlae").write_bytes(Path("a.vlae").read_bytes())
    command = [*COMMAND, "info", "日本.vlae"]
    ended = subprocess.run(
        command, env=ENVIRONMENT | {"PYTHONIOENCODING": "latin-1"}, stdout=subprocess.PIPE, check=True
    )
    assert ended.stdout.startswith(rb"\u65e5\u672c.vlae: 8x6, quality 50")
