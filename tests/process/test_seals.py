"""Seals of calls that other workers keep: asked for together, by as many at once as there may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, succeed

from netrunner.process.control import Commands, Reply
from netrunner.process.seals import MAX_ASKING, SiblingSeals, offer

A, B, C = (bytes([number]) * 32 for number in range(3))


class Siblings:
    """Other processes that keep seals; each answers as it does by its control socket."""

    def __init__(self, *kept: Mapping[bytes, str]) -> None:
        self._commands = []
        for seals in kept:
            self._commands.append(Commands())
            offer(seals.get, self._commands[-1])
        self.slow: Deferred[None] | None = None
        self.asked = 0

    def ask(self, command: str, arguments: Mapping[str, Any]) -> Deferred[list[dict[str, Any]]]:
        """Return what they answer, once those are there that are slow."""
        self.asked += 1
        line = msgspec.json.encode({"command": command, "arguments": arguments})
        answers = []
        for commands in self._commands:
            reply = commands.answer(line)
            assert isinstance(reply, Reply)
            answers.append(msgspec.json.decode(msgspec.json.encode(reply.values)))
        return succeed(answers) if self.slow is None else self.slow.addCallback(lambda _: answers)


def found(siblings: Any, *keys: bytes) -> list[bytes | None]:
    told: list[Any] = []
    Deferred.fromCoroutine(SiblingSeals(siblings).get_all(keys)).addCallback(told.append)
    return list(told[0])


def test_each_seal_is_found_whoever_has_it() -> None:
    assert found(Siblings({A: "a"}, {}, {B: "b\u00fc"}), A, B, C) == [b"a", "b\u00fc".encode(), None]
    assert found(Siblings(), A) == [None]


def test_those_beyond_the_most_that_may_ask_at_once_find_nothing() -> None:
    siblings: Any = Siblings({A: "a"})
    siblings.slow = Deferred()
    seals = SiblingSeals(siblings)
    told: list[Any] = []
    for _ in range(MAX_ASKING + 1):
        Deferred.fromCoroutine(seals.get_all([A])).addCallback(told.append)
    assert (told, siblings.asked) == ([[None]], MAX_ASKING)
    siblings.slow.callback(None)
    assert told == [[None], *[[b"a"]] * MAX_ASKING]
    siblings.slow = None
    Deferred.fromCoroutine(seals.get_all([A])).addCallback(told.append)
    assert told[-1] == [b"a"]
