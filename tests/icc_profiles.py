"""The smallest ICC profiles that a colour engine takes: of gray, and of CMYK where every ink is one colour."""

import struct

D50 = (63190, 65536, 54061)
VERSION = 0x02400000


def gray() -> bytes:
    """Linear light: 128 of 255 is 188 in sRGB."""
    gamma_one = struct.pack(">4s4xIH2x", b"curv", 1, 0x0100)
    return _profile(b"mntrGRAYXYZ ", {b"kTRC": gamma_one})


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
