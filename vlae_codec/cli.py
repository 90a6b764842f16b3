"""The `vlae` command: options, messages, exit codes. Arguments go in; `console` calls `jobs` for each file.

Imports click, the standard library, errors, console and program, all else inside the commands: --help answers at once.
A command is a function under `@main.command()`; whatever it raises, `Program` makes one line on stderr and an exit code
of it.
"""

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from vlae_codec import console
from vlae_codec.console import Many
from vlae_codec.errors import UsageError
from vlae_codec.models import DEFAULT, TUNES
from vlae_codec.program import Program

if TYPE_CHECKING:
    from vlae_codec.files import Job
    from vlae_codec.images import Allowed
    from vlae_codec.jobs import Record
    from vlae_codec.ledger import Ledger
    from vlae_codec.rate import Target


def _default_max_pixels() -> int:
    from vlae_codec.bitstream import MAX_PIXELS

    return MAX_PIXELS


def _tenths(_context: click.Context, _option: click.Parameter, quality: float) -> float:
    if math.isnan(quality):  # FloatRange finds no bound that it breaks
        raise click.BadParameter("nan is not in the range 0<=x<=100.")
    return round(quality, 1)


def _kinds(_context: click.Context, _option: click.Parameter, value: str) -> frozenset[str]:
    from vlae_codec.bitstream import METADATA_KINDS

    chosen = {"all": frozenset(METADATA_KINDS), "none": frozenset()}.get(value, frozenset(value.split(",")))
    if not chosen <= set(METADATA_KINDS):
        raise click.BadParameter(f"{value!r}; all, none, or some of {','.join(METADATA_KINDS)} wanted.")
    return chosen


def _print_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from vlae_codec import __version__

        click.echo(f"vlae {__version__}")
        context.exit()


_path = click.Path(readable=False)  # click would call a file that it may not read wrong usage
_sources = click.argument("sources", metavar="IN...", nargs=-1, required=True, type=_path)
_output = click.option(
    *("-o", "--output"),
    metavar="OUT",
    type=_path,
    help="File, folder, or - for stdout. A folder must exist, unless an input is one. Without it the output stands "
    "beside the input.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file on stdout.")
_bits = click.option("--bits", is_flag=True, help="Print where the bits went.")
_max_pixels = click.option(
    "--max-pixels",
    metavar="N",
    type=click.IntRange(min=1),
    default=_default_max_pixels,
    help="Refuse larger pictures; 179 million where not given, as Pillow.",
)
_metadata = click.option(
    "--metadata",
    metavar="KINDS",
    default="all",
    show_default=True,
    callback=_kinds,
    help="What to keep: all, none, or some of icc,exif,xmp.",
)
_quality = click.option(
    *("-q", "--quality"),
    metavar="Q",
    type=click.FloatRange(0, 100),
    callback=_tenths,
    default=50.0,
    show_default=True,
    help="0 to 100, in tenths. On photographs 0 takes about 0.06 bits per pixel (26 dB), 50 about 0.5 (33 dB), "
    "100 about 1.7 (38 dB).",
)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Show the version."
)
def main() -> None:
    """Compress photographs into .vlae files, with a learned model, and get them back.

    \b
      vlae encode photo.jpg               photo.vlae
      vlae decode photo.vlae              photo.png
      vlae encode -q 80 -o small *.jpg    many pictures, into the folder "small"
      vlae info --bits photo.vlae         where the bits went

    \b
    Exit codes: 0 done, 1 a bug, 2 wrong usage, 3 unreadable input, 4 damaged .vlae file,
    5 newer format or other model, 6 too large, 7 output exists or cannot be written,
    8 target out of reach, 9 some of several files failed, 130 interrupted.
    """


class Size(click.ParamType[int]):
    """Bytes, with a suffix k (1000) or M (1000 000) if wanted."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """ "20k" -> 20000."""
        number, factor = (value[:-1], _UNITS[value[-1]]) if str(value)[-1:] in _UNITS else (value, 1)
        try:
            return math.floor(float(number) * factor)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no number of bytes, as 20000 or 20k.", param, ctx)


_UNITS = {"k": 1000, "K": 1000, "M": 1000_000}


@main.command()
@_sources
@_output
@_quality
@click.option(
    *("-e", "--effort"),
    metavar="E",
    type=click.IntRange(0, 9),
    default=3,
    show_default=True,
    help="0 to 9: 2 takes one step towards better latents, 3 two, from 4 on the encoder searches for them, each "
    "level twice as long as the one below, for fewer bits at the same error. Decoding takes the same time.",
)
@click.option(
    "--tune",
    type=click.Choice(TUNES),
    default=DEFAULT,
    show_default=True,
    help="What the bits are spent for: little squared error, or MS-SSIM, which is nearer to what eyes see.",
)
@click.option("--bpp", metavar="X", type=float, help="The best quality of at most X bits per pixel.")
@click.option("--size", metavar="BYTES", type=Size(), help="The best quality of at most so many bytes; 20k, 1.5M.")
@click.option("--psnr", metavar="DB", type=float, help="The smallest file of at least this PSNR.")
@click.option(
    "--best-effort", is_flag=True, help="Where --bpp, --size or --psnr is out of reach, come as close as can be."
)
@_metadata
@click.option(
    "--frame", metavar="K", type=click.IntRange(min=0), help="Of an animation or of pages, take this, from 0."
)
@click.option(
    "--to-8bit",
    is_flag=True,
    help="Take gray floating-point and 32-bit samples: 0 to 1 where all lie there, else the least as black and the "
    "largest as white. (16 bits are always taken.)",
)
@click.option("--allow-truncated", is_flag=True, help="Take what there is of pictures whose end is missing.")
@click.option("--verify", is_flag=True, help="Decode before writing; report PSNR (dB) and MS-SSIM.")
@_bits
@_json
@_max_pixels
@console.many
@click.pass_context
def encode(
    context: click.Context, /, sources: tuple[str, ...], output: str | None, bits: bool, as_json: bool, many: Many,
    **options: Any,
) -> None:  # fmt: skip
    """Compress pictures into .vlae files.

    PNG, JPEG, WebP, AVIF, TIFF, BMP, PPM, GIF and JPEG 2000 are read, and HEIC with the extra "heif". Transparency,
    colour profile, EXIF and XMP are kept without loss; colours that are fully transparent may change. Samples of more
    than 8 bits are reduced, which is told.

    \b
      vlae encode photo.jpg
      vlae encode -q 30 --verify photo.png -o small.vlae
      vlae encode --size 100k photo.jpg
      vlae encode -r photos -o small --jobs 0 --existing skip
      cat photo.jpg | vlae encode - > photo.vlae
    """
    from vlae_codec import jobs

    options["target"] = _target(context, **{name: options.pop(name) for name in ("bpp", "size", "psnr")})
    options["allowed"] = _allowed(*(options.pop(name) for name in ("allow_truncated", "to_8bit", "frame")))
    console.run(partial(jobs.encode, **options), many, sources, output, ".vlae", as_json, bits)


@main.command()
@_sources
@_output
@click.option("--region", metavar="X,Y,W,H", help="Decode only this part of the picture, in pixels from the top left.")
@click.option(
    "--background",
    metavar="COLOUR",
    help="Put transparent pictures on it, for formats without transparency: white, #ffffff.",
)
@_metadata
@_json
@_max_pixels
@console.many
def decode(sources: tuple[str, ...], output: str | None, as_json: bool, many: Many, **options: Any) -> None:
    """Turn .vlae files back into pictures.

    The suffix of OUT says of which format: .png, .webp, .tif, .jp2, .bmp and .ppm hold the decoded pixels exactly, .jpg
    and .avif nearly so; others that Pillow writes are possible, too. Without OUT it is PNG. Metadata go into PNG, JPEG,
    WebP, AVIF and TIFF.

    \b
      vlae decode photo.vlae
      vlae decode photo.vlae -o photo.jpg
      vlae decode --region 800,600,640,480 photo.vlae -o detail.png
      vlae decode - < photo.vlae > photo.png
    """
    from vlae_codec import jobs

    console.run(partial(jobs.decode, **options), many, sources, output, ".png", as_json)


@main.command()
@click.argument("sources", metavar="FILE...", nargs=-1, required=True, type=_path)
@_bits
@_json
@_max_pixels
def info(sources: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Show what .vlae files are.

    With --bits their latents are decoded, to show where the bits went.
    """
    from vlae_codec import jobs

    def task(job: "Job", **_options: Any) -> "tuple[Record, Ledger | None]":
        return jobs.inspect(job.source, **options)

    console.inspect(task, sources, as_json)


def _allowed(truncated: bool, to_8bit: bool, frame: int | None) -> "Allowed":
    from vlae_codec.images import Allowed

    return Allowed(truncated, to_8bit, frame)


def _target(context: click.Context, **wanted: Any) -> "Target | None":
    from vlae_codec.rate import Target

    given = [name for name, value in wanted.items() if value is not None]
    if not given:
        return None
    if context.get_parameter_source("quality") is ParameterSource.COMMANDLINE:
        raise UsageError(f"-q and --{given[0]} given; one of them wanted")
    return Target(**wanted)
