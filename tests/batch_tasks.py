"""Stands in for `jobs.encode` where a batch is tested and not the codec: a file's text says what happens to it.

A module of its own, because other processes import it by its name.
"""

import os
import signal
import time
import warnings
from pathlib import Path
from typing import Any

from vlae_codec import files
from vlae_codec.errors import InputError
from vlae_codec.files import Job


def copy(job: Job, *, force: bool, progress: Any, **_options: Any) -> tuple[dict[str, Any], None]:
    """The output is the input's text, twice."""
    files.check_target(job.target, force)
    text = files.read_bytes(job.source).decode()
    if text == "bad":
        raise InputError(f"{files.shown(job.source)}: bad")
    if text == "panic":
        raise BaseException("panic")
    if text == "warn":
        warnings.warn("odd tag", stacklevel=1)
    if text == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if text.startswith("die once"):
        _die_once(Path(text.removeprefix("die once ")))
    if text == "slow":
        time.sleep(0.2)
    if text.startswith("meet"):
        _meet(Path(text.removeprefix("meet ")))
    if text == "stuck":  # with its temporary file on the disk
        Path(f"pid-{os.getpid()}").touch()
        os.fsync = lambda _file: time.sleep(600)
    files.write_atomic(job.target, text.encode() * 2, force)
    record = {"input": job.source, "output": job.target, "width": 1, "height": 1, "pid": os.getpid()}
    return record | {"threads": os.environ.get("OMP_NUM_THREADS")}, None


def _meet(folder: Path) -> None:
    """Wait for another process that does the same."""
    (folder / f"pid-{os.getpid()}").touch()
    end = time.monotonic() + 120
    while len(list(folder.glob("pid-*"))) < 2 and time.monotonic() < end:
        time.sleep(0.02)


def _die_once(flag: Path) -> None:
    if not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
