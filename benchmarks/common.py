"""What the benchmarks share: the pictures, where and by what they were measured, csv files, tables, processes.

Paths and rows in, rows and text out. A row is one measurement: column name to text, as it stands in the csv.
"""

import csv
import hashlib
import importlib.util
import multiprocessing
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import click
import numpy as np
from numpy.typing import NDArray

import vlae_codec
from vlae_codec import images
from vlae_codec.machine import machine

Pixels = NDArray[np.uint8]
Row = dict[str, str]
Task = TypeVar("Task")
Result = TypeVar("Result")

HERE = Path(__file__).parent
PACKAGE = Path(vlae_codec.__file__).parent
SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".ppm", ".webp"}
PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
"""Those of scikit-image's own pictures that are photographs of ordinary things in colour."""


def pictures(folder: Path | None) -> tuple[str, list[Path]]:
    """Name of the set and its files in order; without a folder the photographs that come with scikit-image."""
    if folder is not None:
        name, paths = folder.resolve().name, sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    else:
        spec = importlib.util.find_spec("skimage")
        if spec is None or spec.origin is None:
            raise click.UsageError("name a folder, or install scikit-image, whose photographs are the default")
        name, paths = "scikit-image", [Path(spec.origin).parent / "data" / file for file in PHOTOGRAPHS]
    if not paths:
        raise click.UsageError(f"no pictures in {folder}; looked for {' '.join(sorted(SUFFIXES))}")
    return name, paths


def is_kodak(paths: Sequence[Path]) -> bool:
    """Whether these are the 24 pictures that published curves are means over, by their names and sizes."""
    names = [path.stem for path in paths]
    return names == [f"kodim{i:02}" for i in range(1, 25)] and all(
        sorted(read(path).shape[:2]) == [512, 768] for path in paths
    )


def read(path: Path) -> Pixels:
    """RGB (H, W, 3); gray is repeated and alpha left out, so that every codec is given the same."""
    pixels = images.read(path.read_bytes(), path.name).pixels
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def provenance() -> Row:
    """The columns that say from which source, on which machine and on which day a row was measured."""
    return {"commit": _commit(), "machine": machine(), "date": datetime.now(UTC).date().isoformat()}


def source_digest() -> str:
    """Eight hex digits that change with any line of the package, committed or not, and with any of its weights."""
    digest = hashlib.sha256()
    for path in sorted(path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".safetensors")):
        digest.update(f"{path.relative_to(PACKAGE).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:8]


def _commit() -> str:
    """Short hash of the last commit, "+changes" added when the package differs from it; "unknown" outside git."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", PACKAGE, *arguments], capture_output=True, text=True, check=True).stdout

    try:
        changes = "+changes" if git("status", "--porcelain", "--", ".") else ""
        return git("rev-parse", "--short=10", "HEAD").strip() + changes
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def read_rows(path: Path, columns: Sequence[str], newer: Sequence[str] = ()) -> list[Row]:
    """The rows of a csv with exactly these columns, else none. A line that an interruption cut short is left out.

    Args:
        newer: those of the columns that an older csv may lack; they are empty then.
    """
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    reader = csv.DictReader(text[: text.rfind("\n") + 1].splitlines())
    absent = {column: "" for column in newer if column not in (reader.fieldnames or ())}
    found = [column for column in columns if column not in absent]
    return [absent | row for row in reader] if reader.fieldnames == found else []


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """A csv in place of the one that may be there, which stays whole until the new one is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    with new.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    new.replace(path)


def append_rows(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> Iterator[Row]:
    """Yield each row once it is in the csv, which `write_rows` made: an interruption loses none that was yielded."""
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        for row in rows:
            writer.writerow(row)
            file.flush()
            yield row


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose columns also line up as plain text: the first to the left, the others to the right."""
    cells = [list(header), *map(list, rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    aligned = [
        [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]
        for row in [cells[0], rule, *cells[1:]]
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in aligned)


def in_processes(function: Callable[[Task], Result], tasks: Iterable[Task], jobs: int) -> Iterator[Result]:
    """Results in the order in which they are ready; one job means this process. Callers set `use_threads` first."""
    if jobs == 1:
        yield from map(function, tasks)
        return
    # Spawned, not forked: torch's threads do not survive a fork.
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"))
    try:
        for future in as_completed([pool.submit(function, task) for task in tasks]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def in_fresh_process(function: Callable[[Task], Result], task: Task) -> Result:
    """The result of a process that did nothing else, so that its peak memory is the function's own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, task).result()


def peak_megabytes() -> float:
    """The most memory that this process ever had."""
    # Linux hands ru_maxrss on to the programs that a process starts: it would be the parent's where that is larger.
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else []:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e6 / 1024)


def use_threads(count: int) -> None:
    """Threads of torch and BLAS, in processes started from here on; in this one if it has not imported them yet."""
    os.environ["OMP_NUM_THREADS"] = str(count)


def comma_separated(_: click.Context, option: click.Parameter, text: str) -> tuple[float, ...]:
    """Numbers of an option such as 10,30,50."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a list of numbers such as 10,30,50", param=option) from None
