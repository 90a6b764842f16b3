"""Put the measured figures into README.md: `python -m benchmarks.readme`.

Reads the csv files in results/ and writes what stands between the two markers; a test does the same and compares, so
that README and results agree.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import click

from benchmarks import bits_back, common, curves, rate_distortion, scaling, speed, throughput
from benchmarks.common import Row, markdown_table

README = common.HERE.parent / "README.md"
RESULTS = common.HERE / "results"
BEGIN, END = "<!-- begin figures -->\n", "<!-- end figures -->\n"


def figures(results: Path = RESULTS) -> str:
    """The paragraphs and tables that belong between the markers."""
    parts = (_rate_distortion, _bits_back, _speed, _scaling)
    return "\n".join(part(results) for part in parts)


def _rate_distortion(results: Path) -> str:
    csv = results / "rate_distortion-kodak.csv"
    every = curves.complete(common.read_rows(csv, rate_distortion.COLUMNS, rate_distortion.NEWER))
    rows, anchors = curves.untuned(every), common.HERE / "anchors" / "kodak"
    test, *others = [*curves.measured(rows), *curves.published(anchors)]
    by_measure = {f"by {measure}": curves.measured(rows, measure) for measure in curves.measures(rows)[1:]}
    lines = [
        [
            *(other.name, curves.bd_rate(other, test, None)[0], curves.bd_rate(other, test, curves.WINDOW)[0]),
            *(curves.by_measure(measured, other.name) for measured in by_measure.values()),
        ]
        for other in others
    ]
    window = f"{curves.WINDOW[0]:g} to {curves.WINDOW[1]:g} dB"
    return (
        "Bits that vlae needs more or less than others at equal PSNR or, where they were measured here, at equal\n"
        "values of other measures (BD-rate; Kodak, 24 pictures; whole files, headers included):\n\n"
        + markdown_table(["against", "by PSNR", f"by PSNR, {window}", *by_measure], lines)
        + f"\n{_settings(rows)}\n{_tuned(every, anchors)}"
    )


def _tuned(rows: Sequence[Row], anchors: Path) -> str:
    table = curves.by_ms_ssim(rows, curves.published(anchors, "MS-SSIM"))
    return f"\nBy MS-SSIM, with the model that is tuned for it and with the other:\n\n{table}" if table else ""


def _settings(rows: Sequence[Row]) -> str:
    """How the other codecs were set up, as a paragraph."""
    settings = {row["codec"]: row["settings"] for row in rows if row["codec"] != rows[0]["codec"]}
    sentences = " ".join(f"{codec}: {text}." for codec, text in settings.items())
    return textwrap.fill(f"{sentences} The others are published curves.", 118)


def _bits_back(results: Path) -> str:
    rows = common.read_rows(results / "bits_back-kodak.csv", bits_back.COLUMNS)
    qualities = dict.fromkeys(row["quality"] for row in rows)
    lines = [bits_back.line(quality, [row for row in rows if row["quality"] == quality]) for quality in qualities]
    wanted = ("quality", "bpp", "saved", "overhead, bits", "bits-back active")
    columns = [bits_back.HEADER.index(name) for name in wanted]
    return "What bits-back saves against the best single z, and what the coder adds to theory:\n\n" + markdown_table(
        wanted, [[line[column] for column in columns] for line in lines]
    )


def _speed(results: Path) -> str:
    rows = common.read_rows(results / "speed-kodak.csv", speed.COLUMNS)
    lines = [
        [codec, *(_seconds(rows, codec, direction) for direction in speed.SECONDS_BAR)]
        for codec in dict.fromkeys(row["codec"] for row in rows)
    ]
    return (
        f"Seconds for a picture of 768x512 (median; {rows[0]['machine']}; vlae with {rows[0]['threads']} threads\n"
        "and the model loaded, the others with one):\n\n" + markdown_table(["codec", *speed.SECONDS_BAR], lines)
    )


def _scaling(results: Path) -> str:
    """What the largest picture took, and what a second process is worth."""
    rows = common.read_rows(results / "scaling.csv", scaling.COLUMNS)
    one, two = (
        float(row["files_per_second"]) for row in common.read_rows(results / "throughput.csv", throughput.COLUMNS)
    )
    largest = max(float(row["megapixels"]) for row in rows)
    took = [
        f"{row['direction'][:-1]}ing takes {float(row['seconds']):.0f} s and "
        f"{(float(row['peak_megabytes']) - scaling.pixel_megabytes(row)) / 1000:.2f} GB on top of the pixels"
        for row in rows
        if float(row["megapixels"]) == largest
    ]
    huge = f"With one thread, at {largest:g} megapixels, {' and '.join(took)}."
    many = f"Two processes on two cores code {two / one:.2f} times as many files as one."
    return textwrap.fill(f"{huge} {many}", 118) + "\n"


def _seconds(rows: list[Row], codec: str, direction: str) -> str:
    own = [row for row in rows if (row["codec"], row["direction"], row["stage"]) == (codec, direction, "codec")]
    return f"{median(float(row['seconds']) for row in own):.3f}"


def with_figures(text: str, results: Path = RESULTS) -> str:
    """README's text with the part between the markers written anew."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}{figures(results)}{END}{rest.split(END)[1]}"


@click.command()
def main() -> None:
    """Write the measured figures into README.md."""
    README.write_text(with_figures(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
