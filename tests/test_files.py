import errno
import io
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from vlae_codec import files
from vlae_codec.errors import InputError, OutputError, UsageError
from vlae_codec.files import Job, check_target, plan, read_bytes, shown, write_atomic

ODD_NAMES = ["two words", "new\nline", "日本 📷", os.fsdecode(b"not utf-8 \xff"), "-dash", "a" * 250]


@pytest.fixture(autouse=True)
def in_a_folder_where_nothing_temporary_may_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.rglob(".vlae-*"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def as_stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def names() -> list[str]:
    return [path.name for path in Path().iterdir()]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_is_written_and_read(name: str) -> None:
    write_atomic(name, b"data")
    assert read_bytes(name) == b"data" and names() == [name]


def test_shown_is_one_line_and_shows_what_is_not_utf_8_as_bytes() -> None:
    assert [shown(name) for name in ODD_NAMES[1:4]] == ["new\\x0aline", "日本 📷", "not utf-8 \\xff"]


@pytest.mark.parametrize(
    ("name", "reason"), [("missing.jpg", "No such file"), (".", "Is a directory"), ("a" * 300, "name too long")]
)
def test_what_cannot_be_read_is_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(InputError, match=rf"^{name}: .*{reason}"):
        read_bytes(name)


def test_a_file_without_permission_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_path: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(InputError, match=r"^secret.jpg: Permission denied"):
        read_bytes("secret.jpg")


def test_dash_is_stdin_and_dot_slash_dash_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("-").write_bytes(b"file")
    as_stdin(monkeypatch, b"pipe")
    assert (read_bytes("-"), read_bytes("./-")) == (b"pipe", b"file")


def test_stdin_that_is_empty_closed_or_a_terminal_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    as_stdin(monkeypatch, b"")
    with pytest.raises(InputError, match="stdin is empty"):
        read_bytes("-")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="stdin is closed"):
        read_bytes("-")
    monkeypatch.setattr(sys, "stdin", Terminal())
    with pytest.raises(UsageError, match="stdin is a terminal"):
        read_bytes("-")


def test_dash_is_stdout(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write_atomic("-", b"\0\xff\r\n")
    assert capfdbinary.readouterr().out == b"\0\xff\r\n"


def test_a_terminal_gets_no_binary_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    with pytest.raises(UsageError, match="stdout is a terminal"):
        check_target("-", force=True)


def test_outputs_stand_beside_their_inputs_or_in_the_folder() -> None:
    Path("out").mkdir()
    sources = ["a.jpg", "sub/b.tar.gz", "c", ".hidden", "-", "./-"]
    beside = ["a.vlae", "sub/b.tar.vlae", "c.vlae", ".hidden.vlae", "-", "-.vlae"]
    inside = ["out/a.vlae", "out/b.tar.vlae", "out/c.vlae", "out/.hidden.vlae", "out/stdin.vlae", "out/-.vlae"]
    assert plan(sources, None, ".vlae") == [Job(*pair) for pair in zip(sources, beside, strict=True)]
    assert plan(sources, "out", ".vlae") == [Job(*pair) for pair in zip(sources, inside, strict=True)]
    assert plan(["a.jpg"], "x.bin", ".vlae") == [Job("a.jpg", "x.bin")]


@pytest.mark.parametrize(("sources", "output"), [(["a", "b"], "none"), (["a", "b"], "-"), (["a"], "none/")])
def test_an_output_that_must_be_a_folder_and_is_none_is_refused(sources: list[str], output: str) -> None:
    with pytest.raises(UsageError, match=f"-o {output} is no folder"):
        plan(sources, output, ".vlae")


def test_two_inputs_of_one_output_are_refused() -> None:
    Path("link").symlink_to(".")
    for sources in (["a.jpg", "a.png"], ["a.jpg", "./a.jpg"], ["a.jpg", "link/a.png"], ["-", "-"]):
        with pytest.raises(UsageError, match=f"^{sources[0]} and {sources[1]} would both be written to"):
            plan(sources, None, ".vlae")


def test_an_output_in_the_place_of_an_input_is_refused() -> None:
    Path("link.jpg").symlink_to("a.jpg")
    for sources, output in (
        (["a.jpg"], "./a.jpg"),
        (["a.vlae"], None),
        (["a.jpg"], "link.jpg"),
        (["b", "b.vlae"], None),
    ):
        with pytest.raises(OutputError, match="is an input of this call"):
            plan(sources, output, ".vlae")


def test_what_exists_is_overwritten_only_by_force() -> None:
    Path("x").write_bytes(b"old")
    for refuse in (check_target, lambda target, force: write_atomic(target, b"new", force)):
        with pytest.raises(OutputError, match=r"^x exists; --force overwrites it"):
            refuse("x", False)
    assert Path("x").read_bytes() == b"old"
    write_atomic("x", b"new", force=True)
    assert Path("x").read_bytes() == b"new"


@pytest.mark.parametrize("links", [True, False])
def test_of_many_writers_without_force_exactly_one_wins(links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", lambda *_: os.link("/nowhere", "/nowhere"))
    monkeypatch.setattr(files, "check_target", lambda *_: None)  # all of them have found the name free
    won = []

    def work(number: int) -> None:
        try:
            write_atomic("x", b"%d" % number)
            won.append(number)
        except OutputError as error:
            assert "exists" in str(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and Path("x").read_bytes() == b"%d" % won[0]


def test_the_mode_follows_the_umask() -> None:
    before = os.umask(0o027)
    try:
        write_atomic("x", b"data")
    finally:
        os.umask(before)
    assert stat.S_IMODE(Path("x").stat().st_mode) == 0o640


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), MemoryError(), OSError(errno.ENOSPC, "No space left on device")]
)
@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize("step", ["fsync", "replace", "hardlink"])
def test_after_any_failure_the_target_is_untouched(
    step: str, force: bool, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", fail if step == "fsync" else os.fsync)
    monkeypatch.setattr(Path, "replace", fail if step != "fsync" else Path.replace)
    monkeypatch.setattr(Path, "hardlink_to", fail if step != "fsync" else Path.hardlink_to)
    if force:
        Path("x").write_bytes(b"old")
    with pytest.raises(OutputError if isinstance(error, OSError) else type(error)):
        write_atomic("x", b"new", force)
    assert names() == (["x"] if force else []) and (not force or Path("x").read_bytes() == b"old")


def test_a_full_disk_is_reported_and_leaves_nothing() -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"
    code = f"{limit}; from vlae_codec import files; files.write_atomic('x', bytes(10**6))"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(Path(files.__file__).parents[1])},
        stderr=subprocess.PIPE,
        check=False,
    )
    assert b"OutputError: x: File too large" in ended.stderr and names() == []


@pytest.mark.parametrize(
    ("target", "reason"), [(".", "is a folder"), ("no/x", "there is no folder no"), ("a" * 300, "too long")]
)
def test_targets_that_cannot_be_are_refused_early(target: str, reason: str) -> None:
    with pytest.raises(OutputError, match=reason):
        check_target(target, force=True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_devices_are_written_to_and_not_replaced() -> None:
    write_atomic("/dev/null", b"data")
    with pytest.raises(OutputError, match=r"^/dev/full: No space left on device"):
        write_atomic("/dev/full", b"data")
    assert all(stat.S_ISCHR(Path(name).stat().st_mode) for name in ("/dev/null", "/dev/full"))


def test_force_writes_through_a_symbolic_link() -> None:
    Path("file").write_bytes(b"old")
    Path("link").symlink_to("file")
    write_atomic("link", b"new", force=True)
    assert Path("link").is_symlink() and Path("file").read_bytes() == b"new"
