"""Secrets that nothing but a test has heard of, and where they turn up: as they are, coded, or in pieces."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

_CHUNK = re.compile(rb"\r\n(?:[0-9a-fA-F]+\r\n)?")
_EVENT = re.compile(rb'"(?:content|text)": ?"((?:[^"\\]|\\.)*)"')


def forms(secret: str) -> list[bytes]:
    """Return how a secret may be written: as it is, escaped, and in base64 at any of three places."""
    shifted = [base64.b64encode(b"\0" * by + secret.encode())[4:-4] for by in range(3)]
    return [secret.encode(), quote(secret, safe="").encode(), *shifted]


def hidden_in(data: bytes, secrets: Iterable[str]) -> list[str]:
    """Return which secrets are in some bytes, or in the chunks or the events of a stream that stands there."""
    read = list(_joined(data))
    return [secret for secret in secrets if any(form in text for form in forms(secret) for text in read)]


def _joined(data: bytes) -> Iterator[bytes]:
    yield data
    yield _CHUNK.sub(b"", data)
    yield b"".join(_EVENT.findall(data))


def found(folder: Path, *secrets: str) -> list[tuple[str, str]]:
    """Return in which files below a folder which secrets are."""
    return [
        (str(path), secret)
        for path in folder.rglob("*")
        if path.is_file()
        for secret in hidden_in(path.read_bytes(), secrets)
    ]
