"""Rate and distortion of real files: `python -m benchmarks.rate_distortion FOLDER`.

A folder of pictures in; a csv with a row for each codec, picture and quality, a plot, and a table of means and
BD-rates out. Rates are whole files on disk, headers included; PSNR and MS-SSIM are of RGB. Rows that the csv has
already, of the same picture, source, model and libraries, are not measured again, so that an interrupted run goes on
where it stopped, and that codecs can be measured one by one: `--others-only --codecs HEIC`, for example.
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
from benchmarks.codecs import ALL, LEDGER, TUNED, Codec, Vlae, others
from benchmarks.common import Row
from vlae_codec import metrics
from vlae_codec.ssimulacra2 import ssimulacra2

IDENTITY = ("codec", "settings", "version", "image", "image_crc32", "quality")
COLUMNS = (
    *IDENTITY, "width", "height", "bytes", "bpp", "psnr", "ms_ssim", "seconds_encode", "seconds_decode",
    *LEDGER, "bits_back_active", "commit", "machine", "date", "ssimulacra2",
)  # fmt: skip
NEWER = ("ssimulacra2",)
"""Columns that a csv from before they were measured lacks."""


class Task(NamedTuple):
    """One picture, to be coded once."""

    codec: Codec
    version: str
    path: Path
    quality: float
    perceptual: bool = False

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
        | _distortion(pixels, decoded, task.perceptual)
        | {"bytes": str(size), "bpp": f"{8 * size / (pixels.shape[0] * pixels.shape[1]):.6f}"}
        | {column: f"{value:.4f}" for column, value in seconds.items()}
        | coded.ledger
    )


def _distortion(pixels: common.Pixels, decoded: common.Pixels, perceptual: bool) -> Row:
    similarity = metrics.ms_ssim(pixels, decoded)
    score = ssimulacra2(pixels, decoded) if perceptual else None
    return {
        "width": str(pixels.shape[1]),
        "height": str(pixels.shape[0]),
        "psnr": f"{metrics.psnr(pixels, decoded):.4f}",
        "ms_ssim": "" if similarity is None else f"{similarity:.6f}",
        "ssimulacra2": "" if score is None else f"{score:.4f}",
    }


@cache
def _warm_up(codec: Codec) -> None:
    """Once in each process: what a codec loads when it is first used is not part of anyone's seconds."""
    codec.decode(codec.encode(np.zeros((64, 64, 3), np.uint8), codec.middle).data)


def measure_all(
    codecs: Sequence[Codec], paths: Sequence[Path], csv: Path, jobs: int, perceptual: bool = False
) -> list[Row]:
    """The rows of every codec, picture and quality; those that the csv lacks are measured and added to it.

    It ends with vlae's rows, then those of the other codecs in their order: readers take the first for the one that is
    compared. Rows of these pictures by codecs that are not measured now are returned, too.

    Args:
        perceptual: rows without SSIMULACRA2 count as lacking.
    """
    tasks = [
        Task(codec, version, path, quality, perceptual)
        for codec, version in [(codec, codec.version) for codec in codecs]
        for path in paths
        for quality in codec.qualities
    ]
    done = {tuple(row[column] for column in IDENTITY): row for row in _known(tasks, csv)}
    wanted = {tuple(task.identity().values()): task for task in tasks}
    missing = [task for key, task in wanted.items() if key not in done or (perceptual and not done[key]["ssimulacra2"])]
    where = common.provenance()
    measured = (row | where for row in common.in_processes(measure, missing, jobs))
    for row in tqdm(common.append_rows(csv, COLUMNS, measured), "files", len(missing), disable=None):
        done[tuple(row[column] for column in IDENTITY)] = row
    ordered = {key: done.pop(key) for key in wanted}
    common.write_rows(csv, COLUMNS, _by_codec([*ordered.values(), *done.values()]))
    now, pictures = {codec.name for codec in codecs}, {path.name for path in paths}
    others = [row for row in done.values() if row["codec"] not in now and row["image"] in pictures]
    return _by_codec([*ordered.values(), *others])


def _by_codec(rows: Sequence[Row]) -> list[Row]:
    places = {codec.name: place for place, codec in enumerate(ALL)}
    return sorted(rows, key=lambda row: places.get(row["codec"], len(places)))


def _known(tasks: Sequence[Task], csv: Path) -> list[Row]:
    """The rows that stay in the csv: it holds one version of each codec, so that others of these codecs go."""
    measured = {task.codec.name for task in tasks}
    current = {(task.codec.name, task.codec.settings, task.version) for task in tasks}
    rows = common.read_rows(csv, COLUMNS, NEWER)
    # The later of two rows of a file is the one that has more columns.
    rows = list({tuple(row[column] for column in IDENTITY): row for row in rows}.values())
    known = [
        row
        for row in rows
        if row["codec"] not in measured or (row["codec"], row["settings"], row["version"]) in current
    ]
    common.write_rows(csv, COLUMNS, known)
    return known


def _names(_: click.Context, __: click.Parameter, text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--qualities", callback=common.comma_separated, default=",".join(f"{q:g}" for q in Vlae().qualities),
              show_default=True, help="Qualities of vlae; the other codecs keep theirs.")  # fmt: skip
@click.option("--codecs", "names", callback=_names, default="",
              help="Other codecs than vlae, by their names in results; else all that are installed.")  # fmt: skip
@click.option("--others-only", is_flag=True, help="Leave vlae's rows as they are, even if they are of another source.")
@click.option("--ssimulacra2", "perceptual", is_flag=True, help="Measure SSIMULACRA2, too: a second per megapixel.")
@click.option("--jobs", default=1, show_default=True, help="Processes, of one thread each.")
@click.option("--out", default=common.HERE, type=click.Path(path_type=Path), help="Where results/ and figures/ are.")
def main(
    folder: Path | None, qualities: tuple[float, ...], names: list[str], others_only: bool, perceptual: bool,
    jobs: int, out: Path,
) -> None:  # fmt: skip
    """Measure vlae and other codecs on the pictures of FOLDER, or on photographs that come with scikit-image."""
    common.use_threads(1)
    name, paths = common.pictures(folder)
    results, plot = out / "results" / f"rate_distortion-{name}", out / "figures" / f"rate_distortion-{name}"
    csv = results.with_suffix(".csv")
    if others_only and not any(row["codec"] == ALL[0].name for row in common.read_rows(csv, COLUMNS, NEWER)):
        raise click.UsageError(f"--others-only wants rows of vlae in {csv}, and there are none")
    own = [Vlae(qualities), Vlae(qualities, tune=TUNED.tune)]
    codecs: list[Codec] = [*([] if others_only else own), *others(names)]
    rows = curves.complete(measure_all(codecs, paths, csv, jobs, perceptual))
    anchors = common.HERE / "anchors" / "kodak" if common.is_kodak(paths) else None
    report = curves.report(name, rows, anchors)
    results.with_suffix(".md").write_text(report, encoding="utf-8")
    drawn = [*curves.measured(curves.untuned(rows)), *(curves.published(anchors) if anchors else [])]
    figure.save(plot, f"{name}, {len(paths)} pictures", drawn)
    click.echo(report)


if __name__ == "__main__":
    main()
