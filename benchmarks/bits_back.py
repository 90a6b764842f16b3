"""What bits-back coding saves in real files: `python -m benchmarks.bits_back FOLDER`.

A folder of pictures in; a csv with a row for each picture and quality, and a table of means, out. Every picture is
coded twice by the same model: with z sampled from its posterior by bits that come back, and with z the deterministic
best point. The table also says how far payloads are above the theoretical rate, the negative ELBO.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import click
from tqdm import tqdm

from benchmarks import common
from benchmarks.codecs import LEDGER, Vlae
from benchmarks.common import Row

COLUMNS = (
    "version", "image", "quality", "width", "height", "file_bits", "file_bits_deterministic",
    *LEDGER, "bits_back_active", "commit", "machine", "date",
)  # fmt: skip
HEADER = (
    "quality", "bpp", "bits", "deterministic z", "saved", "overhead, bits", "overhead",
    "worst, bits", "worst", "within bar", "bits-back active",
)  # fmt: skip
BAR_SHARE, BAR_BITS = 0.001, 24
"""A payload may be this share of the theoretical rate plus this many bits above it."""


class Task(NamedTuple):
    """One picture at one quality."""

    path: Path
    quality: float


def measure(task: Task) -> Row:
    """Bits of the two files, and the ledger of the one with bits-back."""
    from vlae_codec import codec, images

    pixels = common.read(task.path)
    coded = Vlae().encode(pixels, task.quality)
    picture = images.Picture(pixels, alpha=None, metadata={})
    deterministic = codec.encode(picture, task.quality, bits_back=False)
    return coded.ledger | {
        "image": task.path.name,
        "quality": f"{task.quality:g}",
        "width": str(pixels.shape[1]),
        "height": str(pixels.shape[0]),
        "file_bits": str(8 * len(coded.data)),
        "file_bits_deterministic": str(8 * len(deterministic.data)),
    }


def table(rows: Sequence[Row]) -> str:
    """A line for each quality: means over the pictures, and the worst of them."""
    qualities = dict.fromkeys(row["quality"] for row in rows)
    lines = [line(quality, [row for row in rows if row["quality"] == quality]) for quality in qualities]
    return common.markdown_table(HEADER, lines)


def line(quality: str, rows: Sequence[Row]) -> list[str]:
    bits, plain, theory, overhead = (
        [float(row[column]) for row in rows]
        for column in ("file_bits", "file_bits_deterministic", "theoretical", "overhead")
    )
    pixels = [int(row["width"]) * int(row["height"]) for row in rows]
    within = sum(over <= BAR_SHARE * ideal + BAR_BITS for over, ideal in zip(overhead, theory, strict=True))
    active = sum(row["bits_back_active"] == "true" for row in rows)
    return [
        quality,
        f"{fmean(b / p for b, p in zip(bits, pixels, strict=True)):.4f}",
        f"{fmean(bits):.0f}",
        f"{fmean(plain):.0f}",
        f"{100 * (1 - fmean(bits) / fmean(plain)):.2f} %",
        f"{fmean(overhead):.1f}",
        f"{100 * fmean(overhead) / fmean(theory):.3f} %",
        f"{max(overhead):.1f}",
        f"{max(100 * over / ideal for over, ideal in zip(overhead, theory, strict=True)):.3f} %",
        f"{within} of {len(rows)}",
        f"{active} of {len(rows)}",
    ]


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--qualities", callback=common.comma_separated, default="10,30,50,70,90", show_default=True)
@click.option("--jobs", default=1, show_default=True, help="Processes, of one thread each.")
@click.option("--out", default=common.HERE, type=click.Path(path_type=Path), help="Where results/ is.")
def main(folder: Path | None, qualities: tuple[float, ...], jobs: int, out: Path) -> None:
    """Rate with bits-back against deterministic z on the pictures of FOLDER, or on those of scikit-image."""
    common.use_threads(1)
    name, paths = common.pictures(folder)
    where = common.provenance() | {"version": Vlae().version}
    tasks = [Task(path, quality) for quality in qualities for path in paths]
    measured = tqdm(common.in_processes(measure, tasks, jobs), "pictures", len(tasks), disable=None)
    rows = sorted((row | where for row in measured), key=lambda row: (float(row["quality"]), row["image"]))
    results = out / "results" / f"bits_back-{name}"
    common.write_rows(results.with_suffix(".csv"), COLUMNS, rows)
    report = (
        f"# Bits-back: {name}, {len(paths)} pictures\n\n"
        f"Bits of whole files and of payload overhead, means over the pictures. Bar of the overhead: "
        f"{BAR_SHARE:.1%} and {BAR_BITS} bits.\n\n{table(rows)}\n"
        f"{where['version']}; {where['date']}, {where['machine']}, commit {where['commit']}.\n"
    )
    results.with_suffix(".md").write_text(report, encoding="utf-8")
    click.echo(report)


if __name__ == "__main__":
    main()
