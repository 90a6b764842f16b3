"""Files per second of `vlae encode --jobs`: `python -m benchmarks.throughput`.

Pictures of 768x512, cut from scikit-image's photographs, go through one process and through several, each of one thread
and with its model loaded: the clock starts when every process has finished a first picture, which is not counted. A csv
with a row for each number of processes, and a table with the ratio, come out.
"""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import click
import numpy as np

from benchmarks import common
from benchmarks.common import Row
from vlae_codec import batch, bitstream, images, jobs
from vlae_codec.files import Job
from vlae_codec.refine import DEFAULT_EFFORT

COLUMNS = ("jobs", "width", "height", "files", "seconds", "files_per_second", "version", "commit", "machine", "date")
WIDTH, HEIGHT, QUALITY = 768, 512, 50.0
BAR = 1.7
"""How many times the throughput of one process two must reach on two cores."""


def make_pictures(folder: Path, count: int) -> list[Path]:
    """So many different crops, as PPM, which takes next to no time to read."""
    _, photographs = common.pictures(None)
    random, paths = np.random.default_rng(0), []
    for number in range(count):
        pixels = common.read(photographs[number % len(photographs)])
        pixels = np.pad(pixels, [(0, HEIGHT), (0, WIDTH), (0, 0)], mode="symmetric")
        top, left = (
            int(random.integers(side - crop)) for side, crop in zip(pixels.shape, (HEIGHT, WIDTH), strict=False)
        )
        picture = images.Picture(pixels[top : top + HEIGHT, left : left + WIDTH].copy(), None, {})
        paths.append(folder / f"{number}.ppm")
        paths[-1].write_bytes(images.write(picture, ".ppm"))
    return paths


def measure(paths: list[Path], processes: int, folder: Path) -> Row:
    """Encode all of them; the first ones, as many as there are processes, are the warm-up."""
    task = partial(
        jobs.encode,
        quality=QUALITY,
        effort=DEFAULT_EFFORT,
        target=None,
        metadata=(),
        verify=False,
        max_pixels=bitstream.MAX_PIXELS,
    )
    plan = [Job(str(path), str(folder / f"{processes}-{path.stem}.vlae")) for path in paths]
    seen, times = set(), []
    for outcome in batch.outcomes(batch.Order(task), plan, processes):
        if outcome.exit_code:
            raise click.ClickException(outcome.text)
        seen.add(outcome.job)
        if set(plan[:processes]) <= seen:
            times.append(perf_counter())
    count, seconds = len(times) - 1, times[-1] - times[0]
    if not count:
        raise click.ClickException("all files were done before every process had started; more --files wanted")
    measured = {"files": str(count), "seconds": f"{seconds:.3f}", "files_per_second": f"{count / seconds:.3f}"}
    return {"jobs": str(processes), "width": str(WIDTH), "height": str(HEIGHT), **measured}


def table(rows: list[Row]) -> str:
    """Files per second, and how many times those of the first row."""
    first = float(rows[0]["files_per_second"])
    ratios = [float(row["files_per_second"]) / first for row in rows]
    lines = [[row["jobs"], row["files_per_second"], f"{ratio:.2f}"] for row, ratio in zip(rows, ratios, strict=True)]
    bars = [
        f"* two processes on two cores: {ratio:.2f} times; bar {BAR}: {'holds' if ratio >= BAR else 'broken'}\n"
        for row, ratio in zip(rows, ratios, strict=True)
        if row["jobs"] == "2"
    ]
    return f"{common.markdown_table(['processes', 'files/s', 'ratio'], lines)}\n{''.join(bars)}"


@click.command()
@click.option("--jobs", "counts", default="1,2", callback=common.comma_separated, help="Numbers of processes.")
@click.option("--files", default=24, show_default=True, help="Pictures, the warm-up not counted.")
@click.option("--out", default=common.HERE, type=click.Path(path_type=Path), help="Where results/ is.")
def main(counts: tuple[float, ...], files: int, out: Path) -> None:
    """Measure how the throughput grows with the number of processes."""
    from vlae_codec import __version__

    where = common.provenance() | {"version": f"{__version__}, source {common.source_digest()}"}
    with TemporaryDirectory() as folder:
        paths = make_pictures(Path(folder), files + int(max(counts)))
        rows = [measure(paths[: files + int(count)], int(count), Path(folder)) | where for count in counts]
    results = out / "results" / "throughput"
    common.write_rows(results.with_suffix(".csv"), COLUMNS, rows)
    report = (
        f"# Throughput: {files} pictures of {WIDTH}x{HEIGHT}, quality {QUALITY:g}\n\n{table(rows)}\n"
        f"{where['date']}, {where['machine']}, commit {where['commit']}.\n"
    )
    results.with_suffix(".md").write_text(report, encoding="utf-8")
    click.echo(report)


if __name__ == "__main__":
    main()
