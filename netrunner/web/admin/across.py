"""Sessions across the processes of a state folder: whichever is asked finds them where they are, and ends them all.

A process that does not know a session asks the others, and keeps what it is told: workers share what a browser has
opened at one of them, and a process that takes over from another goes on with it.

This module must not know cookies or requests.
"""

from __future__ import annotations

from typing import Any

import msgspec

from netrunner.process.control import Commands, ControlError, Reply
from netrunner.web.neighbours import Neighbours
from netrunner.web.sessions import Session, Sessions, is_id, key_of

MAX_ASKING = 16
"""Sessions that others are asked about at once: anybody can bring an id that there never was."""


class _Key(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    """In hexadecimal."""


class Across:
    """Finds and ends the sessions of every process.

    Args:
        sessions: Of this one.
        neighbours: The others.
    """

    def __init__(self, sessions: Sessions, neighbours: Neighbours) -> None:
        self._sessions = sessions
        self._neighbours = neighbours
        self._asking = 0

    def lacks(self, id: str) -> bool:
        """Return whether it may be worth to ask others for a session."""
        return is_id(id) and self._asking < MAX_ASKING and self._sessions.kept(key_of(id)) is None

    async def fetch(self, id: str) -> None:
        """Have a session here that others have, as it was last used."""
        self._asking += 1
        key = key_of(id)
        try:
            told = await self._neighbours.ask("session", {"key": key.hex()})
        finally:
            self._asking -= 1
        found = [msgspec.convert(one["session"], Session) for one in told]
        if found:
            self._sessions.keep(key, max(found, key=lambda session: session.seen))

    async def end(self, id: str) -> None:
        """End a session everywhere."""
        self._sessions.end(id)
        await self._neighbours.ask("end-session", {"key": key_of(id).hex()})


def offer(sessions: Sessions, commands: Commands) -> None:
    """Add the commands by which others find and end the sessions of this process."""

    def tell(asked: _Key) -> Reply:
        session = sessions.kept(_read(asked.key))
        if session is None:
            raise ControlError("there is no such session")
        told: dict[str, Any] = msgspec.to_builtins(session)
        return Reply({"session": told})

    def end(asked: _Key) -> Reply:
        sessions.drop(_read(asked.key))
        return Reply()

    commands.add("session", _Key, tell)
    commands.add("end-session", _Key, end)


def _read(key: str) -> bytes:
    try:
        return bytes.fromhex(key)
    except ValueError as error:
        raise ControlError("that is no key") from error
