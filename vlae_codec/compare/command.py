"""`vlae compare`: options, messages, exit codes. Imports click and errors, all else inside the command, as `cli.py`."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlae_codec.errors import BatchError, OutputError, UsageError
from vlae_codec.models import DEFAULT, TUNES
from vlae_codec.program import complain

if TYPE_CHECKING:
    from vlae_codec.compare.codecs import Codec
    from vlae_codec.compare.result import Comparison

DEFAULT_CODECS = "jpeg,webp,avif,jxl"
FIGURES = (".png", ".svg", ".pdf")
Groups = list[list["Comparison"]]
"""The pictures at the first quality of vlae, at the second, and so on."""


def _codecs(_context: click.Context, _option: click.Parameter, value: str) -> "list[Codec]":
    from vlae_codec.compare import codecs

    return codecs.chosen(list(codecs.CODECS) if value == "all" else value.split(","))


def _qualities(_context: click.Context, _option: click.Parameter, value: str | None) -> list[float] | None:
    kind = click.FloatRange(0, 100)
    return None if value is None else sorted({round(kind(part), 1) for part in value.split(",")})


@click.command()
@click.argument("sources", metavar="IMAGE...", nargs=-1, required=True, type=click.Path(readable=False))
@click.option("--codec", "others", metavar="NAMES", default=DEFAULT_CODECS, show_default=True, callback=_codecs,
              help="Of jpeg, jpeg444, webp, avif, jxl, j2k, heic, vvc; or all.")  # fmt: skip
@click.option("-q", "--quality", metavar="Q", type=click.FloatRange(0, 100), default=50.0, show_default=True,
              help="Of vlae, 0 to 100: the others take as many bytes as it does.")  # fmt: skip
@click.option("-e", "--effort", metavar="E", type=click.IntRange(0, 9), default=3, show_default=True,
              help="Of vlae, as of vlae encode.")  # fmt: skip
@click.option(
    "--tune", type=click.Choice(TUNES), default=DEFAULT, show_default=True, help="Of vlae, as of vlae encode."
)
@click.option("--qualities", metavar="Q,Q,...", callback=_qualities,
              help="Curves instead: several qualities of vlae, and from four on BD-rates.")  # fmt: skip
@click.option("--csv", "table", metavar="FILE", help="Write a line for each file there.")
@click.option("--plot", "figure", metavar="FILE", help="Draw the curves there: .png, .svg or .pdf.")
@click.option("--html", "page", metavar="PAGE", help="Write one self-contained page to look at: slider, zoom, maps.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per picture and quality on stdout.")
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
@click.option("--max-pixels", metavar="N", type=click.IntRange(min=1), help="Refuse larger pictures.")
def compare(sources: tuple[str, ...], quality: float, qualities: list[float] | None, **options: Any) -> None:
    """Compare with other codecs at equal bytes.

    Of each codec the best quality is taken whose file is at most as large as vlae's; bytes are those of whole files,
    headers included. PSNR and MS-SSIM are of RGB; SSIMULACRA2 is 90 for pictures that cannot be told apart, 70 for
    high, 50 for medium and 30 for low quality. Transparency and metadata are left out, seconds are those of the coding
    alone; vlae may use all cores, the others use one.

    \b
      vlae compare photo.png
      vlae compare photo.png --codec all -q 30 -e 6
      vlae compare *.jpg --html page.html
      vlae compare *.png --qualities 20,40,60,80 --plot curves.png --csv curves.csv
    """
    table, figure, page, force = (options[name] for name in ("table", "figure", "page", "force"))
    levels = qualities or [quality]
    _check_outputs([table, figure, page], figure, force)
    _check_installed({"bjontegaard": len(levels) > 1, "matplotlib": figure is not None})
    groups = _measure_all(sources, levels, options)
    if len(levels) > 1 and groups[0]:
        _print_differences(groups, options["as_json"])
    if groups[0]:
        _print_settings(groups, options["as_json"])
        _write_outputs(groups, table, figure, page, force)
    if failures := len(sources) - len(groups[0]):
        raise BatchError(f"{failures} of {len(sources)} files failed")


def _check_outputs(targets: Sequence[str | None], figure: str | None, force: bool) -> None:
    """Refuse before the work what would be refused after it."""
    from vlae_codec import files

    for target in filter(None, targets):
        if target == files.STREAM:
            raise UsageError("--csv, --plot and --html want the name of a file, not -")
        files.check_target(target, force)
    if figure and Path(figure).suffix.lower() not in FIGURES:
        raise OutputError(f"{figure}: no format for a plot; one of {' '.join(FIGURES)} wanted")


def _check_installed(wanted: dict[str, bool]) -> None:
    from vlae_codec.compare.libraries import installed

    for package in (package for package, needed in wanted.items() if needed):
        if reason := installed(package):
            raise UsageError(reason)


def _measure_all(sources: Sequence[str], levels: Sequence[float], options: dict[str, Any]) -> Groups:
    """Each picture at each quality, printed as soon as it is there. A picture that fails does so at all qualities."""
    from tqdm import tqdm

    others: list[Codec] = options["others"]
    groups: Groups = [[] for _ in levels]
    with tqdm(total=len(sources) * len(levels) * (len(others) + 1), leave=False, disable=None, unit="codec") as bar:

        def watch(name: str) -> None:
            bar.set_postfix_str(name, refresh=False)
            bar.update()

        for source in sources:
            try:
                found = _measure(source, levels, options, watch)
            except Exception as error:
                if len(sources) == 1:
                    raise
                complain(error, source)
                continue
            for group, comparison in zip(groups, found, strict=True):
                group.append(comparison)
                bar.clear()
                _print(comparison, options["as_json"])
    return groups


def _measure(
    source: str, levels: Sequence[float], options: dict[str, Any], watch: Callable[[str], None]
) -> "list[Comparison]":
    from vlae_codec import files, images
    from vlae_codec.bitstream import MAX_PIXELS

    name = files.shown(source)
    picture = images.read(files.read_bytes(source), name, options["max_pixels"] or MAX_PIXELS)
    from vlae_codec.compare.equal_bytes import compare as at_equal_bytes  # torch takes a second to import

    others, effort, tune = (options[key] for key in ("others", "effort", "tune"))
    return [at_equal_bytes(name, picture.pixels, level, others, effort, tune, watch) for level in levels]


def _print(comparison: "Comparison", as_json: bool) -> None:
    from vlae_codec.compare import report

    click.echo(json.dumps(report.record(comparison)) if as_json else report.text(comparison) + "\n")


def _print_differences(groups: Groups, as_json: bool) -> None:
    from vlae_codec.compare import curves, report

    found = curves.differences(groups)
    click.echo(json.dumps(report.differences_record(found)) if as_json else report.differences_text(found) + "\n")


def _print_settings(groups: Groups, as_json: bool) -> None:
    """Last, and once for all pictures; JSON has them at each file."""
    from vlae_codec.compare import report

    if not as_json:
        click.echo(report.settings_text(comparison for group in reversed(groups) for comparison in group))


def _write_outputs(groups: Groups, table: str | None, figure: str | None, page: str | None, force: bool) -> None:
    """The one place where files are written: another kind of output is another `if` here."""
    from vlae_codec import files
    from vlae_codec.compare import report

    if table:
        files.write_atomic(table, report.as_csv(c for group in groups for c in group), force)
    if figure:
        from vlae_codec.compare.plot import plot

        files.write_atomic(figure, plot(groups, Path(figure).suffix.lower()), force)
    if page:
        from vlae_codec.compare import page as pages

        pages.write([c for group in groups for c in group], Path(page))
