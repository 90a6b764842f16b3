"""A comparison as one HTML file, which shows the pictures themselves and needs nothing but itself.

Comparisons in, a page out: template.html, page.css and the scripts are joined here, with every picture as a lossless
data: URL and the figures as JSON. Names come from files and may hold anything: they stand only in that JSON, none of
whose characters ends a script element, and page.js shows them as text. The page's own policy (CSP) lets a browser run
these very scripts and load nothing, from disk or elsewhere.
"""

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from importlib.resources import files as package_files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlae_codec import files, images
from vlae_codec.compare.result import Comparison, Contender
from vlae_codec.files import shown

SCRIPTS = ("maps.js", "stage.js", "tables.js", "page.js", "input.js")
SLIDER = "vendor/img-comparison-slider"
THUMBNAIL_SIDE = 160
"""Pixels of the longer side of a thumbnail: twice what is shown, for screens with small pixels."""
POSITION = 16
"""Pixels of the picture per latent position, in both directions."""

Pixels = NDArray[np.uint8]


def write(comparisons: Sequence[Comparison], path: Path) -> None:
    """One HTML file; what `path` held is replaced.

    It takes about as many bytes as all pictures in lossless WebP, times 4/3 (base64), and about 1 s per megapixel
    and codec.

    Raises:
        OutputError: the file cannot be written.
    """
    files.write_atomic(str(path), html(comparisons).encode(), force=True)


def html(comparisons: Sequence[Comparison]) -> str:
    """The text of the page, with its own size in it."""
    assert comparisons and all(comparison.contenders for comparison in comparisons)
    slider, style = _slider(), _source(f"{SLIDER}/styles.css") + _source("page.css")
    script = "".join(_source(name) for name in SCRIPTS)
    records = [_json_block(f"picture-{i}", _record(comparison)) for i, comparison in enumerate(comparisons)]
    parts = {
        "policy": _policy(slider, script, style),
        "style": style,
        "slider": slider,
        "script": script,
        "index": _json_block("pictures", [_thumbnail(comparison) for comparison in comparisons]),
        "records": "\n".join(records),
    }
    template = Template(_source("template.html"))
    size = sum(map(len, parts.values())) + len(template.template)
    return template.substitute(parts, size=_readable(size))


def _source(name: str) -> str:
    return package_files(__name__).joinpath(name).read_text(encoding="utf-8")


def _slider() -> str:
    """The slider with its licence, and without the line that sends debuggers to a file that is not there."""
    code = _source(f"{SLIDER}/index.js").replace("//# sourceMappingURL=index.js.map", "")
    return f"/*! img-comparison-slider\n\n{_source(f'{SLIDER}/LICENSE')}*/\n{code}"


def _policy(*sources: str) -> str:
    """What the page may do: show embedded pictures, and run and apply the sources, which are named by their hashes."""
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in sources]
    *scripts, style = hashes
    allowed = f"img-src data:; script-src {' '.join(scripts)}; style-src {style}"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def _json_block(name: str, value: Any) -> str:
    """A script element that is data; "<" and the like become escapes, so nothing in it looks like markup."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="{name}">{text}</script>'


def _thumbnail(comparison: Comparison) -> dict[str, Any]:
    return {
        "name": shown(comparison.name),
        "bpp": comparison.contenders[0].bpp,
        "thumbnail": _data_url(_reduced(comparison.original)),
    }


def _record(comparison: Comparison) -> dict[str, Any]:
    """What page.js knows about a picture; sizes in pixels and bytes, the ledger in bits."""
    height, width, _ = comparison.original.shape
    rows, columns = comparison.bits_map.shape
    assert (rows, columns) == (-(-height // POSITION), -(-width // POSITION)), "one number per latent position"
    return {
        "name": shown(comparison.name),
        "width": width,
        "height": height,
        "raw": comparison.original.size,
        "image": _data_url(comparison.original),
        "contenders": [_contender(contender) for contender in comparison.contenders],
        "missing": [shown(reason) for reason in comparison.missing],
        "ledger": {name: float(bits) for name, bits in comparison.ledger.items()},
        "bits": {"columns": columns, "rows": rows, "position": POSITION, "values": _float32(comparison.bits_map)},
    }


def _contender(contender: Contender) -> dict[str, Any]:
    return {
        "name": shown(contender.name),
        "library": shown(f"{contender.library} ({contender.version})"),
        "settings": shown(contender.settings),
        "quality": contender.quality,
        "bytes": len(contender.data),
        "bpp": contender.bpp,
        "psnr": contender.psnr if math.isfinite(contender.psnr) else None,
        "ms_ssim": contender.ms_ssim,
        "ssimulacra2": contender.ssimulacra2,
        "encode_seconds": contender.encode_seconds,
        "decode_seconds": contender.decode_seconds,
        "image": _data_url(contender.pixels),
    }


def _data_url(pixels: Pixels) -> str:
    """The pixels (H, W, 3 or 1) without loss: as WebP, or as PNG where WebP cannot hold their size."""
    kind = "webp" if max(pixels.shape) <= images.WEBP_SIDE_MAX else "png"
    data = images.write(images.Picture(pixels, alpha=None, metadata={}), f".{kind}")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _float32(values: NDArray[np.float32]) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def _reduced(pixels: Pixels) -> Pixels:
    """The picture with at most THUMBNAIL_SIDE pixels per side, by means over squares; the rest at the edges is cut."""
    height, width, channels = pixels.shape
    step = -(-max(height, width) // THUMBNAIL_SIDE)
    rows, columns = max(height // step, 1), max(width // step, 1)
    squares = pixels[: rows * step, : columns * step]
    if squares.shape[:2] != (rows * step, columns * step):  # narrower than one square
        return pixels[::step, ::step]
    means: NDArray[np.float64] = squares.reshape(rows, step, columns, step, channels).mean(axis=(1, 3))
    return np.rint(means).astype(np.uint8)


def _readable(size: int) -> str:
    """Bytes as people say them: 0.83 MB."""
    return f"{size / 1e6:.{0 if size >= 1e7 else 1 if size >= 1e6 else 2}f} MB"
