"""Where a caller's credential comes in: the usual fields, or the one that ``access.header`` names.

This module must not judge a credential.
"""

from __future__ import annotations

from typing import Any

from netrunner.errors import Unauthenticated

CHALLENGE = ((b"www-authenticate", b'Bearer realm="netrunner"'),)
_KEY_FIELDS = (b"x-api-key", b"api-key", b"x-goog-api-key")


class Credential:
    """Finds the credential of an exchange.

    Args:
        header: The only field it may come in; any usual one when None.
    """

    def __init__(self, header: str | None = None) -> None:
        self._header = header.lower().encode() if header else None

    def of(self, exchange: Any) -> bytes:
        """Return the credential.

        Raises:
            Unauthenticated: ``invalid_token`` when there is none.
        """
        given = self._found(exchange)
        if given is None:
            raise Unauthenticated("A credential is required: Authorization: Bearer TOKEN.", headers=CHALLENGE)
        return given

    def strip(self, exchange: Any) -> None:
        """Take a credential out that came in a field of its own.

        What goes to an upstream is made from these fields, on a raw route from all of them.
        """
        if self._header is not None:
            exchange.headers = [field for field in exchange.headers if field[0] != self._header]

    def _found(self, exchange: Any) -> bytes | None:
        if self._header is not None:
            value: bytes | None = exchange.header(self._header)
            if value is not None and value[:7].lower() == b"bearer ":
                value = value[7:].strip()
            return value
        value = exchange.header(b"authorization")
        if value is not None:
            return value[7:].strip() if value[:7].lower() == b"bearer " else None
        for name in _KEY_FIELDS:
            value = exchange.header(name)
            if value is not None:
                return value
        key: bytes | None = exchange.key
        return key
