"""What a slower encoder is worth: `python -m benchmarks.effort FOLDER`.

A folder of pictures in; a csv with a row for each effort, picture and quality, a plot, and a table of BD-rates against
effort 0, seconds and memory, out. Every file is decoded by the real decoder. Each picture at each effort has a process
that did nothing else before, so that its memory is that effort's. Rows that the csv has already, of the same picture
and source, are not measured again.
"""

import zlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import NamedTuple

import click
from matplotlib import rc_context
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks import common
from benchmarks.common import Row
from benchmarks.figure import GRID, OWN
from vlae_codec import metrics

IDENTITY = ("source", "effort", "image", "image_crc32", "quality")
COLUMNS = (
    *IDENTITY, "width", "height", "bytes", "bpp", "psnr", "lagrangian_bpp", "seconds_encode", "peak_mb",
    "commit", "machine", "date",
)  # fmt: skip
HEADER = ("effort", "BD-rate", "worst picture", "files that cost more", "seconds", "times effort 0", "MB")
WARM_UP = 4  # the effort at most, of a small picture


class Task(NamedTuple):
    """One picture at one quality and effort."""

    source: str
    effort: int
    path: Path
    quality: float

    def identity(self) -> Row:
        """The columns that tell whether a row is this task's."""
        crc = f"{zlib.crc32(self.path.read_bytes()):08x}"
        values = (self.source, str(self.effort), self.path.name, crc, f"{self.quality:g}")
        return dict(zip(IDENTITY, values, strict=True))


def measure_some(tasks: Sequence[Task]) -> list[Row]:
    """The rows of tasks of one picture and effort, after what only a first time takes."""
    from vlae_codec import codec, images

    pixels, effort = common.read(tasks[0].path)[:64, :64], min(tasks[0].effort, WARM_UP)
    codec.encode(images.Picture(pixels, alpha=None, metadata={}), tasks[0].quality, effort=effort)
    return [measure(task) for task in tasks]


def measure(task: Task) -> Row:
    """Encode, decode and compare; the seconds are between pixels and bytes, the memory is the process's most."""
    import torch

    from vlae_codec import codec, images, models

    pixels = common.read(task.path)
    started = perf_counter()
    data = codec.encode(images.Picture(pixels, alpha=None, metadata={}), task.quality, effort=task.effort).data
    seconds = perf_counter() - started
    peak = common.peak_megabytes()
    psnr, bpp = metrics.psnr(pixels, codec.decode(data).pixels), 8 * len(data) / (pixels.shape[0] * pixels.shape[1])
    weight = models.load().transforms.config.rate_to_lambda(torch.tensor(task.quality / 100))
    return task.identity() | {
        "width": str(pixels.shape[1]),
        "height": str(pixels.shape[0]),
        "bytes": str(len(data)),
        "bpp": f"{bpp:.6f}",
        "psnr": f"{psnr:.4f}",
        "lagrangian_bpp": f"{bpp + float(weight) * 255**2 * 10 ** (-psnr / 10):.6f}",
        "seconds_encode": f"{seconds:.3f}",
        "peak_mb": f"{peak:.0f}",
    }


def measure_all(tasks: Sequence[Task], csv: Path) -> list[Row]:
    """The rows of the tasks; those that the csv lacks are measured and added to it."""
    known = {tuple(row[column] for column in IDENTITY): row for row in common.read_rows(csv, COLUMNS)}
    wanted = {tuple(task.identity().values()): task for task in tasks}
    done = {identity: row for identity, row in known.items() if identity in wanted}
    common.write_rows(csv, COLUMNS, done.values())
    missing = [task for identity, task in wanted.items() if identity not in done]
    where = common.provenance()
    measured = (row | where for row in in_fresh_processes(missing))
    for row in tqdm(common.append_rows(csv, COLUMNS, measured), "files", len(missing), disable=None):
        done[tuple(row[column] for column in IDENTITY)] = row
    ordered = [done[identity] for identity in wanted]
    common.write_rows(csv, COLUMNS, ordered)
    return ordered


def in_fresh_processes(tasks: Sequence[Task]) -> Iterator[Row]:
    """The rows of tasks, in their order."""
    for _, some in groupby(tasks, lambda task: (task.effort, task.path)):
        yield from common.in_fresh_process(measure_some, list(some))


def points(rows: Sequence[Row]) -> list[metrics.Point]:
    """Means over the pictures at each quality."""
    return [
        (fmean(float(row["bpp"]) for row in some), fmean(float(row["psnr"]) for row in some))
        for some in by(rows, "quality").values()
    ]


class Level(NamedTuple):
    """An effort: BD-rates in percent of the mean curve and of the worst picture, files of a higher Lagrangian than that
    of the effort before, seconds and megabytes at most."""

    effort: str
    bd_rate: float
    worst: float
    costlier: int
    seconds: float
    megabytes: float


def levels(rows: Sequence[Row]) -> list[Level]:
    """Each effort against the first."""
    base, *_ = efforts = list(by(rows, "effort").items())
    lower = [base, *efforts]
    return [
        Level(
            effort,
            metrics.bd_rate(points(base[1]), points(some)),
            max(
                metrics.bd_rate(points(one), points(other))
                for one, other in zip(by(base[1], "image").values(), by(some, "image").values(), strict=True)
            ),
            sum(
                float(row["lagrangian_bpp"]) > float(other["lagrangian_bpp"])
                for other, row in zip(before, some, strict=True)
            ),
            fmean(float(row["seconds_encode"]) for row in some),
            max(float(row["peak_mb"]) for row in some),
        )
        for (_, before), (effort, some) in zip(lower, efforts, strict=False)
    ]


def by(rows: Sequence[Row], column: str) -> dict[str, list[Row]]:
    """The rows of each value."""
    return {value: [row for row in rows if row[column] == value] for value in dict.fromkeys(r[column] for r in rows)}


def table(found: Sequence[Level]) -> str:
    """A line for each effort."""
    first = found[0].seconds
    return common.markdown_table(
        HEADER,
        [
            (v.effort, f"{v.bd_rate:.2f} %", f"{v.worst:.2f} %", str(v.costlier), f"{v.seconds:.2f}",
             f"{v.seconds / first:.2f}", f"{v.megabytes:.0f}")
            for v in found
        ],
    )  # fmt: skip


def draw(stem: Path, title: str, found: Sequence[Level]) -> None:
    """BD-rate over seconds, as stem.png and stem.svg."""
    with rc_context({"svg.hashsalt": "vlae", "font.family": "DejaVu Sans", "font.size": 10}):
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([v.seconds for v in found], [v.bd_rate for v in found], "o-", color=OWN, lw=2)
        for v in found:
            axes.annotate(f"-e {v.effort}", (v.seconds, v.bd_rate), (6, 6), textcoords="offset points")
        axes.set_xscale("log")
        axes.set_xlabel("seconds per picture, log scale")
        axes.set_ylabel(f"BD-rate against effort {found[0].effort}, %")
        axes.set_title(title, loc="left")
        axes.grid(color=GRID, lw=0.8)
        axes.spines[:].set_visible(False)
        stem.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(stem.with_suffix(".png"), dpi=160)
        figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None})


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--qualities", callback=common.comma_separated, default="10,30,50,70,90", show_default=True,
              help="Four or more.")  # fmt: skip
@click.option("--efforts", callback=common.comma_separated, default="0,3,4,6", show_default=True,
              help="The first is what the others are compared with.")  # fmt: skip
@click.option("--every", default=1, show_default=True, help="1 takes every picture, 4 every fourth.")
@click.option("--threads", default=2, show_default=True, help="Of each encoder.")
@click.option("--out", default=common.HERE, type=click.Path(path_type=Path), help="Where results/ and figures/ are.")
def main(
    folder: Path | None, qualities: tuple[float, ...], efforts: tuple[float, ...], every: int, threads: int, out: Path
) -> None:
    """Measure vlae's efforts on the pictures of FOLDER, or on photographs that come with scikit-image."""
    common.use_threads(threads)
    name, paths = common.pictures(folder)
    stem = f"effort-{name}" + (f"-every-{every}" if every > 1 else "")
    results, plot = out / "results" / stem, out / "figures" / stem
    source = common.source_digest()
    tasks = [Task(source, int(e), path, q) for e in efforts for path in paths[::every] for q in qualities]
    rows = measure_all(tasks, results.with_suffix(".csv"))
    found = levels(rows)
    where = f"{rows[0]['date']}, {rows[0]['machine']}, {threads} threads, commit {rows[0]['commit']}"
    title = f"{name}, {len(paths[::every])} pictures, qualities {', '.join(f'{q:g}' for q in qualities)}"
    what = f"Real files; BD-rate against effort {found[0].effort}, Lagrangian against the effort in the line above"
    text = f"# Effort: {title}\n\n{what}. {where}.\n\n{table(found)}"
    results.with_suffix(".md").write_text(text, encoding="utf-8")
    draw(plot, title, found)
    click.echo(text)


if __name__ == "__main__":
    main()
