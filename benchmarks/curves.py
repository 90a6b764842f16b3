"""Rate-distortion curves: from measured rows or from published figures, compared by BD-rate, as tables.

The rate of a point is the mean over pictures of bits per pixel, its PSNR the mean of PSNR in dB, in the published
figures and here. What PSNR does not see is compared between measured codecs, by MS-SSIM and SSIMULACRA2.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from benchmarks.codecs import TUNED, Vlae
from benchmarks.common import Row, markdown_table
from vlae_codec import metrics
from vlae_codec.errors import UsageError

WINDOW = (30.0, 36.0)
"""PSNR in dB where most published codecs have points; BD-rates over different ranges cannot be compared."""

MEASURES: Mapping[str, str] = {"PSNR": "psnr", "MS-SSIM": "ms_ssim", "SSIMULACRA2": "ssimulacra2"}
"""The column of each measure."""
PUBLISHED: Mapping[str, str] = {"PSNR": "psnr-rgb", "MS-SSIM": "ms-ssim-rgb"}
"""What the files of published curves call it."""


@dataclass(frozen=True)
class Curve:
    """A codec's points, and what a reader must know about how it was run."""

    name: str
    description: str
    points: tuple[metrics.Point, ...]
    published: bool


def complete(rows: Sequence[Row]) -> list[Row]:
    """The rows of codecs and qualities that every picture has, as means over fewer pictures do not compare."""
    pictures = {row["image"] for row in rows}
    counts = Counter((row["codec"], row["quality"]) for row in rows)
    return [row for row in rows if counts[row["codec"], row["quality"]] == len(pictures)]


def measured(rows: Sequence[Row], measure: str = "PSNR") -> list[Curve]:
    """A curve for each codec, in the order of the rows; its points are those that all pictures have the measure of."""
    return [
        Curve(
            codec,
            f"{own[0]['settings']}; {own[0]['version']}",
            tuple(_points(own, MEASURES[measure])),
            published=False,
        )
        for codec, own in _groups(rows, "codec").items()
    ]


def _points(rows: Sequence[Row], column: str) -> Iterator[metrics.Point]:
    for at in _groups(rows, "quality").values():
        if _has(at, column):
            yield _mean(at, "bpp"), _quality(at, column)


def measures(rows: Sequence[Row]) -> list[str]:
    """Those that all rows of the first codec have."""
    first = [row for row in rows if row["codec"] == rows[0]["codec"]]
    return [measure for measure, column in MEASURES.items() if _has(first, column)]


def published(folder: Path, measure: str = "PSNR") -> list[Curve]:
    """The curves that stand in a folder's json files, whose `results` are lists over points; not all have MS-SSIM."""
    files = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return [
        Curve(
            file["label"],
            f"{file['description']}; {file['source']}",
            tuple(zip(file["results"]["bpp"], _published(measure, file["results"]), strict=True)),
            published=True,
        )
        for file in files
        if PUBLISHED[measure] in file["results"]
    ]


def _published(measure: str, results: Mapping[str, list[float]]) -> list[float]:
    values = results[PUBLISHED[measure]]
    return [metrics.decibels(value) for value in values] if measure == "MS-SSIM" else values


def untuned(rows: Sequence[Row]) -> list[Row]:
    """Without those of vlae that is tuned for something else than PSNR."""
    return [row for row in rows if row["codec"] != TUNED.name]


def report(name: str, rows: Sequence[Row], anchors: Path | None) -> str:
    """Markdown: where it was measured, BD-rates of the first curve, means, and the settings of every codec.

    Args:
        anchors: folder of published curves of these pictures.
    """
    others, similar = ([] if anchors is None else published(anchors, measure) for measure in PUBLISHED)
    where = sorted({f"{row['date']}, {row['machine']}, commit {row['commit']}" for row in rows})
    test, *rest = [*measured(untuned(rows)), *others]
    curves = "".join(f"* {curve.name}: {curve.description}\n" for curve in (*measured(rows), *others))
    return (
        f"# Rate and distortion: {name}, {len({row['image'] for row in rows})} pictures\n\n"
        "Whole files on disk, headers included; PSNR and MS-SSIM of RGB; means over the pictures.\n"
        f"{'; '.join(where)}.\n\n"
        f"## BD-rate of {test.name}\n\nNegative: {test.name} needs fewer bits at equal PSNR. Akima interpolation.\n\n"
        f"{_bd_rates(test, rest)}\n{_by_each_measure(untuned(rows))}{_tuned(rows, similar)}"
        f"## Means\n\n{_means(rows)}\n## Codecs\n\n{curves}"
    )


def _bd_rates(test: Curve, anchors: Sequence[Curve]) -> str:
    whole = "whole overlap"
    header = ["against", whole, "from, dB", "to, dB", f"{WINDOW[0]:g} to {WINDOW[1]:g} dB", "from, dB", "to, dB"]
    lines = [[anchor.name, *bd_rate(anchor, test, None), *bd_rate(anchor, test, WINDOW)] for anchor in anchors]
    return markdown_table(header, lines)


def _tuned(rows: Sequence[Row], anchors: Sequence[Curve]) -> str:
    table = by_ms_ssim(rows, anchors)
    return f"By MS-SSIM, tuned for it and not:\n\n{table}\n" if table else ""


def _by_each_measure(rows: Sequence[Row]) -> str:
    """BD-rates of measured codecs by more than PSNR, with a heading; nothing if only one codec was measured."""
    names = list(_groups(rows, "codec"))[1:]
    found = {measure: measured(rows, measure) for measure in measures(rows)} if names else {}
    if not found:
        return ""
    lines = [[name, *(by_measure(curves, name) for curves in found.values())] for name in names]
    return (
        "At equal values of each measure, MS-SSIM in dB, over the whole overlap:\n\n"
        f"{markdown_table(['against', *found], lines)}\n"
    )


def by_ms_ssim(rows: Sequence[Row], anchors: Sequence[Curve]) -> str:
    """BD-rates by MS-SSIM of vlae and of vlae tuned for it, against all other codecs; nothing if that was not measured.

    Args:
        anchors: published curves of MS-SSIM.
    """
    found = {curve.name: curve for curve in measured(rows, "MS-SSIM") if curve.points}
    own = [found.pop(codec.name) for codec in (Vlae(), TUNED) if codec.name in found]
    if len(own) < 2:
        return ""
    lines = [[other.name, *(bd_rate(other, test, None)[0] for test in own)] for other in (*found.values(), *anchors)]
    return markdown_table(["against", *(test.name for test in own)], lines)


def by_measure(curves: Sequence[Curve], name: str) -> str:
    """BD-rate of the first curve against the one of this name, or a dash if there is none."""
    return next((bd_rate(anchor, curves[0], None)[0] for anchor in curves[1:] if anchor.name == name), "–")


def bd_rate(anchor: Curve, test: Curve, window: metrics.Window | None) -> list[str]:
    """BD-rate and the range it is a mean over, which the curves may make shorter than the window."""
    try:
        low, high = metrics.overlap(anchor.points, test.points, window)
        return [f"{metrics.bd_rate(anchor.points, test.points, window):+.1f} %", f"{low:.1f}", f"{high:.1f}"]
    except UsageError:
        return ["–", "–", "–"]


def _means(rows: Sequence[Row]) -> str:
    columns = {"bpp": 4, "psnr": 2, "ms_ssim": 4, "ssimulacra2": 1, "seconds_encode": 3, "seconds_decode": 3}
    titles = dict(zip(columns, ("bpp", "PSNR, dB", "MS-SSIM", "SSIMULACRA2", "encode, s", "decode, s"), strict=True))
    if not any(row["ssimulacra2"] for row in rows):
        del columns["ssimulacra2"], titles["ssimulacra2"]
    lines = [
        [codec, quality, *(mean_text(at, column, digits) for column, digits in columns.items())]
        for codec, own in _groups(rows, "codec").items()
        for quality, at in _groups(own, "quality").items()
    ]
    return markdown_table(["codec", "quality", *titles.values()], lines)


def mean_text(rows: Sequence[Row], column: str, digits: int) -> str:
    """A mean, or a dash when a picture is too small to have the value."""
    return f"{_mean(rows, column):.{digits}f}" if _has(rows, column) else "–"


def _has(rows: Sequence[Row], column: str) -> bool:
    return all(row[column] for row in rows)


def _quality(rows: Sequence[Row], column: str) -> float:
    """The mean; of MS-SSIM in dB, as published curves have it: the mean is in dB, not what it is a mean of."""
    mean = _mean(rows, column)
    return metrics.decibels(mean) if column == "ms_ssim" else mean


def _mean(rows: Sequence[Row], column: str) -> float:
    return fmean(float(row[column]) for row in rows)


def _groups(rows: Sequence[Row], column: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[column], []).append(row)
    return groups
