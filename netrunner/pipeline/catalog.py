"""The names of the models there are: those of the configuration, and those that providers list themselves.

No name is told that would be refused. The provider of unknown names is asked for its list; while it speaks another
dialect than the one whose servers are to be told of, so are these, since names of theirs lead to it. Each is asked at
most once in ``LASTING_S``, by one request however many wait for it. Names that were told once are told on when the
provider fails.

This module must not know any dialect by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from netrunner.dialects.interfaces import ILists
from netrunner.dialects.spoken import SPOKEN
from netrunner.errors import ExchangeError, InternalError
from netrunner.interfaces import IClock
from netrunner.pipeline.question import ask
from netrunner.pipeline.served import Served
from netrunner.routing.names import Names
from netrunner.values import Call

LASTING_S = 60.0


class Catalog:
    """The names that callers are told.

    Args:
        own: What names mean, those that are configured or registered first.
        unknown_model: The provider of unknown names, which is asked for its own.
        providers: By name.
        clock: Time.
    """

    def __init__(
        self,
        own: Names,
        unknown_model: str | None,
        providers: Mapping[str, Served],
        clock: IClock,
    ) -> None:
        self._own = own
        self._unknown = unknown_model
        self._providers = providers
        self._clock = clock
        self._lists: dict[str, List | None] = {}
        """Of each provider that was asked."""

    async def names(self, dialect: str | None = None) -> list[str]:
        """Return the names, each once, our own first.

        Args:
            dialect: Whose servers' names are told as well, as far as they lead somewhere.

        Raises:
            ExchangeError: if there are none, since no provider could be asked for its own.
        """
        names = dict.fromkeys(self._own)
        error = None
        for listed in self._asked(dialect):
            waiting = listed.refreshed()
            if waiting is not None:
                await waiting
            names |= dict.fromkeys(name for name in listed.names if self._own.serves(name))
            error = error or listed.error
        if not names and error is not None:
            raise error
        return list(names)

    def _asked(self, dialect: str | None) -> list[List]:
        """Return the lists that count: of those who are asked for what they list."""
        unknown = self._unknown
        asked = [] if unknown is None else [unknown]
        if dialect is not None and self._own.open and (unknown is None or not self._speaks(unknown, dialect)):
            asked += [name for name in self._providers if self._speaks(name, dialect)]
        return [listed for name in asked if (listed := self._list(name)) is not None]

    def _speaks(self, name: str, dialect: str) -> bool:
        return bool(self._providers[name].provider.dialect == dialect)

    def _list(self, name: str) -> List | None:
        """Return what a provider lists; None if it lists nothing."""
        if name not in self._lists:
            served = self._providers[name]
            dialect: Any = SPOKEN.get(served.provider.dialect)
            lists = ILists.providedBy(dialect)
            self._lists[name] = List(served, dialect, self._clock) if lists else None
        return self._lists[name]


class List:
    """What one provider lists.

    Args:
        served: Whom to ask.
        dialect: What it speaks, an ``ILists``.
        clock: Time.
    """

    log = Logger()

    def __init__(self, served: Served, dialect: Any, clock: IClock) -> None:
        self.names: tuple[str, ...] = ()
        """As they were told last."""
        self.error: ExchangeError | None = None
        """Why they could not be asked for, the last time."""
        self._served = served
        self._dialect = dialect
        self._clock = clock
        self._until: float | None = None
        self._waiting: list[Deferred[None]] | None = None
        """Who waits for an answer; None while nobody is asked."""

    def refreshed(self) -> Deferred[None] | None:
        """Return a Deferred that fires when the list is no older than it may be; None if it is not by now."""
        now = self._clock.seconds()
        if self._waiting is None and (self._until is None or now >= self._until):
            self._until = now + LASTING_S
            self._waiting = []
            Deferred.fromCoroutine(self._fetched()).addCallbacks(self._told, self._failed).addBoth(self._tell)
        if self._waiting is None:
            return None
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    async def _fetched(self) -> list[str]:
        listing = self._dialect.listing
        call = Call(b"GET", listing.endpoint, listing.query, [], b"", "", False)
        body = await ask(self._served, self._clock, call)
        names: list[str] = self._dialect.names_in(body)
        return names

    def _told(self, names: list[str]) -> None:
        self.names, self.error = tuple(names), None

    def _failed(self, failure: Failure) -> None:
        """Keep why; the log is told once until the provider lists its models again."""
        before, error = self.error, failure.value
        self.error = error if isinstance(error, ExchangeError) else InternalError("The provider could not be asked.")
        if before is not None:
            return
        if self.error is error:
            self.log.warn(
                "the provider {provider} did not list its models: {reason}",
                provider=self._served.name,
                reason=error.message,
            )
        else:
            self.log.failure(
                "the provider {provider} could not be asked for its models", failure, provider=self._served.name
            )

    def _tell(self, _: object) -> None:
        """Wake everybody who waits."""
        waiting, self._waiting = self._waiting or [], None
        for one in waiting:
            one.callback(None)
