"""Comparisons as text for people, as records for programs, and as a csv. Standard library and results only."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any

from vlae_codec import metrics
from vlae_codec.compare.curves import Difference
from vlae_codec.compare.result import Comparison, Contender
from vlae_codec.ssimulacra2 import SMALLEST_SIDE

Record = dict[str, Any]
FIELDS = (
    *("name", "library", "version", "settings", "quality", "bytes", "bpp", "psnr", "ms_ssim", "ssimulacra2"),
    *("encode_seconds", "decode_seconds"),
)
HEADER = ("codec", "quality", "bytes", "bpp", "PSNR", "MS-SSIM", "SSIMULACRA2", "encode", "decode")


def text(comparison: Comparison) -> str:
    """A table of the files, by the order of the codecs, and what is missing from it."""
    height, width = comparison.original.shape[:2]
    size = len(comparison.contenders[0].data)
    lines = [f"{comparison.name}: {width}x{height}, at most {size} bytes; whole files, headers included"]
    lines += aligned([HEADER, *map(_cells, comparison.contenders)])
    return "\n".join([*lines, *comparison.missing, *_reasons(comparison)])


def _cells(contender: Contender) -> tuple[str, ...]:
    return (
        contender.name,
        f"{contender.quality:g}",
        f"{len(contender.data)}",
        f"{contender.bpp:.3f}",
        f"{contender.psnr:.2f} dB",
        "–" if contender.ms_ssim is None else f"{contender.ms_ssim:.4f}",
        "–" if contender.ssimulacra2 is None else f"{contender.ssimulacra2:.1f}",
        f"{contender.encode_seconds:.2f} s",
        f"{contender.decode_seconds:.2f} s",
    )


def settings_text(comparisons: Iterable[Comparison]) -> str:
    """How each codec was set up, and what did the work: a line for each."""
    contenders = (contender for comparison in comparisons for contender in comparison.contenders)
    return "\n".join(dict.fromkeys(f"{c.name}: {c.settings}; {c.library} ({c.version})" for c in contenders))


def _reasons(comparison: Comparison) -> list[str]:
    """Why a measure is absent."""
    sides = {"MS-SSIM": metrics.MS_SSIM_SIDE, "SSIMULACRA2": SMALLEST_SIDE}
    shortest = min(comparison.original.shape[:2])
    return [f"{name}: needs sides of {side} pixels" for name, side in sides.items() if shortest < side]


def differences_text(differences: Sequence[Difference]) -> str:
    """The BD-rates as a table, then the reasons for those that there are not."""
    measures = list(dict.fromkeys(difference.measure for difference in differences))
    found = {(difference.codec, difference.measure): difference for difference in differences}
    rows = [
        (codec, *(_percent(found[codec, measure]) for measure in measures))
        for codec in dict.fromkeys(difference.codec for difference in differences)
    ]
    reasons = dict.fromkeys(f"{d.codec}, {d.measure}: {d.reason}" for d in differences if d.reason)
    return "\n".join(["bits of vlae at equal quality (BD-rate)", *aligned([("against", *measures), *rows]), *reasons])


def _percent(difference: Difference) -> str:
    return "–" if difference.percent is None else f"{difference.percent:+.1f} %"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [[cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return ["  ".join([row[0].ljust(widths[0]), *cells[1:]]) for row, cells in zip(rows, padded, strict=True)]


def record(comparison: Comparison) -> Record:
    """What --json prints of one picture; an infinite PSNR is null, as are measures that `reasons` says are absent."""
    height, width = comparison.original.shape[:2]
    return {
        "input": comparison.name,
        "width": width,
        "height": height,
        "codecs": [_described(contender) for contender in comparison.contenders],
        "missing": list(comparison.missing),
        "reasons": _reasons(comparison),
        "ledger": comparison.ledger,
    }


def _described(contender: Contender) -> Record:
    values = {field: len(contender.data) if field == "bytes" else getattr(contender, field) for field in FIELDS}
    return values | {"psnr": contender.psnr if math.isfinite(contender.psnr) else None}


def differences_record(differences: Iterable[Difference]) -> Record:
    """What --json prints of the BD-rates."""
    return {"bd_rate": [vars(difference) for difference in differences]}


def as_csv(comparisons: Iterable[Comparison]) -> bytes:
    """A line for each picture and file; an absent value is empty."""
    file = io.StringIO()
    writer = csv.DictWriter(file, ("input", "width", "height", *FIELDS), lineterminator="\n")
    writer.writeheader()
    for comparison in comparisons:
        height, width = comparison.original.shape[:2]
        place = {"input": comparison.name, "width": width, "height": height}
        writer.writerows(place | _described(contender) for contender in comparison.contenders)
    return file.getvalue().encode()
