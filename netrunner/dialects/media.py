"""What a file is, told by how it begins: some APIs hand over images and sounds without a word about it.

This module must not know any dialect.
"""

from __future__ import annotations

BEGIN_BYTES = 16
"""As many bytes tell."""
_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
)
_INSIDE = {b"RIFF": {b"WEBP": "image/webp", b"WAVE": "audio/wav"}}


def mime_of(begin: bytes) -> str | None:
    """Return the media type of what begins so; None if it cannot be told."""
    held = _INSIDE.get(begin[:4])
    if held is not None:
        return held.get(begin[8:12])
    return next((mime for beginning, mime in _BEGINNINGS if begin.startswith(beginning)), None)
