"""The smallest ICC profiles that a colour engine takes: gray, wide-gamut RGB, CMYK where all inks are one colour."""

import random
import struct

D50 = (63190, 65536, 54061)
VERSION = 0x02400000


PRIMARIES = {
    "Display P3": ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)),
    "Adobe RGB": ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446)),
}
"""XYZ of red, green and blue, adapted to D50."""


def gray() -> bytes:
    """Linear light: 128 of 255 is 188 in sRGB."""
    return _profile(b"mntrGRAYXYZ ", {b"kTRC": _curve(1)})


def rgb(space: str, size: int = 0) -> bytes:
    """One of PRIMARIES with a gamma of 2.2, and with a private tag of so many bytes that do not compress."""
    columns = {
        name: struct.pack(">4s4x3i", b"XYZ ", *(round(65536 * value) for value in xyz))
        for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), PRIMARIES[space], strict=True)
    }
    private = {b"priv": b"data" + bytes(4) + random.Random(0).randbytes(size)} if size else {}
    return _profile(b"mntrRGB XYZ ", {**columns, **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(2.2)), **private})


def _curve(gamma: float) -> bytes:
    return struct.pack(">4s4xIH2x", b"curv", 1, round(256 * gamma))


def cmyk(lab: tuple[int, int, int]) -> bytes:
    """Every mixture of inks is the one 8-bit Lab colour."""
    ramp, identity = bytes(range(256)), (65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = struct.pack(">4s4x4B9i", b"mft1", 4, 3, 2, 0, *identity) + ramp * 4 + bytes(lab) * 2**4 + ramp * 3
    return _profile(b"prtrCMYKLab ", {b"A2B0": table, b"A2B1": table})


def _profile(kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {b"wtpt": struct.pack(">4s4x3i", b"XYZ ", *D50), **tags}
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4xI12s12x4s28x3i", start + len(body), VERSION, kind, b"acsp", *D50)
    return head.ljust(128, b"\0") + table + body
