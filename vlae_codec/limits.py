"""How large a picture may be, and what it takes. Imports errors only."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from vlae_codec.errors import LimitError

FIXED_MEMORY = 1 << 30  # bytes: libraries, weights, and what the networks need for one tile
BYTES_PER_PIXEL = 12  # of `vlae encode` and `decode`: the pixels, Pillow's copies of them, and the file

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
LARGEST_MMAP_THRESHOLD = 32 << 20  # that it comes to by itself on machines of 64 bits
KEPT = 256 << 20  # bytes free at the end of its heap, from which on it gives them back; by itself 64 << 20


def check_pixels(width: int, height: int, max_pixels: int, name: str = "") -> None:
    """LimitError if a picture has more pixels than that; the message says what it would take."""
    pixels = width * height
    if pixels > max_pixels:
        found = f"{name and name + ': '}{width}x{height} = {pixels} pixels; the limit is {max_pixels} (--max-pixels)"
        raise LimitError(f"{found}; so many take about {memory(pixels)} of memory")


def memory(pixels: int) -> str:
    """About how much a picture of so many pixels takes."""
    return f"{(FIXED_MEMORY + BYTES_PER_PIXEL * pixels) / 2**30:.1f} GiB"


def is_lack_of_memory(error: BaseException) -> bool:
    """Python and numpy have an exception for it, torch raises RuntimeError."""
    return isinstance(error, MemoryError) or "can't allocate memory" in str(error)


@contextmanager
def estimating_memory(pixels: int, name: str = "") -> Iterator[None]:
    """LimitError with what a picture of so many pixels takes, if that is not there."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_lack_of_memory(error):
            raise
        found = f"{name and name + ': '}not enough memory"
        raise LimitError(f"{found}; {pixels} pixels take about {memory(pixels)}") from error


def give_back_memory() -> None:
    """Return free memory to the system where the allocator keeps it, glibc's: in pieces that no large array fits into.

    Between the tiles of a large picture; without it a picture of 100 megapixels takes half a gigabyte more.
    """
    _glibc("malloc_trim")(0)


def keep_memory() -> None:
    """From now on glibc's allocator keeps what is freed, for the next array, step or picture that needs as much.

    For a search, whose steps all need the same: memory that comes and goes is work for the system. What it costs and
    saves is in docs/TRAINING.md.
    """
    set_threshold = _glibc("mallopt")
    set_threshold(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
    set_threshold(M_TRIM_THRESHOLD, KEPT)


@cache
def _glibc(name: str) -> Callable[..., object]:
    """A function of glibc's allocator, which does nothing where there is none."""
    try:
        function: Callable[..., object] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):  # another C library, another system
        return lambda *_: None
    return function
