"""Images for tests: what a provider may answer with."""

from __future__ import annotations

import struct
import zlib


def png(side: int = 24) -> bytes:
    """Return a picture of ``side`` pixels of noise, some more than 500 bytes by default."""
    noise, seed = bytearray(), 1
    for position in range(side * (side + 1)):
        seed = seed * 1103515245 + 12345 & 0x7FFFFFFF
        noise.append(0 if position % (side + 1) == 0 else seed >> 16 & 0xFF)
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(noise))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(600) + b"\xff\xd9"
"""How one begins and ends, and nothing to be seen between."""
