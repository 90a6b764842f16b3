"""Pillow's errors become ours, and its globals are what this package needs while it works."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from PIL import Image, ImageFile, PngImagePlugin

from vlae_codec.bitstream import METADATA_MAX
from vlae_codec.errors import CodecError

_METADATA_READ = 4 * METADATA_MAX  # more than a .vlae file holds: what is too large may be left out, and is named else
_lock = threading.Lock()


@contextmanager
def reporting_as(kind: type[CodecError], complaint: str) -> Iterator[None]:
    """Pillow's readers and writers raise nearly anything on damaged files; here it becomes one of our errors."""
    try:
        yield
    except (CodecError, MemoryError):
        raise
    except Exception as error:
        raise kind(f"{complaint} ({error})") from error


@contextmanager
def pillow_set(truncated: bool = False) -> Iterator[None]:
    """Set Pillow's globals: no limit of pixels, whose number is checked here right after the header and without its
    warnings; metadata in PNG larger than its megabyte; and whether truncated files are refused.

    The lock lets one thread at a time in, so that each puts back what it found.
    """
    wanted: list[tuple[Any, str, Any]] = [
        (Image, "MAX_IMAGE_PIXELS", None),
        (PngImagePlugin, "MAX_TEXT_CHUNK", _METADATA_READ),
        (PngImagePlugin, "MAX_TEXT_MEMORY", _METADATA_READ),
        (ImageFile, "LOAD_TRUNCATED_IMAGES", truncated),
    ]
    with _lock:
        before = [getattr(module, name) for module, name, _ in wanted]
        try:
            for module, name, value in wanted:
                setattr(module, name, value)
            yield
        finally:
            for (module, name, _), value in zip(wanted, before, strict=True):
                setattr(module, name, value)


def save(image: Image.Image, name: str, **options: Any) -> bytes:
    """To memory: Pillow's `save` to a path leaves an empty file behind when it fails."""
    buffer = BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()
