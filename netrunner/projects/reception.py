"""Projects as a running process has them: callers, what they use, the operations that change them, and who is told.

This module must not hold what can be done without the reactor.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from netrunner.claims import Denial, Grant
from netrunner.config.settings import AuditSettings
from netrunner.errors import ExchangeError, Overloaded, StoreError, Unusable
from netrunner.interfaces import ICallers, IClock, ICounters
from netrunner.projects.caller import Caller
from netrunner.projects.callers import Callers, Opened
from netrunner.projects.office import Actor, Change, Office, operate
from netrunner.projects.prices import Prices
from netrunner.projects.tokens import Mint
from netrunner.projects.trail import Trail
from netrunner.projects.uses import Uses
from netrunner.settings import Secret
from netrunner.store.master import keyring
from netrunner.store.secrets import made_pepper
from netrunner.store.threads import Store
from netrunner.store.tokens import CLEAN_BATCH, clean
from netrunner.values import Record

P = ParamSpec("P")
T = TypeVar("T")
AGAIN_S = 5.0
"""When a database that could not be opened is tried again."""
OPENING_S = 10.0
"""How long whoever wants to serve waits for a database that is opened for the first time, and migrated perhaps."""
TURN_S = 10.0
"""How long a change waits for others that write, before it is refused and never done."""
DAY_S = 86400.0


class Rules:
    """What of the configuration matters here.

    Args:
        key, previous: The settings ``secrets.key`` and ``secrets.previous``.
        providers: Those that ask for a project's key.
        per_hour: Requests an hour of a token that has no limit of its own.
        clean_s: Seconds between two cleanings; 0 for none.
        keep_days: Days that an expired token is kept.
        audit: The setting ``audit``.
    """

    def __init__(
        self,
        *,
        key: Secret | None,
        previous: Sequence[Secret],
        providers: Sequence[str],
        per_hour: int | None,
        clean_s: float,
        keep_days: float,
        audit: AuditSettings = AuditSettings(),  # noqa: B008 - immutable
    ) -> None:
        self.key = key
        self.previous = tuple(previous)
        self.providers = tuple(providers)
        self.per_hour = per_hour
        self.clean_s = clean_s
        self.keep_days = keep_days
        self.audit = audit


@implementer(ICallers)
class Reception:
    """Lets callers in, and lets them be managed.

    Args:
        rules: What of the configuration matters here.
        open_database: Returns the database, started.
        state: The state folder.
        clock: Time.
        holders: Returns the callers of open exchanges.
        end: Ends those of one caller, saying why.
        tell: Tells other processes that a project was changed; returns what kept some of them from hearing it.
        trail: Writes the audit into a file too.
    """

    log = Logger()

    def __init__(
        self,
        rules: Rules,
        open_database: Callable[[], Store],
        state: Path,
        clock: IClock,
        holders: Callable[[], Iterable[Any]],
        end: Callable[[Any, ExchangeError], None],
        tell: Callable[[str], Awaitable[list[str]]],
        trail: Trail,
    ) -> None:
        self._rules = rules
        self._open_database = open_database
        self._state = state
        self._clock = clock
        self._holders = holders
        self._end = end
        self._tell = tell
        self.trail = trail
        self._store: Store | None = None
        self._office: Office | None = None
        self._calls: dict[str, IDelayedCall] = {}
        self.begun: Deferred[Unusable | None] = Deferred()
        """Fires once the database was opened or could not be, ``OPENING_S`` after the first ``apply`` at the latest.

        With an error if nobody will ever be let in by this code.
        """
        self.callers = Callers(self._database, clock)
        self.uses = Uses(self._database, Prices.shipped(), clock)

    def apply(self, rules: Rules) -> None:
        """Go by a configuration; the first time that opens the database."""
        self._rules = rules
        if self._store is None:
            self._store = self._open_database()
            self._calls["begin"] = self._clock.callLater(OPENING_S, self._begin)
        self.callers.per_hour = rules.per_hour
        self.trail.apply(rules.audit)
        self._run(self._open())
        self._clean_later()

    def stop(self) -> Deferred[list[None]]:
        """Write down what was used, and what is in the audit; ends before the database does."""
        for call in self._calls.values():
            if call.active():
                call.cancel()
        return gatherResults([Deferred.fromCoroutine(one.stop()) for one in (self.uses, self.trail)])

    # Who may call.

    @property
    def is_open(self) -> bool:
        """Whether the database was ever opened: until then nobody can be let in."""
        return self._office is not None

    def known(self, credential: bytes) -> Caller | None:
        """Return whose credential that is, if it is known here."""
        return self.callers.known(credential)

    async def ask(self, credential: bytes) -> Caller:
        """Return whose credential that is; see ``Callers``."""
        return await self.callers.ask(credential)

    async def admit(self, caller: Caller, counters: ICounters) -> Grant | Denial:
        """Count one request; see ``Uses``."""
        return await self.uses.admit(caller, counters)

    async def expect(self, caller: Caller, counters: ICounters, grant: Grant, tokens: int) -> Grant | Denial:
        """Count one request anew; see ``Uses``."""
        return await self.uses.expect(caller, counters, grant, tokens)

    def over(self, caller: Caller, counters: ICounters, grant: Grant, record: Record, tokens: int) -> None:
        """Count what a request took."""
        self.uses.over(caller, counters, grant, record, tokens)

    # How that is managed.

    async def change(
        self,
        action: str,
        actor: Actor,
        operation: Callable[Concatenate[Office, Connection, Actor, P], Change],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Any:
        """Do one of the operations of ``Office``; return what the caller is told, once every process knows of it.

        Args:
            action: As the audit names it, in case it is refused.
            actor: Who asks.
            operation: A method of ``Office``; what follows is what it takes.

        Raises:
            ExchangeError: when it is refused, or the database does not take it: nothing has changed then.
        """
        office = self._opened()
        try:
            change = await self._database().write_soon(TURN_S, operate, office, operation, actor, *args, **kwargs)
        except StoreError as error:
            self.log.warn("{action} was not done: {reason}", action=action, reason=str(error))
            raise _unavailable() from error
        except ExchangeError as error:
            subject = next((one for one in args if isinstance(one, str)), None)
            await self._note_refusal(office, actor, action, subject, error.code)
            raise
        self.trail.add(change.entries)
        for project in change.projects:
            await self.changed(project)
            for problem in await self._tell(project):
                self.log.warn("a change is heard of late: {problem}", problem=problem)
        return change.told

    async def look(
        self, operation: Callable[Concatenate[Office, Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return what a method of ``Office`` that changes nothing tells.

        Raises:
            ExchangeError: what it raises, or ``store_unavailable``.
        """
        office = self._opened()

        def work(connection: Connection) -> T:
            return operation(office, connection, *args, **kwargs)

        try:
            return await self._database().read(work)
        except StoreError as error:
            raise _unavailable() from error

    async def note(self, action: str, actor: Actor, outcome: str) -> None:
        """Write something into the audit that changes nothing; a database that does not take it is warned about."""
        if self._office is not None:
            await self._note_refusal(self._office, actor, action, None, outcome)

    def hear(self, project: str | None) -> None:
        """Another process has changed something about a project: nobody is let in by what was known of it."""
        self._run(self.changed(project))

    async def changed(self, project: str | None) -> None:
        """Think anew about a project: its tokens are read before they are used again, and open exchanges may end.

        Args:
            project: Its id; None when it may be any.
        """
        self.callers.changed(project)
        for caller in [caller for caller in self._holders() if project in (None, caller.project)]:
            try:
                await self.callers.again(caller)
                caller.check(self._clock.wall())
            except Overloaded:
                self.log.warn("open requests go on until the database can be asked about their token")
            except ExchangeError as error:
                self._end(caller, error)

    async def _note_refusal(self, office: Office, actor: Actor, action: str, subject: str | None, code: str) -> None:
        try:
            self.trail.add([await self._database().write(office.refused, actor, action, subject, code)])
        except StoreError as error:
            self.log.warn("{action} is not in the audit: {reason}", action=action, reason=str(error))

    # The database.

    def _database(self) -> Store:
        if self._store is None:
            raise _unavailable()
        return self._store

    def _opened(self) -> Office:
        if self._office is None:
            raise _unavailable()
        return self._office

    async def _open(self) -> None:
        """Read what the database needs to be read with; again after a while if that cannot be done."""
        rules = self._rules
        try:
            opened = await self._database().write(_open, rules, self._state)
        except StoreError as error:
            self.log.error("nobody can be let in for now: {reason}", reason=str(error))
            self._later("open", AGAIN_S, self._open)
            self._begin(error if isinstance(error, Unusable) else None)
            return
        self._office = Office(opened.keyring, opened.mint, rules.providers, self._clock.wall, secrets.token_bytes)
        self.callers.opened = opened
        self.uses.start()
        self._begin()

    def _begin(self, error: Unusable | None = None) -> None:
        """Let whoever waits for the database begin to serve; or not, with the reason."""
        call = self._calls["begin"]
        if call.active():
            call.cancel()
        if not self.begun.called:
            self.begun.callback(error)

    def _clean_later(self) -> None:
        if self._rules.clean_s:
            self._later("clean", self._rules.clean_s, self._clean)

    async def _clean(self) -> None:
        """Delete tokens that expired long ago, a batch at a time."""
        before_s = self._clock.wall() - self._rules.keep_days * DAY_S
        try:
            while await self._database().write(clean, before_s) == CLEAN_BATCH:
                pass
        except StoreError as error:
            self.log.warn("expired tokens are not deleted for now: {reason}", reason=str(error))
        self._clean_later()

    def _later(self, name: str, delay_s: float, work: Callable[[], Any]) -> None:
        before = self._calls.get(name)
        if before is not None and before.active():
            before.cancel()
        self._calls[name] = self._clock.callLater(delay_s, lambda: self._run(work()))

    def _run(self, work: Any) -> None:
        Deferred.fromCoroutine(work).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        self.log.failure("projects", failure)


def _open(connection: Connection, rules: Rules, state: Path) -> Opened:
    keys = keyring(rules.key, rules.previous, state)
    return Opened(keys, Mint(made_pepper(connection, keys, secrets.token_bytes)))


def _unavailable() -> Overloaded:
    return Overloaded("The database cannot be used now.", code="store_unavailable", retry_after_s=5)
