"""What a killed process leaves behind is removed by the next one, and nothing else is."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vlae_codec import files, temporary

PROGRAM = """
import os, time
from vlae_codec import files
def wait(_file):
    print("writing", flush=True)
    time.sleep(600)
os.fsync = wait
files.write_atomic("x", b"data")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    temporary.sweep.cache_clear()


def leftovers(age: float) -> list[Path]:
    """Temporary files here, made so many seconds old."""
    found = list(Path().glob(temporary.PATTERN))
    for path in found:
        os.utime(path, (time.time() - age,) * 2)
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_what_a_killed_process_was_writing_is_removed_by_the_next_run_and_not_before_it_was_killed() -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(files.__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"writing\n"
            assert len(leftovers(2 * temporary.STALE)) == 1
            files.write_atomic("first", b"data")
            assert len(leftovers(2 * temporary.STALE)) == 1
        finally:
            process.send_signal(signal.SIGKILL)
    temporary.sweep.cache_clear()  # the next run
    files.write_atomic("second", b"data")
    assert leftovers(0) == [] and sorted(path.name for path in Path().iterdir()) == ["first", "second"]


def test_a_file_of_this_moment_stays() -> None:
    young = temporary.name_in(Path())
    young.touch()
    files.write_atomic("x", b"data")
    assert young.exists()


def test_other_files_stay_and_what_cannot_be_removed_hurts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".vlae-notes.txt").touch()
    temporary.name_in(Path()).touch()
    assert leftovers(2 * temporary.STALE)
    os.utime(".vlae-notes.txt", (0, 0))

    def fail(*_: object, **__: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", fail)
        temporary.sweep(Path().absolute())
    assert len(leftovers(0)) == 1 and Path(".vlae-notes.txt").exists()
