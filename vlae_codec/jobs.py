"""One file through the codec: read, coded, written. Names go in, the record that --json prints comes out.

torch takes a second to import, so that what is wrong with a name or an input is found before.
"""

import itertools
import math
import time
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from vlae_codec import bitstream, files, inspection, models, rate, tiles
from vlae_codec.bitstream import Header
from vlae_codec.errors import CodecError, TargetError
from vlae_codec.files import STREAM, Job, shown
from vlae_codec.limits import estimating_memory
from vlae_codec.rate import Target

if TYPE_CHECKING:
    from vlae_codec.codec import Encoded
    from vlae_codec.images import Allowed, Picture
    from vlae_codec.ledger import Ledger

LEDGER = ("container", "metadata", "alpha", "y", "z_gross", "bits_back", "theoretical", "actual", "overhead")
Record = dict[str, Any]
Progress = Callable[[float], None]
QUICK_SHARE = 0.05  # of the time that a target takes at an effort that searches


class Settings(NamedTuple):
    """Of `codec.encode`, but for the quality."""

    effort: int
    model: str
    jobs: int


def encode(
    job: Job,
    *,
    quality: float,
    effort: int,
    target: Target | None,
    metadata: Collection[str],
    verify: bool,
    force: bool,
    max_pixels: int,
    progress: Progress,
    allowed: "Allowed | None" = None,
    best_effort: bool = False,
    tune: str = models.DEFAULT,
    jobs: int = 1,
) -> "tuple[Record, Ledger]":
    """A picture's file -> a .vlae file. The record's seconds are those of the coding alone.

    Args:
        target: decides the quality if there is one. best_effort: the nearest that is possible, where it is not.
        metadata: those of "icc", "exif" and "xmp" that are kept.
        allowed: what is taken of pictures that are refused otherwise.
        tune: what the model is tuned for, one of `models.TUNES`.
        jobs: threads that code segments side by side.
    """
    files.check_target(job.target, force)
    picture = _with_metadata(_read(job.source, max_pixels, allowed), metadata)
    from vlae_codec import codec

    settings, start = Settings(effort, tune, jobs), time.perf_counter()
    with _naming(job.source), estimating_memory(picture.pixels.shape[0] * picture.pixels.shape[1]):
        if target:
            encoded = _meeting(target, best_effort, picture, settings, progress, shown(job.source))
        else:
            encoded = codec.encode(picture, quality, progress=progress, **settings._asdict())
        record = {"input": job.source, "output": job.target, **_described(encoded.data), "effort": effort}
        record |= {"seconds": time.perf_counter() - start, "ledger": _ledger_record(encoded.ledger)}
        if verify:
            record |= _verified(picture, encoded.data)
    files.write_atomic(job.target, encoded.data, force)
    return record, encoded.ledger


def decode(
    job: Job,
    *,
    force: bool,
    max_pixels: int,
    progress: Progress,
    region: str | None = None,
    background: str | None = None,
    metadata: Collection[str] = bitstream.METADATA_KINDS,
    jobs: int = 1,
) -> tuple[Record, None]:
    """A .vlae file -> a picture's file. The record's seconds are those of the decoding alone; there is no ledger.

    Args:
        region: "X,Y,W,H" of the part that is wanted.
        background: name of the colour that is seen through transparent pictures; None keeps them transparent.
        metadata: those of "icc", "exif" and "xmp" that are written.
        jobs: threads that decode segments side by side.
    """
    from vlae_codec import images

    wanted = None if region is None else tiles.parse_region(region)
    ground = None if background is None else images.colour_of(background)
    suffix = ".png" if job.target == STREAM else Path(job.target).suffix
    files.check_target(job.target, force)
    with _naming(job.target):
        images.check_suffix(suffix)
    data = files.read_bytes(job.source)
    with _naming(job.source):
        container = bitstream.parse(data, max_pixels)
    with _naming(job.target):
        images.check_suffix(suffix, alpha=container.alpha is not None and ground is None)
    options = {"region": wanted, "jobs": jobs, "max_pixels": max_pixels, "progress": progress}
    picture, seconds = _decoded(data, job.source, container.header, options)
    height, width = picture.pixels.shape[:2]
    if ground is not None:
        picture = images.flatten(picture, ground)
    with _naming(job.target):
        image_file = images.write(_with_metadata(picture, metadata), suffix)
    files.write_atomic(job.target, image_file, force)
    return {"input": job.source, "output": job.target, "width": width, "height": height, "seconds": seconds}, None


def _decoded(data: bytes, source: str, header: Header, options: dict[str, Any]) -> "tuple[Picture, float]":
    """The picture, and how many seconds it took."""
    from vlae_codec import codec

    start = time.perf_counter()
    with _naming(source), estimating_memory(header.width * header.height):
        picture = codec.decode(data, **options)
    return picture, time.perf_counter() - start


def _read(source: str, max_pixels: int, allowed: "Allowed | None") -> "Picture":
    """What is to be coded: the picture, but for colours that nobody sees."""
    from vlae_codec import images

    picture = images.read(files.read_bytes(source), shown(source), max_pixels, allowed or images.STRICT)
    return images.fill_hidden(picture)


def inspect(source: str, *, bits: bool, max_pixels: int) -> "tuple[Record, Ledger | None]":
    """What a .vlae file is; with `bits` its latents are decoded, for the ledger."""
    data = files.read_bytes(source)
    with _naming(source):
        about = inspection.info(data)
        record = {"input": source, **_described(data), "gray": about.gray, "sizes": vars(about.sizes)}
        if not bits:
            return record, None
        from vlae_codec import codec

        ledger = codec.ledger(data, max_pixels=max_pixels)
    return record | {"ledger": _ledger_record(ledger)}, ledger


def _meeting(
    target: Target, best_effort: bool, picture: "Picture", settings: Settings, progress: Progress, name: str
) -> "Encoded":
    """The file of the quality that meets the target.

    With `best_effort` it is the nearest file, with a warning, where none meets the target.
    """
    try:
        return _met(target, picture, settings, progress)
    except TargetError as miss:
        if not best_effort:
            raise
        warnings.warn(f"{name}: {miss}, which is taken", stacklevel=2)
        return cast("Encoded", miss.nearest)


def _met(target: Target, picture: "Picture", settings: Settings, progress: Progress) -> "Encoded":
    """The file of the quality that meets the target: searched for at low effort, then near that at the one wanted."""
    if settings.effort <= rate.QUICK_EFFORT:
        return _search(target, picture, settings, progress, rate.MIDDLE, rate.MAX_PASSES)
    low = settings._replace(effort=rate.QUICK_EFFORT)
    quick, slow = (partial(_part, progress, *share) for share in ((0, QUICK_SHARE), (QUICK_SHARE, 1)))
    try:
        found = _search(target, picture, low, quick, rate.MIDDLE, rate.QUICK_PASSES)
    except TargetError:  # the wanted effort may still reach it, at the end of the scale
        return _search(target, picture, settings, slow, target.easiest, 1)
    level = bitstream.parse_header(found.data).quality
    try:
        return _search(target, picture, settings, slow, level, rate.FINAL_PASSES)
    except TargetError:
        return found


def _search(
    target: Target, picture: "Picture", settings: Settings, progress: Progress, start: int, passes: int
) -> "Encoded":
    """The file of the quality that meets the target, with these settings.

    Args:
        start: the level that is tried first, of at most so many passes.
    """
    from vlae_codec import codec, metrics

    height, width = picture.pixels.shape[:2]
    done = itertools.count()

    def code(level: int) -> "Encoded":
        first = next(done)
        part = partial(_part, progress, first / passes, (first + 1) / passes)
        return codec.encode(picture, level / 10, progress=part, **settings._asdict())

    def psnr(encoded: "Encoded") -> float:
        return metrics.psnr(picture.pixels, codec.decode(encoded.data, max_pixels=height * width).pixels)

    if target.psnr is not None:
        return rate.smallest_reaching(target.psnr, code, psnr, start, passes)
    size = target.size if target.bpp is None else math.floor(target.bpp * height * width / 8)
    assert size is not None
    return rate.largest_within(size, code, lambda encoded: len(encoded.data), start, passes)


def _part(progress: Progress, begin: float, end: float, fraction: float) -> None:
    """Tell how much of all is done, from the fraction of a part of it."""
    progress(begin + (end - begin) * fraction)


def _with_metadata(picture: "Picture", kinds: Collection[str]) -> "Picture":
    return replace(picture, metadata={kind: data for kind, data in picture.metadata.items() if kind in kinds})


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Errors of the codec, which knows bytes and no files, get the name of the file."""
    try:
        yield
    except CodecError as error:
        raise type(error)(f"{shown(name)}: {error}") from error


def _described(data: bytes) -> Record:
    about = inspection.info(data)
    size = {"width": about.width, "height": about.height}
    return {**size, "quality": about.quality, "model": about.model, "bytes": about.size, "bpp": about.bpp}


def _ledger_record(ledger: "Ledger") -> dict[str, float]:
    return {key: getattr(ledger, key) for key in LEDGER}


def _verified(picture: "Picture", data: bytes) -> Record:
    """How close the decoded file is; all but the pixels must be the same."""
    from vlae_codec import codec, metrics

    decoded = codec.decode(data, max_pixels=picture.pixels.shape[0] * picture.pixels.shape[1])
    if _lossless_part(decoded) != _lossless_part(picture):
        raise CodecError("the file does not give back the alpha or the metadata that went in; nothing was written")
    psnr = metrics.psnr(picture.pixels, decoded.pixels)
    # JSON has no infinity, which is the PSNR of equal pictures.
    return {"psnr": psnr if math.isfinite(psnr) else None, "ms_ssim": metrics.ms_ssim(picture.pixels, decoded.pixels)}


def _lossless_part(picture: "Picture") -> tuple[dict[str, bytes], bytes | None]:
    return dict(picture.metadata), None if picture.alpha is None else picture.alpha.tobytes()
