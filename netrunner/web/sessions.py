"""Sessions of operators who have logged in with a browser, in memory.

Of a session's id there is only a digest, as of every credential. A session ends with what opened it: whoever changes
the password ends them all.

This module must not know cookies or requests.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable

import msgspec

from netrunner.interfaces import IClock

IDLE_S = 1800.0
"""Without a request for so long, a session is over."""
ABSOLUTE_S = 43200.0
"""A session is over after this, whatever is done in it."""
_ID_CHARACTERS = 43
"""Of 256 random bits."""
MAX_SESSIONS = 1000
"""At once; beyond them the oldest ends."""


class Session(msgspec.Struct):
    """One browser that has logged in."""

    user: str
    """Who did."""
    credential: bytes
    """A digest of what it was let in by."""
    csrf: str
    """What a form of its pages brings along."""
    begun: float
    seen: float
    """By the machine's monotonic clock, which all its processes share."""


class Sessions:
    """Every session of this process.

    Args:
        clock: Time.
        random: Makes ids and tokens that nobody guesses.
    """

    def __init__(self, clock: IClock, random: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> None:
        self._clock = clock
        self._random = random
        self._sessions: dict[bytes, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, user: str, credential: bytes, before: str | None = None) -> str:
        """Begin a session and return its id, always a new one; the one that the browser had ends."""
        if before is not None:
            self.end(before)
        self._make_room()
        now, id = self._clock.seconds(), self._random()
        self._sessions[key_of(id)] = Session(user, credential, self._random(), now, now)
        return id

    def find(self, id: str, credential: bytes) -> Session | None:
        """Return the session of that id, which goes on; None if it is over or was opened by another credential."""
        key = key_of(id)
        session = self.kept(key)
        if session is None:
            return None
        if not hmac.compare_digest(session.credential, credential):
            del self._sessions[key]
            return None
        session.seen = self._clock.seconds()
        return session

    def end(self, id: str) -> None:
        """End a session, if there is one of that id."""
        self.drop(key_of(id))

    def kept(self, key: bytes) -> Session | None:
        """Return the session of which that is kept, as it is; None if it is over."""
        session = self._sessions.get(key)
        if session is not None and _is_over(session, self._clock.seconds()):
            del self._sessions[key]
            return None
        return session

    def keep(self, key: bytes, session: Session) -> None:
        """Keep what another process has told."""
        self._make_room()
        self._sessions[key] = session

    def drop(self, key: bytes) -> None:
        """End the session of which that is kept, if there is one."""
        self._sessions.pop(key, None)

    def _make_room(self) -> None:
        now = self._clock.seconds()
        for key in [key for key, one in self._sessions.items() if _is_over(one, now)]:
            del self._sessions[key]
        while len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]


def is_id(text: str) -> bool:
    """Return whether that may be the id of a session."""
    return len(text) == _ID_CHARACTERS


def key_of(id: str) -> bytes:
    """Return what is kept of a session's id."""
    return hashlib.sha256(id.encode("utf-8", "replace")).digest()


def _is_over(session: Session, now_s: float) -> bool:
    return now_s - session.seen >= IDLE_S or now_s - session.begun >= ABSOLUTE_S
