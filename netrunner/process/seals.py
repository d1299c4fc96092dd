"""The seals of calls that other workers keep: asked for by their control sockets, when one of them lacks any.

Each keeps its own in memory, so nothing is told before it is asked for.

This module must not know whose a seal is, nor what it is for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

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
    """

    available = True
    """Who does not answer has nothing."""

    def __init__(self, siblings: Siblings) -> None:
        self._siblings = siblings
        self._asking = 0

    async def get_all(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the seals of these keys, None for those that nobody has or tells of in time."""
        found: list[bytes | None] = [None] * len(keys)
        if self._asking >= MAX_ASKING:
            return found
        self._asking += 1
        try:
            answers = await self._siblings.ask(_SEALS, {"keys": keys})
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
