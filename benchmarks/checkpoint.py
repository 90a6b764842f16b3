"""How good a run of training is by now: `python -m benchmarks.checkpoint CHECKPOINT PHOTOS FOLDER`.

The averaged weights of a checkpoint are exported as they would ship, measured on crops of PHOTOS, and code the pictures
of FOLDER. A row of progress.md, beside the checkpoint, out: real bytes, PSNR, BD-rates against what
results/rate_distortion-FOLDER.csv and the published curves have. The model need not be a shipped one.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import click

from benchmarks import common, curves, rate_distortion
from benchmarks.codecs import Vlae
from benchmarks.curves import Curve
from vlae_codec import metrics, models
from vlae_codec.models import Model

QUALITIES = (0, 10, 25, 40, 55, 70, 85, 100)
CROPS, SIZE = 48, 256  # that the export is measured on


@contextmanager
def codec_with(model: Model) -> Iterator[None]:
    """The codec takes this model for every name and id."""
    before = models.load
    models.load = lambda key="": model  # type: ignore[assignment]
    try:
        yield
    finally:
        models.load = before


def exported(path: Path, photographs: Path) -> tuple[Model, int]:
    """The model of a checkpoint as it would ship, and the step of the run."""
    import torch

    from vlae_codec.training import checkpoint, data, export

    run = checkpoint.load(path)
    torch.manual_seed(0)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.safetensors"
        export.export(run, data.Crops(data.load(photographs), SIZE).draw(CROPS), file)
        return models.read(file, path.parent.name), run.step


def points(paths: list[Path]) -> list[metrics.Point]:
    """Means over the pictures of bits per pixel of real files, and of PSNR, at each quality."""
    codec, found = Vlae(), []
    for quality in QUALITIES:
        measured = []
        for pixels in map(common.read, paths):
            data = codec.encode(pixels, quality).data
            measured.append((8 * len(data) / pixels[..., 0].size, metrics.psnr(pixels, codec.decode(data))))
        found.append((fmean(bpp for bpp, _ in measured), fmean(psnr for _, psnr in measured)))
    return found


def anchors(name: str, paths: list[Path]) -> list[Curve]:
    """What to compare with: the measured codecs, the shipped vlae among them, and on Kodak the published curves."""
    csv = common.HERE / "results" / f"rate_distortion-{name}.csv"
    rows = common.read_rows(csv, rate_distortion.COLUMNS, rate_distortion.NEWER)
    published = curves.published(common.HERE / "anchors" / "kodak") if common.is_kodak(paths) else []
    return [*curves.measured(rows), *published]


@click.command()
@click.argument("checkpoint", type=click.Path(exists=True, path_type=Path))
@click.argument("photographs", metavar="PHOTOS", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(checkpoint: Path, photographs: Path, folder: Path) -> None:
    """Add a row to the progress of a run of training."""
    common.use_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    name, paths = common.pictures(folder)
    model, step = exported(checkpoint, photographs)
    with codec_with(model):
        test = Curve("run", "", tuple(points(paths)), published=False)
    row = {
        "time": f"{datetime.now():%F %H:%M}",
        "hours": f"{model.seconds / 3600:.1f}",
        "gigapixels": f"{model.pixels / 1e9:.1f}",
        "step": str(step),
        "bpp / dB": " ".join(f"{bpp:.3f}/{psnr:.2f}" for bpp, psnr in test.points),
    } | {
        anchor.name: f"{curves.bd_rate(anchor, test, None)[0]} ({curves.bd_rate(anchor, test, curves.WINDOW)[0]})"
        for anchor in anchors(name, paths)
    }
    table = checkpoint.with_name("progress.md")
    lines = common.markdown_table(list(row), [list(row.values())]).splitlines(keepends=True)
    with table.open("a", encoding="utf-8") as file:
        file.writelines(lines)
    click.echo("".join(lines))


if __name__ == "__main__":
    main()
