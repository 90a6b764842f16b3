"""Files that are not complete yet: beside their target, under names of their own, until they get its name.

Whoever writes one holds a lock on it, which ends with its process. So those that a killed process has left behind can
be told from those that are being written, and the next one that writes into the folder removes them. Standard library
only.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    from fcntl import LOCK_EX, LOCK_NB, flock

PATTERN = ".vlae-*.tmp"
STALE = 60  # seconds; what is younger may not have its lock yet


def name_in(folder: Path) -> Path:
    """A name that nothing has."""
    return folder / PATTERN.replace("*", os.urandom(8).hex())


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A new file, locked as long as it is open."""
    with path.open("xb") as file:  # not by tempfile, which makes files that only their owner can read
        _locks(file)
        yield file


@cache  # once per process, however many files it writes
def sweep(folder: Path) -> None:
    """Remove what killed processes have left in a folder (an absolute path); what cannot be removed stays."""
    for path in folder.glob(PATTERN):
        with suppress(OSError):
            if _is_stale(path):
                path.unlink()


def _is_stale(path: Path) -> bool:
    if time.time() - path.stat().st_mtime < STALE:
        return False
    with path.open("rb") as file:
        return _locks(file)


def _locks(file: BinaryIO) -> bool:
    """Whether this process has the lock now; always where open files cannot be removed anyway."""
    if sys.platform == "win32":
        return True
    try:
        flock(file, LOCK_EX | LOCK_NB)
    except OSError:  # another process has it, or the disk has no locks
        return False
    return True
