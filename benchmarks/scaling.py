"""Time and memory against the size of the picture: `python -m benchmarks.scaling`.

Sizes in megapixels in; a csv with a row for each size and direction, a table with fitted slopes, and a plot, out. The
pictures are a photograph of scikit-image, mirrored again and again. Each row comes from a fresh process that has loaded
the model and coded a small picture before; seconds are those between pixels and bytes, and peak memory is that of the
process: libraries, weights, pixels and all. With one thread, seconds of the processor say the same on a busy machine.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks import common
from benchmarks.codecs import Vlae
from benchmarks.common import Pixels, Row

COLUMNS = (
    "version", "direction", "megapixels", "width", "height", "quality", "threads", "jobs", "bytes", "seconds",
    "cpu_seconds", "peak_megabytes", "commit", "machine", "date",
)  # fmt: skip
HEADER = ("direction", "megapixels", "seconds", "of the processor", "per MP", "peak, MB", "above the pixels, MB")
DIRECTIONS = ("encode", "decode")
ASPECT = 3 / 2
FIT_FROM = 1.0
"""Megapixels from which on slopes are fitted: below it, fixed costs are seen and nothing else."""
Fit = tuple[float, float]


class Work(NamedTuple):
    """One picture in one direction; `coded` is the .vlae file, which encoding writes and decoding reads."""

    direction: str
    megapixels: float
    quality: float
    jobs: int
    coded: Path


def measure(work: Work) -> Row:
    """Seconds and peak memory; run it in a fresh process, encoding first."""
    from vlae_codec import codec, images

    width = round((work.megapixels * 1e6 * ASPECT) ** 0.5)
    pixels = photograph(round(width / ASPECT), width)
    small = codec.encode(images.Picture(pixels[:64, :64], None, {}), work.quality).data
    codec.decode(small)
    if work.direction == "encode":
        start, cpu_start = perf_counter(), process_time()
        data = codec.encode(images.Picture(pixels, None, {}), work.quality, jobs=work.jobs).data
        seconds, cpu_seconds = perf_counter() - start, process_time() - cpu_start
        work.coded.write_bytes(data)
    else:
        del pixels
        data = work.coded.read_bytes()
        start, cpu_start = perf_counter(), process_time()
        pixels = codec.decode(data, jobs=work.jobs).pixels
        seconds, cpu_seconds = perf_counter() - start, process_time() - cpu_start
    height, width = pixels.shape[:2]
    return {
        **{"direction": work.direction, "megapixels": f"{work.megapixels:g}", "width": str(width)},
        **{"height": str(height), "quality": f"{work.quality:g}", "jobs": str(work.jobs), "bytes": str(len(data))},
        **{
            "seconds": f"{seconds:.3f}",
            "cpu_seconds": f"{cpu_seconds:.3f}",
            "peak_megabytes": f"{common.peak_megabytes():.1f}",
        },
    }


def photograph(height: int, width: int) -> Pixels:
    """(height, width, 3): the first photograph of scikit-image, mirrored at its edges as often as needed."""
    photo = common.read(common.pictures(None)[1][0])
    rows, columns = (_mirrored(size, side) for size, side in zip((height, width), photo.shape[:2], strict=True))
    return np.ascontiguousarray(photo[rows[:, None], columns])


def _mirrored(size: int, side: int) -> NDArray[np.int64]:
    position = np.arange(size) % (2 * side)
    return np.minimum(position, 2 * side - 1 - position)


def pixel_megabytes(row: Row) -> float:
    """What the samples of the picture take."""
    return 3 * int(row["width"]) * int(row["height"]) / 1e6


def fits(rows: Sequence[Row], direction: str) -> dict[str, Fit]:
    """Per column, the constant and the slope per megapixel of a line through the rows, and the exponent of seconds."""
    own = [r for r in rows if r["direction"] == direction and float(r["megapixels"]) >= FIT_FROM]
    if len(own) < 2:
        return {}
    size = [int(row["width"]) * int(row["height"]) / 1e6 for row in own]
    seconds, peak = ([float(row[column]) for row in own] for column in ("cpu_seconds", "peak_megabytes"))
    power = np.polyfit(np.log(size), np.log(seconds), 1)
    lines = {"seconds": np.polyfit(size, seconds, 1), "peak_megabytes": np.polyfit(size, peak, 1), "exponent": power}
    return {name: (float(line[1]), float(line[0])) for name, line in lines.items()}


def table(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        cpu, peak, size = float(row["cpu_seconds"]), float(row["peak_megabytes"]), float(row["megapixels"])
        times = [f"{float(row['seconds']):.2f}", f"{cpu:.2f}", f"{cpu / size:.2f}"]
        lines.append([row["direction"], f"{size:g}", *times, f"{peak:.0f}", f"{peak - pixel_megabytes(row):.0f}"])
    return common.markdown_table(HEADER, lines)


def slopes(rows: Sequence[Row]) -> str:
    """A line of text for each direction."""
    lines = []
    for direction in DIRECTIONS:
        if found := fits(rows, direction):
            (_, per_pixel), (fixed, memory), (_, exponent) = found.values()
            lines += [
                f"* {direction}, from {FIT_FROM:g} MP on: {per_pixel:.2f} s of the processor per megapixel, growing ",
                f"with pixels to the power of {exponent:.2f}; ",
                f"{fixed:.0f} MB and {memory:.1f} MB per megapixel, 3 of them the pixels\n",
            ]
    return "".join(lines)


def plot(rows: Sequence[Row], stem: Path) -> None:
    """Write stem.png: seconds and peak memory over megapixels."""
    from matplotlib.figure import Figure

    from benchmarks.figure import GRID, MEASURED, OWN

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for direction, colour in zip(DIRECTIONS, (OWN, MEASURED), strict=True):
        own = [row for row in rows if row["direction"] == direction]
        size = [float(row["megapixels"]) for row in own]
        left.loglog(size, [float(row["cpu_seconds"]) for row in own], "o-", color=colour, label=direction)
        right.semilogx(size, [float(row["peak_megabytes"]) for row in own], "o-", color=colour, label=direction)
    right.semilogx(size, [pixel_megabytes(row) for row in own], ":", color=MEASURED, label="the pixels alone")
    for axes, what in ((left, "seconds of the processor"), (right, "peak memory, MB")):
        axes.set(xlabel="megapixels", ylabel=what)
        axes.grid(color=GRID)
        axes.legend(frameon=False)
    stem.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(stem.with_suffix(".png"), dpi=130)


@click.command()
@click.option("--megapixels", callback=common.comma_separated, default="0.1,0.3,1,3,10,30,100", show_default=True)
@click.option("--quality", default=50.0, show_default=True)
@click.option("--threads", default=1, show_default=True, help="Of torch.")
@click.option("--jobs", default=1, show_default=True, help="Threads that code segments.")
@click.option("--out", default=common.HERE, type=click.Path(path_type=Path), help="Where results/ and figures/ are.")
def main(megapixels: tuple[float, ...], quality: float, threads: int, jobs: int, out: Path) -> None:
    """Seconds and peak memory of encoding and decoding, against the size of the picture."""
    common.use_threads(threads)
    where = common.provenance() | {"version": Vlae().version, "threads": str(threads)}
    results, rows = out / "results" / "scaling", list[Row]()
    with TemporaryDirectory() as folder:
        for size in sorted(megapixels):
            for direction in DIRECTIONS:
                work = Work(direction, size, quality, jobs, Path(folder, f"{size:g}.vlae"))
                rows.append(common.in_fresh_process(measure, work) | where)
                common.write_rows(results.with_suffix(".csv"), COLUMNS, rows)
                click.echo(table(rows[-1:]).splitlines()[-1], err=True)
    rows.sort(key=lambda row: DIRECTIONS.index(row["direction"]))
    common.write_rows(results.with_suffix(".csv"), COLUMNS, rows)
    plot(rows, out / "figures" / "scaling")
    report = (
        f"# Scaling: from {min(megapixels):g} to {max(megapixels):g} megapixels\n\n"
        f"Quality {quality:g}, {threads} threads of torch, {jobs} for segments; model loaded.\n\n"
        f"{table(rows)}\n{slopes(rows)}\n"
        f"{where['version']}; {where['date']}, {where['machine']}, commit {where['commit']}.\n"
    )
    results.with_suffix(".md").write_text(report, encoding="utf-8")
    click.echo(report)


if __name__ == "__main__":
    main()
