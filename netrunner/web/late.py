"""Answers to wrong credentials, late when there are many of them.

This module must not compare credentials.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from netrunner.errors import ExchangeError
from netrunner.http.request import Request
from netrunner.web.access import Sources
from netrunner.web.tries import Tries


class Late:
    """Tells callers that their credential is wrong, at the pace of ``Tries``.

    Args:
        tries: Counts wrong credentials.
        sources: Where requests come from.
    """

    def __init__(self, tries: Tries, sources: Sources) -> None:
        self._tries = tries
        self._sources = sources

    def refuse(self, request: Request, account: str, error: ExchangeError) -> Deferred[None]:
        """Return what fails with ``error`` when it may be told; hang up if it may not be.

        Args:
            request: Brings a wrong credential.
            account: Whose it claims to be; one that there is not is counted as one, so that nothing is told by it.
            error: What is told.
        """
        source = self._sources.of(request.client, request.raw_headers)
        waiting = self._tries.failed(f"account {account[:200]}", f"address {source}")
        if waiting is None:
            request.channel.abort()
            return Deferred()

        def tell(_: object) -> None:
            raise error

        return waiting.addCallback(tell)
