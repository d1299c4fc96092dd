"""The shared token: the filter that ``access.mode: token`` puts before all others.

This module must not know how a request arrived.
"""

from __future__ import annotations

import hmac
from typing import Any

from zope.interface import implementer

from netrunner.errors import Unauthenticated
from netrunner.interfaces import IHeadPhase
from netrunner.settings import Secret

_KEY_FIELDS = (b"x-api-key", b"api-key", b"x-goog-api-key")
_CHALLENGE = ((b"www-authenticate", b'Bearer realm="netrunner"'),)


@implementer(IHeadPhase)
class Bearer:
    """Refuses every request without the token.

    Args:
        token: The one credential that is let in.
        header: The only field it may come in; any usual one when None.
    """

    def __init__(self, token: Secret, header: str | None = None) -> None:
        value = token.reveal().encode()
        self._token = value
        self._name = f"{value[:3].decode('utf-8', 'replace')}***" if len(value) >= 16 else "***"
        self._header = header.lower().encode() if header else None

    async def on_head(self, exchange: Any) -> None:
        """Compare in constant time; the caller is then known by a masked prefix."""
        given = self._credential(exchange)
        if given is None:
            raise Unauthenticated("A credential is required: Authorization: Bearer TOKEN.", headers=_CHALLENGE)
        if not hmac.compare_digest(given, self._token):
            raise Unauthenticated("The credential is not valid.", headers=_CHALLENGE)
        exchange.caller = self._name
        exchange.identity = "token"
        if self._header is not None:
            # What goes to an upstream is made from these fields, on a raw route from all of them.
            exchange.headers = [field for field in exchange.headers if field[0] != self._header]

    def _credential(self, exchange: Any) -> bytes | None:
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
