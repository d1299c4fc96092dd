"""Who calls: tokens that are known are found in this process at once, all others are asked for in the database.

A token is known by its whole digest. What was read is read again when it is a minute old, while it is used on; a change
that is heard of makes everything of its project be read before the next request. Without the database those who are
known are let in for a quarter of an hour, unless something about them was changed. Unknown credentials are remembered
for a moment, and forged ones are told without asking.

This module must not change who may call.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

from sqlalchemy import Connection
from twisted.internet.defer import Deferred

from netrunner.errors import ExchangeError, Overloaded, StoreError, Unauthenticated
from netrunner.interfaces import IClock
from netrunner.projects.caller import CHALLENGE, Caller, Project, not_found
from netrunner.projects.tokens import Mint, well_formed
from netrunner.store import projects, tokens
from netrunner.store.projects import ProjectRow
from netrunner.store.sealing import Keyring
from netrunner.store.threads import Store
from netrunner.store.tokens import TokenRow

MAX_KNOWN = 10_000
"""Tokens that are known at once; beyond them those that were not used for longest are forgotten."""
MAX_UNKNOWN = 10_000
UNKNOWN_S = 5.0
"""How many unknown credentials are remembered, and for how long."""
MAX_ASKING = 256
"""Credentials that are asked for at once; who comes beyond them is told to come again."""
REFRESH_S = 60.0
"""Age at which what is known of a token is read again."""
KEEP_S = 900.0
"""How long a token is known without the database."""


class Opened:
    """The database, once its secrets could be read.

    Args:
        keyring: Opens provider keys.
        mint: Digests tokens.
    """

    def __init__(self, keyring: Keyring, mint: Mint) -> None:
        self.keyring = keyring
        self.mint = mint


Read = tuple[TokenRow, ProjectRow, dict[str, list[bytes]]]


class Callers:
    """Knows tokens.

    Args:
        database: Returns the database.
        clock: Time.
    """

    per_hour: int | None = None
    """Requests an hour of a token that has no limit of its own."""

    def __init__(self, database: Callable[[], Store], clock: IClock) -> None:
        self._database = database
        self._clock = clock
        self.opened: Opened | None = None
        """None until the database could be read for the first time."""
        self._known: OrderedDict[bytes, Caller] = OrderedDict()
        self._projects: WeakValueDictionary[str, Project] = WeakValueDictionary()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._asking: dict[bytes, list[Deferred[Caller]]] = {}
        self._changes = 0
        """Changes that were heard of."""

    def __len__(self) -> int:
        return len(self._known)

    def known(self, credential: bytes) -> Caller | None:
        """Return whose credential that is; None if that has to be asked for."""
        if self.opened is None:
            return None
        digest = self.opened.mint.digest(credential)
        caller = self._known.get(digest)
        if caller is None or caller.stale:
            return None
        self._known.move_to_end(digest)
        age_s = self._clock.seconds() - caller.read_at
        if age_s > REFRESH_S:
            if age_s > KEEP_S:
                return None
            self._refresh(caller)
        return caller

    async def ask(self, credential: bytes) -> Caller:
        """Return whose credential that is.

        Raises:
            Unauthenticated: ``invalid_token`` for what is no token, ``token_not_found`` for one that is nobody's.
            Overloaded: ``store_unavailable`` when the database does not tell.
        """
        if not well_formed(credential):
            raise Unauthenticated("The credential is not a token.", headers=CHALLENGE)
        if self.opened is None:
            raise _unavailable()
        mint = self.opened.mint
        digest = mint.digest(credential)
        until = self._unknown.get(digest)
        if not mint.made(credential) or (until is not None and self._clock.seconds() < until):
            raise not_found()
        return await self._asked(digest)

    async def again(self, caller: Caller) -> None:
        """Read a token again; raises ``Overloaded`` when the database does not tell."""
        try:
            found = await self._asked(caller.digest)
        except Unauthenticated:
            caller.learn(None)
        else:
            # Another one, if it was forgotten meanwhile.
            caller.refused = found.refused

    def changed(self, project: str | None) -> None:
        """Something about a project, or a token of it, was changed: it is read before it is used again.

        Args:
            project: Its id; None when it may be any.
        """
        self._changes += 1
        self._asking = {}
        for caller in self._known.values():
            if project is None or caller.project == project:
                caller.stale = True

    def _asked(self, digest: bytes) -> Deferred[Caller]:
        """Ask for a token; whoever asks for the same meanwhile is answered along with it."""
        waiting: Deferred[Caller] = Deferred()
        asking = self._asking.get(digest)
        if asking is not None:
            asking.append(waiting)
            return waiting
        if len(self._asking) >= MAX_ASKING:
            raise _unavailable()
        asking = self._asking[digest] = [waiting]
        reading = Deferred.fromCoroutine(self._database().read(_find, digest, self._opened().keyring))
        reading.addCallback(self._learn, digest, self._changes)
        reading.addErrback(self._unread)
        reading.addBoth(self._tell, digest, asking)
        return waiting

    def _tell(self, result: Any, digest: bytes, asking: list[Deferred[Caller]]) -> None:
        if self._asking.get(digest) is asking:
            del self._asking[digest]
        for waiting in asking:
            if not waiting.called:
                waiting.callback(result)

    def _unread(self, failure: Any) -> Any:
        if failure.check(StoreError):
            raise _unavailable() from failure.value
        return failure

    def _learn(self, read: Read | None, digest: bytes, changes: int) -> Caller:
        """Take in what was read."""
        caller = self._known.get(digest)
        if read is None:
            self._forget(digest, caller)
            raise not_found()
        token, row, keys = read
        project = self._projects.get(row.id)
        if project is None:
            project = self._projects[row.id] = Project(row.id)
        project.learn(row, keys)
        if caller is None:
            caller = self._known[digest] = Caller(digest, project, token, self.per_hour)
            while len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        else:
            caller.learn(token)
        caller.read_at = self._clock.seconds()
        # What was changed while it was read is read once more.
        caller.stale = changes != self._changes
        return caller

    def _forget(self, digest: bytes, caller: Caller | None) -> None:
        if caller is not None:
            caller.learn(None)
            del self._known[digest]
        self._unknown[digest] = self._clock.seconds() + UNKNOWN_S
        self._unknown.move_to_end(digest)
        while len(self._unknown) > MAX_UNKNOWN:
            self._unknown.popitem(last=False)

    def _refresh(self, caller: Caller) -> None:
        """Read a token again while it is used on."""
        if caller.digest not in self._asking and len(self._asking) < MAX_ASKING:
            # Whatever comes of it is learnt, or found out again by the next request.
            self._asked(caller.digest).addErrback(lambda failure: failure.trap(ExchangeError))

    def _opened(self) -> Opened:
        if self.opened is None:
            raise _unavailable()
        return self.opened


def _find(connection: Connection, digest: bytes, keyring: Keyring) -> Read | None:
    """Return what the database has of a token: itself, its project, and that one's keys by provider, opened."""
    token = tokens.by_digest(connection, digest)
    if token is None:
        return None
    project = projects.one(connection, token.project)
    assert project is not None
    keys: dict[str, list[bytes]] = {}
    for key in projects.keys_of(connection, [project.id]):
        # One that lies there as it is waits to be sealed.
        if key.sealed_by is not None:
            keys.setdefault(key.provider, []).append(keyring.open(key.sealed, key.sealed_by, key.id))
    return token, project, keys


def _unavailable() -> Overloaded:
    return Overloaded("Who calls cannot be looked up now.", code="store_unavailable", retry_after_s=5)
