"""Bytes from files and stdin, bytes to files and stdout: what is there is never harmed, what is written is whole.

Names as the shell gives them go in ("-" is stdin or stdout, s3://... a URL), bytes come out, and the other way round.
Standard library, errors, collisions, temporary and urls only.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from vlae_codec import collisions, temporary, urls
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
    if urls.is_url(source):
        return urls.read_bytes(source)
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
    several = len(sources) > 1 or (output is not None and output.endswith("/"))
    if output is None or is_folder(output) or (several and urls.is_url(output)):
        jobs = [Job(source, target_of(source, output, suffix)) for source in sources]
    elif several:
        raise UsageError(f"-o {shown(output)} is no folder; an existing one wanted")
    else:
        jobs = [Job(sources[0], output)]
    collisions.refuse(jobs, STREAM, shown)
    return jobs


def absolute(name: str) -> str:
    """The name as processes in other folders need it."""
    return name if name == STREAM or urls.is_url(name) else str(Path.cwd() / name)


def is_folder(name: str) -> bool:
    """Whether there is a folder of this name."""
    if urls.is_url(name):
        return urls.is_folder(name)
    with _refusing(name):
        return name != STREAM and Path(name).is_dir()


def exists(name: str) -> bool:
    """Whether there is a file of this name, a device for instance, but no folder."""
    if urls.is_url(name):
        return urls.exists(name)
    with _refusing(name):
        return Path(name).exists() and not Path(name).is_dir()


def is_complete(target: str) -> bool:
    """Whether the output is there; an empty one is a name that a killed run had claimed."""
    return target != STREAM and exists(target) and (urls.is_url(target) or Path(target).stat().st_size > 0)


def make_folder(name: str) -> None:
    """With all above it, unless it exists. OutputError if it cannot be made."""
    with _refusing(name):
        try:
            Path(name).mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise OutputError(f"{shown(name)} is no folder, as an output needs") from error


def target_of(source: str, folder: str | None, suffix: str) -> str:
    """The name of the result in the folder, or beside the source; "-" for "-"."""
    if source == STREAM and folder is None:
        return STREAM
    above, name = source.rpartition("/")[::2] if urls.is_url(source) else os.path.split(source)
    stem = "stdin" if source == STREAM else Path(name).stem
    if urls.is_url(folder or source):
        return urls.join(folder or above, stem + suffix)
    return str(Path(folder or above, stem + suffix))


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
    check_free(target, force)
    if urls.is_url(target):
        return
    folder = Path(target).parent
    with _refusing(target):
        if not folder.is_dir():
            raise OutputError(f"{shown(target)}: there is no folder {shown(str(folder))}")


def check_free(target: str, force: bool) -> None:
    """OutputError where a folder has the name, or a file and force is False."""
    with _refusing(target):
        if is_folder(target):
            raise OutputError(f"{shown(target)} is a folder; a file name wanted")
        if not force and (exists(target) if urls.is_url(target) else Path(target).is_file()):
            raise FileExistsError


def write_atomic(target: str, data: bytes, force: bool = False) -> None:
    """The file holds all of the data afterwards, or is what it was before; devices and pipes are written to directly.

    Raises:
        OutputError: as `check_target`, and for all that the operating system refuses.
        UsageError: as `check_target`.
        BrokenPipeError: nobody reads the pipe any more.
    """
    check_target(target, force)
    if urls.is_url(target):
        urls.write(target, data)
        return
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
    temporary.sweep(path.parent.absolute())
    unfinished = temporary.name_in(path.parent)
    try:
        with temporary.opened(unfinished) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if force:
            unfinished.replace(path)
        else:
            _name(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _name(unfinished: Path, path: Path) -> None:
    """Give the file its name unless something has it: FileExistsError then, however close the race."""
    try:
        path.hardlink_to(unfinished)
    except FileExistsError:
        raise
    except OSError:  # FAT and some network disks have no links: an empty file claims the name
        path.open("xb").close()
        try:
            unfinished.replace(path)
        except BaseException:
            path.unlink()
            raise
