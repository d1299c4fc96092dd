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

from netrunner.interfaces import IClock

IDLE_S = 1800.0
"""Without a request for so long, a session is over."""
ABSOLUTE_S = 43200.0
"""A session is over after this, whatever is done in it."""
MAX_SESSIONS = 1000
"""At once; beyond them the oldest ends."""


class Session:
    """One browser that has logged in.

    Args:
        user: Who did.
        credential: A digest of what it was let in by.
        csrf: What a form of its pages brings along.
        now_s: Monotonic seconds.
    """

    __slots__ = ("begun", "credential", "csrf", "seen", "user")

    def __init__(self, user: str, credential: bytes, csrf: str, now_s: float) -> None:
        self.user, self.credential, self.csrf = user, credential, csrf
        self.begun = self.seen = now_s


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
        now = self._clock.seconds()
        for key in [key for key, one in self._sessions.items() if _is_over(one, now)]:
            del self._sessions[key]
        while len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        id = self._random()
        self._sessions[_key(id)] = Session(user, credential, self._random(), now)
        return id

    def find(self, id: str, credential: bytes) -> Session | None:
        """Return the session of that id, which goes on; None if it is over or was opened by another credential."""
        key, now = _key(id), self._clock.seconds()
        session = self._sessions.get(key)
        if session is None:
            return None
        if _is_over(session, now) or not hmac.compare_digest(session.credential, credential):
            del self._sessions[key]
            return None
        session.seen = now
        return session

    def end(self, id: str) -> None:
        """End a session, if there is one of that id."""
        self._sessions.pop(_key(id), None)


def _key(id: str) -> bytes:
    return hashlib.sha256(id.encode("utf-8", "replace")).digest()


def _is_over(session: Session, now_s: float) -> bool:
    return now_s - session.seen >= IDLE_S or now_s - session.begun >= ABSOLUTE_S
