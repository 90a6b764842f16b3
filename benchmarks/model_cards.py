"""Put what was measured into the model cards: `python -m benchmarks.model_cards`.

Reads results/rate_distortion-kodak.csv, codes three pictures that the models are not made for, draws them as
figures/limits-NAME.png, and writes both into the card of each shipped model, between two markers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import click
import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from benchmarks import common, curves, rate_distortion
from benchmarks.codecs import Vlae
from benchmarks.common import Pixels, Row, markdown_table
from benchmarks.figure import INK
from vlae_codec import metrics, models
from vlae_codec.compare.codecs import WEBP
from vlae_codec.compare.equal_bytes import largest_within
from vlae_codec.errors import CodecError

BEGIN, END = "<!-- begin figures -->\n", "<!-- end figures -->\n"
FIGURES = common.HERE / "figures"
QUALITIES = (20, 60)  # at which the pictures of the limits are coded
SIZE = (192, 256)  # rows and columns of those pictures; they are shown twice as large
NOISE = 20  # deviation of the noise that is added, in 255ths
FIELDS = {"bpp": 3, "psnr": 2, "ms_ssim": 4, "ssimulacra2": 1}
TEXT = """The quick brown fox jumps over
the lazy dog. 0123456789 (a + b) = c*d
Hamburgefonstiv; il1I|O0, rn m, cl d.
fjord bank glyphs vext quiz, $ 49.90"""


@dataclass(frozen=True)
class Shown:
    """A picture of the figure, and what stands below it."""

    pixels: Pixels
    caption: str


def text() -> Pixels:
    """Black letters of several sizes on white paper."""
    image = Image.new("RGB", SIZE[::-1], "white")
    draw, top = ImageDraw.Draw(image), 4
    for size, lines in ((10, 4), (13, 3), (22, 2)):
        chosen = "\n".join(TEXT.split("\n")[:lines])
        draw.multiline_text((6, top), chosen, fill="black", font=ImageFont.load_default(size), spacing=2)
        top += lines * (size + 4) + 6
    return np.asarray(image)


def screenshot() -> Pixels:
    """A window with a title, buttons, thin lines and small letters in flat colours."""
    image = Image.new("RGB", SIZE[::-1], "#3a6ea5")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(11)
    draw.rectangle((12, 10, 243, 181), fill="#f4f4f4", outline="#222222")
    draw.rectangle((12, 10, 243, 28), fill="#2d2d2d")
    draw.text((20, 13), "Settings", fill="white", font=font)
    for x, colour in ((205, "#e0b03a"), (218, "#57a64a"), (231, "#d9534f")):
        draw.ellipse((x, 15, x + 8, 23), fill=colour)
    for row, name in enumerate(("Display", "Network", "Sound", "Power", "Language")):
        top = 36 + 20 * row
        draw.text((24, top + 2), name, fill="#111111", font=font)
        draw.rectangle((120, top, 230, top + 15), outline="#999999", fill="white")
        draw.rectangle((121, top + 1, 121 + 20 * (row + 1), top + 14), fill="#4a90d9")
        draw.line((20, top + 18, 236, top + 18), fill="#dddddd")
    for column, name in enumerate(("Cancel", "Apply")):
        left = 120 + 58 * column
        draw.rounded_rectangle((left, 150, left + 52, 170), 4, fill="#e6e6e6", outline="#888888")
        draw.text((left + 9, 154), name, fill="#c02020", font=font)
    return np.asarray(image)


def noise() -> Pixels:
    """A photograph with the noise of a camera in the dark."""
    path = next(path for path in common.pictures(None)[1] if path.name == "coffee.png")
    photograph = common.read(path)[100 : 100 + SIZE[0], 200 : 200 + SIZE[1]]
    grain = np.random.default_rng(0).normal(0, NOISE, photograph.shape)
    pixels: Pixels = np.clip(photograph + grain, 0, 255).round().astype(np.uint8)
    return pixels


LIMITS: Mapping[str, Callable[[], Pixels]] = {"text": text, "a screenshot": screenshot, "noise": noise}


def row_of(name: str, pixels: Pixels, tune: str) -> list[Shown]:
    """The picture, what vlae makes of it, and WebP in about as many bytes as the first of those."""
    png, codec = BytesIO(), Vlae(tune=tune)
    Image.fromarray(pixels).save(png, "PNG", optimize=True)
    files = [codec.encode(pixels, quality).data for quality in QUALITIES]
    shown = [Shown(pixels, f"{name}; as PNG {bpp(png.getvalue(), pixels)}")]
    shown += [
        described(f"vlae, quality {quality}", file, pixels, codec.decode(file))
        for quality, file in zip(QUALITIES, files, strict=True)
    ]
    other = webp(pixels, len(files[0]))
    return [*shown, described("WebP", other, pixels, WEBP.decode(other))]


def webp(pixels: Pixels, size: int) -> bytes:
    """Of at most so many bytes, or the smallest there is."""
    try:
        return largest_within(size, WEBP, pixels).data
    except CodecError:
        return WEBP.encode(pixels, WEBP.scale[0])


def bpp(data: bytes, pixels: Pixels) -> str:
    """Bits per pixel of a file, in words."""
    return f"{8 * len(data) / (pixels.shape[0] * pixels.shape[1]):.2f} bpp"


def described(name: str, data: bytes, original: Pixels, decoded: Pixels) -> Shown:
    """A decoded file, with its size and error below it."""
    return Shown(decoded, f"{name}; {bpp(data, original)}, {metrics.psnr(original, decoded):.1f} dB")


def draw(rows: Sequence[Sequence[Shown]], path: Path) -> None:
    """The pictures in rows, each with its caption."""
    with rc_context({"font.family": "DejaVu Sans", "font.size": 8}):
        figure = Figure(figsize=(2.7 * len(rows[0]), 2.3 * len(rows)), layout="constrained")
        grid = figure.subplots(len(rows), len(rows[0]), squeeze=False)
        for axes, shown in zip(grid.flat, (shown for row in rows for shown in row), strict=True):
            axes.imshow(shown.pixels.repeat(2, 0).repeat(2, 1), interpolation="none")
            axes.set_title(shown.caption, fontsize=8, color=INK, loc="left")
            axes.axis("off")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150, pil_kwargs={"optimize": True})


def kodak(rows: Sequence[Row], tune: str, model: str) -> str:
    """The means of the model's rows at each quality, as a table, and its BD-rates by what it is tuned for.

    Raises:
        click.ClickException: the rows are of other weights.
    """
    name, measure = Vlae(tune=tune).name, {"psnr": "PSNR", "ssim": "MS-SSIM"}[tune]
    own = [row for row in rows if row["codec"] == name]
    if not own or not all(f"model {model}" in row["version"] for row in own):
        raise click.ClickException(f"no rows of {name}, model {model}; run benchmarks.rate_distortion with Kodak first")
    by_quality = {quality: [row for row in own if row["quality"] == quality] for quality in {r["quality"] for r in own}}
    lines = [
        [quality, *(curves.mean_text(some, field, digits) for field, digits in FIELDS.items())]
        for quality, some in sorted(by_quality.items(), key=lambda item: float(item[0]))
    ]
    found = {curve.name: curve for curve in curves.measured(rows, measure)}
    test = found.pop(name)
    others = [*found.values(), *curves.published(common.HERE / "anchors" / "kodak", measure)]
    others = [other for other in others if not other.name.startswith("vlae")]
    rates = [[other.name, curves.bd_rate(other, test, None)[0]] for other in others]
    return (
        "## Kodak\n\nMeans over the 24 pictures, whole files, default effort.\n\n"
        + markdown_table(["quality", "bpp", "PSNR, dB", "MS-SSIM", "SSIMULACRA2"], lines)
        + f"\nBits against others at equal {measure} (BD-rate):\n\n"
        + markdown_table(["against", "bits"], rates)
    )


def limits(tune: str) -> str:
    """Draws the pictures of what the model is not made for; the paragraph that shows them."""
    path = FIGURES / f"limits-{tune}.png"
    draw([row_of(name, make(), tune) for name, make in LIMITS.items()], path)
    link = f"../../../benchmarks/figures/{path.name}"
    return (
        "\n## Pictures of the limits\n\nText, a screenshot and noise, each as it is, at two qualities, and in WebP at "
        f"the bytes of the first, or in its smallest file:\n\n![limits]({link})\n"
    )


def with_figures(card: str, figures: str) -> str:
    """The card with the part between the markers written anew, or added at the end."""
    before, _, rest = card.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before.rstrip()}\n\n{BEGIN}{figures}{END}{after}"


@click.command()
def main() -> None:
    """Write the measured figures into the card of each shipped model."""
    csv = common.HERE / "results" / "rate_distortion-kodak.csv"
    rows = curves.complete(common.read_rows(csv, rate_distortion.COLUMNS, rate_distortion.NEWER))
    for entry in (models.entry_of(tune) for tune in models.TUNES):
        path = entry.path.with_suffix(".md")
        figures = kodak(rows, entry.name, entry.id) + limits(entry.name)
        path.write_text(with_figures(path.read_text(encoding="utf-8"), figures), encoding="utf-8")
        click.echo(path)


if __name__ == "__main__":
    main()
