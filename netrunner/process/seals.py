"""The seals of calls that other processes keep, workers or one that drains: asked for by their control sockets.

Each keeps its own in memory, so nothing is told before somebody asks who lacks it.

This module must not know whose a seal is, nor what it is for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, succeed

from netrunner.process.control import Commands, Reply
from netrunner.process.siblings import Siblings

MAX_ASKING = 16
"""Questions to the others at once: anybody can bring a call that there never was."""
_SEALS = "seals"


class _Keys(msgspec.Struct, forbid_unknown_fields=True):
    keys: list[bytes]
    """In base64."""


class SiblingSeals:
    """Finds what the other processes of a state folder keep.

    Args:
        siblings: How they are asked.
        look: Has at hand what those have left that have ended meanwhile.
    """

    available = True
    """Who does not answer has nothing."""

    def __init__(self, siblings: Siblings, look: Callable[[], Deferred[Any]] = lambda: succeed(None)) -> None:
        self._siblings = siblings
        self._look = look
        self._asking = 0

    async def get_all(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the seals of these keys, None for those that nobody has or tells of in time."""
        found: list[bytes | None] = [None] * len(keys)
        if self._asking >= MAX_ASKING:
            return found
        self._asking += 1
        try:
            answers = await self._siblings.ask(_SEALS, {"keys": keys})
            # Who has ended before it was asked has left them by now.
            await self._look()
        finally:
            self._asking -= 1
        for answer in answers:
            found = [one if told is None else told.encode() for one, told in zip(found, answer["seals"], strict=True)]
        return found

    def put(self, key: bytes, value: bytes, ttl_s: float) -> None:
        """Do nothing: whoever needs it asks."""


def offer(find: Callable[[bytes], str | None], commands: Commands) -> None:
    """Add the command by which other processes ask for seals.

    Args:
        find: Returns the seal of a key.
        commands: What this process can be asked.
    """
    commands.add(_SEALS, _Keys, lambda asked: Reply({"seals": [find(key) for key in asked.keys]}))
