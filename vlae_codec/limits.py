"""How large a picture may be, and what it takes. Imports errors only."""

from vlae_codec.errors import LimitError

FIXED_MEMORY = 1 << 30  # bytes: libraries, weights, and what the networks need for one tile
BYTES_PER_PIXEL = 12  # of `vlae encode` and `decode`: the pixels, Pillow's copies of them, and the file


def check_pixels(width: int, height: int, max_pixels: int, name: str = "") -> None:
    """LimitError if a picture has more pixels than that; the message says what it would take."""
    pixels = width * height
    if pixels > max_pixels:
        found = f"{name and name + ': '}{width}x{height} = {pixels} pixels; the limit is {max_pixels} (--max-pixels)"
        raise LimitError(f"{found}; so many take about {memory(pixels)} of memory")


def memory(pixels: int) -> str:
    """About how much a picture of so many pixels takes."""
    return f"{(FIXED_MEMORY + BYTES_PER_PIXEL * pixels) / 2**30:.1f} GiB"
