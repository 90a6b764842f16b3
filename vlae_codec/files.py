"""Bytes from files and stdin, bytes to files and stdout: what is there is never harmed, what is written is whole.

Names as the shell gives them go in ("-" is stdin or stdout), bytes come out, and the other way round. Standard library
and errors only.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from vlae_codec.errors import InputError, OutputError, UsageError

STREAM = "-"


class Job(NamedTuple):
    """A file to read and the file to make of it; each may be "-"."""

    source: str
    target: str


def shown(name: str) -> str:
    """The name as one printable line: control characters and bytes that are not UTF-8 as \\xNN."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", name)


def read_bytes(source: str) -> bytes:
    """All of a file or of stdin.

    Raises:
        InputError: it does not exist, is a folder, may not be read; stdin is empty.
        UsageError: stdin is a terminal.
    """
    try:
        return _read_stdin() if source == STREAM else Path(source).read_bytes()
    except OSError as error:
        raise InputError(f"{shown(source)}: {error.strerror or error}") from error


def _read_stdin() -> bytes:
    if sys.stdin is None or sys.stdin.closed:
        raise InputError("stdin is closed")
    if sys.stdin.isatty():
        raise UsageError("stdin is a terminal; a file name or a pipe wanted")
    data = sys.stdin.buffer.read()
    if not data:
        raise InputError("stdin is empty")
    return data


def plan(sources: Sequence[str], output: str | None, suffix: str) -> list[Job]:
    """Where the result of each source goes: to the folder `output`, to the file `output`, or beside the source.

    Raises:
        UsageError: several sources but `output` is no folder, or two results would have the same name.
        OutputError: a result would take the place of a source.
    """
    if output is None or _is_folder(output):
        jobs = [Job(source, _target(source, output, suffix)) for source in sources]
    elif len(sources) > 1 or output.endswith("/"):
        raise UsageError(f"-o {shown(output)} is no folder; an existing one wanted")
    else:
        jobs = [Job(sources[0], output)]
    _refuse_collisions(jobs)
    return jobs


def _is_folder(name: str) -> bool:
    with _refusing(name):
        return Path(name).is_dir()


def _target(source: str, folder: str | None, suffix: str) -> str:
    if source == STREAM:
        return STREAM if folder is None else str(Path(folder, "stdin" + suffix))
    path = Path(source)
    return str((path.parent if folder is None else Path(folder)) / (path.stem + suffix))


def _refuse_collisions(jobs: Sequence[Job]) -> None:
    sources = {_place(job.source) for job in jobs} - {STREAM}
    taken: dict[str, str] = {}
    for source, target in jobs:
        place = _place(target)
        if place in taken:
            both = f"{shown(taken[place])} and {shown(source)}"
            raise UsageError(f"{both} would both be written to {shown(target)}")
        if place in sources:
            raise OutputError(f"{shown(target)} is an input of this call; another output wanted")
        taken[place] = source


def _place(name: str) -> str:
    return STREAM if name == STREAM else os.path.realpath(name)


@contextmanager
def _refusing(target: str) -> Iterator[None]:
    """What the operating system refuses about the target, in our words."""
    try:
        yield
    except BrokenPipeError:
        raise
    except FileExistsError as error:
        raise OutputError(f"{shown(target)} exists; --force overwrites it") from error
    except OSError as error:
        raise OutputError(f"{shown(target)}: {error.strerror or error}") from error


def check_target(target: str, force: bool) -> None:
    """Refuse, before the work is done, what `write_atomic` would refuse after it.

    Raises:
        OutputError: it exists and force is False, is a folder, or would lie in none.
        UsageError: it is "-", and stdout is a terminal.
    """
    if target == STREAM:
        if sys.stdout.isatty():
            raise UsageError("stdout is a terminal; -o with a file name, or a pipe wanted")
        return
    path = Path(target)
    with _refusing(target):
        if path.is_dir():
            raise OutputError(f"{shown(target)} is a folder; a file name wanted")
        if path.is_file() and not force:
            raise FileExistsError
        if not path.parent.is_dir():
            raise OutputError(f"{shown(target)}: there is no folder {shown(str(path.parent))}")


def write_atomic(target: str, data: bytes, force: bool = False) -> None:
    """The file holds all of the data afterwards, or is what it was before; devices and pipes are written to directly.

    Raises:
        OutputError: as `check_target`, and for all that the operating system refuses.
        UsageError: as `check_target`.
        BrokenPipeError: nobody reads the pipe any more.
    """
    check_target(target, force)
    path = Path(target)
    with _refusing(target):
        if target == STREAM:
            with os.fdopen(sys.stdout.fileno(), "wb", closefd=False) as stdout:
                stdout.write(data)
        elif path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            _write_file(path, data, force)


def _write_file(path: Path, data: bytes, force: bool) -> None:
    """Written under another name in the same folder, so that the real one never stands for half a file."""
    if force:
        path = Path(os.path.realpath(path))  # of a symbolic link the file behind it is replaced
    temporary = path.parent / f".vlae-{os.urandom(8).hex()}.tmp"
    try:
        with temporary.open("xb") as file:  # not by tempfile, which makes files that only their owner can read
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if force:
            temporary.replace(path)
        else:
            _name(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _name(temporary: Path, path: Path) -> None:
    """Give the file its name unless something has it: FileExistsError then, however close the race."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:  # FAT and some network disks have no links: an empty file claims the name
        path.open("xb").close()
        try:
            temporary.replace(path)
        except BaseException:
            path.unlink()
            raise
