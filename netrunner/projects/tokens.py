"""What a token is made of: a prefix to know it by, 256 random bits, and a check that only we can make.

The check lets a forged token be told from a real one without a look into the database; it proves nothing else. What is
kept of a token is its digest.

Pure. This module must not know who holds a token.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable

PREFIX = "nr-"
RANDOM_BYTES = 32
_CHECK_BYTES = 6
_SHOWN = 6
"""Characters after the prefix that tell tokens apart in records."""
_FORM = re.compile(rb"nr-[A-Za-z0-9_-]{51}")


class Mint:
    """Makes tokens and knows its own.

    Args:
        pepper: Secret bytes of this database.
    """

    def __init__(self, pepper: bytes) -> None:
        self._digesting = hmac.digest(pepper, b"netrunner: digests of tokens", hashlib.sha256)
        self._checking = hmac.digest(pepper, b"netrunner: checks of tokens", hashlib.sha256)

    def make(self, random: Callable[[int], bytes]) -> str:
        """Return a new token."""
        body = random(RANDOM_BYTES)
        return PREFIX + _text(body + self._check(body))

    def digest(self, token: bytes) -> bytes:
        """Return what is kept of a token."""
        return hmac.digest(self._digesting, token, hashlib.sha256)

    def made(self, token: bytes) -> bool:
        """Return whether a token may be one of ours; compared in constant time."""
        if _FORM.fullmatch(token) is None:
            return False
        data = base64.urlsafe_b64decode(token[len(PREFIX) :] + b"==")
        return hmac.compare_digest(self._check(data[:RANDOM_BYTES]), data[RANDOM_BYTES:])

    def _check(self, body: bytes) -> bytes:
        return hmac.digest(self._checking, body, hashlib.sha256)[:_CHECK_BYTES]


def well_formed(token: bytes) -> bool:
    """Return whether a credential looks like a token at all."""
    return _FORM.fullmatch(token) is not None


def masked(token: str) -> str:
    """Return what is shown of a token: enough to tell it from others, nothing to use."""
    return f"{token[: len(PREFIX) + _SHOWN]}***"


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
