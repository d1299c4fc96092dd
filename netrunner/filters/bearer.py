"""The shared token: the filter that ``access.mode: token`` puts before all others.

This module must not know how a request arrived.
"""

from __future__ import annotations

import hmac
from typing import Any

from zope.interface import implementer

from netrunner.errors import Unauthenticated
from netrunner.filters.credential import CHALLENGE, Credential
from netrunner.interfaces import IHeadPhase
from netrunner.settings import Secret


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
        self._credential = Credential(header)

    async def on_head(self, exchange: Any) -> None:
        """Compare in constant time; the caller is then known by a masked prefix."""
        if not hmac.compare_digest(self._credential.of(exchange), self._token):
            raise Unauthenticated("The credential is not valid.", headers=CHALLENGE)
        exchange.caller = self._name
        exchange.identity = "token"
        self._credential.strip(exchange)
