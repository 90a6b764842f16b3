"""Rate and distortion of real files: `python -m benchmarks.rate_distortion FOLDER`.

A folder of pictures in; a csv with a row for each codec, picture and quality, a plot, and a table of means and
BD-rates out. Rates are bytes on disk, PSNR and MS-SSIM are of RGB. Rows that the csv has already, of the same
picture, source, model and libraries, are not measured again, so that an interrupted run goes on where it stopped.
"""

import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

import click
import numpy as np
from tqdm import tqdm

from benchmarks import common, curves, figure
from benchmarks.codecs import BASELINES, LEDGER, Codec, Vlae
from benchmarks.common import Row
from vlae_codec import metrics

IDENTITY = ("codec", "settings", "version", "image", "image_crc32", "quality")
COLUMNS = (
    *IDENTITY, "width", "height", "bytes", "bpp", "psnr", "ms_ssim", "seconds_encode", "seconds_decode",
    *LEDGER, "bits_back_active", "commit", "machine", "date",
)  # fmt: skip


class Task(NamedTuple):
    """One picture, to be coded once."""

    codec: Codec
    version: str
    path: Path
    quality: float

    def identity(self) -> Row:
        """The columns that tell whether a row is this task's."""
        crc = f"{zlib.crc32(self.path.read_bytes()):08x}"
        values = (self.codec.name, self.codec.settings, self.version, self.path.name, crc, f"{self.quality:g}")
        return dict(zip(IDENTITY, values, strict=True))


def measure(task: Task) -> Row:
    """Encode to a file, decode the file, and compare; the seconds are of the codec alone, between pixels and bytes."""
    _warm_up(task.codec)
    pixels = common.read(task.path)
    started = perf_counter()
    coded = task.codec.encode(pixels, task.quality)
    encode_ended = perf_counter()
    with TemporaryDirectory() as folder:
        file = Path(folder) / "coded"
        file.write_bytes(coded.data)
        size, data = file.stat().st_size, file.read_bytes()
    decode_started = perf_counter()
    decoded = task.codec.decode(data)
    seconds = {"seconds_encode": encode_ended - started, "seconds_decode": perf_counter() - decode_started}
    return (
        task.identity()
        | _distortion(pixels, decoded)
        | {"bytes": str(size), "bpp": f"{8 * size / (pixels.shape[0] * pixels.shape[1]):.6f}"}
        | {column: f"{value:.4f}" for column, value in seconds.items()}
        | coded.ledger
    )


def _distortion(pixels: common.Pixels, decoded: common.Pixels) -> Row:
    similarity = metrics.ms_ssim(pixels, decoded)
    return {
        "width": str(pixels.shape[1]),
        "height": str(pixels.shape[0]),
        "psnr": f"{metrics.psnr(pixels, decoded):.4f}",
        "ms_ssim": "" if similarity is None else f"{similarity:.6f}",
    }


@cache
def _warm_up(codec: Codec) -> None:
    """Once in each process: what a codec loads when it is first used is not part of anyone's seconds."""
    codec.decode(codec.encode(np.zeros((64, 64, 3), np.uint8), codec.middle).data)


def measure_all(codecs: Sequence[Codec], paths: Sequence[Path], csv: Path, jobs: int) -> list[Row]:
    """The rows of every codec, picture and quality; those that the csv lacks are measured and added to it.

    It ends with the rows in the order of the tasks: readers take the first codec for the one that is compared.
    """
    tasks = [
        Task(codec, version, path, quality)
        for codec, version in [(codec, codec.version) for codec in codecs]
        for path in paths
        for quality in codec.qualities
    ]
    # A csv holds one version of each codec: rows of others go, rows of other pictures and qualities stay.
    current = {(task.codec.name, task.codec.settings, task.version) for task in tasks}
    rows = common.read_rows(csv, COLUMNS)
    known = [row for row in rows if (row["codec"], row["settings"], row["version"]) in current]
    common.write_rows(csv, COLUMNS, known)
    done = {tuple(row[column] for column in IDENTITY): row for row in known}
    wanted = {tuple(task.identity().values()): task for task in tasks}
    missing = [task for identity, task in wanted.items() if identity not in done]
    where = common.provenance()
    measured = (row | where for row in common.in_processes(measure, missing, jobs))
    for row in tqdm(common.append_rows(csv, COLUMNS, measured), "files", len(missing), disable=None):
        done[tuple(row[column] for column in IDENTITY)] = row
    ordered = {identity: done.pop(identity) for identity in wanted}
    common.write_rows(csv, COLUMNS, [*ordered.values(), *done.values()])
    return list(ordered.values())


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--qualities", callback=common.comma_separated, default=",".join(f"{q:g}" for q in Vlae().qualities),
              show_default=True, help="Qualities of vlae; the other codecs keep theirs.")  # fmt: skip
@click.option("--jobs", default=1, show_default=True, help="Processes, of one thread each.")
@click.option("--out", default=common.HERE, type=click.Path(path_type=Path), help="Where results/ and figures/ are.")
def main(folder: Path | None, qualities: tuple[float, ...], jobs: int, out: Path) -> None:
    """Measure vlae, JPEG, WebP and AVIF on the pictures of FOLDER, or on photographs that come with scikit-image."""
    common.use_threads(1)
    name, paths = common.pictures(folder)
    results, plot = out / "results" / f"rate_distortion-{name}", out / "figures" / f"rate_distortion-{name}"
    rows = measure_all([Vlae(qualities), *BASELINES], paths, results.with_suffix(".csv"), jobs)
    measured = curves.measured(rows)
    others = curves.published(common.HERE / "anchors" / "kodak") if common.is_kodak(paths) else []
    report = curves.report(name, rows, measured, others)
    results.with_suffix(".md").write_text(report, encoding="utf-8")
    figure.save(plot, f"{name}, {len(paths)} pictures", [*measured, *others])
    click.echo(report)


if __name__ == "__main__":
    main()
