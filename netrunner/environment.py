"""What a plugin is handed to do its work.

This module must not hand out the server.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from netrunner.http.tls import TlsContexts
from netrunner.interfaces import IClock, ICopies, ICounters, IEnvironment, ILogStore
from netrunner.shared import ISharedStore


@implementer(IEnvironment)
class Environment:
    """The real environment of one plugin.

    Args:
        name: The plugin's name in the configuration.
        reactor: For side calls.
        clock: Time.
        chance: The one source of chance.
        copies: Reads recorded messages; only a sink is given it.
        open_store: Returns the database, the same one each time; only a sink is given it.
        counters: What limits count with.
        open_shared: Returns what is kept with others in a space; only a filter is given it.
    """

    def __init__(
        self,
        name: str,
        reactor: Any,
        clock: IClock,
        chance: random.Random,
        copies: ICopies | None = None,
        open_store: Callable[[], ILogStore] | None = None,
        counters: ICounters | None = None,
        open_shared: Callable[[str], ISharedStore] | None = None,
    ) -> None:
        self.name = name
        self.clock = clock
        self.log = Logger(namespace=f"netrunner.plugin.{name}")
        self.random = chance
        self._reactor = reactor
        self._http: Any = None
        self.copies = copies
        self._open_store = open_store
        self.counters = counters
        self._open_shared = open_shared

    def shared_store(self, space: str) -> ISharedStore:
        """Return what is kept with others in ``space``."""
        assert self._open_shared is not None, "the configuration is checked for shared"
        return self._open_shared(space)

    @property
    def store(self) -> ILogStore | None:
        """The database; None for what is no sink."""
        return None if self._open_store is None else self._open_store()

    def in_thread(self, pool: ThreadPool, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Call ``function`` in a thread of ``pool``."""
        return deferToThreadPool(self._reactor, pool, function, *arguments)

    @property
    def http(self) -> Any:
        """The client of treq, imported when a plugin first asks: most configurations make no side calls."""
        if self._http is None:
            self._http = self._client()
        return self._http

    def http_for(self, ca_file: str | None) -> Any:
        """Return a client that trusts the authorities of a PEM file instead of the system's; ``http`` without one."""
        return self.http if ca_file is None else self._client(contextFactory=_Trust(TlsContexts(ca_file)))

    def _client(self, **trust: IPolicyForHTTPS) -> Any:
        from treq.client import HTTPClient
        from twisted.web.client import Agent

        from netrunner.http.quiet import QuietPool

        return HTTPClient(Agent(self._reactor, pool=QuietPool(self._reactor), **trust))


@implementer(IPolicyForHTTPS)
class _Trust:
    """Whom side calls over TLS trust."""

    def __init__(self, contexts: TlsContexts) -> None:
        self._contexts = contexts

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        """Return what verifies the certificate's chain and name."""
        return self._contexts.creator(hostname.decode("ascii"))
