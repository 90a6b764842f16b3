"""Time and memory of each stage: `python -m benchmarks.speed FOLDER`.

A folder of pictures in; a csv with a row for each codec, picture and stage, and a table of medians over the pictures,
out. Encoding and decoding with each codec have a fresh process, whose peak memory is that of the work and of all
libraries it needs. A first picture, not counted, pays for loading the model. "codec" is what a codec takes between
pixels and bytes, with vlae's own stages apart; "load" reads and "write" writes files, of which the pictures are PNG.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

import click

from benchmarks import common
from benchmarks.codecs import BASELINES, Codec, Stages, Vlae
from benchmarks.common import Row
from vlae_codec import images

COLUMNS = (
    "codec", "settings", "version", "quality", "threads", "direction", "image", "width", "height", "bytes",
    "stage", "seconds", "peak_megabytes", "commit", "machine", "date",
)  # fmt: skip
SECONDS_BAR = {"encode": 0.7, "decode": 0.5}
"""Seconds of vlae's codec for a Kodak picture on two cores, and the share of them that entropy coding may take."""
ENTROPY_BAR, ENTROPY_STAGE = 0.25, "entropy coding"


class Work(NamedTuple):
    """All pictures in one direction; `folder` is where the coded files are."""

    codec: Codec
    direction: str
    paths: tuple[Path, ...]
    folder: Path


def measure(work: Work) -> list[Row]:
    """A row for each picture and stage; run it in a fresh process."""
    run = _encode if work.direction == "encode" else _decode
    run(work.codec, work.paths[0], work.folder / work.paths[0].name)  # the warm-up
    rows = [row for path in work.paths for row in run(work.codec, path, work.folder / path.name)]
    peak = common.peak_megabytes()
    what = {
        "codec": work.codec.name,
        "settings": work.codec.settings,
        "version": work.codec.version,
        "quality": f"{work.codec.middle:g}",
        "direction": work.direction,
        "peak_megabytes": f"{peak:.1f}",
    }
    return [row | what for row in rows]


def _encode(codec: Codec, path: Path, coded: Path) -> list[Row]:
    stages: Stages = {}
    times = [perf_counter()]
    pixels = common.read(path)
    times.append(perf_counter())
    data = codec.encode(pixels, codec.middle, stages).data
    times.append(perf_counter())
    coded.write_bytes(data)
    times.append(perf_counter())
    return _rows(path, pixels, len(data), times, stages)


def _decode(codec: Codec, path: Path, coded: Path) -> list[Row]:
    stages: Stages = {}
    times = [perf_counter()]
    data = coded.read_bytes()
    times.append(perf_counter())
    pixels = codec.decode(data, stages)
    times.append(perf_counter())
    png = images.write(images.Picture(pixels, alpha=None, metadata={}), ".png")
    coded.with_suffix(".decoded").write_bytes(png)
    times.append(perf_counter())
    return _rows(path, pixels, len(data), times, stages)


def _rows(path: Path, pixels: common.Pixels, size: int, times: Sequence[float], stages: Stages) -> list[Row]:
    load, codec, write = (end - start for start, end in pairwise(times))
    rest = {"rest": codec - sum(stages.values())} if stages else {}
    height, width = pixels.shape[:2]
    what = {"image": path.name, "width": str(width), "height": str(height), "bytes": str(size)}
    seconds = {"load": load, **stages, **rest, "codec": codec, "write": write}
    return [what | {"stage": stage, "seconds": f"{value:.5f}"} for stage, value in seconds.items()]


def table(rows: Sequence[Row]) -> str:
    """Seconds per megapixel of each stage and peak memory, a line for each codec and direction."""
    seen = dict.fromkeys(row["stage"] for row in rows)
    inner = [stage for stage in seen if stage not in ("load", "rest", "codec", "write")]
    stages = ["load", *inner, "rest", "codec", "write"]
    lines = []
    for codec, direction in dict.fromkeys((row["codec"], row["direction"]) for row in rows):
        own = [row for row in rows if (row["codec"], row["direction"]) == (codec, direction)]
        bpp = median(8 * int(row["bytes"]) / _megapixels(row) / 1e6 for row in own)
        speeds = [_seconds(own, stage, per_megapixel=True) for stage in stages]
        texts = [f"{median(speed):.3f}" if speed else "" for speed in speeds]
        lines.append([f"{codec} {direction}", f"{bpp:.3f}", *texts, own[0]["peak_megabytes"]])
    return common.markdown_table(["codec", "bpp", *stages, "peak, MB"], lines)


def bars(rows: Sequence[Row]) -> str:
    """Whether vlae keeps its bars on pictures of Kodak's size, a line for each."""
    lines = []
    for direction, bar in SECONDS_BAR.items():
        own = [row for row in rows if (row["codec"], row["direction"]) == ("vlae", direction)]
        codec, entropy = _seconds(own, "codec"), _seconds(own, ENTROPY_STAGE)
        share = median(part / whole for part, whole in zip(entropy, codec, strict=True)) if entropy else float("nan")
        lines += [
            f"* {direction}: median {median(codec):.3f} s, slowest {max(codec):.3f} s; "
            f"bar {bar} s: {'holds' if median(codec) <= bar else 'broken'}",
            f"* {direction}: entropy coding is {share:.0%} of it; "
            f"bar {ENTROPY_BAR:.0%}: {'holds' if share <= ENTROPY_BAR else 'broken'}",
        ]
    return "\n".join(lines) + "\n"


def _seconds(rows: Sequence[Row], stage: str, per_megapixel: bool = False) -> list[float]:
    own = [row for row in rows if row["stage"] == stage]
    return [float(row["seconds"]) / (_megapixels(row) if per_megapixel else 1) for row in own]


def _megapixels(row: Row) -> float:
    return int(row["width"]) * int(row["height"]) / 1e6


def measure_all(paths: Sequence[Path]) -> list[Row]:
    """The rows of all codecs, which run one after the other."""
    rows = []
    for codec in (Vlae(), *BASELINES):
        with TemporaryDirectory() as folder:
            for direction in SECONDS_BAR:
                click.echo(f"{codec.name}: {direction}", err=True)
                rows += common.in_fresh_process(measure, Work(codec, direction, tuple(paths), Path(folder)))
    return rows


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--threads", default=2, show_default=True, help="Threads of vlae; the other codecs have one.")
@click.option("--out", default=common.HERE, type=click.Path(path_type=Path), help="Where results/ is.")
def main(folder: Path | None, threads: int, out: Path) -> None:
    """Seconds per megapixel and peak memory on the pictures of FOLDER, or on those of scikit-image."""
    common.use_threads(threads)
    name, paths = common.pictures(folder)
    where = common.provenance()
    rows = [row | where | {"threads": str(threads if row["codec"] == "vlae" else 1)} for row in measure_all(paths)]
    results = out / "results" / f"speed-{name}"
    common.write_rows(results.with_suffix(".csv"), COLUMNS, rows)
    verdict = bars(rows) if common.is_kodak(paths) else "The bars are for the pictures of Kodak.\n"
    codecs = dict.fromkeys("* {codec} at quality {quality}: {settings}; {version}\n".format(**row) for row in rows)
    report = (
        f"# Speed: {name}, {len(paths)} pictures\n\nSeconds per megapixel, medians over the pictures, "
        f"model loaded; {threads} threads for vlae, one for the others.\n\n"
        f"{table(rows)}\n{verdict}\n{''.join(codecs)}\n{where['date']}, {where['machine']}, commit {where['commit']}.\n"
    )
    results.with_suffix(".md").write_text(report, encoding="utf-8")
    click.echo(report)


if __name__ == "__main__":
    main()
