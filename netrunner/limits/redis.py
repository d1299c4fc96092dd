"""One connection to a Redis server, made again whenever it is lost.

This module must not know what is kept there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import optionsForClientTLS
from twisted.logger import Logger

import txredisapi
from netrunner.errors import NetrunnerError
from netrunner.limits.scripts import Script

CONNECT_S = 2.0
REPLY_S = 1.0
"""How long an answer may take; then the connection is given up, and everything that waits on it."""
_AGAIN = backoffPolicy(0.1, 5.0)
_PORT = 6379


class Unavailable(NetrunnerError):
    """Redis cannot be reached, or does not do what it is asked."""


class Place(NamedTuple):
    """What a ``redis://`` or ``rediss://`` URL says."""

    host: str
    port: int
    database: int
    user: str | None
    password: str | None
    secure: bool

    @classmethod
    def of(cls, url: str) -> Place:
        """Return what ``url`` says; the configuration has checked it."""
        parts = urlsplit(url)
        user = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password else None
        database = int(parts.path.strip("/") or 0)
        return cls(parts.hostname or "", parts.port or _PORT, database, user, password, parts.scheme == "rediss")

    def endpoint(self, reactor: Any) -> IStreamClientEndpoint:
        """Return where to connect."""
        endpoint: Any = HostnameEndpoint(reactor, self.host.encode("idna"), self.port, timeout=CONNECT_S)
        if self.secure:
            endpoint = wrapClientTLS(optionsForClientTLS(self.host), endpoint)
        found: IStreamClientEndpoint = endpoint
        return found


class _Factory(Factory):
    """Makes connections and tells when they are good for anything."""

    noisy = False
    isLazy = False

    def __init__(self, link: Redis, place: Place) -> None:
        self.link = link
        self._place = place

    def buildProtocol(self, addr: IAddress | None) -> Any:
        place = self._place
        # A database is always chosen: its answer shows that somebody is there.
        protocol = self.link.kind(
            replyTimeout=REPLY_S,
            password=place.password,
            username=place.user,
            dbid=place.database,
            convertNumbers=False,
        )
        protocol.factory = self
        protocol.whenConnected().addCallback(self.link.connected)
        protocol.whenDisconnected().addCallback(self.link.lost)
        return protocol

    def stopTrying(self) -> None:
        """Called where a password or database is refused; it may be right the next time."""

    def connectionError(self, why: str) -> None:
        """Called with the reason."""
        self.link.refused(why)


class Redis:
    """The connection to one server.

    Args:
        place: Where it is.
        reactor: What it runs on.
    """

    log = Logger()
    kind = txredisapi.RedisProtocol
    """What speaks on it; its ``factory.link`` is this."""

    def __init__(self, place: Place, reactor: Any) -> None:
        self._place = place
        self._service = ClientService(place.endpoint(reactor), _Factory(self, place), _AGAIN, reactor)
        self._protocol: Any = None
        self._trying = True
        """Nothing is known yet: the first attempt is under way."""
        self._first: list[Deferred[None]] = []
        self._why = "no connection"

    @property
    def available(self) -> bool:
        """Whether there is a connection."""
        return self._protocol is not None

    def start(self) -> None:
        """Connect, and again whenever the connection is lost."""
        self._service.startService()
        self._service.whenConnected(failAfterFailures=1).addErrback(lambda failure: self._fail(failure.value))

    def stop(self) -> Any:
        """Hang up; return a Deferred that fires when that is done."""
        self._trying = False
        self._settle()
        return self._service.stopService()

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[object]) -> Any:
        """Return what ``script`` answers.

        Raises:
            Unavailable: when it is not known whether it ran.
        """
        try:
            return await self._ask("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except txredisapi.ResponseError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise Unavailable(str(error)) from error
        return await self.ask("EVAL", script.text, len(keys), *keys, *arguments)

    async def ask(self, *command: object) -> Any:
        """Return what a command answers.

        Raises:
            Unavailable: when it is not known whether it was done.
        """
        try:
            return await self._ask(*command)
        except txredisapi.ResponseError as error:
            raise Unavailable(str(error)) from error

    async def _ask(self, *command: object) -> Any:
        if self._trying and self._protocol is None:
            first: Deferred[None] = Deferred()
            self._first.append(first)
            await first
        if self._protocol is None:
            raise Unavailable(self._why)
        try:
            return await self._protocol.execute_command(*command)
        except txredisapi.ResponseError:
            raise
        except txredisapi.RedisError as error:
            raise Unavailable(str(error)) from error

    # What the connection tells.

    def connected(self, protocol: Any) -> None:
        """A connection is good."""
        if not self._trying:
            self.log.info("Redis at {host} answers again", host=self._place.host)
        self._protocol, self._trying = protocol, False
        self._settle()

    def lost(self, protocol: Any) -> None:
        """A connection is gone, or never was good."""
        if protocol is self._protocol or self._trying:
            self._fail("the connection was lost")

    def refused(self, why: str) -> None:
        """The server does not want us."""
        self._fail(why)

    def _fail(self, why: object) -> None:
        told = self._trying or self._protocol is not None
        self._protocol, self._trying, self._why = None, False, str(why)
        if told:
            self.log.error("Redis at {host} cannot be used: {why}", host=self._place.host, why=self._why)
        self._settle()

    def _settle(self) -> None:
        first, self._first = self._first, []
        for waiting in first:
            waiting.callback(None)
