"""The image that ``echo`` draws: a mosaic that depends on nothing but the prompt, as a PNG that says the prompt.

Pure. This module must not know how an image is asked for.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable

_TILES = 8
"""In each direction; the right half mirrors the left one."""
_COLORS = 256
"""The palette is written whole: an image of less than 500 bytes would be taken for none."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DEPTH_BITS, _PALETTE = 8, 3
_KEYWORD = b"Description"
_MAX_SAID_BYTES = 1000


def drawn(prompt: str, width: int, height: int) -> bytes:
    """Return a PNG (ISO/IEC 15948) of ``width`` by ``height`` pixels; its text chunk holds how the prompt begins."""
    said = prompt.encode("utf-8", "replace")
    digest = hashlib.shake_128(said).digest(6 + _TILES * _TILES // 2)
    ink, paper, tiles = digest[:3], digest[3:6], digest[6:]
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, _DEPTH_BITS, _PALETTE, 0, 0, 0)),
        (b"iTXt", _KEYWORD + b"\0\0\0\0\0" + said[:_MAX_SAID_BYTES].replace(b"\0", b" ")),
        (b"PLTE", b"".join(_blend(ink, paper, shade) for shade in range(_COLORS))),
        (b"IDAT", zlib.compress(b"".join(_rows(tiles, width, height)), 1)),
        (b"IEND", b""),
    )
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _rows(tiles: bytes, width: int, height: int) -> Iterable[bytes]:
    """Return the lines of pixels from the top, each behind the byte that says it is not filtered."""
    half = _TILES // 2
    lines = []
    for start in range(0, len(tiles), half):
        left = tiles[start : start + half]
        across = left + left[::-1]
        lines.append(b"\0" + bytes(across[x * _TILES // width] for x in range(width)))
    return (lines[y * _TILES // height] for y in range(height))


def _blend(ink: bytes, paper: bytes, shade: int) -> bytes:
    """Return a color between two, as red, green and blue."""
    return bytes(
        (one * shade + other * (_COLORS - 1 - shade)) // (_COLORS - 1) for one, other in zip(ink, paper, strict=True)
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
