"""Many files: which file becomes which, and that nothing is lost whatever becomes of one of them."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import batch_tasks
import pytest
from PIL import Image

import vlae_codec
from vlae_codec import batch, collisions, console, files, images, jobs
from vlae_codec.batch.plan import PICTURES
from vlae_codec.errors import InputError, OutputError, UsageError
from vlae_codec.files import Job

Run = Callable[..., tuple[int, str, str]]
PROGRAM = """
import signal, sys, batch_tasks
from vlae_codec import cli, jobs
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background of a shell
jobs.encode = batch_tasks.copy
cli.main(["encode", "in", "--recursive", "-o", "out", "--json", *sys.argv[1:]], prog_name="vlae")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder where no temporary file may stay, and a codec that copies."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jobs, "encode", batch_tasks.copy)
    yield
    assert not list(tmp_path.rglob(".vlae-*"))


def make(**texts: str) -> None:
    """Files by name; __ is /, and the suffix .png."""
    for name, text in texts.items():
        path = Path(name.replace("__", "/") + ".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def found(folder: str) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def records(out: str) -> dict[str, Any]:
    return {record["input"]: record for record in map(json.loads, out.splitlines())}


def test_sub_folders_are_kept_below_the_output_and_files_and_folders_mix() -> None:
    make(d__a="1", d__s__t__b="2", d__s__c="3", e="4")
    plan = batch.plan(["d", "e.png"], "out", ".vlae", recursive=True)
    pairs = [("d/a", "a"), ("d/s/c", "s/c"), ("d/s/t/b", "s/t/b"), ("e", "e")]
    assert plan.jobs == [Job(f"{source}.png", f"out/{target}.vlae") for source, target in pairs]
    assert batch.plan(["d/s"], None, ".vlae", recursive=True).jobs[0] == Job("d/s/c.png", "d/s/c.vlae")


def test_of_a_folder_only_what_has_the_right_suffix_and_is_not_hidden_is_taken() -> None:
    for name in ("a.JPG", "b.vlae", "c.txt", ".d.png", ".e/f.png", "g.h.webp"):
        Path("d", name).parent.mkdir(parents=True, exist_ok=True)
        Path("d", name).touch()
    assert [job.source for job in batch.plan(["d"], "out", ".vlae", recursive=True).jobs] == ["d/a.JPG", "d/g.h.webp"]
    assert batch.plan(["d"], "out", ".png", recursive=True).jobs == [Job("d/b.vlae", "out/b.png")]


def test_the_suffixes_are_those_of_the_formats_that_are_read() -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    formats = {Image.registered_extensions()[suffix] for suffix in PICTURES}
    assert formats == {*images.READABLE, images.HEIF}


def test_loops_end_and_links_to_folders_are_named(recwarn: pytest.WarningsRecorder) -> None:
    make(d__s__a="1")
    Path("d/s/loop").symlink_to("..")
    Path("d/itself").symlink_to("itself")
    with pytest.warns(UserWarning, match="d/s/loop: a link to a folder, not followed"):
        plan = batch.plan(["d"], "out", ".vlae", recursive=True)
    assert [job.source for job in plan.jobs] == ["d/s/a.png"]


def test_a_folder_that_cannot_be_read_fails_and_the_others_go_on(vlae: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    make(d__a="1", d__closed__b="2")
    scandir = os.scandir

    def denied(path: str) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    code, out, err = vlae("encode", "d", "-r", "-o", "out", "--json")
    assert code == 9 and found("out") == ["a.vlae"] and "vlae: d/closed: Permission denied" in err
    assert records(out)["d/closed"] == {"input": "d/closed", "error": "d/closed: Permission denied", "exit_code": 3}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["d"], 3, "d: Is a directory; --recursive takes the files in it"),
        (["d", "-r", "-o", "e.png"], 2, "-o e.png is no folder"),
        (["d", "-r", "-o", "-"], 2, "-o - is no folder"),
        (["empty", "-r"], 3, "empty: no files with one of the suffixes .avif"),
        (["d", "-r", "-o", "e.png/out"], 7, "e.png/out: Not a directory"),
        (["e.png", "-", "--jobs", "2"], 2, "several processes cannot share"),
        (["e.png", "--force", "--existing", "skip"], 2, "--force and --existing skip given"),
        (["d", "e.png", "-r", "-o", "out"], 2, "d/e.png and e.png would both be written to out/e.vlae"),
        (["e.png", "--ray", "127.0.0.1:1"], 2, "no Ray cluster at 127.0.0.1:1"),
    ],
)
def test_refusals_come_before_the_start(arguments: list[str], code: int, message: str, vlae: Run) -> None:
    make(d__a="1", d__e="2", e="3")
    Path("empty").mkdir()
    before = found(".")
    ended, out, err = vlae("encode", *arguments)
    assert (ended, out) == (code, "") and message in err and found(".") == before


def test_names_that_differ_in_case_collide_only_where_case_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    make(A="1", a="2", ö="3")
    Path("o\u0308.jpg").touch()
    pairs = [["A.png", "a.png"], ["ö.png", "o\u0308.jpg"]]
    for pair in pairs:
        assert len(batch.plan(pair, None, ".vlae").jobs) == 2  # the file system of Linux
    monkeypatch.setattr(collisions, "_ignores_case", lambda _target: True)
    for pair in pairs:
        with pytest.raises(UsageError, match="would both be written to"):
            batch.plan(pair, None, ".vlae")
    with pytest.raises(OutputError, match="is an input of this call"):
        batch.plan(["a.VLAE"], None, ".vlae")


def test_whether_case_counts_is_tried_out_and_taken_for_granted_where_it_cannot_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not collisions._ignores_case("not/there/yet.vlae")
    monkeypatch.setattr(Path, "touch", lambda *_, **__: Path("/proc/none").mkdir())
    assert collisions._ignores_case("x.vlae")


@pytest.mark.parametrize("processes", [[], ["--jobs", "2"]])
def test_one_bad_file_does_not_stop_the_others(processes: list[str], vlae: Run) -> None:
    make(d__a="1", d__b="bad", d__c="2", d__p="panic", d__s__e="3")
    code, out, err = vlae("encode", "d", "--recursive", "-o", "out", "--json", *processes)
    assert code == 9 and found("out") == ["a.vlae", "c.vlae", "s/e.vlae"]
    assert err.splitlines()[-1] == "vlae: 2 of 5 files failed" and "vlae: d/b.png: bad" in err
    assert records(out)["d/b.png"] == {"input": "d/b.png", "error": "d/b.png: bad", "exit_code": 3}
    panic = records(out)["d/p.png"]
    assert panic["exit_code"] == 1 and panic["error"].startswith("d/p.png: internal error: BaseException: panic")


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_process_that_dies_loses_only_its_file() -> None:
    texts = ["die", "slow", "die", "warn", "slow", "slow", "slow"]
    make(**{f"f{number}": text for number, text in enumerate(texts)})
    plan = batch.plan([f"f{number}.png" for number in range(len(texts))], None, ".vlae")
    outcomes = {o.job.source: o for o in batch.outcomes(batch.Order(batch_tasks.copy), plan.jobs, processes=2)}
    assert [outcomes[job.source].exit_code for job in plan.jobs] == [1, 0, 1, 0, 0, 0, 0]
    assert "the process that worked on it died (signal 9, perhaps for want of memory)" in outcomes["f0.png"].text
    assert outcomes["f3.png"].warnings == ("odd tag",)
    pids = {o.record["pid"] for o in outcomes.values() if not o.exit_code}
    assert {o.record["threads"] for o in outcomes.values() if not o.exit_code} == {"1"}
    assert 1 <= len(pids) <= 4 and os.getpid() not in pids


def test_a_terminal_sees_how_many_are_done_and_how_long_the_others_take(
    vlae: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    make(d__a="1", d__b="slow", d__c="slow")
    monkeypatch.setattr(console, "PROGRESS_DELAY", 0)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    code, out, _ = vlae("encode", "d", "-r", "-o", "out")
    assert code == 0 and len(out.splitlines()) == 3
    assert re.search(r"2 of 3 files .*\d\d:\d\d left", terminal.getvalue())


@pytest.mark.parametrize("processes", [[], ["--jobs", "2"]])
def test_what_exists_is_refused_skipped_or_overwritten_as_asked(processes: list[str], vlae: Run) -> None:
    make(a="1", b="2", c="3")
    everything = ("encode", "a.png", "b.png", "c.png", "--json", *processes)
    Path("a.vlae").write_text("old")
    Path("b.vlae").touch()  # a name that a killed run had claimed
    code, out, err = vlae(*everything)
    assert code == 9 and err.endswith("vlae: 2 of 3 files failed\n")
    assert records(out)["a.png"]["error"] == "a.vlae exists; --force overwrites it"
    code, out, err = vlae(*everything, "--existing", "skip")
    assert code == 0 and err == "vlae: 3 files, 2 skipped because their outputs exist\n"
    assert records(out)["a.png"] == {"input": "a.png", "output": "a.vlae", "skipped": True}
    assert [Path(f"{name}.vlae").read_text() for name in "abc"] == ["old", "22", "33"]
    assert vlae(*everything, "--existing", "overwrite")[0] == vlae(*everything, "--force")[0] == 0
    assert Path("a.vlae").read_text() == "11"


def test_a_dry_run_tells_and_does_nothing(vlae: Run) -> None:
    make(d__a="1", d__s__b="2")
    code, out, err = vlae("encode", "d", "-r", "-o", "out", "--dry-run")
    assert (code, err) == (0, "") and not Path("out").exists()
    assert out == "d/a.png -> out/a.vlae: would be written\nd/s/b.png -> out/s/b.vlae: would be written\n"
    make(out__a="1")
    Path("out/a.png").rename("out/a.vlae")
    assert vlae("encode", "d", "-r", "-o", "out", "--dry-run")[0] == 9
    _, out, _ = vlae("encode", "d", "-r", "-o", "out", "--dry-run", "--existing", "skip", "--json")
    assert records(out)["d/a.png"] == {"input": "d/a.png", "output": "out/a.vlae", "skipped": True}
    assert records(out)["d/s/b.png"] == {"input": "d/s/b.png", "output": "out/s/b.vlae", "dry_run": True}


@pytest.fixture
def start() -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Starts the command in a terminal of its own; it does not outlive the test."""
    started: list[subprocess.Popen[bytes]] = []
    yield lambda *arguments: started.append(_start(*arguments)) or started[-1]
    for process in started:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def outputs() -> dict[str, tuple[str, int]]:
    """Text and inode by name."""
    return {str(path): (path.read_text(), path.stat().st_ino) for path in Path("out").glob("*.vlae")}


def _start(*arguments: str) -> "subprocess.Popen[bytes]":
    paths = [str(Path(module.__file__ or "").parents[up]) for module, up in ((vlae_codec, 1), (batch_tasks, 0))]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="Linux only")
@pytest.mark.parametrize("kill", [os.kill, os.killpg], ids=["the first process", "the whole terminal"])
def test_an_interrupt_ends_all_processes_and_leaves_no_partial_file(
    kill: Callable[[int, int], None], start: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    make(in__a="stuck", in__b="stuck", in__c="1")
    process = start("--jobs", "2")
    wait_for(lambda: len(list(Path("out").glob(".vlae-*"))) == 2)
    kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"vlae: interrupted\n")
    assert found("out") == []
    pids = [int(path.name.removeprefix("pid-")) for path in Path().glob("pid-*")]
    assert len(pids) == 2 and not any(map(is_alive, pids))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="Linux only")
def test_a_killed_batch_goes_on_where_it_stopped(start: Callable[..., "subprocess.Popen[bytes]"]) -> None:
    make(**{f"in__{number:02}": "slow" for number in range(16)})
    process = start("--jobs", "2")
    wait_for(lambda: len(outputs()) >= 3)
    process.kill()
    before = outputs()
    assert 3 <= len(before) < 16 and {text for text, _ in before.values()} == {"slowslow"}
    resumed = start("--jobs", "2", "--existing", "skip")
    out, err = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, err
    assert len(outputs()) == 16 and before.items() <= outputs().items()
    skipped = {record["output"] for record in records(out.decode()).values() if "skipped" in record}
    assert set(before) <= skipped and len(skipped) <= len(before) + 2
    process.communicate(timeout=60)  # its processes have ended, too


def test_urls_are_read_and_written(vlae: Run) -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    store.pipe({"/in/a.png": b"1", "/in/s/b.png": b"2", "/in/c.txt": b"3"})
    code, out, err = vlae("encode", "memory://in", "-r", "-o", "memory://out", "--json")
    assert (code, err) == (0, "") and sorted(store.find("/out")) == ["/out/a.vlae", "/out/s/b.vlae"]
    assert records(out)["memory://in/s/b.png"]["output"] == "memory://out/s/b.vlae"
    assert store.cat("/out/s/b.vlae") == b"22"
    assert vlae("encode", "memory://in/a.png", "-o", "memory://out/a.vlae")[0] == 7
    assert vlae("encode", "memory://in/a.png", "-o", "b.vlae")[0] == 0 and Path("b.vlae").read_text() == "11"
    assert vlae("encode", Path("b.vlae").absolute().as_uri(), "-o", "memory://out/a.vlae", "--force")[0] == 0
    assert store.cat("/out/a.vlae") == b"1111"
    code, _, err = vlae("encode", "memory://in/none.png", "-o", "x.vlae")
    assert code == 3 and err == "vlae: memory://in/none.png: No such file or directory\n"
    code, _, err = vlae("encode", "nowhere://in/a.png", "-o", "x.vlae")
    assert code == 2 and "Protocol not known: nowhere" in err


def test_after_a_failed_write_a_url_has_what_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec
    from fsspec.implementations.memory import MemoryFile

    store = fsspec.filesystem("memory")
    store.pipe({"/kept/a.vlae": b"old"})

    def fail(*_: Any) -> None:
        raise OSError("the line is dead")

    monkeypatch.setattr(MemoryFile, "write", fail)
    with pytest.raises(OutputError, match=r"memory://kept/a\.vlae: the line is dead"):
        files.write_atomic("memory://kept/a.vlae", b"new", force=True)
    assert store.cat("/kept/a.vlae") == b"old"


def test_a_store_that_is_not_there_is_an_unreadable_input() -> None:
    with pytest.raises(InputError, match="No such file"):
        files.read_bytes("memory://none")
