"""Tells the tool calls of one choice apart, whatever a provider made of their indices, ids and names.

OpenAI numbers calls from 0 and names each once. Others leave the index out, begin with 1, write every call under
index 0, or repeat id and name in each piece; all that is told apart here, for whoever reads or repairs answers.

This module must not know events.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from netrunner.dialects.answers import MAX_BLOCKS, Document, obj, text, too_large, unreadable

_NO_ID = re.compile(r"[^a-zA-Z0-9]")


class Call:
    """One call: its place among the calls of its choice, and what has come of it."""

    __slots__ = ("id", "name", "number", "pieces")

    def __init__(self, number: int, tool_id: str | None, name: str | None) -> None:
        self.number = number
        self.id = tool_id
        self.name = name
        self.pieces: list[str] = []
        """Its arguments, as they came."""

    def is_whole(self) -> bool:
        """Return whether the arguments may be all there is of them."""
        try:
            msgspec.json.decode("".join(self.pieces))
        except (msgspec.DecodeError, RecursionError):
            return False
        return True


class Piece(msgspec.Struct, frozen=True):
    """One piece of a call."""

    call: Call
    fragment: str
    is_first: bool
    tells_id: bool
    """The call had no id before."""
    tells_name: bool


class Calls:
    """The calls of one choice.

    Args:
        max_bytes: The most that all their arguments may take.
    """

    __slots__ = ("_at", "_bytes", "_keyed", "_max", "_named", "all")

    def __init__(self, max_bytes: int) -> None:
        self.all: list[Call] = []
        self._at: dict[Any, Call] = {}
        """The last call under each index."""
        self._keyed: dict[tuple[int, str], Call] = {}
        self._named: dict[str, Call] = {}
        """The last call of each id."""
        self._bytes = 0
        self._max = max_bytes

    def take(self, delta: Document) -> Piece:
        """Return what an element of ``tool_calls`` brings, and to which call.

        Raises:
            UpstreamError: for what is no call; ``answer_too_large`` for too many, or too much of them.
        """
        index, function = delta.get("index"), obj(delta, "function")
        if not isinstance(index, int):
            index = None
        return self.take_piece(index, text(delta, "id") or None, text(function, "name") or None, arguments(function))

    def take_piece(self, index: int | None, tool_id: str | None, name: str | None, fragment: str) -> Piece:
        """Return what a piece brings, and to which call; what a provider has not told is None."""
        self._bytes += len(fragment)
        if self._bytes > self._max:
            raise too_large()
        call = self._known(index, tool_id, name)
        tells_id = tool_id is not None and (call is None or call.id is None)
        tells_name = name is not None and (call is None or call.name is None)
        is_first = call is None
        if call is None:
            call = Call(len(self.all), tool_id, name)
            self.all.append(call)
            if len(self.all) > MAX_BLOCKS:
                raise too_large()
        call.id, call.name = call.id or tool_id, call.name or name
        if index is not None:
            self._at[index] = call
        if tool_id is not None:
            self._named[tool_id] = call
            if index is not None:
                self._keyed[index, tool_id] = call
        call.pieces.append(fragment)
        return Piece(call, fragment, is_first, tells_id, tells_name)

    def _known(self, index: int | None, tool_id: str | None, name: str | None) -> Call | None:
        """Return the call that goes on; None where another begins."""
        last = self._at.get(index) if index is not None else self.all[-1] if self.all else None
        if tool_id is not None:
            known = self._named.get(tool_id) if index is None else self._keyed.get((index, tool_id))
            if known is not None:
                return known
            # An id may come after the first piece of its call.
            return last if last is not None and last.id is None and not _another(last, name) else None
        return None if last is None or _another(last, name) else last


def _another(last: Call, name: str | None) -> bool:
    """Return whether a piece that has a name, but no id that is known, begins another call than ``last``."""
    return name is not None and last.name is not None and (name != last.name or last.is_whole())


def made_id(answer_id: str, choice: int, number: int) -> str:
    """Return an id for a call that has none: calls of other turns must not have the same."""
    return f"call_{_NO_ID.sub('', answer_id)[-24:]}_{choice}_{number}"


def arguments(function: Document) -> str:
    """Return a call's arguments, or a piece of them; some providers write the object itself, not its text."""
    found = function.get("arguments")
    if found is None:
        return ""
    if isinstance(found, dict):
        return msgspec.json.encode(found).decode()
    if not isinstance(found, str):
        raise unreadable("has arguments of a call that are no text")
    return found
